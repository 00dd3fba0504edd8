"""One node at a time: operands, constants, shapes, subgraphs."""
