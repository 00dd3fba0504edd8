"""How far each value reaches into the past and the future along one source axis, and what first reads all of it."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.hull import EMPTY, NOTHING, Hull, advance, all_dense, regular
from foveal.engine.roles import roles
from foveal.fields.measured.cropping import behind
from foveal.ir.graph import Graph, Node

SHORT = 8
"""Units after which the steady part of a stream repeats, at most, where its numbers alone tell."""


class Border(NamedTuple):
    """The units at one end of the stream that read padding and so reach further than all others: how many; how far,
    None where they read to the other end.
    """

    units: int
    reach: Fraction | None


class Reach(NamedTuple):
    """Of one value, in source positions, the largest over its units: a unit's own position is its index times stride.

    back, ahead: None where the whole past or the whole future is read; axis: the value's own axis that follows the
    source axis, None where there is none; stride: source positions per unit. begin: the first units where they read
    more of the future than the steady ones (padding that mirrors or wraps), end: the last ones that read more of the
    past; None where there are none.
    """

    back: Fraction | None
    ahead: Fraction | None
    stride: Fraction | None
    axis: int | None
    begin: Border | None = None
    end: Border | None = None


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
        low, high = _read_by_operands(graph, value, source, axis)
        nothing = Fraction(0)
        return Reach(None if first[0] <= low else nothing, None if last[0] >= high else nothing, None, None)
    progress = advance(local, time) or advance(strict, time)
    assert progress is not None
    stride = abs(progress.rate)
    count = graph.values[value].shape[time]
    if strict.context == 0 and strict.known and regular(strict, time).regular:
        first, last = _ends(strict, time, 2)
        inside = _not_at_the_ends(strict, time, length)
        if inside is not None:  # windows that are padded by themselves: what lies behind that is not the stream
            near = _ends(strict, time, 0)
            first, last = np.where(inside, near[0], EMPTY), np.where(inside, near[1], -EMPTY)
        past, future = _largest(stride, count, first, -1), _largest(stride, count, last, 1)
        padded = int((first < 0).sum()), int((last >= length).sum())
        first, last = _ends(strict, time, 0)
        begin = _border(stride, count, last, 1, future, length, padded[0])
        end = _border(stride, count, first, -1, past, length, padded[1])
        return Reach(past, future, stride, time, begin, end)
    first, last = (np.broadcast_to(ends, (count,)) for ends in _ends(strict, time, 0))
    several = count > 1
    half = count // 2  # what is read does not move on over one half of the stream, though not from its very end
    many = half * stride >= 2
    begun, closed = (max(0, first[half]), min(length - 1, last[half - 1])) if many else (0, length - 1)
    steady = _steady(last)
    if strict.context == 0 and steady is not None:
        stride, inside = steady
        future = _largest(stride, count, np.where(inside, last, -EMPTY), 1)
        begin = _border(stride, count, last, 1, future, length)
        known = _steady(first)
        if known is None:
            return Reach(
                None if first[-1] <= begun else _largest(stride, count, first, -1), future, stride, time, begin
            )
        past = _largest(stride, count, np.where(known[1], first, EMPTY), -1)
        return Reach(past, future, stride, time, begin, _border(stride, count, first, -1, past, length))
    back = None if several and first[-1] <= begun else _largest(stride, count, first, -1)
    ahead = None if several and last[0] >= closed else _largest(stride, count, last, 1)
    return Reach(back, ahead, stride, time)


def _read_by_operands(graph: Graph, value: int, source: int, axis: int) -> tuple[int, int]:
    """First and last position that the nearest values along time before this one read: windows may end earlier."""
    found = graph.sources[source]
    length = graph.values[found.value].shape[found.axes[axis]]
    made, todo, seen, ends = graph.producers(), [value], set(), []
    while todo:
        node = made.get(todo.pop())
        for operand in () if node is None else node.inputs:
            reach = None if operand in seen else reach_of(graph, operand, source, axis)
            seen.add(operand)
            if reach is None:
                continue
            if reach.axis is None:
                todo.append(operand)
                continue
            first, last = _ends(all_dense(one_box(bounds(graph).states[operand][source].strict)[axis]), None, 0)
            ends.append((max(0, int(first[0])), min(length - 1, int(last[0]))))
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0, length - 1)


def through_mixing(graph: Graph, value: int, source: int, axis: int) -> Reach | None:
    """The reach of a value all of whose units read all (attention over everything), along its only axis of positions:
    stride is that of the last values along time before it, if they are as many; None where there is no such axis.
    """
    places = [k for k, kind in enumerate(roles(graph)[value]) if kind == "s" and graph.values[value].shape[k] > 1]
    if len(places) != 1:
        return None
    count = graph.values[value].shape[places[0]]
    for node in sorted(behind(graph, [value]), key=lambda node: -node.output):
        found = reach_of(graph, node.output, source, axis)
        if found is not None and found.axis is not None and graph.values[node.output].shape[found.axis] == count:
            return Reach(None, None, found.stride, places[0])
    return None


def read_by_first(graph: Graph, value: int, source: int, axis: int, units: int) -> int:
    """How many positions of the source the first so many units of a value read, those before them included."""
    found = reach_of(graph, value, source, axis)
    assert found is not None
    _, last = _ends(all_dense(one_box(bounds(graph).states[value][source].strict)[axis]), found.axis, 0)
    return int(last[:units].max()) + 1


def first_to_read_all(graph: Graph, value: int, source: int, axis: int, future: bool) -> Node | None:
    """The first operation on the path whose output reads the whole future (or past) though no operand does."""
    for node in sorted(behind(graph, [value]), key=lambda node: node.output):
        before = any(_reads_all(graph, i, source, axis, future) for i in node.inputs)
        if not before and _reads_all(graph, node.output, source, axis, future):
            return node
    return None


def _reads_all(graph: Graph, value: int, source: int, axis: int, future: bool) -> bool:
    """Whether a value reads the whole future (or past); one of windows, whether a unit reads both ends."""
    reach = reach_of(graph, value, source, axis)
    if reach is None or (reach.ahead if future else reach.back) is not None:
        return False
    found = graph.sources[source]
    hull = all_dense(one_box(bounds(graph).states[value][source].strict)[axis])
    kinds = roles(graph)[value]
    if sum(kind == "s" and hull.varies(k) for k, kind in enumerate(kinds)) < 2:
        return True
    return bool(((hull.data[0] <= 0) & (-hull.data[1] >= graph.values[found.value].shape[found.axes[axis]] - 1)).any())


def _time_axis(hull: Hull, kinds: tuple[str, ...]) -> int | None:
    """The one axis of positions along which the source axis advances."""
    moving = [axis for axis, kind in enumerate(kinds) if kind == "s" and hull.varies(axis) and advance(hull, axis)]
    return moving[0] if len(moving) == 1 else None


def _ends(hull: Hull, time: int | None, row: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last source position along the axis, over all other axes; row 0: clipped, 2: unclipped."""
    others = tuple(a for a in range(hull.data.ndim - 1) if a != time)
    first, last = hull.data[row].min(axis=others), -hull.data[row + 1].min(axis=others)
    return np.atleast_1d(first), np.atleast_1d(last)


def _not_at_the_ends(hull: Hull, time: int, length: int) -> np.ndarray | None:
    """Units whose ranges lie within the source, where padding takes part in some of them all the same."""
    (first, last), (far, later) = (_ends(hull, time, row) for row in (0, 2))
    inside = (far >= 0) & (later < length)
    return inside if bool(((far != first) | (later != last))[inside].any()) else None


def _border(
    stride: Fraction, count: int, edge: np.ndarray, sign: int, steady: Fraction, length: int, padded: int = 0
) -> Border | None:
    """The units at one end, those that read padding at least, where some reach further than ``steady``; the clipped
    ranges tell.
    """
    edges = np.broadcast_to(edge, (count,))
    apart = sign * (edges * stride.denominator - np.arange(count) * stride.numerator)
    more = (np.abs(edges) < NOTHING) & (apart * steady.denominator > steady.numerator * stride.denominator)
    if not more.any():
        return None
    places = np.flatnonzero(more)
    units = max(padded, int(places.max()) + 1 if sign > 0 else count - int(places.min()))
    far = bool((edges[more] >= length - 1).any() if sign > 0 else (edges[more] <= 0).any())
    return Border(units, None if far else Fraction(int(apart[more].max()), stride.denominator))


def _steady(edge: np.ndarray) -> tuple[Fraction, np.ndarray] | None:
    """Stride, and which units are of the interior: the longest stretch, half of all at least, whose edges go on by one
    step over a short period; None where there is none.
    """
    count = edge.size
    changes = np.flatnonzero(np.diff(edge))
    usual = int(np.median(np.diff(changes))) if changes.size > 2 else 1  # units of one position, behind upsampling
    for period in [*range(1, min(SHORT, count // 4) + 1), *([usual] if SHORT < usual <= count // 4 else [])]:
        steps = edge[period:] - edge[:-period]
        cuts = np.flatnonzero(np.diff(steps)) + 1
        begins, ends = np.append(0, cuts), np.append(cuts, steps.size)
        longest = int(np.argmax(ends - begins))
        begin, end, step = int(begins[longest]), int(ends[longest]) + period, int(steps[begins[longest]])
        if step > 0 and 2 * (end - begin) >= count and np.abs(edge[begin:end]).max() < NOTHING:
            inside = np.zeros(count, bool)
            inside[begin:end] = True
            return Fraction(step, period), inside
    return None


def _largest(stride: Fraction, count: int, edge: np.ndarray, sign: int) -> Fraction:
    """The largest distance from units to their first (sign -1) or last (1) position; at least 0."""
    edges = np.broadcast_to(edge, (count,))
    seen = np.abs(edges) < NOTHING
    apart = sign * (edges * stride.denominator - np.arange(count) * stride.numerator)[seen]
    return Fraction(int(apart.max(initial=0)), stride.denominator)
