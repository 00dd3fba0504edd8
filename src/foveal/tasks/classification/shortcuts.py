"""Paths through a network by their length, and the gradient that reaches early layers with and without shortcuts.

A residual network is a collection of paths of many lengths (Veit et al. 2016): each block doubles them. Length counts
the weighted layers (convolutions, contractions with parameters) on a path; positions and channels do not multiply paths
here. A shortcut is the operand of an addition whose longest path is shorter than that of the other. The expected
squared gradient is that of docs/methods.md 2.3, added up over a layer's positions: the shortcuts' share is what is lost
when the reads through them are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10, prod

import numpy as np

from foveal.engine.backward.algebra import ENERGY, Flow
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.own_gains import OwnGains
from foveal.engine.backward.pull import pull, seed
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import roles
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import traits
from foveal.tasks.classification.record import GradientReach, PathLengths

Lengths = dict[int, int]
LN10 = 2.302585092994046


def path_lengths(graph: Graph, value: int) -> PathLengths:
    """The paths from all sources to a value."""
    found = _lengths(graph).get(value, {})
    ordered = sorted(found.items())
    return PathLengths(tuple(length for length, _ in ordered), tuple(count for _, count in ordered))


def count_text(count: int) -> str:
    """A number of paths as people write it: "65,536", "8.59e+09"."""
    return f"{count:,}" if count < 10**7 else f"{float(count):.3g}"


def shortcut_reads(graph: Graph) -> frozenset[tuple[int, int]]:
    """(output of the addition, operand) of each shortcut."""
    lengths = _lengths(graph)
    found = set()
    for node in graph.nodes:
        signals = [operand for operand in dict.fromkeys(node.inputs) if operand in lengths]
        if traits(node.op).joins(node.op) != "sum" or len(signals) != 2:
            continue
        longest = {operand: max(lengths[operand]) for operand in signals}
        if len(set(longest.values())) == 2 and graph.values[signals[0]].shape == graph.values[signals[1]].shape:
            found.add((node.output, min(signals, key=lambda operand: longest[operand])))
    return frozenset(found)


def gradient_reach(
    graph: Graph, value: int, layers: Sequence[tuple[str, int]], weights: str = "unit"
) -> tuple[GradientReach, ...]:
    """What of the middle unit's gradient at ``value`` reaches the given (name, value) layers, in their order.

    weights: "unit" or "model", as of :func:`foveal.fields.field`; raises FovealError where they are not available.
    """
    kept = _energies(graph, value, weights, frozenset())
    cut = _energies(graph, value, weights, shortcut_reads(graph))
    lengths = _lengths(graph)
    return tuple(GradientReach(name, max(lengths.get(at, {0: 1})), kept.get(at), cut.get(at)) for name, at in layers)


def weighted_reads(graph: Graph, node: Node) -> bool:
    """Whether a node is a weighted layer: a convolution or contraction with parameters."""
    if not traits(node.op).weighs(node.op):
        return False
    signals = bounds(graph).states
    return any(operand not in signals for operand in node.inputs) or len(node.inputs) == 1


def _lengths(graph: Graph) -> dict[int, Lengths]:
    return graph.once("path-lengths", _count)


def _count(graph: Graph) -> dict[int, Lengths]:
    table: dict[int, Lengths] = {source.value: {0: 1} for source in graph.sources}
    facts = bounds(graph).facts
    for node in graph.nodes:
        if not any(operand in table for operand in node.inputs):
            continue
        operands = {node.inputs[way.operand] for way in facts.ways(node) if way.kind == "value"}
        added = 1 if weighted_reads(graph, node) else 0
        here: Lengths = {}
        for operand in operands:
            for length, count in table.get(operand, {}).items():
                here[length + added] = here.get(length + added, 0) + count
        if here:
            table[node.output] = here
    return table


def _energies(graph: Graph, value: int, weights: str, left_out: frozenset[tuple[int, int]]) -> dict[int, float]:
    """log10 of the energy at each value that the unit's gradient reaches."""
    gain = Gains(graph, "energy") if weights == "unit" else OwnGains(graph, weights)
    carry = gain.carry if isinstance(gain, OwnGains) else None

    def factor(node: Node, way: Read) -> float:
        return 0.0 if (node.output, node.inputs[way.operand]) in left_out else gain(node, way)

    unit = tuple(n // 2 for n, role in zip(graph.values[value].shape, roles(graph)[value]) if role == "s")
    flows = pull(graph, {value: seed(graph, value, unit, ENERGY)}, ENERGY, factor, carry=carry)
    return {at: energy for at, flow in flows.items() for energy in (_energy(graph, at, flow),) if energy is not None}


def _energy(graph: Graph, value: int, flow: Flow) -> float | None:
    """log10 of a flow's sum over positions, as the mean over features."""
    shape, kinds = graph.values[value].shape, roles(graph).get(value, ())
    for axis, role in enumerate(kinds):
        flow = ENERGY.total(flow, axis, shape[axis] if role != "b" else 1, role)
    total = float(np.sum(flow.data)) / max(1, prod(n for n, role in zip(shape, kinds) if role == "c"))
    return log10(total) + flow.scale / LN10 if total > 0 else None
