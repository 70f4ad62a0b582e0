"""The ONNX dialect, over onnx-ir. The only place that imports onnx_ir."""
