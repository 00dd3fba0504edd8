"""Lowering of Resize and Upsample. Conventions that PyTorch shares become Resample, the others tables of taps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from foveal.frontends.onnx.lowering.resize_taps import SIMPLE, Convention, resize_taps
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.ir import ops

_DENOMINATORS = 10_000
"""A factor is read as the fraction it was written as, though it is stored in single precision."""


@lowering("Upsample")
def upsample(call: Call, x: Operand, scales: Operand | None = None) -> Operand | list[Operand]:
    """Scales are an attribute before opset 9; positions are o / scale, rounded down."""
    if scales is not None and scales.depends:
        return call.data_dependent([x, scales])
    mode = str(call.attribute("mode", "nearest"))
    convention = Convention(mode, "asymmetric", "floor")
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
        region = call.array(roi, "the region").reshape(-1)
    axes = [axis_of(int(axis), x.rank) for axis in call.attribute("axes", tuple(range(x.rank)))]
    factors = _factors(call, x, scales, sizes, axes)
    regions = {}
    if region is not None:
        regions = {axis: (float(region[k]), float(region[len(axes) + k])) for k, axis in enumerate(axes)}
    return _resized(call, x, factors, convention, regions, scales is not None and bool(scales.shape[0]))


def _convention(call: Call) -> Convention:
    mode = str(call.attribute("mode", "nearest"))
    if call.opset < 11:
        return Convention(mode, "asymmetric", SIMPLE)
    return Convention(
        mode,
        str(call.attribute("coordinate_transformation_mode", "half_pixel")),
        str(call.attribute("nearest_mode", "round_prefer_floor")),
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
    policy = str(call.attribute("keep_aspect_ratio_policy", "stretch"))
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
    regions = regions or {}
    whole = (0.0, 1.0)
    axes = [a for a in range(x.rank) if factors[a] != 1 or x.shape[a] != out[a] or regions.get(a, whole) != whole]
    if not axes:
        return call.emit(ops.Pointwise("identity"), x, out)
    shared = _shared(x, out, factors, axes, convention)
    if shared is not None:
        mode, align = shared
        exact = {axis: factors[axis] * x.shape[axis] == out[axis] for axis in axes}
        scales = tuple(None if align or (not given and exact[axis]) else float(factors[axis]) for axis in axes)
        return call.emit(ops.Resample(tuple(axes), mode, align, convention.antialias, scales), x, out)
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
    cubic = -0.5 if convention.antialias else -0.75
    if convention.exclude_outside or (convention.mode == "cubic" and convention.cubic != cubic):
        return None
    if coordinates == "align_corners" and fits and not convention.antialias:
        return convention.mode, True
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
