"""What is known of each element of a value before any input is seen: a number, or a constant added to what inputs set.

Few different things are known about the many elements of a mask. So each element has a code, and a short table tells
what each code stands for (:class:`Cells`): operations work on the table, moves on the codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

SWITCHED_OFF = 100.0
"""A score that lies this far below the largest constant of its row adds nothing to a softmax (Swin's masks: -100)."""
SMALL = 1 << 12
"""Constants of up to this many different numbers are kept number by number."""


class Cells(NamedTuple):
    """One row per code. free: set by inputs, with a constant between ``low`` and ``high`` added; else it is the number
    ``low`` (= ``high``). lost: it may be a number all the same, which an operation could not tell.
    """

    low: np.ndarray
    high: np.ndarray
    free: np.ndarray
    lost: np.ndarray

    @property
    def special(self) -> np.ndarray:
        """Numbers that may annul others: 0, an infinite one, not-a-number."""
        return np.asarray(~self.free & ((self.low == 0) | ~np.isfinite(self.low)))

    @property
    def wide(self) -> bool:
        """Whether some element lies so far below another one that a softmax would close it."""
        with np.errstate(invalid="ignore"):
            return bool(np.nanmax(self.high, initial=-np.inf) - np.nanmin(self.low, initial=np.inf) >= SWITCHED_OFF)

    def at(self, index: np.ndarray) -> Cells:
        """The rows of these codes."""
        return Cells(*(column[index] for column in self))


class Fixed(NamedTuple):
    """Codes, broadcastable to the value's shape, and what they stand for. cause: where something was lost; level: the
    largest constant of each row is 0, since the row's own maximum was taken away.
    """

    code: np.ndarray
    cells: Cells
    cause: str = ""
    level: bool = False

    def where(self, rows: np.ndarray) -> np.ndarray:
        """Which elements have one of these rows, as a mask."""
        return np.asarray(rows[self.code])

    @property
    def spread(self) -> Cells:
        """The table's entry of every element, in the shape of the codes."""
        return self.cells.at(self.code)


FREE = Cells(np.zeros(1), np.zeros(1), np.ones(1, dtype=bool), np.zeros(1, dtype=bool))


def number(low: np.ndarray | float) -> Cells:
    """Rows of numbers."""
    found = np.atleast_1d(np.asarray(low, dtype=np.float64))
    none = np.zeros(found.shape, dtype=bool)
    return Cells(found, found, none, none)


def rows(*tables: Cells) -> Cells:
    """One table under the other."""
    return Cells(*(np.concatenate(column) for column in zip(*tables, strict=True)))


def constant(data: np.ndarray) -> Fixed | None:
    """An array known by value; None where nothing in it could close or annul anything."""
    if data.dtype.kind not in "biuf" or not data.size:
        return None
    values = np.asarray(data, dtype=np.float64)
    if values.size > SMALL and values.all() and np.isfinite(values).all() and np.ptp(values) < SWITCHED_OFF / 5:
        return None
    found, code = _distinct(values)
    cells = number(found)
    if found.size > SMALL:
        plain = (found != 0) & (np.abs(found) < SWITCHED_OFF / 5)
        cells = Cells(np.where(plain, 0, found), np.where(plain, 0, found), plain, cells.lost)
    return made(code.reshape(values.shape), cells)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers and which one stands where; a large mask has few, which a sample shows."""
    if values.size > 1 << 16:
        found = np.unique(values.reshape(-1)[:: values.size >> 12])
        code = np.searchsorted(found, values).clip(max=found.size - 1)
        if (found[code] == values).all():
            return found, code
    found, code = np.unique(values, return_inverse=True)
    return found, code


def zeros(mask: np.ndarray) -> Fixed | None:
    """Zero where the mask is true, free elsewhere."""
    return made(mask.astype(np.int64), rows(FREE, number(0.0)))


def made(code: np.ndarray, cells: Cells, cause: str = "", level: bool = False) -> Fixed | None:
    """The record in its shortest form; None where nothing is known."""
    if not code.size:
        return None
    used = np.flatnonzero(np.bincount(code.reshape(-1), minlength=cells.low.size))
    keys = [np.nan_to_num(c[used], nan=-np.pi, posinf=np.inf, neginf=-np.inf) for c in cells[:2]]
    keys += [c[used] for c in cells[2:]]
    _, first, alike = np.unique(np.stack(keys), axis=1, return_index=True, return_inverse=True)
    again = np.zeros(cells.low.size, dtype=np.int32)
    again[used] = alike.reshape(-1)
    cells = cells.at(used[first])
    if cells.free.all() and not cells.lost.any():
        uniform = cells.low.size == 1 and bool(cells.low[0] <= 0 <= cells.high[0])
        if uniform or (np.ptp(np.stack(cells[:2])) < SWITCHED_OFF / 5 and np.abs(cells.low).max() < SWITCHED_OFF):
            return None
    code = again[code]
    for axis in range(code.ndim):
        if code.shape[axis] > 1 and (code == code.take([0], axis=axis)).all():
            code = code.take([0], axis=axis)
    return Fixed(code, cells, cause if cells.lost.any() else "", level)


def combined(
    parts: Sequence[Fixed | None], rank: int, function: Callable[..., Cells], cause: str, level: bool = False
) -> Fixed | None:
    """``function`` of the rows of several operands that are broadcast together to ``rank`` axes."""
    given = [Fixed(np.zeros((), dtype=np.int64), FREE) if part is None else part for part in parts]
    sizes = [part.cells.low.size for part in given]
    code = np.zeros((1,) * rank, dtype=np.int64)
    for part, size in zip(given, sizes, strict=True):
        code = code * size + part.code
    pairs = np.arange(prod(sizes))
    if pairs.size > SMALL:
        pairs, flat = np.unique(code, return_inverse=True)
        code = flat.reshape(code.shape)
    index = np.unravel_index(pairs, sizes)
    with np.errstate(all="ignore"):
        cells = function(*(part.cells.at(i) for part, i in zip(given, index, strict=True)))
    cells = Cells(*(np.broadcast_to(column, pairs.shape) for column in cells))
    return made(code, cells, next((part.cause for part in given if part.cause), cause), level)


def gathered(spread: Cells, cause: str = "", level: bool = False) -> Fixed | None:
    """The record of what is known element by element."""
    columns = [np.unique(column, return_inverse=True)[1].reshape(column.shape) for column in spread]
    code = np.zeros((), dtype=np.int64)
    for column in columns:
        code = code * (int(column.max(initial=0)) + 1) + column
    _, first, code_ = np.unique(code, return_index=True, return_inverse=True)
    cells = Cells(*(np.broadcast_to(column, code.shape).reshape(-1)[first] for column in spread))
    return made(code_.reshape(code.shape), cells, cause, level)
