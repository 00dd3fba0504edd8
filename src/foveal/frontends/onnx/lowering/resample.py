"""Lowering of ``Resize`` and samplers: which elements each output reads, with which weights.

Places are exact fractions; but where rounding in single precision, as runtimes do it, gives another element a weight
(however small), the rounded places are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.ir import ops
from foveal.ir.rules.resampling import NEGLIGIBLE, cubic_kernel

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn", "tf_crop_and_resize")  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
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
        index = _nearest(n_in, n_out, scale, convention, step, start, roi)
        weights = np.ones(index.shape)
    else:
        places = [start + o * step for o in range(n_out)]
        rounded = _single(n_in, n_out, scale, convention)
        if _apart(places, rounded):
            places = rounded
        index, weights = _filtered(places, rounded, min(scale, Fraction(1)), convention)
    if convention.coordinates == "tf_crop_and_resize":
        place = _cropped(n_in, n_out, roi) if scale != 1 else np.arange(n_out)
        outside = (place < 0) | (place > n_in - 1)
        weights = np.where(outside[:, None], 0.0, weights)
    if convention.exclude_outside and convention.mode != "nearest":
        inside = (index >= 0) & (index < n_in)
        total = (weights * inside).sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
    return Taps(index, weights, (step.numerator, step.denominator) if step > 0 else None)


def _line(
    n_in: int, n_out: int, scale: Fraction, coordinates: str, roi: tuple[float, float]
) -> tuple[Fraction, Fraction]:
    """Output i reads at start + i * step: (step, start), with whole lengths, as onnxruntime and PyTorch have them."""
    half = Fraction(1, 2)
    if scale == 1:
        return Fraction(1), Fraction(0)
    if coordinates == "align_corners":
        return (Fraction(n_in - 1, n_out - 1) if n_out > 1 else Fraction(0)), Fraction(0)
    if coordinates == "asymmetric":
        return 1 / scale, Fraction(0)
    if coordinates == "tf_half_pixel_for_nn":
        return 1 / scale, half / scale
    if coordinates == "tf_crop_and_resize":
        first, last = (Fraction(side).limit_denominator(1 << 20) for side in roi)
        if n_out == 1:
            return Fraction(0), (first + last) * (n_in - 1) / 2
        return (last - first) * (n_in - 1) / (n_out - 1), first * (n_in - 1)
    if coordinates == "pytorch_half_pixel" and n_out == 1:
        return Fraction(0), Fraction(0)
    if coordinates == "half_pixel_symmetric":
        return 1 / scale, Fraction(n_in, 2) * (1 - n_out / (scale * n_in)) + half / scale - half
    return 1 / scale, half / scale - half


def _nearest(
    n_in: int,
    n_out: int,
    scale: Fraction,
    convention: Convention,
    step: Fraction,
    start: Fraction,
    roi: tuple[float, float],
) -> np.ndarray:
    o = np.arange(n_out, dtype=np.float32)
    factor = np.float32(float(scale))
    if convention.coordinates == "tf_crop_and_resize" and scale != 1:
        place = _cropped(n_in, n_out, roi)
        if roi != (0.0, 1.0) and (np.abs(2 * place - np.round(2 * place)) < 1e-5).any():
            raise Refused("rounding decides which element a cropped place is nearest to")
    elif convention.coordinates == "asymmetric":
        place = o / factor
    elif convention.coordinates == "tf_half_pixel_for_nn":
        place = (o + np.float32(0.5)) / factor
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


def _cropped(n_in: int, n_out: int, roi: tuple[float, float]) -> np.ndarray:
    """Where tf_crop_and_resize reads, in single precision: rounding decides what lies outside."""
    first, last, reach = (np.float32(number) for number in (*roi, n_in - 1))
    if n_out == 1:
        return np.array([np.float32(0.5) * (first + last) * reach])
    return np.asarray(
        first * reach + np.arange(n_out, dtype=np.float32) * (last - first) * reach / np.float32(n_out - 1)
    )


def _single(n_in: int, n_out: int, scale: Fraction, convention: Convention) -> list[Fraction]:
    """Where the runtime reads, operation by operation in single precision, as exact fractions."""
    o, half, factor = np.arange(n_out, dtype=np.float32), np.float32(0.5), np.float32(float(scale))
    coordinates = convention.coordinates
    if scale == 1 or coordinates.startswith("tf_") or (coordinates == "pytorch_half_pixel" and n_out == 1):
        return []
    if coordinates == "align_corners":
        place = o * np.float32(n_in - 1) / np.float32(n_out - 1) if n_out > 1 else o * 0
    elif coordinates == "asymmetric":
        place = o / factor
    else:
        offset = np.float32(0)
        if coordinates == "half_pixel_symmetric":
            offset = np.float32(n_in) * half * (np.float32(1) - np.float32(n_out) / (factor * np.float32(n_in)))
        place = offset + (o + half) / factor - half
    return [Fraction(float(p)) for p in place]


def _apart(exact: list[Fraction], rounded: list[Fraction]) -> bool:
    """Whether rounding moves a place off an element, or onto one, so that other elements have a weight."""
    return any((a // 1, a % 1 == 0) != (b // 1, b % 1 == 0) for a, b in zip(exact, rounded, strict=False))


def _leaves_a_rest(index: np.ndarray, places: list[Fraction], shrink: Fraction, convention: Convention) -> np.ndarray:
    """Where a filter weight that should be zero is not, in single precision as the runtime works it out."""
    half = np.float32(0.5)
    center = np.array([float(p) for p in places], dtype=np.float32)[:, None] + half
    x = np.abs((index.astype(np.float32) - center + half) * np.float32(float(shrink)))
    if convention.mode == "linear":
        return np.asarray(x < 1)
    a = np.float32(convention.cubic)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.asarray(np.where(x < 1, near != 0, (x < 2) & ((((x - 5) * x + 8) * x - 4) * a != 0)))


def _filtered(
    places: list[Fraction], rounded: list[Fraction], shrink: Fraction, convention: Convention
) -> tuple[np.ndarray, np.ndarray]:
    """Taps and weights of linear and cubic filters; with antialiasing the filter is stretched by 1 / ``shrink``."""
    radius = Fraction(1 if convention.mode == "linear" else 2)
    stretch = 1 / shrink if convention.antialias else Fraction(1)
    reach = radius * stretch
    count = int(np.ceil(float(2 * reach))) + 2
    first = np.array([int((p - reach) // 1) for p in places], dtype=np.int64)
    index = first[:, None] + np.arange(count)
    distance = [[float(abs(i - p) / stretch) for i in row] for row, p in zip(index.tolist(), places, strict=True)]
    x = np.array(distance).reshape(index.shape)
    weights = np.maximum(1 - x, 0) if convention.mode == "linear" else cubic_kernel(x, convention.cubic)
    weights = np.where(np.abs(weights) > NEGLIGIBLE, weights, 0.0)
    if rounded:
        rest = _leaves_a_rest(index, rounded, shrink, convention) if convention.antialias else x < radius
        whole = np.array([p.denominator == 1 for p in places])[:, None]
        if not convention.antialias:
            rest = rest & ~whole & (convention.mode == "cubic")
            if convention.coordinates == "half_pixel_symmetric":  # whole places may be missed by rounding, either way
                rest = rest | (whole & (x <= radius))
        weights = np.where((weights == 0) & rest, 2 * NEGLIGIBLE, weights)
    return index, weights / weights.sum(axis=1, keepdims=True)


_DENOMINATORS = 10_000
"""A factor is read as the fraction it was written as, though it is stored in single precision."""


@lowering("Upsample")
def upsample(call: Call, x: Operand, scales: Operand | None = None) -> Operand | list[Operand]:
    """Scales are an attribute before opset 9; positions are o / scale, rounded down."""
    if scales is not None and scales.depends:
        return call.data_dependent([x, scales])
    convention = Convention(call.word("mode", "nearest", "linear"), "asymmetric", "floor")
    return _resized(call, x, _fractions(call.setting("scales", 1)), convention, given=True)


@lowering("Resize")
def resize(
    call: Call,
    x: Operand,
    roi: Operand | None = None,
    scales: Operand | None = None,
    sizes: Operand | None = None,
) -> Operand | list[Operand]:
    """Opset 10 has the scales as second input and one convention; later ones say theirs."""
    if call.opset < 11:
        roi, scales = None, roi
    given = [item for item in (roi, scales, sizes) if item is not None and item.depends]
    if given:
        return call.data_dependent([x, *given])
    convention = _convention(call)
    region = None
    if convention.coordinates == "tf_crop_and_resize":
        if convention.antialias:
            raise Refused("tf_crop_and_resize with antialias has no fixed meaning")
        region = call.array(roi, "the region").reshape(-1)
    axes = [axis_of(int(axis), x.rank) for axis in call.attribute("axes", tuple(range(x.rank)))]
    factors = _factors(call, x, scales, sizes, axes)
    regions = {}
    if region is not None:
        regions = {axis: (float(region[k]), float(region[len(axes) + k])) for k, axis in enumerate(axes)}
    return _resized(call, x, factors, convention, regions, scales is not None and bool(scales.shape[0]))


def _convention(call: Call) -> Convention:
    mode = call.word("mode", *MODES)
    if call.opset < 11:
        return Convention(mode, "asymmetric", SIMPLE)
    return Convention(
        mode,
        call.word("coordinate_transformation_mode", *COORDINATES),
        call.word("nearest_mode", *ROUNDINGS),
        float(call.attribute("cubic_coeff_a", -0.75)),
        bool(call.attribute("exclude_outside", 0)),
        bool(call.attribute("antialias", 0)),
    )


def _fractions(values: object) -> list[Fraction]:
    return [Fraction(float(value)).limit_denominator(_DENOMINATORS) for value in np.asarray(values).reshape(-1)]


def _factors(call: Call, x: Operand, scales: Operand | None, sizes: Operand | None, axes: list[int]) -> list[Fraction]:
    """Output over input length, per axis of ``x``."""
    result = [Fraction(1)] * x.rank
    if scales is not None and scales.shape and scales.shape[0]:
        for axis, factor in zip(axes, _fractions(call.array(scales, "the scales")), strict=True):
            result[axis] = factor
        return result
    wanted = call.array(sizes, "the sizes").reshape(-1)
    if wanted.size != len(axes):
        raise Refused(f"{wanted.size} sizes for {len(axes)} axes")
    ratios = [Fraction(int(n), x.shape[axis]) for axis, n in zip(axes, wanted, strict=True)]
    policy = call.word("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
    if policy != "stretch":
        ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
    for axis, ratio in zip(axes, ratios, strict=True):
        result[axis] = ratio
    return result


def _resized(
    call: Call,
    x: Operand,
    factors: list[Fraction],
    convention: Convention,
    regions: dict[int, tuple[float, float]] | None = None,
    given: bool = False,
) -> Operand:
    """Axis by axis; ``given``: the model states the factors (PyTorch then uses them, not the lengths)."""
    out = call.shapes[0]
    if given:  # whole lengths of a product in single precision
        lengths = zip(x.shape, out, factors, strict=True)
        out = tuple(m if f == 1 else int(np.float32(n) * np.float32(float(f))) for n, m, f in lengths)
    regions = regions or {}
    whole = (0.0, 1.0)
    # onnxruntime copies where no length changes, and along such an axis where it filters against aliasing
    longer = [x.shape[a] != out[a] for a in range(x.rank)]
    axes = [a for a in range(x.rank) if longer[a] or (factors[a] != 1 and not convention.antialias)]
    if not any(longer):
        return call.emit(ops.Pointwise("identity"), x, out)
    shared = _shared(x, out, factors, axes, convention)
    if shared is not None:
        mode, align = shared
        exact = {axis: factors[axis] * x.shape[axis] == out[axis] for axis in axes}
        scales = tuple(None if align or (not given and exact[axis]) else float(factors[axis]) for axis in axes)
        return call.emit(ops.Resample(tuple(axes), mode, align, scales=scales), x, out)
    value = x
    for axis in axes:
        taps = resize_taps(x.shape[axis], out[axis], factors[axis], convention, regions.get(axis, whole))
        op = ops.Interpolate(axis, taps.index, taps.weights, not convention.exclude_outside, taps.ratio)
        value = call.emit(op, value, (*value.shape[:axis], out[axis], *value.shape[axis + 1 :]))
    return value


def _shared(
    x: Operand, out: tuple[int, ...], factors: list[Fraction], axes: list[int], convention: Convention
) -> tuple[str, bool] | None:
    """(mode, align_corners) where PyTorch reads and weighs the same way; else None."""
    fits = all(factors[axis] * x.shape[axis] == out[axis] for axis in axes)
    coordinates = convention.coordinates
    if convention.mode == "nearest":
        return ("nearest", False) if coordinates == "asymmetric" and convention.nearest == "floor" else None
    if convention.antialias or convention.exclude_outside or (convention.mode == "cubic" and convention.cubic != -0.75):
        return None
    for axis in axes:
        step, start = _line(x.shape[axis], out[axis], factors[axis], coordinates, (0.0, 1.0))
        exact = [start + o * step for o in range(out[axis])]
        if _apart(exact, _single(x.shape[axis], out[axis], factors[axis], convention)):
            return None
    if coordinates == "align_corners":
        return convention.mode, True
    if coordinates == "half_pixel_symmetric" and any(factors[axis].denominator & (factors[axis].denominator - 1) or
                                                     factors[axis].numerator & (factors[axis].numerator - 1)
                                                     for axis in axes):  # fmt: skip
        return None
    half = coordinates == "half_pixel" or (coordinates == "half_pixel_symmetric" and fits)
    if coordinates == "pytorch_half_pixel":
        half = all(out[axis] > 1 for axis in axes)
    return (convention.mode, False) if half else None


@lowering("AffineGrid")
def affine_grid(call: Call, theta: Operand, size: Operand) -> Operand | list[Operand]:
    """A fixed grid of homogeneous coordinates times each sample's matrix; a coordinate of zero reads nothing."""
    if size.depends:
        return call.data_dependent([theta, size])
    lengths = [int(n) for n in call.array(size, "the size").reshape(-1)][2:]
    align = bool(call.attribute("align_corners", 0))
    lines = [_line_of_coordinates(n, align) for n in lengths]
    mesh = np.stack([*reversed(np.meshgrid(*lines, indexing="ij")), np.ones(lengths)], axis=-1)
    space = tuple(range(10, 10 + len(lengths)))
    op = ops.Contract(((0, 1, 2), (*space, 2)), (0, *space, 1))
    return call.emit(op, (theta, call.constant(mesh)), (theta.shape[0], *lengths, len(lengths)))


def _line_of_coordinates(n: int, align: bool) -> np.ndarray:
    """From -1 to 1: pixel centers, or the outer edges at the corner pixels' centers."""
    if align:
        return np.linspace(-1.0, 1.0, n) if n > 1 else np.full(1, -1.0)
    return (2 * np.arange(n) + 1 - n) / n
