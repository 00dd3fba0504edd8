"""Interpolation: which inputs carry weight at each output. Formulas: docs/methods.md 1.2, and PyTorch's modes.

Positions are exact fractions, so that a tap whose weight is zero by arithmetic (a source position that falls on a
pixel) is not read. Nearest neighbour alone is computed in single precision, because frameworks do, and it shows.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from foveal.ir import ops
from foveal.ir.cache import Bounded
from foveal.ir.relation import ABSENT, Read, Table
from foveal.ir.rules.registry import Facts, Shape, Shapes, rule
from foveal.ir.rules.windows import only_zeros_read
from foveal.ir.traits import Alike

NEGLIGIBLE = 1e-9
"""Filter weights below this are rounding of an exact zero."""


@rule(
    ops.Resample,
    alike=lambda op: Alike(True, not op.mode.startswith("nearest")),
    shift=lambda op: "positions depend on the size of the map (align_corners)" if op.align_corners else "",
    size=lambda op: "" if op.align_corners else "given",
    resamples=lambda op: op.axes,
    multiply_adds=0, gain="fixed", zero=only_zeros_read,
)  # fmt: skip
def resample(op: ops.Resample, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Taps by mode, axis by axis."""
    scales = op.scales or (None,) * len(op.axes)
    steps = tuple(
        _step(axis, shapes[0][axis], out[axis], op.mode, op.align_corners, op.antialias, scale)
        for axis, scale in zip(op.axes, scales, strict=True)
        if shapes[0][axis] != out[axis] or scale not in (None, 1.0) or op.antialias
    )
    return (Read(0, steps, edges=not op.mode.startswith("nearest")),)


@rule(
    ops.Interpolate,
    alike=lambda op: Alike(True, op.taps.shape[1] > 1),
    resamples=lambda op: (op.axis,),
    multiply_adds=0, gain="fixed", shift="", zero=only_zeros_read,
)  # fmt: skip
def interpolate(op: ops.Interpolate, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The taps with a weight; beyond the border the border element, or nothing."""
    n_in = shapes[0][op.axis]
    live = op.weights != 0
    unclipped = np.where(live, op.taps, ABSENT)
    inside = np.clip(op.taps, 0, n_in - 1)
    clipped = np.where(live & (op.edge | (inside == op.taps)), inside, ABSENT)
    table = Table(op.axis, n_in, out[op.axis], clipped, unclipped, op.ratio, op.weights)
    return (Read(0, (table,), edges=op.taps.shape[1] > 1),)


@Bounded
def _step(axis: int, n_in: int, n_out: int, mode: str, align: bool, antialias: bool, scale: float | None) -> Table:
    step = _scale(n_in, n_out, align and mode in ("linear", "cubic"), scale)
    weights = None
    if mode.startswith("nearest"):
        raw = _nearest(n_in, n_out, mode, scale)
        clipped = np.clip(raw, 0, n_in - 1)
    elif antialias:
        raw, clipped, weights = _antialiased(n_in, n_out, mode, step)
    else:
        raw, clipped, weights = _taps(n_in, n_out, mode, align, step)
    return Table(axis, n_in, n_out, clipped, raw, (step.numerator, step.denominator) if step > 0 else None, weights)


def _scale(n_in: int, n_out: int, align: bool, scale: float | None) -> Fraction:
    """Source positions per output position."""
    if align:
        return Fraction(n_in - 1, n_out - 1) if n_out > 1 else Fraction(0)
    if scale is not None and scale > 0:
        return 1 / Fraction(scale).limit_denominator(10_000)
    return Fraction(n_in, n_out)


def _nearest(n_in: int, n_out: int, mode: str, scale: float | None) -> np.ndarray:
    step = np.float32(1.0 / scale) if scale is not None and scale > 0 else np.float32(n_in) / np.float32(n_out)
    o = np.arange(n_out, dtype=np.float32)
    if mode == "nearest-exact":
        o = o + np.float32(0.5)
    index: np.ndarray = np.floor(o * step).astype(np.int64)[:, None]
    return index


def _taps(n_in: int, n_out: int, mode: str, align: bool, step: Fraction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unclipped and clipped taps of linear and cubic interpolation, and their weights."""
    o = np.arange(n_out, dtype=object)
    a, b = step.numerator, step.denominator
    numerator, denominator = (o * a, b) if align else ((2 * o + 1) * a - b, 2 * b)
    base = np.array([int(v // denominator) for v in numerator], dtype=np.int64)
    whole = np.array([v % denominator == 0 for v in numerator], dtype=bool)
    reach = np.array([0, 1]) if mode == "linear" else np.array([-1, 0, 1, 2])
    raw = base[:, None] + reach
    raw[whole[:, None] & (reach != 0)] = ABSENT
    # linear: a position before the first pixel is moved onto it, so its second tap has weight zero
    moved = (base < 0)[:, None] & (mode == "linear")
    inside = np.where(moved, np.where(reach == 0, 0, ABSENT), raw)
    part = np.array([float(Fraction(int(v % denominator), int(denominator))) for v in numerator])
    distance = np.abs(part[:, None] - reach)
    weights = np.maximum(1 - distance, 0) if mode == "linear" else cubic_kernel(distance, -0.75)
    return (
        raw,
        np.where(inside == ABSENT, ABSENT, np.clip(inside, 0, n_in - 1)),
        np.where(moved & (reach == 0), 1, weights),
    )


def _antialiased(n_in: int, n_out: int, mode: str, step: Fraction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unclipped and clipped taps of the triangle or cubic filter stretched by the step, and their weights: the filter
    is cut at the border, not reflected, and what is left of it adds up to 1.
    """
    stretch = max(float(step), 1.0)
    support = (1.0 if mode == "linear" else 2.0) * stretch
    center = float(step) * (np.arange(n_out) + 0.5)
    first = np.floor(center - support + 0.5).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(2 * support)) + 1)
    x = np.abs((taps - center[:, None] + 0.5) / stretch)
    weight = np.maximum(1 - x, 0) if mode == "linear" else cubic_kernel(x, -0.5)
    weight = np.where(np.abs(weight) > NEGLIGIBLE, weight, 0.0)
    raw = np.where(weight != 0, taps, ABSENT)
    clipped = np.where((raw >= 0) & (raw < n_in), raw, ABSENT)
    return raw, clipped, weight / np.where(clipped != ABSENT, weight, 0.0).sum(axis=1, keepdims=True)


def cubic_kernel(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel at distances ``x``; PyTorch takes a = -0.5 in antialiased resizing, else -0.75."""
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
