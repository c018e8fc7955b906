"""What a model says about itself: metadata for programs, the model card with code snippets for people."""
