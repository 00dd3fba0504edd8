"""Multiply-adds of each value: what its own operation multiplies and adds, biases and pointwise work left out."""

from __future__ import annotations

from foveal.ir.graph import Graph, Node
from foveal.ir.rules import traits


def multiply_adds(graph: Graph) -> dict[int, int]:
    """Value id -> multiply-adds of the operation that made it (0 is left out). One multiply-add counts 1, not 2."""
    return {node.output: count for node in graph.nodes if (count := cost(graph, node))}


def cost(graph: Graph, node: Node) -> int | None:
    """Multiply-adds of one operation; None where they are not known."""
    shapes = tuple(graph.values[i].shape for i in node.inputs)
    return traits(node.op).multiply_adds(node.op, shapes, graph.values[node.output].shape)
