"""Where PyTorch models come from: names, factories, files."""
