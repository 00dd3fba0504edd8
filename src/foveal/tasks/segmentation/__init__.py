"""Segmentation: which field sizes a pixel couples, with which holes, and what the border does."""
