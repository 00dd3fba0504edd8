"""Which shown layer feeds which: the network as a graph of named layers, for drawing."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.ir.graph import Graph, Layer

MANY = 24
"""Where more layers than this meet in one, only that many nearest ones are linked."""


def leaf_links(graph: Graph, layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """(from, to) pairs of numbers into ``layers``, leaves only; source k of the graph is number -1 - k.

    A value that no leaf names stands for the leaves it comes from. Leaves that name the same value form a chain.
    """
    named: dict[int, list[int]] = {}
    for number, layer in enumerate(layers):
        if layer.leaf:
            named.setdefault(layer.value, []).append(number)
    origin: dict[int, frozenset[int]] = {source.value: frozenset((-1 - k,)) for k, source in enumerate(graph.sources)}
    links: list[tuple[int, int]] = []
    for source in graph.sources:
        origin[source.value] = _chain(named.get(source.value, ()), origin[source.value], links)
    for node in graph.nodes:
        before = frozenset[int]().union(*(origin.get(used, frozenset()) for used in node.inputs))
        origin[node.output] = _chain(named.get(node.output, ()), before, links) if before else before
    return sorted(set(links), key=lambda link: (link[1], link[0]))


def parents(layers: Sequence[Layer]) -> list[int]:
    """For each layer the number of the container it stands in (the longest name that is a prefix of its own), or -1."""
    containers = {layer.name: number for number, layer in enumerate(layers) if not layer.leaf}
    found = []
    for layer in layers:
        parts = layer.name.split(".")
        names = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
        found.append(next((containers[name] for name in names if name in containers), -1))
    return found


def _chain(numbers: Sequence[int], before: frozenset[int], links: list[tuple[int, int]]) -> frozenset[int]:
    for number in numbers:
        links += [(other, number) for other in sorted(before)[-MANY:]]
        before = frozenset((number,))
    return before
