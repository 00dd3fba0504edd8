"""Analyses: loops over the graph that read relations."""
