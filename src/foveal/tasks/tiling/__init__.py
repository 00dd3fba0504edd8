"""Tiling: a layer over a large source computed piece by piece, with the same result as on the whole."""
