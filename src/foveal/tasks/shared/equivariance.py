"""Which shifts of the source only shift a layer: what tiles must keep to, and which layers allow no such shift.

A network run on a part of the source repeats what it does on the whole where three things hold: the part starts at a
multiple of every stride on the path (with its phases), no operation on the path knows where it stands or how large the
map is, and nothing that the part's own edge touches reaches the units that are kept (docs/methods.md 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from foveal.engine.certainty import certainty
from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.hull import Hull, Progress, all_dense, regular
from foveal.engine.roles import roles
from foveal.fields.measured.cropping import behind, with_positions
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import All, Blocks, Read, Slide, Table
from foveal.ir.rules import traits

Boxes = dict[int, tuple[Hull, ...] | None]


class Obstacle(NamedTuple):
    """Why a layer does not merely shift with the source: the layer, the operation in it, the reason."""

    layer: str
    operation: str
    reason: str

    def __str__(self) -> str:
        return f"{self.operation} at {self.layer}: {self.reason}"


class Shifts(NamedTuple):
    """Per source axis: the multiple that starts must keep, and by how much the edges of a part reach in (before,
    after); obstacles in execution order.
    """

    multiples: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]
    obstacles: tuple[Obstacle, ...]


def shifts(graph: Graph, value: int, source: int) -> Shifts:
    """What holds on the path from a source (its index) to a value."""
    start = graph.sources[source].value
    axes = graph.sources[source].axes
    lengths = tuple(graph.values[start].shape[axis] for axis in axes)
    boxes = {start: _box(graph, start, source)}
    path = sorted(behind(graph, [value]), key=lambda node: node.output)
    multiples, found = [1] * len(axes), []
    margins = [[0, 0] for _ in axes]
    for node in path:
        box = _box(graph, node.output, source)
        if box is None:
            continue
        boxes[node.output] = box
        reason = _reason(graph, node, box, boxes)
        if reason:
            found.append(Obstacle(node.scope or "(top)", node.origin, reason))
            if "whole map" in reason:
                continue
        for k, hull in enumerate(box):
            if hull.whole:
                continue
            multiples[k] = lcm(multiples[k], _multiple(roles(graph)[node.output], hull))
        _widen(graph, node, boxes, lengths, margins)
    found += _unsure(graph, value, {item.layer for item in found})
    return Shifts(tuple(multiples), tuple((a, b) for a, b in margins), tuple(found))


def _unsure(graph: Graph, value: int, told: set[str]) -> list[Obstacle]:
    """What keeps the index ranges themselves from being exact, where no operation on the path showed it."""
    sure = certainty(graph, value)
    parts = [cause.rpartition(" at ") for cause in sure.causes]
    return [Obstacle(layer, what, f"what follows is {sure.status}") for what, _, layer in parts if layer not in told]


def _box(graph: Graph, value: int, source: int) -> tuple[Hull, ...] | None:
    state = bounds(graph).states.get(value, {}).get(source)
    return None if state is None else tuple(all_dense(hull) for hull in one_box(state.strict))


def _reason(graph: Graph, node: Node, box: tuple[Hull, ...], boxes: Boxes) -> str:
    """Why this node, as the first on its path, breaks the shift; "" where it does not."""
    known = traits(node.op)
    status = known.status(node.op)
    if status != "exact":
        return "reads where data says" if status == "data-dependent" else "has no rule, so that it may read everything"
    before = [boxes[i] for i in node.inputs if boxes.get(i) is not None]
    for k, hull in enumerate(box):
        if hull.context and not any(other is not None and other[k].context for other in before):
            return "mixes the whole map into every position"
    if any(hull.context for hull in box):
        return ""
    why = known.shift(node.op)
    if why and _along_positions(graph, node):
        return why
    if _tied(graph, node):
        return "combines with numbers that differ from position to position"
    if not _orderly(graph, node.output, box) and all(_orderly(graph, i, boxes.get(i)) for i in node.inputs):
        return "the step from one position to the next is not regular"
    return ""


def _along_positions(graph: Graph, node: Node) -> bool:
    """Whether the operation acts along an axis that counts positions (or along one that cannot be told)."""
    known = roles(graph).get(node.inputs[0])
    axes = traits(node.op).along(node.op, tuple(graph.values[i].shape for i in node.inputs))
    return known is None or axes is None or any(known[axis] == "s" for axis in axes)


def _tied(graph: Graph, node: Node) -> bool:
    """Whether a constant or a weight differs from position to position."""
    return any(not _uniform(graph, i, roles(graph)[node.output]) for i in with_positions(graph, node))


def _uniform(graph: Graph, value: int, out: tuple[str, ...]) -> bool:
    """Whether a constant is the same at every position."""
    data = graph.values[value].data
    if data is None or not data.size:
        return False
    axes = tuple(data.ndim - 1 - k for k, role in enumerate(reversed(out)) if role == "s" and k < data.ndim)
    return bool((data == data[tuple(slice(0, 1) if a in axes else slice(None) for a in range(data.ndim))]).all())


def _orderly(graph: Graph, value: int, box: tuple[Hull, ...] | None) -> bool:
    """Whether the step from one position to the next (of the whole period) is the same everywhere."""
    if box is None:
        return True
    kinds = roles(graph)[value]
    return all(
        hull.known and all(regular(hull, axis).regular for axis in hull.axes() if kinds[axis] == "s") for hull in box
    )


def _multiple(kinds: tuple[str, ...], hull: Hull) -> int:
    """Source positions after which the numbers repeat, over all axes of the value that follow the source."""
    total = 1
    for axis, kind in enumerate(kinds):
        progress = regular(hull, axis) if kind == "s" and hull.varies(axis) else None
        if progress is not None and progress.regular and progress.shift:
            total = lcm(total, abs(Fraction(progress.shift)).numerator)
    return total


def _widen(graph: Graph, node: Node, boxes: Boxes, lengths: tuple[int, ...], margins: list[list[int]]) -> None:
    """Where the operand was cut (its first position lies inside the source) and is then padded, the padding of a
    part reaches further in than its first source position says.
    """
    for way in bounds(graph).facts.ways(node):
        operand = boxes.get(node.inputs[way.operand])
        if operand is None:
            continue
        for step in windows(way):
            before, after = (step.before, step.after) if isinstance(step, Slide) else step.reach
            for k, hull in enumerate(operand):
                if hull.context or hull.data.shape[step.axis + 1] == 1 or _in_windows(hull, step.axis):
                    continue
                progress = regular(hull, step.axis)
                if progress.regular and progress.shift > 0 and progress.period <= step.n_in:
                    first, last = _beyond(hull, step.axis, progress)
                    margins[k][0] = max(margins[k][0], first + 1 if before > 0 else 0)
                    margins[k][1] = max(margins[k][1], lengths[k] - last if after > 0 else 0)


def _in_windows(hull: Hull, axis: int) -> bool:
    """Whether the source also advances along another axis: its windows, each padded as the others are."""
    return any(other != axis and hull.varies(other) and regular(hull, other).shift > 0 for other in hull.axes())


def windows(way: Read) -> Iterator[Slide | Table]:
    """The windows of a way of reading, up to the step after which axes may be others than the operand's own."""
    for step in way.relation:
        if isinstance(step, (Slide, Table)):
            yield step
        elif not isinstance(step, (All, Blocks)):
            return


def _beyond(hull: Hull, axis: int, progress: Progress) -> tuple[int, int]:
    """The largest first source position before the map, the smallest last one behind it (unclipped)."""
    period, shift = progress.period, int(progress.shift)
    data = np.moveaxis(hull.data, axis + 1, 1)
    head, tail = data[2, :period], -data[3, data.shape[1] - period :]
    return int(head.max()) - shift, int(tail.min()) + shift
