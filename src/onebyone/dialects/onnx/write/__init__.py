"""From a plan back to ONNX nodes."""
