"""Keras 3 models, through the backend they run on."""
