"""Multiply-adds of each value: what its own operation multiplies and adds, biases and pointwise work left out."""

from __future__ import annotations

from math import prod

from foveal.ir import ops
from foveal.ir.graph import Graph, Node


def multiply_adds(graph: Graph) -> dict[int, int]:
    """Value id -> multiply-adds of the operation that made it (0 is left out). One multiply-add counts 1, not 2."""
    found = {}
    for node in graph.nodes:
        count = _count(graph, node)
        if count:
            found[node.output] = count
    return found


def _count(graph: Graph, node: Node) -> int:
    shapes = [graph.values[i].shape for i in node.inputs]
    out = graph.values[node.output].shape
    if isinstance(node.op, ops.Convolution):
        return prod(out) * prod(node.op.kernel) * (shapes[0][1] // node.op.groups)
    if isinstance(node.op, ops.TransposedConvolution):
        return prod(shapes[0]) * prod(node.op.kernel) * (out[1] // node.op.groups)
    if isinstance(node.op, ops.Contract):
        lengths: dict[int, int] = {}
        for labels, shape in zip(node.op.labels, shapes, strict=True):
            for label, length in zip(labels, shape, strict=True):
                lengths[label] = max(length, lengths.get(label, 1))
        return prod(lengths.values())
    return 0
