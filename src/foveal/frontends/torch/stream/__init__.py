"""A PyTorch model run with state: chunk by chunk, with nothing computed twice."""
