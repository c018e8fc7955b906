"""A checkpoint as a graph: torch to ONNX, preprocessing in the graph, float16, opset and IR versions."""
