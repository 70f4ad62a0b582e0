"""From ONNX nodes to the engine: names and attributes mapped to meanings."""
