"""Cuts inside the network: what a unit needs of a layer that all paths to it run through.

Behind such a layer (a waist: the output of a residual block, say) only the unit's own cone has to be computed, which is
far less than the whole map. The cone at every layer is the support of the unit, carried back. A cut begins at a
multiple of every later stride, so that what follows keeps its places; padding is met at real borders only, because
what is padded at a cut is never in the cone.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from foveal.engine.backward.algebra import SUPPORT
from foveal.engine.backward.pull import over_source, pull, seed
from foveal.engine.roles import grid_axes
from foveal.fields.measured.cropping import Crop, behind
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits

WORTH = 0.8
"""A cut that keeps more than this share of a map is not made."""


class Waist(NamedTuple):
    """A module's output and, for each of its axes, the part that is kept (None: all)."""

    layer: str
    keep: tuple[tuple[int, int] | None, ...]


def plan_waists(
    graph: Graph, rf: ReceptiveField, unit: tuple[int, ...], crop: Crop
) -> tuple[tuple[Waist, ...], tuple[int, ...]]:
    """The cuts on the way to a unit of the cut network, first to last, and the unit's index behind them all."""
    value = graph.layer(rf.layer).value
    found = _waists(graph, value)
    fields = {name: receptive_field(graph, name, rf.source) for name in found}
    total = [lcm(*[Fraction(way.stride[axis] or 0).numerator or 1 for way in (rf, *fields.values())])
             for axis in range(len(rf.source_shape))]  # fmt: skip
    flows = pull(graph, {value: seed(graph, value, unit, SUPPORT)}, SUPPORT) if found else {}
    place = [first for first, _ in crop.box]
    ends = [last for _, last in crop.box]
    cuts = []
    for name, way in fields.items():
        there = graph.layer(name).value
        axes = grid_axes(graph, there)
        needed = over_source(flows.get(there), graph.values[there].shape, axes).astype(bool)
        cut = _cut(way, needed, place, ends, total)
        if cut is None:
            continue
        keep: list[tuple[int, int] | None] = [None] * len(graph.values[there].shape)
        for axis, (first, last) in enumerate(cut):
            grid, stride = _along(way, axis)
            before = place[axis] // stride
            keep[axes[grid]] = (first - before, last - before)
            place[axis], ends[axis] = first * stride, last * stride
        cuts.append(Waist(name, tuple(keep)))
    moved = list(unit)
    for axis, first in enumerate(place):
        grid, stride = _along(rf, axis)
        moved[grid] -= first // stride
    return tuple(cuts), tuple(moved)


def _cut(
    way: ReceptiveField, needed: np.ndarray, place: Sequence[int], ends: Sequence[int], total: Sequence[int]
) -> tuple[tuple[int, int], ...] | None:
    """(first, last + 1) of what is needed of a map, in its own indices; None where that is about all of it."""
    found, share = [], 1.0
    for axis in range(len(place)):
        if way.progress[axis] is None or way.local is not None or way.period[axis] != 1:
            return None
        grid, stride = _along(way, axis)
        if stride == 0 or total[axis] % stride or place[axis] % stride:
            return None
        line = np.flatnonzero(needed.any(axis=tuple(a for a in range(needed.ndim) if a != grid)))
        if line.size == 0:
            return None
        step = total[axis] // stride
        first, last = max(int(line[0]) // step * step, place[axis] // stride), int(line[-1]) + 1
        found.append((first, last))
        share *= (last - first) * stride / max(1, ends[axis] - place[axis])
    return tuple(found) if share <= WORTH else None


def _along(way: ReceptiveField, axis: int) -> tuple[int, int]:
    """The grid axis that follows a source axis, and its stride as a whole number (0: it has none)."""
    progress = way.progress[axis]
    assert progress is not None
    return progress[0], progress[1].rate.numerator if progress[1].rate.denominator == 1 else 0


def _waists(graph: Graph, value: int) -> list[str]:
    """Modules whose output all paths to a value run through, first to last; nothing behind knows sizes."""
    order = {node.output: position for position, node in enumerate(graph.nodes)}
    nodes = {node.output: node for node in behind(graph, [value])}
    names: dict[int, str] = {}
    for layer in graph.layer_table.values():
        if layer.kind == "module" and "#" not in layer.name and f"{layer.name}#2" not in graph.layer_table:
            names.setdefault(layer.value, layer.name)
    found, open_values = [], {value}
    while open_values:
        latest = max(open_values, key=lambda i: order.get(i, -1))
        if latest not in nodes:
            break
        if len(open_values) == 1 and latest != value and latest in names and names[latest] != "output":
            found.append(names[latest])
        node = nodes[latest]
        if traits(node.op).size(node.op) != "free":
            break
        open_values.remove(latest)
        open_values |= {i for i in node.inputs if i in nodes}
        if any(graph.values[i].kind == "source" for i in node.inputs):
            break
    return found[::-1]
