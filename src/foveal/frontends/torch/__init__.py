"""PyTorch: a model is run once under a dispatch mode, and what it does is written down."""
