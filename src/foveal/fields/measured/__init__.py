"""Fields measured by gradients over images, by a named protocol."""
