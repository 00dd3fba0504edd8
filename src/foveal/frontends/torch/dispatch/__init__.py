"""The run that is watched: operation by operation, values, shapes, constants."""
