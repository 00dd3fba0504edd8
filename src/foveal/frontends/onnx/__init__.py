"""ONNX: nodes in order, each lowered by table; nothing is computed from the input."""
