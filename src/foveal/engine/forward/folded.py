"""Hulls of long axes: a border, an interior that goes on by a fixed step, and the other border.

Behind the first borders, position i + period of a value has the numbers of position i plus a step of their own, so that
two periods tell all of them. A :class:`Folded` keeps the positions before a gap, whose last two periods say how the
numbers go on, and those behind it. A step of a relation acts on these positions alone, by the same function as on a
dense hull. What it makes are minima of numbers that go on evenly, which form a concave sequence: where the step before
the gap leads to the numbers behind it, every position in between has been on that line. Where it does not, or where
there is no rule here, the dense hull is made, and folded again if it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import lcm

import numpy as np

from foveal.engine.forward import hull as plain
from foveal.engine.forward.hull import NO_STEP, Fold, Hull, Progress, numbers_at
from foveal.engine.forward.steps import FORWARD, Index
from foveal.ir import relation as rel
from foveal.ir.lengths import groups

LONG = 1 << 13
"""Axes of at least so many positions are folded."""


class Folded(Hull):
    """A hull of which one axis is kept in part; ``data`` makes all of it anew."""

    __slots__ = ("fold", "short")
    short: Hull
    """The numbers of the positions kept."""
    fold: Fold

    def __init__(self, short: Hull, fold: Fold) -> None:
        for name, value in (("short", short), ("fold", fold), ("steps", short.steps), ("runs", short.runs)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "context", short.context)

    @property
    def data(self) -> np.ndarray:
        """The dense numbers."""
        return numbers_at(self.short.data, np.arange(self.lengths[self.fold.axis]), self.fold)

    @property
    def told(self) -> np.ndarray:
        """Numbers that hold every extreme, sign and difference that the dense ones have."""
        return self.short.data

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of ``data``, without its first axis."""
        own = list(self.short.data.shape[1:])
        own[self.fold.axis] += self.fold.gap
        return tuple(own)

    def varies(self, axis: int) -> bool:
        """Whether positions along the axis can differ."""
        return self.short.varies(axis)

    def axes(self) -> frozenset[int]:
        """Axes along which the numbers differ."""
        return self.short.axes()

    def places(self, axis: int) -> np.ndarray:
        """The positions along an axis that ``told`` holds."""
        n, (own, at, gap, _) = self.lengths[axis], self.fold
        return np.r_[0:at, at + gap : n] if axis == own else np.arange(n)


def positions(shape: tuple[int, ...], axis: int) -> Hull:
    """Of a value whose positions along an axis are the source's own."""
    n = shape[axis]
    if n < LONG:
        return plain.positions(shape, axis)
    index = np.array([0, 1, n - 1]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    short = Hull(np.stack([index, -index, index, -index]), {axis: Progress(1, 1)}, {})
    return Folded(short, Fold(axis, 2, n - 3, 1))


def numbers_of(hull: Hull, unit: tuple[int, ...]) -> np.ndarray:
    """The four numbers of one position; an axis of length 1 holds for all."""
    place = tuple(0 if n == 1 else i for i, n in zip(unit, hull.lengths, strict=True))
    where: Index = (slice(None), *place)
    if not isinstance(hull, Folded):
        return np.asarray(hull.data[where])
    axis = hull.fold.axis
    data = numbers_at(hull.short.data, np.array([place[axis]]), hull.fold)
    where = (slice(None), *place[:axis], 0, *place[axis + 1 :])
    return np.asarray(data[where])


def same(a: Hull, b: Hull) -> bool:
    """Whether all numbers are."""
    if isinstance(a, Folded) and isinstance(b, Folded) and a.fold == b.fold:
        return np.array_equal(a.told, b.told)
    return a.lengths == b.lengths and np.array_equal(a.data, b.data)


def least(hull: Hull, axes: tuple[int, ...]) -> Hull:
    """The least numbers over all axes but ``axes``, which the result has: of a unit, with all its features."""
    others = tuple(a + 1 for a in range(len(hull.lengths)) if a not in axes)
    if isinstance(hull, Folded):
        short = Hull(_least(hull.told, others), {}, {}, hull.context)
        if hull.fold.axis not in axes:
            return short
        found = refolded(short, hull.fold._replace(axis=axes.index(hull.fold.axis)))
        if found is not None:
            return found
    return Hull(_least(hull.data, others), {}, {}, hull.context)


def _least(data: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    if any(data.shape[axis] > 1 for axis in axes):
        return np.asarray(data.min(axis=axes))
    view = data.squeeze(axes)
    view.flags.writeable = False
    return view


def full(hull: Hull) -> Hull:
    """The dense hull."""
    return Hull(hull.data, hull.steps, hull.runs, hull.context) if isinstance(hull, Folded) else hull


def act(step: rel.Step, hull: Hull) -> Hull:
    """A step of a relation on a hull of either kind."""
    function = FORWARD[type(step)]
    if not isinstance(hull, Folded):
        return function(step, hull)
    if isinstance(step, rel.Everything):
        return function(step, hull.short)
    if isinstance(step, rel.Slide) and step.axis == hull.fold.axis:
        result = _slide(step, hull)
    elif isinstance(step, rel.Keep):
        result = _keep(step, hull)
    else:
        told, axis = _carried(step, hull)
        result = None if axis is None else refolded(function(told, hull.short), hull.fold._replace(axis=axis))
    return result if result is not None else compressed(function(step, full(hull)))


def join(a: Hull, b: Hull) -> Hull:
    """The hull of the union."""
    if a is b or not (isinstance(a, Folded) or isinstance(b, Folded)):
        return plain.join(a, b)
    return side_by_side([a, b], lambda pair, fold: plain.join(pair[0], pair[1], fold))


def side_by_side(hulls: Sequence[Hull], function: Callable[[Sequence[Hull], Fold | None], Hull]) -> Hull:
    """A function of several hulls that does the same at all positions of the folded axis."""
    together = _together(hulls)
    result = None if together is None else refolded(function(together[1], together[0]), together[0])
    if result is not None:
        return result
    dense = function([full(hull) for hull in hulls], None)
    return compressed(dense) if any(isinstance(hull, Folded) for hull in hulls) else dense


def _together(hulls: Sequence[Hull]) -> tuple[Fold, list[Hull]] | None:
    """The hulls with the same positions kept, and which; None where they have no even part in common."""
    folds = [hull.fold for hull in hulls if isinstance(hull, Folded)]
    if not folds:
        return None
    axis, period = folds[0].axis, lcm(*(fold.period for fold in folds))
    if any(fold.axis != axis for fold in folds):
        return None
    lengths = {hull.lengths[axis] for hull in hulls}
    if lengths - {1} != {max(lengths)} or any(not isinstance(h, Folded) and h.lengths[axis] > 1 for h in hulls):
        return None
    at = max(fold.at - 2 * fold.period for fold in folds) + 2 * period
    gap = (min(fold.at + fold.gap + fold.period for fold in folds) - period - at) // period * period
    if 2 * gap < max(lengths):
        return None
    return Fold(axis, at, gap, period), [_kept(h, at, gap) if isinstance(h, Folded) else h for h in hulls]


def _kept(hull: Folded, at: int, gap: int) -> Hull:
    """The positions before ``at`` and those behind ``gap`` more."""
    index = np.r_[0:at, at + gap : hull.lengths[hull.fold.axis]]
    return replace(hull.short, data=numbers_at(hull.short.data, index, hull.fold))


def all_dense(hull: Hull) -> Hull:
    """The same hull without runs."""
    for axis in tuple(hull.runs):
        hull = Folded(plain.dense(hull.short, axis), hull.fold) if isinstance(hull, Folded) else plain.dense(hull, axis)
    return hull


def refolded(short: Hull, fold: Fold) -> Hull | None:
    """The hull that the kept positions stand for, with as few of them as can be; dense where few are left out. None
    where the numbers do not go on evenly across the gap.
    """
    axis, at, gap, period = fold
    line = np.moveaxis(short.data, axis + 1, 0)
    if len(line) == 1:
        return short
    before = line[at - period : at]
    step = before - line[at - 2 * period : at - period]
    if not np.array_equal(line[at : at + period], before + (gap // period + 1) * step):
        return None
    left = _count(_even(line[:at], period)[::-1]) // period * period
    moved = line[at + period :] - line[at:-period]
    evenly = _all_of(moved == step.take(np.arange(len(moved)) % period, axis=0))
    right = _count(evenly) // period * period
    found = Fold(axis, at - left, gap + left + right, period)
    kept = np.r_[0 : at - left, at + right : len(line)]
    result = Folded(replace(short, data=short.data.take(kept, axis=axis + 1)), found)
    return result if 2 * found.gap >= len(line) + gap else full(result)


def compressed(hull: Hull) -> Hull:
    """The same hull, folded along its longest axis where that goes on evenly."""
    lengths = hull.data.shape[1:]
    axis = max(range(len(lengths)), key=lengths.__getitem__, default=0)
    progress = hull.steps.get(axis)
    period = 1 if progress is None else progress.period
    if isinstance(hull, Folded) or not lengths or axis in hull.runs or lengths[axis] < max(LONG, 4 * period):
        return hull
    n = lengths[axis]
    even = _even(np.moveaxis(hull.data, axis + 1, 0), period)
    middle = len(even) // 2
    first, last = middle - _count(even[:middle][::-1]), middle + _count(even[middle:])
    at = first + 2 * period
    gap = (last - at + period) // period * period
    if 2 * gap < n:
        return hull
    return Folded(
        replace(hull, data=hull.data.take(np.r_[0:at, at + gap : n], axis=axis + 1)), Fold(axis, at, gap, period)
    )


def _even(line: np.ndarray, period: int) -> np.ndarray:
    """Where three numbers, a period apart each, stand on one line; positions come first."""
    return _all_of(line[2 * period :] - line[period:-period] == line[period:-period] - line[: -2 * period])


def _all_of(line: np.ndarray) -> np.ndarray:
    return np.asarray(line.all(axis=tuple(range(1, line.ndim))))


def _count(flags: np.ndarray) -> int:
    """How many are true before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())


def _slide(step: rel.Slide, hull: Folded) -> Hull | None:
    """Windows along the folded axis: those that start before the gap and those that end behind it."""
    (axis, at, gap, period), n, stride = hull.fold, step.n_in, step.stride
    progress = hull.steps.get(axis)
    if (step.before > 0 or step.after > 0) and (progress is None or not progress.regular):
        return None
    reach, own = step.dilation * (step.kernel - 1), lcm(period, stride) // stride
    first = max(0, -((2 * period - at - step.before) // stride))  # the first and the last that read evenly
    last = min((at + gap + period - 1 - reach + step.before) // stride, step.n_out - 1)
    out_at = first + 2 * own
    out_gap = (last + 1 - own - out_at) // own * own
    least = 1 if progress is None else progress.period  # of positions, for padding to go on from
    left = max((out_at - 1) * stride - step.before + reach + 1, least)
    skipped = min((n - least - left) // stride, ((out_at + out_gap) * stride - step.before - left) // stride, out_gap)
    if out_gap <= 0 or skipped <= 0:
        return None
    cut = skipped * stride
    short = FORWARD[rel.Slide](replace(step, n_in=n - cut, n_out=step.n_out - skipped), _kept(hull, left, cut))
    kept = np.r_[0:out_at, out_at + out_gap - skipped : step.n_out - skipped]
    return refolded(replace(short, data=short.data.take(kept, axis=axis + 1)), Fold(axis, out_at, out_gap, own))


def _keep(step: rel.Keep, hull: Folded) -> Hull | None:
    """A mask that says the same of all positions but some near the ends."""
    (axis, at, gap, period), place = hull.fold, hull.fold.axis - len(hull.lengths) + step.keep.ndim
    n = hull.lengths[axis]
    if place >= 0 and step.keep.shape[place] > 1:
        line = np.moveaxis(step.keep, place, 0)
        alike, middle = _all_of(line == line[n // 2]), n // 2
        end = min(at + gap + period, middle + _count(alike[middle:]))
        at = max(at, middle - _count(alike[:middle][::-1]) + 2 * period)
        gap = (end - period - at) // period * period
        if 2 * gap < n:
            return None
        step = rel.Keep(step.keep.take(np.r_[0:at, at + gap : n], axis=place), step.padding)
    return refolded(FORWARD[rel.Keep](step, _kept(hull, at, gap)), Fold(axis, at, gap, period))


def _carried(step: rel.Step, hull: Folded) -> tuple[rel.Step, int | None]:
    """The step as it acts on the positions kept, and which axis is folded behind it: None where it does not treat all
    positions alike.
    """
    axis = hull.fold.axis
    if isinstance(step, (rel.Slide, rel.Table, rel.Prefix, rel.Blocks, rel.Rotate, rel.Unroll)):
        return step, axis if step.axis != axis else None
    if isinstance(step, rel.All):
        return step, axis
    if isinstance(step, rel.Relabel):
        return step, step.order.index(axis) if axis in step.order else None
    if isinstance(step, rel.Expand):
        return step, axis + len(step.after) - len(step.before)
    if isinstance(step, rel.Reshape):
        return _reshape(step, hull)
    if isinstance(step, (rel.Outside, rel.KeepAll)):
        place = axis - len(hull.lengths) + step.keep.ndim
        reduced = isinstance(step, rel.KeepAll) and axis in step.axes
        return step, axis if not reduced and (place < 0 or step.keep.shape[place] == 1) else None
    return step, None


def _reshape(step: rel.Reshape, hull: Folded) -> tuple[rel.Step, int | None]:
    """With the length of what is kept, where the axis stays and all that joins or leaves it has length 1."""
    axis, count = hull.fold.axis, hull.short.data.shape[hull.fold.axis + 1]
    for ins, outs in groups(step.before, step.after):
        if axis in ins:
            target = [a for a in outs if step.after[a] > 1]
            alone = len(target) == 1 and [a for a in ins if step.before[a] > 1] == [axis]
            simple = len(ins) == len(outs) == 1 or hull.steps.get(axis, NO_STEP)[::2] == (1, True)
            if alone and simple:
                before, after = list(step.before), list(step.after)
                before[axis] = after[target[0]] = count
                return rel.Reshape(tuple(before), tuple(after)), target[0]
    return step, None
