"""Multiply-adds of layers and of the whole graph, summed from those of single operations."""

from __future__ import annotations

from collections.abc import Iterable

from foveal.engine.cost import cost
from foveal.ir.graph import Graph, Layer, Node
from foveal.report.results import Measure

_METHOD = "products in convolutions and contractions, counted from shapes; one multiply-add is one"
_BOUND = f"{_METHOD}; operations without a rule are left out, so this is a lower bound"


def total_cost(graph: Graph) -> Measure:
    """Multiply-adds of the whole graph for the traced input."""
    return _measure(graph, graph.nodes)


def layer_cost(graph: Graph, layer: Layer) -> Measure:
    """Multiply-adds of a layer: of its own operation, or of all operations in its module."""
    if layer.kind != "module":
        producer = graph.producers().get(layer.value)
        return _measure(graph, [producer] if producer else [])
    scope = layer.name.split("#")[0]
    inside = graph.once("nodes-by-scope", _by_scope).get(scope, [])
    if scope == layer.name and f"{scope}#2" not in graph.layer_table:
        return _measure(graph, inside)
    return _measure(graph, _one_call(graph, layer, scope, inside))


def _measure(graph: Graph, nodes: Iterable[Node]) -> Measure:
    costs = graph.once("multiply-adds", lambda graph: {node.output: cost(graph, node) for node in graph.nodes})
    counts = [costs[node.output] for node in nodes]
    total = sum(int(count or 0) for count in counts)
    return Measure("bound", total, _BOUND) if None in counts else Measure("exact", total, _METHOD)


def _by_scope(graph: Graph) -> dict[str, list[Node]]:
    """Module path -> the nodes that ran in it or beneath it."""
    table: dict[str, list[Node]] = {}
    for node in graph.nodes:
        parts = node.scope.split(".") if node.scope else []
        for end in range(1, len(parts) + 1):
            table.setdefault(".".join(parts[:end]), []).append(node)
    return table


def _one_call(graph: Graph, layer: Layer, scope: str, inside: list[Node]) -> list[Node]:
    """The nodes of one call of a module with several: back from its value, up to other calls' values."""
    calls = {other.value for other in graph.layer_table.values() if other.name.split("#")[0] == scope}
    own = {node.output for node in inside}
    return list(graph.behind(layer.value, stop=calls | (graph.producers().keys() - own))) if layer.value in own else []
