"""Spaces of networks to search: what a space is, those that tasks start from, and the one around a network."""
