"""Detection: what each level of a detector sees, against its anchors and the objects."""
