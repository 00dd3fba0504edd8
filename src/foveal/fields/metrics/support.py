"""The positions that count at all: how many, how far apart, how densely packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Support:
    """The positions with a value above zero.

    count: their number; hull: (first, last + 1) per axis of the smallest box around them, in source positions;
    coverage: count over the number of positions of the hull (1 without holes, 0 for an empty field); largest_gap: per
    axis the longest run of positions outside the support between two positions of the support on one line.
    """

    count: int
    hull: Box
    coverage: float
    largest_gap: tuple[int, ...]


def support(values: np.ndarray, origin: tuple[int, ...]) -> Support:
    """Count, hull, coverage and gaps of the positions above zero (words: docs/methods.md 1.1)."""
    part, start = crop(values, origin)
    inside = part > 0
    count = int(np.count_nonzero(inside))
    hull = tuple((first, first + n) for first, n in zip(start, part.shape))
    if count == 0:
        return Support(0, hull, 0.0, (0,) * values.ndim)
    gaps = tuple(_largest_gap(inside, axis) for axis in range(values.ndim))
    return Support(count, hull, count / inside.size, gaps)


def crop(values: np.ndarray, origin: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The smallest box of ``values`` around all that is above zero, and its origin; no positions where nothing is."""
    inside = values > 0
    ends = []
    for axis in range(values.ndim):
        found = np.flatnonzero(inside.any(axis=tuple(a for a in range(values.ndim) if a != axis)))
        ends.append((int(found[0]), int(found[-1]) + 1) if found.size else (0, 0))
    return values[tuple(slice(a, b) for a, b in ends)], tuple(first + a for first, (a, _) in zip(origin, ends))


def _largest_gap(inside: np.ndarray, axis: int) -> int:
    """Positions between neighbours of the support along ``axis``, at most."""
    if inside.all():
        return 0
    lines = np.moveaxis(inside, axis, -1)
    index = np.arange(lines.shape[-1])
    latest = np.maximum.accumulate(np.where(lines, index, -1), axis=-1)
    between = np.where(lines[..., 1:] & (latest[..., :-1] >= 0), index[1:] - latest[..., :-1] - 1, 0)
    return int(between.max(initial=0))
