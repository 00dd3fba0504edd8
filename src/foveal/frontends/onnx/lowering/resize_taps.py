"""Which input elements each output of an ONNX ``Resize`` reads along one axis, and with which weights.

Source positions are exact fractions, so that a tap whose weight is zero by arithmetic is not read; nearest neighbour
alone is computed in single precision, because runtimes do. The conventions are those of the ONNX specification of
``Resize`` (opset 10 to 19); pure NumPy, no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

NEGLIGIBLE = 1e-9
"""Filter weights below this are rounding of an exact zero."""
SIMPLE = "simple"
"""Nearest mode of opset 10, which names none: down for enlarging, up for shrinking."""


@dataclass(frozen=True)
class Convention:
    """The attributes of ``Resize`` that decide where an output reads. ``mode``: "nearest", "linear" or "cubic"."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


@dataclass(frozen=True, eq=False)
class Taps:
    """``index`` and ``weights`` (n_out, k); ``ratio`` = (a, b): output i + b reads what i reads, shifted by a."""

    index: np.ndarray
    weights: np.ndarray
    ratio: tuple[int, int] | None


def resize_taps(
    n_in: int, n_out: int, scale: Fraction, convention: Convention, roi: tuple[float, float] = (0.0, 1.0)
) -> Taps:
    """The taps of one axis of length ``n_in``, resized by ``scale`` to ``n_out``; ``roi`` is for tf_crop_and_resize."""
    step, start = _line(n_in, n_out, scale, convention.coordinates, roi)
    if convention.mode == "nearest":
        index = _nearest(n_in, n_out, scale, convention, step, start)
        weights = np.ones(index.shape)
    else:
        index, weights = _filtered(n_out, min(scale, Fraction(1)), convention, step, start)
    if convention.coordinates == "tf_crop_and_resize":
        place = [start + o * step for o in range(n_out)]
        outside = np.array([not 0 <= p <= n_in - 1 for p in place])
        weights = np.where(outside[:, None], 0.0, weights)
    if convention.exclude_outside and convention.mode != "nearest":
        inside = (index >= 0) & (index < n_in)
        total = (weights * inside).sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
    return Taps(index, weights, (step.numerator, step.denominator) if step > 0 else None)


def _line(
    n_in: int, n_out: int, scale: Fraction, coordinates: str, roi: tuple[float, float]
) -> tuple[Fraction, Fraction]:
    """Output i reads at start + i * step: (step, start)."""
    length = scale * n_in
    half = Fraction(1, 2)
    if coordinates == "align_corners":
        return (Fraction(n_in - 1) / (length - 1) if length != 1 else Fraction(0)), Fraction(0)
    if coordinates == "asymmetric":
        return 1 / scale, Fraction(0)
    if coordinates == "tf_crop_and_resize":
        first, last = (Fraction(side).limit_denominator(1 << 20) for side in roi)
        if length == 1:
            return Fraction(0), (first + last) * (n_in - 1) / 2
        return (last - first) * (n_in - 1) / (length - 1), first * (n_in - 1)
    if coordinates == "pytorch_half_pixel" and n_out == 1:
        return Fraction(0), Fraction(0)
    if coordinates == "half_pixel_symmetric":
        return 1 / scale, Fraction(n_in, 2) * (1 - n_out / length) + half / scale - half
    return 1 / scale, half / scale - half


def _nearest(
    n_in: int, n_out: int, scale: Fraction, convention: Convention, step: Fraction, start: Fraction
) -> np.ndarray:
    o = np.arange(n_out, dtype=np.float32)
    factor = np.float32(float(scale))
    if convention.coordinates == "asymmetric":
        place = o / factor
    elif convention.coordinates == "half_pixel" or (convention.coordinates == "pytorch_half_pixel" and n_out > 1):
        place = (o + np.float32(0.5)) / factor - np.float32(0.5)
    else:
        place = np.array([float(start + i * step) for i in range(n_out)], dtype=np.float32)
    rounding = convention.nearest
    if rounding == SIMPLE:
        rounding = "ceil" if scale < 1 else "floor"
    if rounding == "floor":
        found = np.floor(place)
    elif rounding == "ceil":
        found = np.ceil(place)
    elif rounding == "round_prefer_ceil":
        found = np.floor(place + np.float32(0.5))
    else:
        found = np.ceil(place - np.float32(0.5))
    index: np.ndarray = found.astype(np.int64)[:, None]
    return index


def _filtered(
    n_out: int, shrink: Fraction, convention: Convention, step: Fraction, start: Fraction
) -> tuple[np.ndarray, np.ndarray]:
    """Taps and weights of linear and cubic filters; with antialiasing the filter is stretched by 1 / ``shrink``."""
    radius = Fraction(1 if convention.mode == "linear" else 2)
    stretch = 1 / shrink if convention.antialias else Fraction(1)
    reach = radius * stretch
    count = int(np.ceil(float(2 * reach))) + 1
    places = [start + o * step for o in range(n_out)]
    first = np.array([int((p - reach) // 1) + 1 for p in places], dtype=np.int64)
    index = first[:, None] + np.arange(count)
    distance = [[float(abs(i - p) / stretch) for i in row] for row, p in zip(index.tolist(), places, strict=True)]
    x = np.array(distance).reshape(index.shape)
    weights = np.maximum(1 - x, 0) if convention.mode == "linear" else _cubic(x, convention.cubic)
    weights = np.where(np.abs(weights) > NEGLIGIBLE, weights, 0.0)
    return index, weights / weights.sum(axis=1, keepdims=True)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel."""
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
