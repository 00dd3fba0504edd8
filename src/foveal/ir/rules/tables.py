"""Index tables from what is known by value: constant matrices and constant indices."""

from __future__ import annotations

import numpy as np

from foveal.ir.relation import ABSENT, Table

PHASES = 64
"""Patterns that repeat after more outputs than this are not looked for."""


def taps(live: np.ndarray) -> np.ndarray:
    """The columns that are true in each row, in order, ABSENT behind the last: (rows, k)."""
    row, column = np.nonzero(live)
    counts = np.bincount(row, minlength=live.shape[0])
    index = np.full((live.shape[0], max(1, int(counts.max(initial=0)))), ABSENT)
    index[row, np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)] = column
    return index


def table(axis: int, n_in: int, index: np.ndarray, weights: np.ndarray | None = None, cut: bool = True) -> Table:
    """Outputs that read ``index`` (outputs, k), negative for nothing. ``cut``: a pattern that goes on in equal steps,
    as that of a banded matrix, is cut by the ends of the axis only: unclipped it is read beyond them too.
    """
    clipped = np.where(index >= 0, index, ABSENT)
    order = np.argsort(clipped, axis=1, kind="stable")
    sorted_ = np.take_along_axis(clipped, order, axis=1)
    going_on = _going_on(sorted_, n_in)
    if going_on is None or not (cut or (going_on[0] == sorted_).all()):
        return Table(axis, n_in, index.shape[0], clipped, clipped, None, weights)
    unclipped, ratio = going_on
    inside = np.where((unclipped >= 0) & (unclipped < n_in), unclipped, ABSENT)
    if weights is not None:
        rows = np.arange(index.shape[0])[:, None] * (n_in + 1)
        keys = (rows + np.where(sorted_ == ABSENT, -1, sorted_) + 1).reshape(-1)
        found = np.searchsorted(keys, rows + np.where(inside == ABSENT, -1, inside) + 1)
        held = np.take_along_axis(np.broadcast_to(weights, index.shape), order, axis=1).reshape(-1)
        weights = np.where(inside == ABSENT, 0.0, held[np.minimum(found, held.size - 1)])
    return Table(axis, n_in, index.shape[0], inside, unclipped, ratio, weights)


def _going_on(index: np.ndarray, n_in: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Sorted rows that are a few patterns, moved on by equal steps and cut at the ends: uncut, with the step."""
    n = index.shape[0]
    middle = n // 2
    for period in range(1, min(PHASES, n // 3) + 1):
        first, again = index[middle], index[middle + period]
        used = first != ABSENT
        moved = again[used] - first[used]
        if not moved.size or moved[0] <= 0 or (used != (again != ABSENT)).any() or (moved != moved[0]).any():
            continue
        cycle, phase = np.divmod(np.arange(n) - middle, period)
        kept = index[middle + phase]
        raw = np.where(kept == ABSENT, ABSENT, kept + cycle[:, None] * int(moved[0]))
        if np.array_equal(np.sort(np.where((raw >= 0) & (raw < n_in), raw, ABSENT), axis=1), index):
            return raw, (int(moved[0]), period)
    return None
