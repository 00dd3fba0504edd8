"""How far each value reaches into the past and the future along one source axis, and what first reads all of it."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.hull import NOTHING, Hull, advance, all_dense, regular
from foveal.engine.roles import roles
from foveal.fields.measured.cropping import behind
from foveal.ir.graph import Graph, Node


class Reach(NamedTuple):
    """Of one value, in source positions, the largest over its units: a unit's own position is its index times stride.

    back, ahead: None where the whole past or the whole future is read; axis: the value's own axis that follows the
    source axis, None where there is none; stride: source positions per unit.
    """

    back: Fraction | None
    ahead: Fraction | None
    stride: Fraction | None
    axis: int | None


def reach_of(graph: Graph, value: int, source: int, axis: int) -> Reach | None:
    """The reach of a value along a source's axis (both by index); None where the value does not depend on it."""
    known: dict[tuple[int, int, int], Reach | None] = graph.cache.setdefault("reach-in-time", {})
    key = (value, source, axis)
    if key not in known:
        known[key] = _found(graph, value, source, axis)
    return known[key]


def _found(graph: Graph, value: int, source: int, axis: int) -> Reach | None:
    state = bounds(graph).states.get(value, {}).get(source)
    if state is None:
        return None
    found = graph.sources[source]
    length = graph.values[found.value].shape[found.axes[axis]]
    strict, local = (all_dense(one_box(boxes)[axis]) for boxes in (state.strict, state.local))
    kinds = roles(graph)[value]
    time = _time_axis(local, kinds)
    if time is None:
        time = _time_axis(strict, kinds)
    if time is None:
        first, last = _ends(strict, None, 0)
        return Reach(None if first[0] <= 0 else Fraction(0), None if last[0] >= length - 1 else Fraction(0), None, None)
    progress = advance(local, time) or advance(strict, time)
    assert progress is not None
    stride = abs(progress.rate)
    count = graph.values[value].shape[time]
    if strict.context == 0 and strict.known and regular(strict, time).regular:
        first, last = _ends(strict, time, 2)
        return Reach(_largest(stride, count, first, -1), _largest(stride, count, last, 1), stride, time)
    first, last = _ends(strict, time, 0)
    several = count > 1
    back = None if several and first[-1] <= 0 else _largest(stride, count, first, -1)
    ahead = None if several and last[0] >= length - 1 else _largest(stride, count, last, 1)
    return Reach(back, ahead, stride, time)


def first_to_read_all(graph: Graph, value: int, source: int, axis: int, future: bool) -> Node | None:
    """The first operation on the path whose output reads the whole future (or past) though no operand does."""
    for node in sorted(behind(graph, [value]), key=lambda node: node.output):
        reach = reach_of(graph, node.output, source, axis)
        if reach is None or (reach.ahead if future else reach.back) is not None:
            continue
        before = [reach_of(graph, i, source, axis) for i in node.inputs]
        if all(r is None or (r.ahead if future else r.back) is not None for r in before):
            return node
    return None


def _time_axis(hull: Hull, kinds: tuple[str, ...]) -> int | None:
    """The one axis of positions along which the source axis advances."""
    moving = [axis for axis, kind in enumerate(kinds) if kind == "s" and hull.varies(axis) and advance(hull, axis)]
    return moving[0] if len(moving) == 1 else None


def _ends(hull: Hull, time: int | None, row: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last source position along the axis, over all other axes; row 0: clipped, 2: unclipped."""
    others = tuple(a for a in range(hull.data.ndim - 1) if a != time)
    first, last = hull.data[row].min(axis=others), -hull.data[row + 1].min(axis=others)
    return np.atleast_1d(first), np.atleast_1d(last)


def _largest(stride: Fraction, count: int, edge: np.ndarray, sign: int) -> Fraction:
    """The largest distance from units to their first (sign -1) or last (1) position; at least 0."""
    edges = np.broadcast_to(edge, (count,))
    seen = np.abs(edges) < NOTHING
    apart = sign * (edges * stride.denominator - np.arange(count) * stride.numerator)[seen]
    return Fraction(int(apart.max(initial=0)), stride.denominator)
