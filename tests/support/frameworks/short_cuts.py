"""PyTorch traces with the short cuts and without them: they must be the same to the last node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from foveal.frontends.torch.dispatch.fast import FAST
from foveal.frontends.torch.dispatch.shapes import SHAPES
from foveal.ir.graph import Graph

NEEDED = {"index": SHAPES["index"]}
"""No short cut though it stands among them: the framework has no shape for a Boolean index on the meta device."""


@contextmanager
def replaced(fast: dict[Any, Any] | None = None, shapes: dict[str, Any] | None = None) -> Iterator[None]:
    """Within: other short cuts, or none, in the very tables that the tracer looks them up in."""
    kept = [(table, dict(table), new) for table, new in ((FAST, fast or {}), (SHAPES, shapes or NEEDED))]
    try:
        for table, _, new in kept:
            table.clear()
            table.update(new)
        yield
    finally:
        for table, old, _ in kept:
            table.clear()
            table.update(old)


def facts(graph: Graph) -> list[Any]:
    """All that a trace says, as plain things: an array as its bytes, because operations with one compare by identity.

    Values stand with their shapes and numbers, nodes with operation, inputs, scope and origin.
    """
    nodes = [
        (type(node.op).__name__, {key: _plain(item) for key, item in vars(node.op).items()}, *node[1:])
        for node in graph.nodes
    ]
    values = [tuple(_plain(item) for item in value) for value in graph.values]
    return [*values, *nodes, *graph.sources, *graph.layer_table.items(), *graph.notes, graph.parameters]


def _plain(item: Any) -> Any:
    return (item.dtype.str, item.shape, item.tobytes()) if isinstance(item, np.ndarray) else item


def first_difference(graph: Graph, other: Graph) -> tuple[Any, Any] | None:
    """Where two traces first say different things."""
    mine, theirs = facts(graph), facts(other)
    for pair in zip(mine, theirs, strict=False):
        if pair[0] != pair[1]:
            return pair
    return None if len(mine) == len(theirs) else (f"{len(mine)} facts", f"{len(theirs)} facts")
