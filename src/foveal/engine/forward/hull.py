"""Hulls: for each position of a value, the first and the last source index it depends on, along one source axis.

A hull holds one integer array of shape (4, *lengths): first (clipped), minus last (clipped), first (unclipped), minus
last (unclipped). With the sign turned, the union of two index ranges is one ``minimum``. A length is 1 along every
axis that does not matter, or the number of runs where the axis falls into stretches of equal positions (``runs``:
their ends, as after a concatenation of channels), else the axis's own length; NumPy broadcasting is the rest of the
algebra.

``steps`` tells how the unclipped numbers go on: along axis a, position i + period has the numbers of position i plus
shift. That is what a padded position gets in the unclipped setting. Where it is not known (irregular) and is needed,
the padded position is ``UNSURE``, which is less than any index and so marks all that reads it: those unclipped numbers
are withheld.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import NamedTuple, TypeVar

import numpy as np

from foveal.ir.cache import Bounded

T = TypeVar("T")

EMPTY = 1 << 40
NOTHING = 1 << 38
"""A first index at or above this means that nothing is read."""
UNSURE = -EMPTY
"""Both unclipped numbers of a position that cannot be told."""
PLACES = 61
"""At so many places a period is tried before it is tried everywhere."""


class Progress(NamedTuple):
    """Position i + period equals position i plus shift: everywhere where ``regular``, else in the interior only."""

    period: int
    shift: Fraction | int
    regular: bool = True

    @property
    def rate(self) -> Fraction:
        """Source positions per position."""
        return Fraction(self.shift) / self.period


class Fold(NamedTuple):
    """Of the positions along ``axis`` those from ``at`` on, ``gap`` of them, are left out: each of them, and the first
    ``period`` behind, goes on by the step that the last two periods before them show.
    """

    axis: int
    at: int
    gap: int
    period: int


NO_STEP = Progress(1, 0, False)
"""Positions go on by no one step."""


@dataclass(frozen=True, eq=False, slots=True)
class Hull:
    """Index ranges along one source axis.

    ``context``: 2 where all of the map was mixed into each position (global context), 1 where such a value was joined
    with others, 0 elsewhere. Unclipped, global context ends with the real map while everything else goes on; so where
    both meet the unclipped numbers here are those of the global part, and the other part is kept as the local field.
    """

    data: np.ndarray
    steps: dict[int, Progress]
    runs: dict[int, tuple[int, ...]]
    context: int = 0

    @property
    def told(self) -> np.ndarray:
        """Numbers that hold every extreme and every sign of ``data``, which may be longer."""
        return self.data

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of ``data``, without its first axis."""
        return self.data.shape[1:]

    def places(self, axis: int) -> np.ndarray:
        """The positions along an axis that ``told`` holds."""
        return np.arange(self.lengths[axis])

    @property
    def known(self) -> bool:
        """Whether all unclipped numbers can be told."""
        return bool((self.told[2] > -NOTHING).all())

    @property
    def whole(self) -> bool:
        """Whether this is global context and nothing else."""
        return self.context == 2

    def varies(self, axis: int) -> bool:
        """Whether positions along the axis can differ."""
        return self.data.shape[axis + 1] > 1 or axis in self.steps

    def axes(self) -> frozenset[int]:
        """Axes along which the numbers differ."""
        return frozenset(i for i, n in enumerate(self.data.shape[1:]) if n > 1)


def positions(shape: tuple[int, ...], axis: int) -> Hull:
    """Of a value whose positions along an axis are the source's own."""
    index = np.arange(shape[axis], dtype=np.int64).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return Hull(np.stack([index, -index, index, -index]), {axis: Progress(1, 1)}, {})


def dense(hull: Hull, axis: int) -> Hull:
    """The same hull with the axis at its own length instead of runs."""
    ends = hull.runs.get(axis)
    if ends is None:
        return hull
    lengths = np.diff((0, *ends))
    runs = {a: e for a, e in hull.runs.items() if a != axis}
    return Hull(np.repeat(hull.data, lengths, axis=axis + 1), hull.steps, runs, hull.context)


def numbers_at(data: np.ndarray, index: np.ndarray, fold: Fold) -> np.ndarray:
    """The numbers at some positions of a folded axis; ``data`` holds those that are kept."""
    axis, at, gap, period = fold
    if not ((index >= at) & (index < at + gap)).any():
        return data.take(np.where(index < at, index, index - gap), axis=axis + 1)
    out = (index < at) | (index >= at + gap)
    phase = (index - at) % period
    place = np.where(out, np.where(index < at, index, index - gap), at - period + phase)
    result = data.take(place, axis=axis + 1)
    step = data[_along(axis, slice(at - period, at))] - data[_along(axis, slice(at - 2 * period, at - period))]
    times = np.where(out, 0, (index - at) // period + 1).reshape((-1,) + (1,) * (data.ndim - axis - 2))
    result += step.take(phase, axis=axis + 1) * times
    return result


def without(mapping: dict[int, T], axis: int) -> dict[int, T]:
    """A copy without one key."""
    return {a: v for a, v in mapping.items() if a != axis} if axis in mapping else mapping


def extend(hull: Hull, axis: int, before: int, after: int) -> np.ndarray:
    """The numbers with positions added (negative: cropped) at both ends of an axis."""
    n = hull.data.shape[axis + 1]
    if before <= 0 and after <= 0:
        return hull.data[_along(axis, slice(-before, n + after))]
    steady = _steady(hull, axis)
    period, first, last = steady or (1, 0, 0)
    index, cycles, outside = _continuation(n, before, after, period)
    data = hull.data.take(index, axis=axis + 1)
    cycles = cycles.reshape((-1,) + (1,) * (data.ndim - axis - 2))
    data[2] += cycles * first
    data[3] -= cycles * last
    if steady is None:
        for where in outside:
            data[(slice(2, 4), *_along(axis, where)[1:])] = UNSURE
    for where in outside:
        data[(slice(0, 2), *_along(axis, where)[1:])] = EMPTY
    return data


def _steady(hull: Hull, axis: int) -> tuple[int, int, int] | None:
    """A period and by how much the first and the last index of all positions move over it, or None. The two differ
    where one end stands still, as that of a running state does.
    """
    n = hull.data.shape[axis + 1]
    progress = regular(hull, axis)
    if progress.regular:
        return (progress.period, int(progress.shift), int(progress.shift)) if progress.period <= n else None
    least = progress.rate.denominator
    for period in (least, 2 * least, 4 * least):
        moved = _moved(hull.data[2:], axis, period) if 2 * period < n else None
        if moved is not None:
            return (period, *moved)
    return None


@Bounded
def _continuation(n: int, before: int, after: int, period: int) -> tuple[np.ndarray, np.ndarray, tuple[slice, ...]]:
    position = np.arange(-before, n + after)
    index = position.copy()
    left, right = position < 0, position >= n
    index[left] = position[left] % period
    index[right] = n - period + (position[right] - n) % period
    cycles = (position - index) // period
    ends = ((before, slice(0, before)), (after, slice(position.size - after, None)))
    return index, cycles, tuple(where for count, where in ends if count > 0)


def regular(hull: Hull, axis: int) -> Progress:
    """The progress along an axis; found in the numbers themselves where it was not carried along."""
    progress = hull.steps.get(axis)
    if progress is not None and progress.regular:
        return progress
    return find_period(hull.data, axis) or progress or NO_STEP


def advance(hull: Hull, axis: int) -> Progress | None:
    """How the source index goes on along an axis of units: as it was carried along, or as the interior shows it.

    None where it does not, or by no one step. Where borders differ or one end stands still (a running state), the step
    of the interior is not ``regular``.
    """
    progress = hull.steps.get(axis)
    if (progress is not None and progress.regular) or hull.lengths[axis] == 1:
        return progress if progress is not None and progress.shift else None
    found = find_period(hull.data, axis) or _interior(hull.data, axis) or progress
    return found if found is not None and found.shift else None


def _interior(data: np.ndarray, axis: int) -> Progress | None:
    """The step of an axis, or of its middle half, by which both ends of the unclipped ranges move, or one while the
    other stands still.
    """
    n = data.shape[axis + 1]
    for part in (slice(0, n), slice(n // 4, n - n // 4)):
        ends = data[_along(axis, part)]
        for period in _possible(ends, axis):
            moved = _moved(ends[2:], axis, period)
            if moved is not None and (moved[0] == moved[1] or 0 in moved):
                return Progress(period, moved[0] or moved[1], False)
    return None


def find_period(
    data: np.ndarray, axis: int, candidates: tuple[int, ...] | None = None, fold: Fold | None = None
) -> Progress | None:
    """The smallest period and its shift that all unclipped numbers obey, or None. The axis must show it twice.

    ``fold``: what ``data`` leaves out; candidates are given then.
    """
    n = data.shape[axis + 1] + (fold.gap if fold is not None and fold.axis == axis else 0)
    for period in candidates or _possible(data, axis):
        moved = _moved(data[2:], axis, period, fold) if period < n else None
        if moved is not None and moved[0] == moved[1]:
            return Progress(period, moved[0])
    return None


def obeys(data: np.ndarray, axis: int, progress: Progress) -> bool:
    """Whether the unclipped numbers go on as said; rounding may give single positions another element."""
    period, shift, _ = progress
    return period >= data.shape[axis + 1] or _moved(data[2:], axis, period) == (shift, shift)


def _moved(ends: np.ndarray, axis: int, period: int, fold: Fold | None = None) -> tuple[int, int] | None:
    """By how much the first and the last index of a range move over so many positions; None where that differs."""
    if fold is not None and fold.axis == axis:
        behind = max(fold.at, fold.at + fold.gap - period)  # before it both places go on evenly
        index = np.r_[0 : fold.at, behind : ends.shape[axis + 1] + fold.gap - period]
        moved = numbers_at(ends, index + period, fold) - numbers_at(ends, index, fold)
    else:
        moved = ends[_along(axis, slice(period, None))] - ends[_along(axis, slice(None, -period))]
    first, last = int(moved[0].flat[0]), int(moved[1].flat[0])
    return (first, -last) if (moved[0] == first).all() and (moved[1] == last).all() else None


def _possible(data: np.ndarray, axis: int) -> list[int]:
    """Periods that a few places do not rule out: trying all of them on a long axis takes the square of its length."""
    n = data.shape[axis + 1]
    lines = [np.moveaxis(row, axis, 0).reshape(n, -1)[:, 0] for row in data[2:]]
    periods = np.arange(1, (n - 1) // 2 + 1)
    kept = np.ones(periods.shape, dtype=bool)
    for part in range(PLACES):
        start = (n - 1 - periods) * part // (PLACES - 1)
        for line in lines:
            kept &= line[start + periods] - line[start] == line[periods] - line[0]
    return list(periods[kept].tolist())


def minimal(data: np.ndarray, axis: int, progress: Progress, fold: Fold | None = None) -> Progress:
    """The same progress with the smallest period that the numbers allow."""
    if not progress.regular or progress.period == 1:
        return progress
    divisors = tuple(
        p for p in range(1, progress.period) if progress.period % p == 0 and progress.shift * p % progress.period == 0
    )
    found = find_period(data, axis, divisors, fold) if divisors else None
    if found is not None and found.shift * progress.period == progress.shift * found.period:
        return found
    return progress


def empties(data: np.ndarray) -> np.ndarray:
    """Boolean (2, *lengths): nothing is read, clipped and unclipped."""
    return data[::2] >= NOTHING


def join(a: Hull, b: Hull, fold: Fold | None = None) -> Hull:
    """The hull of the union, for operands of one rank; no care is taken of positions that read nothing.

    ``fold``: what both leave out.
    """
    if a is b:
        return a
    if a.runs or b.runs:
        a, b = _same_runs(a, b)
    data = np.minimum(a.data, b.data)
    context = a.context if a.context == b.context else 1
    if (a.context > 0) != (b.context > 0):
        part = a if a.context else b
        data[2:] = part.data[2:]
        for axis in range(data.ndim - 1):
            data = data if axis in a.runs or axis in b.runs else compact(data, axis)
        steps = {axis: p for axis, p in part.steps.items() if data.shape[axis + 1] == part.data.shape[axis + 1]}
        return Hull(data, steps, a.runs, context)
    steps = a.steps if a.steps == b.steps else _joined_steps(a, b, data, fold)
    for axis in tuple(a.axes() | b.axes()):
        if axis not in steps and (axis in a.steps) != (axis in b.steps):
            data = compact(data, axis)
    return Hull(data, steps, a.runs, context)


def _joined_steps(a: Hull, b: Hull, data: np.ndarray, fold: Fold | None) -> dict[int, Progress]:
    steps = {}
    for axis in a.steps.keys() | b.steps.keys():
        p, q = a.steps.get(axis), b.steps.get(axis)
        if p is None or q is None:
            one, fixed = (a, b) if q is None else (b, a)
            progress = p or q
            assert progress is not None
            if fixed.data.shape[axis + 1] == 1 and _constant(data, axis):
                if data.shape[axis + 1] == 1 and one.data.shape[axis + 1] == 1:
                    steps[axis] = progress
                continue
            steps[axis] = progress._replace(regular=False)
        elif p == q:
            steps[axis] = p
        elif p.rate == q.rate:
            period = lcm(p.period, q.period)
            both = p.regular and q.regular
            shared = Progress(period, p.shift * period // p.period)
            steps[axis] = minimal(data, axis, shared, fold) if both else p._replace(regular=False)
        else:  # two steps are none, but one that is not known does not speak against the other
            steps[axis] = (
                p._replace(regular=False) if not q.shift else q._replace(regular=False) if not p.shift else NO_STEP
            )
    return steps


def compact(data: np.ndarray, axis: int) -> np.ndarray:
    """Length 1 along an axis where nothing varies."""
    return data.take([0], axis=axis + 1) if _constant(data, axis) else data


def _constant(data: np.ndarray, axis: int) -> bool:
    return data.shape[axis + 1] == 1 or bool((data == data.take([0], axis=axis + 1)).all())


def _same_runs(a: Hull, b: Hull) -> tuple[Hull, Hull]:
    for axis in a.runs.keys() | b.runs.keys():
        p, q = a.runs.get(axis), b.runs.get(axis)
        if p == q:
            continue
        if p is None and a.data.shape[axis + 1] == 1:
            a = replace(a, runs={**a.runs, axis: q or ()})
        elif q is None and b.data.shape[axis + 1] == 1:
            b = replace(b, runs={**b.runs, axis: p or ()})
        elif p is None or q is None:
            a, b = dense(a, axis), dense(b, axis)
        else:
            ends = tuple(sorted(set(p) | set(q)))
            a, b = _refined(a, axis, ends), _refined(b, axis, ends)
    return a, b


def _refined(hull: Hull, axis: int, ends: tuple[int, ...]) -> Hull:
    own = np.searchsorted(np.array(hull.runs[axis]), np.array(ends), side="left")
    return replace(hull, data=hull.data.take(own, axis=axis + 1), runs={**hull.runs, axis: ends})


def _along(axis: int, where: slice) -> tuple[slice, ...]:
    """An index that selects along one axis of ``data``."""
    return (slice(None),) * (axis + 1) + (where,)


def all_dense(hull: Hull) -> Hull:
    """The same hull without runs."""
    for axis in tuple(hull.runs):
        hull = dense(hull, axis)
    return hull


@lru_cache(4096)
def strided(progress: Progress, stride: int) -> Progress:
    """The progress of every ``stride``-th position."""
    period, shift, regular = progress
    if not regular:
        return Progress(1, Fraction(shift) * stride / period, False)
    common = gcd(period, stride)
    return Progress(period // common, shift * (stride // common), True)
