"""ONNX operators in neutral operations, one file per family."""
