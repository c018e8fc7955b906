"""Golden vectors: a small kit with which an app in any language proves that it gives a model's own answers."""
