"""Lowering of ``Resize`` and samplers: which elements each output reads, with which weights.

Places and weights are worked out in single precision, operation by operation as onnxruntime (1.32) has them, because
rounding decides which element is nearest, whether a length is whole, and whether an element has a weight at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.ir import ops
from foveal.ir.relation import Table
from foveal.ir.rules import reads

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_half_pixel_for_nn", "tf_crop_and_resize")  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_MIDDLE = 1e-6
"""Closer than this to the middle between two elements, the runtime takes a place for the middle."""
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
    n_in: int, n_out: int, scale: float, convention: Convention, roi: tuple[float, float] = (0.0, 1.0)
) -> Taps:
    """The taps of one axis of length ``n_in``, resized by ``scale`` to ``n_out``; ``roi`` is for tf_crop_and_resize."""
    factor = np.float32(scale)
    place = _places(n_in, n_out, factor, convention.coordinates, roi)
    weights: np.ndarray
    if convention.mode == "nearest":
        index = _rounded(place, convention.nearest, bool(factor < 1))[:, None]
        weights = np.ones(index.shape, dtype=np.float32)
    elif convention.antialias and n_in == n_out:  # copied, whatever the factor
        index, weights = np.arange(n_in)[:, None], np.ones((n_in, 1), dtype=np.float32)
    elif convention.antialias:
        index, weights = _stretched(place, factor, convention)
    else:
        base = np.floor(place)
        part = (place - base)[:, None]
        reach = np.array([0, 1] if convention.mode == "linear" else [-1, 0, 1, 2])
        index = base.astype(np.int64)[:, None] + reach
        weights = _kernel(np.abs(part - reach.astype(np.float32)), convention)
    if convention.coordinates == "tf_crop_and_resize" and factor != 1:
        weights = np.where(((place < 0) | (place > n_in - 1))[:, None], np.float32(0), weights)
    if convention.mode != "nearest":
        inside = (index >= 0) & (index < n_in) if convention.exclude_outside else np.full(index.shape, True)
        total = (weights * inside).sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
    return Taps(index, weights.astype(np.float64), _ratio(n_in, n_out, factor, convention.coordinates, roi))


def _places(n_in: int, n_out: int, factor: np.float32, coordinates: str, roi: tuple[float, float]) -> np.ndarray:
    """Where each output reads, operation by operation in single precision as onnxruntime has it."""
    o, half = np.arange(n_out, dtype=np.float32), np.float32(0.5)
    if factor == 1:
        return o
    if coordinates == "align_corners":
        return o * np.float32(n_in - 1) / np.float32(n_out - 1) if n_out > 1 else o * 0
    if coordinates == "asymmetric":
        return o / factor
    if coordinates == "tf_half_pixel_for_nn":
        return (o + half) / factor
    if coordinates == "tf_crop_and_resize":
        first, last, reach = (np.float32(number) for number in (*roi, n_in - 1))
        if n_out == 1:
            return np.array([0.5 * float(first + last) * float(reach)], dtype=np.float32)
        return first * reach + o * (last - first) * reach / np.float32(n_out - 1)
    if coordinates == "pytorch_half_pixel" and n_out == 1:
        return o * 0
    if coordinates == "half_pixel_symmetric":  # the halves of the runtime are double here
        length = np.float32(n_in)
        offset = length / np.float32(2) * (np.float32(1) - np.float32(n_out) / (factor * length))
        return (float(offset) + (o.astype(np.float64) + 0.5) / float(factor) - 0.5).astype(np.float32)
    return (o + half) / factor - half


def _ratio(
    n_in: int, n_out: int, factor: np.float32, coordinates: str, roi: tuple[float, float]
) -> tuple[int, int] | None:
    """(a, b): output i + b reads a further than output i, rounding apart."""
    step = 1 / Fraction(float(factor)).limit_denominator(_DENOMINATORS)
    if factor != 1 and coordinates == "align_corners":
        step = Fraction(n_in - 1, n_out - 1) if n_out > 1 else Fraction(0)
    if factor != 1 and coordinates == "tf_crop_and_resize":
        first, last = (Fraction(side).limit_denominator(1000) for side in roi)
        step = (last - first) * (n_in - 1) / (n_out - 1) if n_out > 1 else Fraction(0)
    return (step.numerator, step.denominator) if step > 0 else None


def _rounded(place: np.ndarray, rounding: str, smaller: bool) -> np.ndarray:
    """The element that a place is nearest to."""
    if rounding == SIMPLE:
        rounding = "ceil" if smaller else "floor"
    down = np.floor(place)
    if rounding == "floor":
        found = down
    elif rounding == "ceil":
        found = np.ceil(place)
    else:
        middle = np.abs(place - down - np.float32(0.5)) < np.float32(_MIDDLE)
        up = np.where(middle, rounding == "round_prefer_ceil", place - down > np.float32(0.5))
        found = down + up
    return np.asarray(found, dtype=np.int64)


def _kernel(x: np.ndarray, convention: Convention) -> np.ndarray:
    """The filter at distances ``x``, in single precision in the runtime's order: rounding leaves weights there too."""
    if convention.mode == "linear":
        return np.maximum(np.float32(1) - x, np.float32(0))
    a, one = np.float32(convention.cubic), np.float32(1)
    near = ((a + 2) * x - (a + 3)) * x * x + one
    shared = (((x - 5) * x + 8) * x - 4) * a
    far = shared if convention.antialias else ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))


def _stretched(place: np.ndarray, factor: np.float32, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """Taps and weights against aliasing: the filter is stretched where the map shrinks."""
    half, one = np.float32(0.5), np.float32(1)
    step = one / factor
    reach = np.float32(1 if convention.mode == "linear" else 2) * max(step, one)
    center = half + place
    first = np.floor(center - reach + half).astype(np.int64)
    last = np.floor(center + reach + half).astype(np.int64)
    index = first[:, None] + np.arange(2 * int(np.ceil(reach)) + 1)
    x = np.abs((index.astype(np.float32) - center[:, None] + half) * (one / max(step, one)))
    weights = np.where(index < last[:, None], _kernel(x, convention), np.float32(0))
    return index, weights


_DENOMINATORS = 10_000
"""The stride of a factor is that of the fraction it was written as, though it is stored in single precision."""


@lowering("Upsample")
def upsample(call: Call, x: Operand, scales: Operand | None = None) -> Operand | list[Operand]:
    """Scales are an attribute before opset 9; positions are o / scale, rounded down."""
    if scales is not None and scales.depends:
        return call.data_dependent([x, scales])
    convention = Convention(call.word("mode", "nearest", "linear"), "asymmetric", "floor")
    factors = np.asarray(call.setting("scales", 1), dtype=np.float32).reshape(-1)
    return _resized(call, x, factors.astype(float).tolist(), convention, given=True)


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


def _factors(call: Call, x: Operand, scales: Operand | None, sizes: Operand | None, axes: list[int]) -> list[float]:
    """Output over input length, per axis of ``x``, in single precision."""
    result = [1.0] * x.rank
    if scales is not None and scales.shape and scales.shape[0]:
        given = call.array(scales, "the scales").reshape(-1)
        if given.size != len(axes):
            raise Refused(f"{given.size} scales for {len(axes)} axes")
        ratios = [np.float32(factor) for factor in given]
    else:
        wanted = call.array(sizes, "the sizes").reshape(-1)
        if wanted.size != len(axes):
            raise Refused(f"{wanted.size} sizes for {len(axes)} axes")
        ratios = [np.float32(n) / np.float32(x.shape[axis]) for axis, n in zip(axes, wanted, strict=True)]
        policy = call.word("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
        if policy != "stretch":
            ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
    for axis, ratio in zip(axes, ratios, strict=True):
        result[axis] = float(ratio)
    return result


def _resized(
    call: Call,
    x: Operand,
    factors: list[float],
    convention: Convention,
    regions: dict[int, tuple[float, float]] | None = None,
    given: bool = False,
) -> Operand:
    """Axis by axis; ``given``: the model states the factors (PyTorch then uses them, not the lengths)."""
    out = call.shapes[0]
    if given:  # whole lengths of a product in single precision
        out = tuple(int(np.float32(n) * np.float32(f)) for n, f in zip(x.shape, factors, strict=True))
    regions = regions or {}
    whole = (0.0, 1.0)
    # onnxruntime copies where no length changes, and along such an axis where it filters against aliasing
    longer = [x.shape[a] != out[a] for a in range(x.rank)]
    moved = not convention.antialias or bool(regions)
    axes = [a for a in range(x.rank) if longer[a] or (factors[a] != 1 and moved)]
    if not any(longer):
        return call.emit(ops.Pointwise("identity"), x, out)
    steps, value = [], x
    for axis in axes:
        taps = resize_taps(x.shape[axis], out[axis], factors[axis], convention, regions.get(axis, whole))
        steps.append(ops.Interpolate(axis, taps.index, taps.weights, not convention.exclude_outside, taps.ratio))
    shared = _shared(x.shape, out, factors, steps, convention, given)
    if shared is not None:
        return call.emit(shared, x, out)
    for op in steps:
        value = call.emit(op, value, (*value.shape[: op.axis], out[op.axis], *value.shape[op.axis + 1 :]))
    return value


def _shared(
    shape: tuple[int, ...],
    out: tuple[int, ...],
    factors: list[float],
    steps: list[ops.Interpolate],
    convention: Convention,
    given: bool,
) -> ops.Resample | None:
    """PyTorch's operation where it reads the same elements with the same weights; else None."""
    axes = tuple(op.axis for op in steps)
    align = convention.coordinates == "align_corners"
    exact = [Fraction(factors[a]).limit_denominator(_DENOMINATORS) * shape[a] == out[a] for a in axes]
    scales = [None if align or (not given and fits) else factors[a] for a, fits in zip(axes, exact, strict=True)]
    op = ops.Resample(axes, convention.mode, align and convention.mode != "nearest", scales=tuple(scales))
    (theirs,) = reads(op, (shape,), out)
    tables = {step.axis: step for step in theirs.relation or () if isinstance(step, Table)}
    for mine in steps:
        length = (*shape[: mine.axis], out[mine.axis], *shape[mine.axis + 1 :])
        ((ours, *_),) = (read.relation or () for read in reads(mine, (shape,), length))
        other = tables.get(mine.axis)
        if not isinstance(ours, Table) or other is None or ours.ratio != other.ratio:
            return None
        if (
            not np.allclose(_matrix(ours), _matrix(other), atol=1e-4)
            or ((_matrix(ours) != 0) != (_matrix(other) != 0)).any()
        ):
            return None
    return op


def _matrix(table: Table) -> np.ndarray:
    """The weights (n_out, n_in) of a table."""
    result = np.zeros((table.n_out, table.n_in))
    rows, taps = np.nonzero(table.clipped >= 0)
    weights = np.ones(table.clipped.shape) if table.weights is None else table.weights
    np.add.at(result, (rows, table.clipped[rows, taps]), weights[rows, taps])
    return result


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
