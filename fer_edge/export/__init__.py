"""From a checkpoint to models that answer like it: ONNX, TorchScript, pt2, INT8, and the proof of it."""
