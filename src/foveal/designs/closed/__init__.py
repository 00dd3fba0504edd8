"""Receptive fields and costs of a network of the design space in closed form, without a trace."""
