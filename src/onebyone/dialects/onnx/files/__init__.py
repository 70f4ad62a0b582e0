"""ONNX files in and out: read in place, checked, streamed, written whole or not at all."""
