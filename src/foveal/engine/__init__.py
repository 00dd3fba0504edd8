"""Loops over the graph: forward for hulls, backward for weighted fields. They read relations, never operations."""
