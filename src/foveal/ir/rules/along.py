"""What is known of each element behind an operation along axes: softmax, reductions, running sums, products, moves."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from foveal.ir import ops
from foveal.ir.fixed import (
    FEW,
    FREE,
    SWITCHED_OFF,
    Cells,
    Fixed,
    combined,
    distinct,
    gathered,
    made,
    narrow,
    number,
    renamed,
    rows,
    zeros,
)
from foveal.ir.traits import Known, Mask

LARGEST_PRODUCT = 1 << 32
"""Multiplications spent on the known zeros of a product of two masks."""
LONGEST = 1 << 22
"""Positions up to which numbers that padding puts at the ends of a line are kept."""
FAINT = -20.0
"""A score that is this number, beside scores that inputs set, may weigh less than rounding shows: e^-20 is 2e-9."""


def closing(op: ops.Mix | ops.Reduce, known: Known) -> Mask:
    """The scores that add nothing to the softmax or the maximum of their row: minus infinity, or far below the row's
    largest constant. Other reductions need not read what is a number.
    """
    part = known.fixed(0)
    if part is None:
        return None
    if isinstance(op, ops.Mix) and op.name == "sort":  # the first ones are never those that a mask pushed down
        if (part.cells.free & (part.cells.high <= -SWITCHED_OFF)).any() and part.cells.wide:
            known.doubt(known.place)
        return None
    if isinstance(op, ops.Reduce) and op.name not in ("max", "amax", "logsumexp"):
        numbers = part.where(~part.cells.free)
        return numbers if numbers.any() else None
    closed, finite = _closed(part, op.axes)
    if isinstance(op, ops.Reduce) and op.name != "logsumexp" and _topped(part.cells):  # inputs may be larger
        known.doubt(known.place)
        closed, finite = closed & ~part.where(part.cells.free), finite & False
    if finite.any():
        known.trust()
    if part.cells.lost.any():
        known.doubt(part.cause)
    faint = part.where(~part.cells.free & (part.cells.low <= FAINT) & np.isfinite(part.cells.low))
    if isinstance(op, ops.Mix) and part.cells.free.any() and (faint & ~closed).any():
        known.doubt(known.place)
    return closed if closed.any() else None


def _topped(cells: Cells) -> bool:
    """Whether a finite number lies far above all that inputs set."""
    numbers = cells.low[~cells.free & np.isfinite(cells.low)]
    free = cells.high[cells.free]
    return bool(numbers.size and free.size and numbers.max() >= free.max() + SWITCHED_OFF)


def _closed(part: Fixed, axes: ops.Ints) -> tuple[np.ndarray, np.ndarray]:
    cells = part.cells
    known = np.where(cells.lost | np.isnan(cells.high), -np.inf, _ordinary(cells))
    order = np.argsort(known, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    top = np.max(renamed(part.code, rank), axis=axes, keepdims=True)  # the largest constant of each row, by its rank
    none = np.asarray(~cells.free & (cells.low == -np.inf))
    tops = distinct(top, order.size)
    if tops.size > FEW:
        largest = known[order[top]]
        spread = part.spread
        with np.errstate(invalid="ignore"):
            finite = (largest - spread.high >= SWITCHED_OFF) & ~none[part.code] & ~spread.lost & (largest < np.inf)
        return part.where(none) | finite, finite
    finite = np.zeros(part.code.shape, dtype=bool)
    for place in tops:
        largest = known[order[place]]
        with np.errstate(invalid="ignore"):
            below = (largest - cells.high >= SWITCHED_OFF) & ~none & ~cells.lost & bool(largest < np.inf)
        if below.any():
            finite |= (top == place) & part.where(below)
    return part.where(none) | finite, finite


def _ordinary(cells: Cells) -> np.ndarray:
    """Of what inputs choose between two constants, the one nearest to zero: some score of a row is no masked one."""
    return np.asarray(np.minimum(np.maximum(cells.low, 0.0), cells.high))


def mixed(op: ops.Mix, known: Known) -> Fixed | None:
    """Of a softmax: 0 where it is closed, 1 where one score alone is open, not-a-number in rows without any."""
    part = known.fixed(0)
    if op.name == "normalize" or part is None:
        return None
    if op.name not in ("softmax", "log_softmax"):
        return known.unsaid()
    closed, _ = _closed(part, op.axes)
    if not closed.any():
        return None
    logarithm, shape = op.name == "log_softmax", known.shapes[0]
    wide = [n if axis in op.axes else m for axis, (n, m) in enumerate(zip(shape, closed.shape, strict=True))]
    none = part.where(~part.cells.free & (part.cells.low == -np.inf))
    if not none.any():
        empty = np.zeros((1,) * len(wide), dtype=bool)
    else:
        empty = np.broadcast_to(np.all(none, axis=op.axes, keepdims=True), wide)
    closed = np.broadcast_to(closed, wide)
    with np.errstate(invalid="ignore"):  # what inputs may close does not stay 1
        steady = part.where(~(part.cells.high - part.cells.low >= SWITCHED_OFF))
    alone = ~closed & (np.sum(~closed, axis=op.axes, keepdims=True) == 1) & steady
    if not logarithm:
        code = closed.astype(np.uint8)
        code[alone] = 2
        code[np.broadcast_to(empty, wide)] = 3
        return made(code, rows(FREE, number(0.0), number(1.0), number(np.nan)))
    cells = part.spread
    top = np.max(_ordinary(cells), axis=op.axes, keepdims=True)
    with np.errstate(invalid="ignore"):
        low, high = (np.where(closed, end - top, 0.0) for end in (cells.low, cells.high))
    fixed = empty | alone | (closed & ~cells.free & (cells.low == -np.inf))
    low, high = (np.where(empty, np.nan, np.where(alone, 0.0, end)) for end in (low, high))
    return gathered(Cells(low, np.where(fixed, low, high), ~fixed, np.zeros(wide, dtype=bool)), level=True)


def reduced(op: ops.Reduce, known: Known) -> Fixed | None:
    """Of sums, means, extremes and truths along axes; anything else loses what it makes of numbers alone."""
    part = known.fixed(0)
    if part is None:
        return None
    cells, shape = part.spread, known.shapes[0]
    fan = prod(n for axis, (n, m) in enumerate(zip(shape, part.code.shape, strict=True)) if axis in op.axes and m == 1)
    with np.errstate(all="ignore"):
        low, high, free, lost = _reduced(op.name, op.axes, cells, fan, prod(shape[a] for a in op.axes))
    lost = (lost | cells.lost.any(axis=op.axes, keepdims=True)) & free
    found = gathered(Cells(*np.broadcast_arrays(low, high, free, lost)), part.cause or known.place)
    if found is None or op.keepdims:
        return found
    return found._replace(code=found.code.reshape([n for a, n in enumerate(found.code.shape) if a not in op.axes]))


Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _reduced(name: str, axes: ops.Ints, cells: Cells, fan: int, count: int) -> Columns:
    """low, high, free, lost; ``fan``: how often each element stands for itself."""

    def over(function: Callable[..., np.ndarray], array: np.ndarray) -> np.ndarray:
        return np.asarray(function(array, axis=axes, keepdims=True))

    numbers = ~over(np.any, cells.free)
    none = np.zeros(numbers.shape, dtype=bool)
    if name in ("sum", "mean", "nansum"):
        share = 1.0 / count if name == "mean" else 1.0
        low, high = (over(np.sum, end) * fan * share for end in cells[:2])
        total = over(np.sum, np.where(cells.free, 0, cells.low)) * fan * share
        endless = ~np.isfinite(total) & (name != "nansum")
        numbers = numbers | endless
        ends = [np.where(np.isnan(end), value, end) for end, value in ((low, -np.inf), (high, np.inf))]
        return np.where(numbers, total, ends[0]), np.where(numbers, total, ends[1]), ~numbers, none
    if name in ("max", "amax", "min", "amin", "logsumexp"):
        pick = np.min if name.endswith("min") else np.max
        low, high = over(pick, cells.low), over(pick, cells.high)
        if name == "logsumexp":
            return np.where(numbers & (high == -np.inf), high, low), high, ~(numbers & (high == -np.inf)), none
        decided = over(np.any, ~cells.free & (cells.low == (-np.inf if pick is np.min else np.inf)))
        return low, high, ~(numbers | decided), none
    if name in ("any", "all", "reduce_or", "reduce_and", "prod", "reduce_prod"):
        either = name in ("any", "reduce_or")
        hit = over(np.any, ~cells.free & ((cells.low != 0) if either else (cells.low == 0)))
        if name.endswith("prod"):
            value = np.where(hit, 0.0, over(np.prod, cells.low) ** fan)
            return value, value, ~(hit | numbers), none
        value = np.where(hit, float(either), float(not either))
        return value, value, ~(hit | numbers), none
    if name in ("norm", "linalg_vector_norm", "reducel1", "reducel2"):
        zero = numbers & ~over(np.any, cells.low != 0)
        return none * 0.0, none * 0.0, ~zero, none
    return none * 0.0, none * 0.0, none | True, numbers | over(np.any, cells.special & ~np.isfinite(cells.low))


def running(op: ops.Scan, known: Known) -> Fixed | None:
    """Of running sums, products and extremes; a state that weights are part of is never a number."""
    part = known.fixed(0)
    if part is None or op.across:
        return None
    names = {"cumsum": "sum", "cumprod": "prod", "cummax": "max", "cummin": "min", "logcumsumexp": "max"}
    name = names.get(op.name.lower().replace("cumlogsumexp", "logcumsumexp"))
    if name is None or op.direction == "both":
        return known.unsaid()
    length = known.shapes[0][op.axis]
    code = np.broadcast_to(part.code, [length if a == op.axis else n for a, n in enumerate(part.code.shape)])
    code = np.flip(code, op.axis) if op.direction == "backward" else code
    cells = part.cells.at(code)
    add = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}[name].accumulate
    ever, numbers = np.logical_or.accumulate, np.logical_and.accumulate(~cells.free, axis=op.axis)
    with np.errstate(all="ignore"):
        low, high = (add(end, axis=op.axis) for end in (cells.low, cells.high))
    if op.name.lower() in ("logcumsumexp", "cumlogsumexp"):
        numbers = numbers & (high == -np.inf)
    if name == "prod":
        zero = ever(~cells.free & (cells.low == 0), axis=op.axis)
        numbers, low, high = numbers | zero, np.where(zero, 0, low), np.where(zero, 0, high)
    elif name == "sum":
        total = add(np.where(cells.free, 0, cells.low), axis=op.axis)
        numbers = numbers | ~np.isfinite(total)
        low, high = np.where(numbers, total, low), np.where(numbers, total, high)
    found = Cells(low, np.where(numbers, low, high), ~numbers, ever(cells.lost, axis=op.axis) & ~numbers)
    if op.direction == "backward":
        found = Cells(*(np.flip(column, op.axis) for column in found))
    return gathered(found, part.cause)


def multiplied(op: ops.Contract, known: Known) -> Fixed | None:
    """Zero where each product has a factor that is zero; a bias that is no operand hides that."""
    parts = [known.fixed(i) for i in range(len(op.labels))]
    if op.biased or all(part is None for part in parts):
        return None
    doubt = next((p.cause for p in parts if p is not None and p.cells.lost.any()), "")
    endless = any(p is not None and (~p.cells.free & ~np.isfinite(p.cells.low)).any() for p in parts)
    if doubt or endless:
        known.doubt(doubt or known.place)
    lengths = {lab: n for row, shape in zip(op.labels, known.shapes, strict=True) for lab, n in zip(row, shape)}
    live: list[np.ndarray] = []
    labels: list[list[int]] = []
    for row, part in zip(op.labels, parts, strict=True):
        zero = None if part is None else part.where(~part.cells.free & (part.cells.low == 0))
        if zero is not None and zero.any():
            used = [axis for axis, n in enumerate(zero.shape) if n > 1]
            live.append(np.squeeze(~zero).astype(np.float32))
            labels.append([row[axis] for axis in used])
    if not live:
        return None
    letters = {label: i for i, label in enumerate(sorted({lab for row in labels for lab in row}))}
    kept = [label for label in op.out if label in letters]
    if prod(lengths[label] for label in letters) > LARGEST_PRODUCT:
        known.doubt(known.place)
        return None
    operands = [item for pair in zip(live, ([letters[x] for x in row] for row in labels), strict=True) for item in pair]
    found = np.einsum(*operands, [letters[x] for x in kept], optimize=True) == 0
    shape = [lengths[label] if label in kept else 1 for label in op.out]
    return zeros(found.reshape(shape))


def chosen(op: ops.Select, known: Known) -> Fixed | None:
    """The side that the condition takes; where inputs decide, what both sides have in common."""

    def work(condition: Cells, a: Cells, b: Cells) -> Cells:
        true, false = ~condition.free & (condition.low != 0), ~condition.free & (condition.low == 0)
        same = ~a.free & ~b.free & ((a.low == b.low) | (np.isnan(a.low) & np.isnan(b.low)))
        free = np.where(true, a.free, np.where(false, b.free, ~same))
        low = np.where(true, a.low, np.where(false, b.low, np.fmin(a.low, b.low)))
        high = np.where(true, a.high, np.where(false, b.high, np.fmax(a.high, b.high)))
        lost = np.where(true, a.lost, np.where(false, b.lost, a.lost | b.lost | condition.lost))
        return Cells(low, high, free, lost & free)

    parts = [known.fixed(0), known.beside(1), known.beside(2)]
    if all(part is None for part in parts):
        return None
    return combined(parts, len(known.out), work, known.place)


def moved(move: Callable[[list[np.ndarray], int], np.ndarray], known: Known, leaves_out: bool = False) -> Fixed | None:
    """A move of the codes; ``move`` gets them at full length, and the code of 0 for what reads nothing (where it
    ``leaves_out`` places).
    """
    parts = known.parts()
    if parts.count(None) == len(parts) and not leaves_out:
        return None
    tables, codes, base = [], [], 0
    count = sum(1 if part is None else part.cells.low.size for part in parts) + 1
    for part, shape in zip(parts, known.shapes, strict=True):
        cells, code = (FREE, np.zeros((), dtype=np.int32)) if part is None else (part.cells, part.code)
        tables.append(cells)
        codes.append(np.broadcast_to(narrow(code, count) + base, shape))
        base += cells.low.size
    cause = next((part.cause for part in parts if part is not None and part.cause), "")
    level = all(part is not None and part.level for part in parts)
    return made(move(codes, base), rows(*tables, number(0.0)), cause, level)


def padded(op: ops.Pad, known: Known) -> Fixed | None:
    """Padding with one number is that number; axes that are not padded keep their shortest form. Of a long line nothing
    is kept for each position: that its padding reads nothing stands in the relation.
    """
    part = known.fixed(0)
    if op.mode != "constant":
        return None if part is None else known.unsaid()
    cells, code = (FREE, np.zeros((1,) * len(op.widths), dtype=np.int32)) if part is None else (part.cells, part.code)
    code = np.broadcast_to(code, (1,) * (len(op.widths) - code.ndim) + code.shape)
    lengths = [n if any(w) else m for n, m, w in zip(known.shapes[0], code.shape, op.widths, strict=True)]
    code = np.broadcast_to(code, lengths)
    code = code[tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(lengths, op.widths, strict=True))]
    if part is None and code.size > LONGEST:
        return None
    wide = [(max(0, a), max(0, b)) for a, b in op.widths]
    code = np.pad(narrow(code, cells.low.size + 1), wide, constant_values=cells.low.size)
    return made(code, rows(cells, number(float(op.value))), "" if part is None else part.cause)
