"""ONNX models run: by an interpreter of their own, and by onnxruntime."""
