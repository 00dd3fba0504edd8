"""Backward over the graph: support, paths, edges and energy of a unit."""
