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
    if scope == layer.name and f"{scope}#2" not in graph.layer_table:
        return _measure(graph, _by_scope(graph).get(scope, []))
    return _measure(graph, _one_call(graph, layer, scope))


def _measure(graph: Graph, nodes: Iterable[Node]) -> Measure:
    if "multiply-adds" not in graph.cache:
        graph.cache["multiply-adds"] = {node.output: cost(graph, node) for node in graph.nodes}
    costs: dict[int, int | None] = graph.cache["multiply-adds"]
    counts = [costs[node.output] for node in nodes]
    total = sum(int(count or 0) for count in counts)
    return Measure("bound", total, _BOUND) if None in counts else Measure("exact", total, _METHOD)


def _by_scope(graph: Graph) -> dict[str, list[Node]]:
    """Module path -> the nodes that ran in it or beneath it."""
    if "nodes-by-scope" not in graph.cache:
        table: dict[str, list[Node]] = {}
        for node in graph.nodes:
            parts = node.scope.split(".") if node.scope else []
            for end in range(1, len(parts) + 1):
                table.setdefault(".".join(parts[:end]), []).append(node)
        graph.cache["nodes-by-scope"] = table
    result: dict[str, list[Node]] = graph.cache["nodes-by-scope"]
    return result


def _one_call(graph: Graph, layer: Layer, scope: str) -> list[Node]:
    """The nodes of one call of a module with several: back from its value, up to other calls' values."""
    producers, inside = graph.producers(), {node.output for node in _by_scope(graph).get(scope, [])}
    calls = {other.value for other in graph.layer_table.values() if other.name.split("#")[0] == scope}
    pending, seen = [layer.value], {layer.value}
    found = []
    while pending:
        node = producers.get(pending.pop())
        if node is None or node.output not in inside:
            continue
        found.append(node)
        fresh = [used for used in node.inputs if used not in seen and used not in calls]
        seen.update(fresh)
        pending += fresh
    return found
