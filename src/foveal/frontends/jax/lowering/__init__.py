"""JAX primitives in neutral operations, one file per family."""
