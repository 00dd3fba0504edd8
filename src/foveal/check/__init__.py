"""Predictions held against the real model: perturbation, the oracle, one network from several front ends."""
