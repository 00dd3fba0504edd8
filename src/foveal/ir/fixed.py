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
UNDERFLOW = 1000.0
"""exp of a number this far below 0 is 0 in double precision, whatever score was added to it."""
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
        chosen, others = np.flatnonzero(rows), np.flatnonzero(~rows)
        if min(chosen.size, others.size) > FEW:
            return np.asarray(rows[self.code])
        if others.size < chosen.size:
            return ~_one_of(self.code, others)
        return _one_of(self.code, chosen)

    @property
    def spread(self) -> Cells:
        """The table's entry of every element, in the shape of the codes."""
        return self.cells.at(self.code)


FEW = 4
"""Codes up to which comparing them one by one is faster than looking them up."""


def _one_of(code: np.ndarray, these: np.ndarray) -> np.ndarray:
    found = np.zeros(code.shape, dtype=bool)
    for one in these:
        found |= code == one
    return found


def narrow(code: np.ndarray, count: int) -> np.ndarray:
    """Codes below ``count`` in the type that is fastest to compare."""
    return code.astype(np.uint8 if count <= 1 << 8 else np.int32 if count < 1 << 31 else np.int64, copy=False)


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
    large = values.size > SMALL and data.dtype.kind != "b"  # a condition true everywhere says which side is read
    if large and values.all() and np.isfinite(values).all() and np.ptp(values) < SWITCHED_OFF / 5:
        return None
    found, code = _distinct(values)
    cells = number(found)
    if found.size > SMALL:
        plain = (found != 0) & (np.abs(found) < SWITCHED_OFF / 5)
        cells = Cells(np.where(plain, 0, found), np.where(plain, 0, found), plain, cells.lost)
    return made(code.reshape(values.shape), cells)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers and which one stands where; a large mask has few, which a sample shows."""
    code: np.ndarray
    if values.size > 1 << 13:
        found = np.unique(values.reshape(-1)[:: values.size >> 12])
        if found.size <= FEW:
            here = [values == one for one in found]
            if sum(int(np.count_nonzero(some)) for some in here) == values.size:
                code = np.zeros(values.shape, dtype=np.uint8)
                for row, some in enumerate(here[1:], 1):
                    code[some] = row
                return found, code
        elif values.size > 1 << 16:
            place = np.searchsorted(found, values).clip(max=found.size - 1)
            if (found[place] == values).all():
                return found, place
    found, place = np.unique(values, return_inverse=True)
    return found, place


def zeros(mask: np.ndarray) -> Fixed | None:
    """Zero where the mask is true, free elsewhere."""
    return made(mask.view(np.uint8), rows(FREE, number(0.0)))


def made(code: np.ndarray, cells: Cells, cause: str = "", level: bool = False) -> Fixed | None:
    """The record in its shortest form; None where nothing is known."""
    if not code.size:
        return None
    code = narrow(code, cells.low.size)
    used = distinct(code, cells.low.size)
    again = np.arange(cells.low.size)
    first: list[int] = []
    places: dict[tuple[float | None, ...], int] = {}
    for row, cell in zip(used, zip(*(column[used].tolist() for column in cells), strict=True), strict=True):
        key = tuple([None if number_ != number_ else number_ for number_ in cell])
        if key not in places:
            places[key] = len(first)
            first.append(row)
        again[row] = places[key]
    cells = cells.at(np.asarray(first))
    if cells.free.all() and not cells.lost.any():
        uniform = cells.low.size == 1 and bool(cells.low[0] <= 0 <= cells.high[0])
        if uniform or (np.ptp(np.stack(cells[:2])) < SWITCHED_OFF / 5 and np.abs(cells.low).max() < SWITCHED_OFF):
            return None
    code = renamed(code, again)
    for axis, length in enumerate(code.shape):
        one = code.take([0], axis=axis) if length > 1 else code
        if length > 1 and (one == code.take([-1], axis=axis)).all() and (one == code).all():
            code = one
    return Fixed(code, cells, cause if cells.lost.any() else "", level)


def distinct(code: np.ndarray, count: int) -> np.ndarray:
    """Which of the codes below ``count`` occur, in order."""
    if count <= FEW:
        return np.asarray([row for row in range(count) if (code == row).any()], dtype=np.int64)
    return np.flatnonzero(np.bincount(code.reshape(-1), minlength=count))


def renamed(code: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Each code replaced by its name."""
    changed = np.flatnonzero(names != np.arange(names.size))
    if changed.size > FEW:
        return np.asarray(names.astype(code.dtype)[code])
    found = code.copy() if changed.size else code
    for row in changed:
        found[code == row] = names[row]
    return found


def combined(
    parts: Sequence[Fixed | None], rank: int, function: Callable[..., Cells], cause: str, level: bool = False
) -> Fixed | None:
    """``function`` of the rows of several operands that are broadcast together to ``rank`` axes."""
    given = [Fixed(np.zeros((), dtype=np.int64), FREE) if part is None else part for part in parts]
    sizes = [part.cells.low.size for part in given]
    count = prod(sizes) + 1
    code = narrow(np.zeros((1,) * rank, dtype=np.int64), count)
    for part, size in zip(given, sizes, strict=True):
        code = code * size + narrow(part.code, count)
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
