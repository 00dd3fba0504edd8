"""ATen operations in neutral operations, one file per family."""
