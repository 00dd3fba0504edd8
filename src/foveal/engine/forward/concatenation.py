"""Boxes side by side along an axis, as concatenation makes them; kept as runs where pieces do not vary along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import lcm

import numpy as np

from foveal.engine.forward.boxes import Box
from foveal.engine.forward.folded import Folded, side_by_side
from foveal.engine.forward.hull import EMPTY, NO_STEP, Fold, Hull, Progress, dense, find_period, minimal


def concatenate(boxes: list[Box | None], lengths: list[int], axis: int) -> Box:
    """One box over all pieces; None is a piece that reads nothing."""
    rank = next(box for box in boxes if box is not None)[0].data.ndim - 1
    count = len(next(box for box in boxes if box is not None))
    nothing = Hull(np.full((4,) + (1,) * rank, EMPTY), {}, {})
    return tuple(
        _concatenate_hulls([nothing if box is None else box[k] for box in boxes], lengths, axis) for k in range(count)
    )


def _concatenate_hulls(hulls: list[Hull], lengths: list[int], axis: int) -> Hull:
    if not any(isinstance(hull, Folded) for hull in hulls):
        return _concatenated(hulls, lengths, axis)
    return side_by_side(hulls, lambda kept, fold: _concatenated(kept, lengths, axis, fold))


def _concatenated(hulls: Sequence[Hull], lengths: list[int], axis: int, fold: Fold | None = None) -> Hull:
    first = hulls[0]
    if all(_flat(h, axis, n) for h, n in zip(hulls, lengths, strict=True)) and all(
        h is first or (h.steps == first.steps and np.array_equal(h.data, first.data)) for h in hulls
    ):
        return replace(first, context=_context(hulls))
    hulls = _same_other_runs(hulls, axis)
    solid = all(_flat(h, axis, n) or axis in h.runs for h, n in zip(hulls, lengths, strict=True))
    if not solid:
        hulls = [dense(h, axis) for h in hulls]
    other = [h.data.shape[: axis + 1] + (1,) + h.data.shape[axis + 2 :] for h in hulls]
    common = np.broadcast_shapes(*other)
    pieces, ends = [], []
    for hull, length, end in zip(hulls, lengths, accumulate(lengths), strict=True):
        own = hull.data.shape[axis + 1] if solid else length
        pieces.append(np.broadcast_to(hull.data, (*common[: axis + 1], own, *common[axis + 2 :])))
        ends += [end - length + e for e in hull.runs.get(axis, (length,))] if solid else []
    data = np.concatenate(pieces, axis=axis + 1)
    real = [h for h in hulls if h.data.flat[0] < EMPTY or h.data.size > 4]
    runs = {a: e for h in hulls for a, e in h.runs.items() if a != axis}
    if solid:
        runs[axis] = tuple(ends)
    steps = _steps(real, data, axis, fold)
    return Hull(data, steps, runs, _context(real))


def _context(hulls: Sequence[Hull]) -> int:
    levels = {h.context for h in hulls}
    return levels.pop() if len(levels) == 1 else 1


def _flat(hull: Hull, axis: int, length: int) -> bool:
    return hull.data.shape[axis + 1] == 1 and axis not in hull.steps and axis not in hull.runs


def _same_other_runs(hulls: Sequence[Hull], axis: int) -> Sequence[Hull]:
    for other in {a for h in hulls for a in h.runs if a != axis}:
        if len({h.runs.get(other) for h in hulls if h.data.shape[other + 1] > 1}) > 1:
            hulls = [dense(h, other) for h in hulls]
    return hulls


def _steps(hulls: list[Hull], data: np.ndarray, axis: int, fold: Fold | None) -> dict[int, Progress]:
    steps: dict[int, Progress] = {}
    for other in {a for h in hulls for a in h.steps}:
        found = [h.steps.get(other) for h in hulls]
        present = [p for p in found if p is not None]
        fastest = max(present, key=lambda p: abs(p.rate))
        if other == axis:
            own = find_period(data, axis, tuple({p.period for p in present}))
            # pieces that advance at different rates (pyramid levels in one list) have no common one
            alike = all(p.rate == fastest.rate for p in present)
            steps[axis] = own or (fastest._replace(regular=False) if alike else NO_STEP)
        elif len(present) == len(found) and all(p == fastest for p in present):
            steps[other] = fastest
        elif len(present) == len(found) and all(p.regular and p.rate == fastest.rate for p in present):
            period = lcm(*(p.period for p in present))
            shift = fastest.shift * period // fastest.period
            steps[other] = minimal(data, other, Progress(period, shift), fold)
        else:
            alike = all(p.rate in (0, fastest.rate) for p in present)
            steps[other] = fastest._replace(regular=False) if alike else NO_STEP
    return steps
