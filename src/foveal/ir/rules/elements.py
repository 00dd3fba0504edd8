"""What is known of each element behind an operation of single elements: numbers, and constants added to scores.

A function that is not listed here may hide a number: what it makes of one is marked as lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foveal.ir import ops
from foveal.ir.fixed import SWITCHED_OFF, UNDERFLOW, Cells, Fixed, combined, number
from foveal.ir.traits import Known

Columns = np.ndarray
FAR = 1e6
"""Of a mask, what a comparison, a limit or a maximum tells from whatever inputs set (pictures of 16 bits)."""
LARGE_FACTOR = 10.0
VANISHING = frozenset(("exp", "exp2", "sigmoid", "softplus", "relu"))

SAME = frozenset(("identity", "cast", "clone", "contiguous", "copy", "dropout", "quantized", "quantize_per_tensor"))
UNKNOWN = frozenset(("batch_norm", "random", "bernoulli"))
"""Functions with numbers of the model's own, which are as good as never 0."""
KEEPS_ZERO = frozenset(
    ("gelu", "elu", "celu", "leaky_relu", "selu", "hardtanh", "erf", "tanhshrink")
    + ("hardshrink", "softshrink", "shrink", "prelu", "scale", "asinh", "atanh", "erfinv", "erf_inv", "swish")
)
"""Functions f with f(0) = 0 that are not worked out for other numbers."""


def _relu(x: Columns) -> Columns:
    return np.asarray(np.maximum(x, 0))


def _sigmoid(x: Columns) -> Columns:
    return np.asarray(1 / (1 + np.exp(-x)))


def _clip(x: Columns, low: Columns | None = None, high: Columns | None = None) -> Columns:
    """Limits that are left out are not-a-number here."""
    found = np.fmin(np.fmax(x, np.nan if low is None else low), np.nan if high is None else high)
    return np.where(np.isnan(x), np.nan, found)


def _finite(x: Columns, nan: Columns, high: Columns, low: Columns) -> Columns:
    return np.where(np.isnan(x), nan, np.where(x == np.inf, high, np.where(x == -np.inf, low, x)))


EVALUATED: dict[str, Callable[..., Any]] = {
    "add": lambda *x: sum(x), "subtract": np.subtract, "multiply": np.multiply, "divide": np.true_divide,
    "power": np.power,
    "negative": np.negative, "abs": np.abs, "absolute": np.abs, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "square": np.square,
    "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": lambda x: 1 / x, "sign": np.sign, "sgn": np.sign, "ceil": np.ceil,
    "floor": np.floor, "round": np.round, "trunc": np.trunc, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "atan": np.arctan, "relu": _relu,
    "relu6": lambda x: np.clip(x, 0, 6), "sigmoid": _sigmoid, "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)), "clamp": _clip, "clip": _clip, "clamp_min": lambda x, low: _clip(x, low),
    "clamp_max": lambda x, high: _clip(x, None, high), "nan_to_num": _finite, "maximum": np.maximum,
    "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin, "eq": np.equal, "equal": np.equal, "ne": np.not_equal,
    "not_equal": np.not_equal, "lt": np.less, "less": np.less, "le": np.less_equal, "less_equal": np.less_equal,
    "less_or_equal": np.less_equal, "gt": np.greater, "greater": np.greater, "ge": np.greater_equal,
    "greater_equal": np.greater_equal, "greater_or_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor, "logical_not": np.logical_not, "isnan": np.isnan,
    "isinf": np.isinf, "isfinite": np.isfinite, "is_finite": np.isfinite, "isneginf": np.isneginf,
    "isposinf": np.isposinf, "logaddexp": np.logaddexp, "logsigmoid": lambda x: -np.logaddexp(-x, 0),
    "silu": lambda x: x * _sigmoid(x), "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
}  # fmt: skip
SEVERAL = {
    "add": (2, 3, 4, 5, 6),
    "clamp": (3,),
    "clip": (3,),
    "clamp_min": (2,),
    "clamp_max": (2,),
    "nan_to_num": (4,),
}
"""How many operands the listed functions have; others have one, as NumPy's have, or two."""
ORDERED = frozenset(
    ("eq", "equal", "ne", "not_equal", "lt", "less", "le", "less_equal", "less_or_equal", "gt", "greater", "ge")
    + ("greater_equal", "greater_or_equal")
)


def elements(op: ops.Pointwise, known: Known) -> Fixed | None:
    """What is known of the result."""
    parts = known.parts()
    if parts.count(None) == len(parts):
        return None
    name, numbers = op.name, op.numbers
    axes = known.own_maximum() if name == "subtract" and len(parts) == 2 else ()
    leveled = len(parts) == 1 and parts[0] is not None and parts[0].level
    wide = any(part is not None and part.cells.wide for part in parts)

    def work(*given: Cells) -> Cells:
        if op.factors and not numbers:
            scales = [number(np.asarray(factor)) for factor in op.factors]
            given = tuple(_result("multiply", [c, f], wide, False) for c, f in zip(given, scales, strict=True))
        rest = iter(given)
        cells = [next(rest) if n is None else number(np.asarray(n)) for n in numbers] if numbers else []
        return _result(name, [*cells, *rest], wide, leveled)

    found = combined(parts, len(known.out), work, known.place, leveled and name in SAME)
    if axes and found is not None:
        found = found._replace(level=_open_everywhere(found, axes))
    if name in VANISHING and found is not None and parts[0] is not None:
        cells = parts[0].cells
        if (cells.free & (cells.high <= -SWITCHED_OFF)).any() and (~found.cells.free).any():
            known.trust()
    return found


def _open_everywhere(part: Fixed, axes: tuple[int, ...]) -> bool:
    """Whether each row has a score that no finite mask pushed down, along whichever axis it is summed later: certain
    along the axis whose maximum was taken away, and along those on which the mask does not depend.
    """
    closed = part.where((part.cells.high <= -SWITCHED_OFF) & (part.cells.high > -np.inf))
    others = [axis for axis, n in enumerate(part.code.shape) if n > 1 and (axis,) != axes]
    return not any(closed.all(axis=axis).any() for axis in others)


def _arity(name: str) -> tuple[int, ...]:
    function = EVALUATED.get(name)
    return () if function is None else SEVERAL.get(name, (getattr(function, "nin", 1),))


def _result(name: str, cells: list[Cells], wide: bool, level: bool) -> Cells:
    """Numbers where all operands are numbers or one of them decides; else what is set by inputs."""
    shape = np.broadcast_shapes(*(c.low.shape for c in cells))
    cells = [Cells(*(np.broadcast_to(column, shape) for column in c)) for c in cells]
    numbers = ~np.any([c.free for c in cells], axis=0)
    lost = np.any([c.lost for c in cells], axis=0)
    low, high = np.zeros(shape), np.zeros(shape)
    if name in SAME and len(cells) == 1:
        return cells[0]
    if name in UNKNOWN:
        return Cells(low, high, np.ones(shape, dtype=bool), lost)
    listed = len(cells) in _arity(name)
    if listed:
        value = np.where(numbers, np.asarray(EVALUATED[name](*(c.low for c in cells)), dtype=np.float64), np.nan)
    else:
        zero = np.all([c.low == 0 for c in cells], axis=0) & (name in KEEPS_ZERO)
        value = np.where(numbers & zero, 0.0, np.nan)
        told = [c.special & ((c.low != 0) | (name != "complex")) for c in cells]  # a part that is zero hides nothing
        lost = lost | (~zero & np.any(told, axis=0))
        low_offsets = [c.free & wide & (c.high <= -SWITCHED_OFF) for c in cells]
        lost = lost | np.any(low_offsets, axis=0)
        numbers = numbers & zero
    decided = _DECIDED.get(name) if listed or name not in EVALUATED else None
    if decided is not None and not numbers.all():
        fixed, found, low, high, more = decided(cells, wide, level)
        value = np.where(numbers, value, found)
        numbers, lost = numbers | fixed, lost | more
        if name in VANISHING:  # exp(-300) beside ordinary scores is a number that does not show
            faint = (cells[0].high <= -SWITCHED_OFF) & numbers & (value > 0)
            numbers, lost, low, high = numbers & ~faint, lost | faint, np.where(faint, 0, low), np.where(faint, 0, high)
    low, high = np.where(numbers, value, low), np.where(numbers, value, high)
    low, high = np.where(np.isnan(low) & ~numbers, -np.inf, low), np.where(np.isnan(high) & ~numbers, np.inf, high)
    return Cells(low, high, ~numbers, lost & ~numbers)


Decided = tuple[Columns, Columns, Columns, Columns, Columns]
"""Where the result is a number though not all operands are, that number; low, high where it is not; where lost."""


def _add(cells: list[Cells], wide: bool, level: bool) -> Decided:
    total = np.sum([np.where(c.free, 0, c.low) for c in cells], axis=0)
    endless = ~np.isfinite(total)
    low, high = (np.sum([c[i] for c in cells], axis=0) for i in (0, 1))
    return endless, total, low, high, np.zeros(total.shape, dtype=bool)


def _subtract(cells: list[Cells], wide: bool, level: bool) -> Decided:
    a, b = cells
    return _add([a, b._replace(low=-b.high, high=-b.low)], wide, level)


def _multiply(cells: list[Cells], wide: bool, level: bool) -> Decided:
    shape = cells[0].low.shape
    zero = np.any([~c.free & (c.low == 0) for c in cells], axis=0)
    zero &= ~np.any([~c.free & ~np.isfinite(c.low) for c in cells], axis=0)
    factor, low, high = np.ones(shape), np.zeros(shape), np.zeros(shape)
    several = np.sum([c.free for c in cells], axis=0) > 1
    for c in cells:
        factor = factor * np.where(c.free, 1, c.low)
        low, high = np.where(c.free, c.low, low), np.where(c.free, c.high, high)
    offset = np.any([c.free & (c.low <= -SWITCHED_OFF) for c in cells], axis=0) & wide
    scaled = [np.where(end == 0, 0, end * factor) for end in (low, high)]
    # what inputs set is of ordinary size, until a large factor makes it as large as a mask
    size = np.where(np.abs(factor) >= LARGE_FACTOR, np.abs(factor), 0)
    low, high = np.minimum(*scaled) - size, np.maximum(*scaled) + size
    lost = ~zero & (~np.isfinite(factor) | (several & offset))
    return zero, np.zeros(shape), np.where(several, 0, low), np.where(several, 0, high), lost


def _divide(cells: list[Cells], wide: bool, level: bool) -> Decided:
    a, b = cells
    zero = ~a.free & (a.low == 0) & b.free
    _, _, low, high, lost = _multiply([a, b._replace(low=np.where(b.free, b.low, 1 / b.low))], wide, level)
    over = b.free | ~np.isfinite(low)
    return zero, np.zeros(low.shape), np.where(over, 0, low), np.where(over, 0, high), lost & ~zero


def _vanishing(cells: list[Cells], wide: bool, level: bool) -> Decided:
    """exp, sigmoid: nothing is left of a score pushed far down."""
    (x,) = cells
    zero = (x.high <= -(SWITCHED_OFF if level else UNDERFLOW)) & (level | wide | (x.high == -np.inf))
    none = np.zeros(x.low.shape)
    return zero, none, none, none, ~zero & wide & (x.high <= -SWITCHED_OFF)


def _far(gap: Columns, wide: bool) -> Columns:
    """Whether no input bridges a gap; a shift of all elements alike is no mask, and inputs may be as large."""
    return np.asarray((gap >= FAR) & (wide | np.isinf(gap)))


def _clamped(low_of: int | None, high_of: int | None) -> Callable[..., Decided]:
    def clamped(cells: list[Cells], wide: bool, level: bool) -> Decided:
        x = cells[0]
        floor = cells[low_of].low if low_of is not None else np.full(x.low.shape, np.nan)
        roof = cells[high_of].high if high_of is not None else np.full(x.low.shape, np.nan)
        known = ~np.any([c.free for c in cells[1:]], axis=0) if len(cells) > 1 else np.ones(x.low.shape, dtype=bool)
        below, above = known & _far(floor - x.high, wide), known & _far(x.low - roof, wide)
        near = wide & ((~below & (x.high <= floor - SWITCHED_OFF)) | (~above & (x.low >= roof + SWITCHED_OFF)))
        ends = [np.where(known, np.fmin(np.fmax(end, floor), roof), end) for end in (x.low, x.high)]
        ends = [np.where(np.isfinite(x_end) & (x_end == 0), x_end, end) for x_end, end in zip(x[:2], ends, strict=True)]
        return below | above, np.where(below, floor, roof), ends[0], ends[1], near | (~known & x.special)

    return clamped


def _rectified(cells: list[Cells], wide: bool, level: bool) -> Decided:
    return _clamped(1, None)([cells[0], number(np.zeros(cells[0].low.shape))], wide, level)


def _extreme(least: bool) -> Callable[..., Decided]:
    """The smaller or larger one: decided by an infinite number, or by constants far apart."""
    pick = np.minimum if least else np.maximum
    end = -np.inf if least else np.inf

    def extreme(cells: list[Cells], wide: bool, level: bool) -> Decided:
        shape = cells[0].low.shape
        low, high = cells[0].low, cells[0].high
        for c in cells[1:]:
            low, high = pick(low, c.low), pick(high, c.high)
        value, wins, doubt = np.full(shape, np.nan), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for i, c in enumerate(cells):
            others = [o for k, o in enumerate(cells) if k != i]
            gaps = [(o.low - c.low) if least else (c.low - o.high) for o in others]
            first = ~c.free & ((c.low == end) | np.all([_far(gap, wide) for gap in gaps], axis=0))
            doubt |= wide & ~c.free & np.all([gap >= SWITCHED_OFF for gap in gaps], axis=0)
            value, wins = np.where(first, c.low, value), wins | first
            found = np.unique(c.low[~c.free])
            switch = ~c.free & (found.size > 1) & bool(np.isin(found, (0.0, 1.0)).all())
            doubt |= switch & np.any([o.free for o in others], axis=0)
        return wins, value, low, high, doubt & ~wins

    return extreme


def _both(cells: list[Cells], wide: bool, level: bool) -> Decided:
    none = np.zeros(cells[0].low.shape)
    return np.any([~c.free & (c.low == 0) for c in cells], axis=0), none, none, none, none != 0


def _one(cells: list[Cells], wide: bool, level: bool) -> Decided:
    none = np.zeros(cells[0].low.shape)
    return np.any([~c.free & (c.low != 0) for c in cells], axis=0), none + 1, none, none, none != 0


def _power(cells: list[Cells], wide: bool, level: bool) -> Decided:
    a, b = cells
    none, special = np.zeros(a.low.shape), a.special & b.free
    one = ~b.free & (b.low == 0)
    return one, none + 1, none, none, special


def _compared(truth: Callable[..., Any]) -> Callable[..., Decided]:
    """Told apart by an infinite number, or by constants far apart; what inputs set is finite."""

    def compared(cells: list[Cells], wide: bool, level: bool) -> Decided:
        a, b = cells
        gap = np.fmax(b.low - a.high, a.low - b.high)
        far, none = _far(gap, wide), np.zeros(a.low.shape)
        return far, np.asarray(truth(a.low, b.low), dtype=np.float64), none, none, wide & (gap >= SWITCHED_OFF)

    return compared


def _logged(cells: list[Cells], wide: bool, level: bool) -> Decided:
    none = np.zeros(cells[0].low.shape)
    return none != 0, none, none, none, wide & cells[0].free & (cells[0].high <= -SWITCHED_OFF)


def _kept(cells: list[Cells], wide: bool, level: bool) -> Decided:
    none = cells[0].free & False
    return none, np.zeros(none.shape), cells[0].low, cells[0].high, none


def _turned(cells: list[Cells], wide: bool, level: bool) -> Decided:
    return _kept([cells[0]._replace(low=-cells[0].high, high=-cells[0].low)], wide, level)


_DECIDED: dict[str, Callable[[list[Cells], bool, bool], Decided]] = {
    "add": _add, "subtract": _subtract, "multiply": _multiply, "divide": _divide, "negative": _turned,
    "exp": _vanishing, "exp2": _vanishing, "sigmoid": _vanishing, "softplus": _vanishing, "relu": _rectified,
    "clamp": _clamped(1, 2), "clip": _clamped(1, 2),
    "clamp_min": _clamped(1, None), "clamp_max": _clamped(None, 1), "nan_to_num": _kept,
    "maximum": _extreme(False), "minimum": _extreme(True), "fmax": _extreme(False), "fmin": _extreme(True),
    "logical_and": _both, "bitwise_and": _both, "and": _both, "logical_or": _one, "power": _power,
    "logaddexp": _extreme(False), "log": _logged, "log1p": _logged, "sqrt": _logged, "square": _logged,
    **dict.fromkeys(("tanh", "abs", "relu6", "gelu", "silu", "elu"), _logged),
    **{name: _compared(EVALUATED[name]) for name in ORDERED},
}  # fmt: skip
