"""The part of the source that decides a unit, where cutting the rest away changes nothing.

Cutting is exact where the path to the unit holds no global context, positions are read by fixed windows, and the cut
begins at a multiple of every stride on the path: then each intermediate unit that matters keeps its place, and padding
is met only at the source's real borders. Whether that holds is checked on a trace of the network at the cut size: every
layer on the path must keep its stride and its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, lcm, prod
from typing import Any, NamedTuple

from foveal.core.errors import FovealError
from foveal.engine.roles import roles
from foveal.fields.field import Box
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph, Node
from foveal.ir.rules import traits

WORTH = 0.9
"""A cut that keeps more than this share of the source is not made."""


class Crop(NamedTuple):
    """box: (first, last + 1) per source axis; units: each layer's unit in the cut network."""

    box: Box
    units: tuple[tuple[int, ...], ...]


def plan_crop(
    graph: Graph, fields: Sequence[ReceptiveField], units: Sequence[tuple[int, ...]], retrace: Any
) -> Crop | str:
    """The cut that serves these units of one source, or why there is none.

    ``retrace(box)`` gives the graph of the network on the cut source, or None.
    """
    for rf in fields:
        reason = _no_crop(graph, rf)
        if reason:
            return reason
    path = _layersbehind(graph, [graph.layer(rf.layer).value for rf in fields])
    ways = {name: receptive_field(graph, name, fields[0].source) for name in path}
    box = _aligned(fields, units, list(ways.values()))
    if isinstance(box, str):
        return box
    if prod((b - a) / n for (a, b), n in zip(box, fields[0].source_shape)) > WORTH:
        return "the receptive field is about as large as the source"
    moved = tuple(_moved(rf, unit, box) for rf, unit in zip(fields, units))
    if any(unit is None for unit in moved):
        return "a unit does not move with the source"
    crop = Crop(box, tuple(unit for unit in moved if unit is not None))
    cut = retrace(box)
    return crop if cut is not None and _same(cut, ways, fields, units, crop) else "the network differs at the cut size"


def _no_crop(graph: Graph, rf: ReceptiveField) -> str:
    if rf.local is not None:
        return f"global context on the path to '{rf.layer}'"
    if rf.status != "exact" or not all(rf.known):
        return f"the receptive field of '{rf.layer}' is not exact"
    if any(p is None or not p[1].regular or p[1].period != 1 for p in rf.progress):
        return f"units of '{rf.layer}' do not follow the source at one stride"
    value = graph.layer(rf.layer).value
    for node in behind(graph, [value]):
        if not traits(node.op).size(node.op):
            return f"{node.place} may depend on the size of the source"
        if with_positions(graph, node):
            return f"{node.place} adds a constant that depends on the position"
    return ""


def with_positions(graph: Graph, node: Node) -> list[int]:
    """Constant or weight operands that have positions of their own (an embedding of the position)."""
    known = roles(graph)
    kinds = () if traits(node.op).weighs(node.op) else known.get(node.output, ())
    shapes = {i: graph.values[i].shape for i in node.inputs if i not in known}
    return [i for i, shape in shapes.items() if any(r == "s" and n > 1 for r, n in zip(kinds[::-1], shape[::-1]))]


def behind(graph: Graph, values: Sequence[int]) -> list[Node]:
    """The nodes that depend on a source and that these values depend on."""
    known = roles(graph)
    return [node for node in graph.behind(*values) if node.output in known]


def _layersbehind(graph: Graph, values: Sequence[int]) -> list[str]:
    """Names of layers on the path, one for each value."""
    wanted = {node.output for node in behind(graph, values)}
    named = {layer.value: layer.name for layer in graph.layer_table.values() if layer.value in wanted}
    return list(named.values())


def _aligned(
    fields: Sequence[ReceptiveField], units: Sequence[tuple[int, ...]], ways: Sequence[ReceptiveField]
) -> Box | str:
    """The hull of the units' clipped boxes, its start rounded down and its end up to the total stride."""
    boxes = [rf.box(unit, clip=True) for rf, unit in zip(fields, units)]
    if any(b <= a for box in boxes for a, b in box):
        return "a unit reads nothing"
    found = []
    for axis, length in enumerate(fields[0].source_shape):
        total, margin = 1, 0
        for rf in ways:
            stride, start = rf.stride[axis], rf.start[axis]
            if stride is None or start is None or not rf.known[axis]:
                return f"layer '{rf.layer}' does not follow the source at one stride"
            total = lcm(total, Fraction(stride).numerator)
            # Where a layer starts inside the source (it cuts a border away) its units lie that much further out.
            margin = max(margin, start, length - 1 - int(rf.last[axis][1].max()))
        first = max(0, (min(box[axis][0] for box in boxes) - margin) // total * total)
        last = max(box[axis][1] for box in boxes) + margin
        found.append((first, min(length, first + ceil((last - first) / total) * total)))
    return tuple(found)


def _moved(rf: ReceptiveField, unit: tuple[int, ...], box: Box) -> tuple[int, ...] | None:
    """The unit's index in the cut network."""
    moved = list(unit)
    for axis, (first, _) in enumerate(box):
        progress = rf.progress[axis]
        assert progress is not None
        shift = Fraction(first) / progress[1].rate
        if shift.denominator != 1:
            return None
        moved[progress[0]] -= shift.numerator
    return tuple(moved) if all(i >= 0 for i in moved) else None


def _same(
    cut: Graph,
    ways: dict[str, ReceptiveField],
    fields: Sequence[ReceptiveField],
    units: Sequence[tuple[int, ...]],
    crop: Crop,
) -> bool:
    """Whether each layer keeps stride and start, and each unit its box."""
    source = fields[0].source
    try:
        for name, rf in ways.items():
            other = receptive_field(cut, name, source)
            if other.stride != rf.stride or other.start != rf.start or other.local is not None:
                return False
        for rf, unit, moved in zip(fields, units, crop.units):
            there = receptive_field(cut, rf.layer, source).box(moved, clip=True)
            here = rf.box(unit, clip=True)
            if tuple((a - c, b - c) for (a, b), (c, _) in zip(here, crop.box)) != there:
                return False
    except FovealError:
        return False
    return True
