"""What other apps import: numpy, pillow and onnxruntime, never torch."""
