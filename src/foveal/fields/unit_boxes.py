"""The boxes of a value's units as one box, and how its ranges go on along the grid of units."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from foveal.engine.forward.bounds import Boxes, bounds, one_box
from foveal.engine.forward.boxes import Box, align, apply
from foveal.engine.forward.folded import all_dense
from foveal.engine.forward.hull import NOTHING, Hull, Progress, advance, empties
from foveal.ir.graph import Graph
from foveal.ir.relation import Keep

LISTED = 1 << 22
"""Of layers with more units than a quarter of this (attention matrices) no table is made."""


def solid(boxes: Boxes, axes: tuple[int, ...] = ()) -> Box:
    """One box without runs. A position that reads nothing does so in every hull, unless each hull tells it of grid
    axes (``axes``) of its own.
    """
    box = one_box(boxes)
    return tuple(all_dense(hull) for hull in (box if _per_axis(box, axes) else align(box)))


def _per_axis(box: Box, axes: tuple[int, ...]) -> bool:
    """Whether what reads nothing (within the source) does so along a grid axis that matters to no other hull."""
    found: list[frozenset[int]] = []
    for hull in box:
        mask = empties(hull.told)
        here = frozenset(axis for axis, n in enumerate(mask.shape[1:]) if n > 1) if mask.any() else frozenset[int]()
        if mask[1].any() or (mask.any() and (hull.runs or not here or not here <= set(axes))):
            return False
        found.append(here)
    others = [frozenset().union(*(h.axes() for h in box if h is not hull)) for hull in box]
    return not any(here & other for here, other in zip(found, others, strict=True))


def progress_of(box: Box, number: int, axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, Progress] | None:
    """The one grid axis along which the source axis advances, and how; None where there is no single one.

    A grid axis along which several source axes move (a flattened map of tokens) has no stride.
    """
    hull = box[number]
    others = [other for k, other in enumerate(box) if k != number]
    moving = []
    for position, axis in enumerate(axes):
        if hull.varies(axis) and all(_nested(other, axis) for other in others):
            found = advance(hull, axis)
            if found is not None and (found.regular or shape[axis] == 1 or not _constant_along(hull, axis)):
                moving.append((position, found))
    if len(moving) != 1:
        return None
    place, found = moving[0]
    apart = [axis for axis in axes if axis != axes[place] and not _nested(hull, axis)]
    return moving[0] if all(_spread(hull, axis) < abs(found.rate) for axis in apart) else None


def _spread(hull: Hull, axis: int) -> int:
    """By how much the ranges move along an axis: within a block that was folded into features, less than its step."""
    ends = hull.told[2:]
    told = ends > -NOTHING
    most = np.where(told, ends, -NOTHING).max(axis=axis + 1) - np.where(told, ends, NOTHING).min(axis=axis + 1)
    return int(most.max(initial=0))


def _nested(hull: Hull, axis: int) -> bool:
    """Whether ranges only grow, or only shrink, along an axis: they differ in size, but do not move."""
    if hull.lengths[axis] == 1:
        return True
    ends = hull.data[2:]
    told = (ends[0] > -NOTHING).all(axis=tuple(k for k in range(ends.ndim - 1) if k != axis))
    first, minus_last = np.diff(ends if told.all() else ends.compress(told, axis + 1), axis=axis + 1)
    grow = ((first <= 0) & (minus_last <= 0)).all(axis=axis)
    shrink = ((first >= 0) & (minus_last >= 0)).all(axis=axis)
    return bool((grow | shrink).all())


def _constant_along(hull: Hull, axis: int) -> bool:
    return bool((hull.told == hull.told.take([0], axis=axis + 1)).all())


def too_many(boxes: Boxes) -> bool:
    return len(boxes) > 1 and any(
        4 * prod(np.broadcast_shapes(*[box[axis].lengths for box in boxes])) > LISTED for axis in range(len(boxes[0]))
    )


def collapsed(boxes: Boxes) -> Boxes:
    """One range for all positions together: never too small."""
    every = tuple(range(1, boxes[0][0].told.ndim))
    return tuple(
        tuple(Hull(hull.told.min(axis=every, keepdims=True), {}, {}, hull.context) for hull in box) for box in boxes
    )


def known_zeros_out(graph: Graph, value: int, box: Box) -> Box:
    """Elements that are zero whatever the input read nothing."""
    facts = bounds(graph).facts
    zero = facts.zero(value)
    if zero is None or prod(np.broadcast_shapes(zero.shape, box[0].lengths)) > LISTED:
        return box
    mask = facts.masked(value)
    return apply((*(() if mask is None else (Keep(~mask),)), Keep(~zero, value in facts.padded)), box)


def extremes(numbers: np.ndarray, seen: list[np.ndarray]) -> tuple[int, int] | None:
    """The smallest and the largest of the numbers of units that read something, those withheld left out."""
    axes = [axis for mask in seen for axis, n in enumerate(mask.shape) if n > 1]
    if len(axes) == len(set(axes)):  # what does not matter here needs no table of all units
        matter = tuple(n > 1 for n in numbers.shape)
        others = tuple(a for a, m in enumerate(matter) if not m)
        seen = [np.asarray(mask.any(axis=others, keepdims=True)) for mask in seen]
    numbers = np.broadcast_arrays(numbers, *seen)[0]
    if seen:
        numbers = numbers[np.logical_and.reduce(np.broadcast_arrays(numbers, *seen)[1:])]
    if numbers.size and (numbers.min() <= -NOTHING or numbers.max() >= NOTHING):
        numbers = numbers[np.abs(numbers) < NOTHING]
    return (int(numbers.min()), int(numbers.max())) if numbers.size else None


def numbers_held(hulls: Iterable[Hull], boxes: Boxes) -> int:
    """How many numbers the hulls hold beside those of the boxes that they were read from."""
    owned = {id(array) for box in boxes for hull in box for array in (hull.told, hull.told.base) if array is not None}
    return sum(hull.told.size for hull in hulls if id(hull.told.base) not in owned)
