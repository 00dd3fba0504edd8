"""Lowering of element by element operations, selection and masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveal.frontends.torch.lowering.table import Made, Maybe, Operand, Outputs, Tracer, axis_of, rule
from foveal.ir import ops

_PLAIN = """
abs absolute acos acosh angle arccos arcsin arctan arctan2 asin asinh atan atan2 atanh bitwise_and bitwise_left_shift
bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu clamp clamp_max clamp_min clip complex copysign cos
cosh deg2rad digamma elu eq equal_to erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod
frac ge gelu greater greater_equal gt hardshrink hardsigmoid hardswish hardtanh heaviside hypot i0 isfinite isinf
isnan isneginf isposinf isclose ldexp le leaky_relu less less_equal lgamma log log10 log1p log2 log_sigmoid
log_sigmoid_forward logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum minimum mish
nan_to_num ne neg negative nextafter not_equal polar pow rad2deg reciprocal relu relu6 remainder round rrelu rsqrt
selu sgn sigmoid sign signbit silu sin sinc sinh softplus softshrink special_expit sqrt square tan tanh threshold
trunc xlogy fake_quantize_per_tensor_affine fake_quantize_per_channel_affine quantize_per_tensor
dequantize dequantize_self rsub div divide true_divide special_erf special_gammaln special_log1p
special_xlogy special_sinc special_exp2 special_expm1 __and__ __or__ __xor__ __rshift__ __lshift__ _prelu_kernel
conj_physical frexp gcd lcm hardswish_ mvlgamma polygamma special_entr special_ndtr igamma
igammac special_zeta special_erfcx special_i0e special_i1 special_i1e special_ndtri special_log_ndtr special_airy_ai
special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_modified_bessel_i0
special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_scaled_modified_bessel_k0
special_scaled_modified_bessel_k1 special_spherical_bessel_j0 special_chebyshev_polynomial_t
special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w
special_shifted_chebyshev_polynomial_t special_hermite_polynomial_h special_hermite_polynomial_he
special_laguerre_polynomial_l special_legendre_polynomial_p """.split()  # noqa: SIM905

_PUBLIC = {
    "sub": "subtract",
    "rsub": "subtract",
    "div": "divide",
    "true_divide": "divide",
    "neg": "negative",
    "pow": "power",
    "absolute": "abs",
    "clip": "clamp",
    "log_sigmoid": "logsigmoid",
    "special_log1p": "log1p",
    "special_expm1": "expm1",
    "special_exp2": "exp2",
    "arcsin": "asin",
    "arctan": "atan",
}
_TRUTHS = {f"bitwise_{name}": f"logical_{name}" for name in ("and", "or", "not", "xor")}
_TRUTHS |= {f"__{name}__": f"logical_{name}" for name in ("and", "or", "xor")}
"""What operations on bits mean for truth values."""
_LIMITS: dict[str, tuple[tuple[str, float], ...]] = {
    "clamp": (("min", np.nan), ("max", np.nan)),
    "clamp_min": (("min", np.nan),),
    "clamp_max": (("max", np.nan),),
}


@lru_cache(maxsize=512)
def pointwise_op(name: str, factors: tuple[float, ...] = (), numbers: tuple[float | None, ...] = ()) -> ops.Pointwise:
    """One operation object per name, factors and numbers."""
    return ops.Pointwise(name, factors, numbers)


def _scaled(*factors: Operand) -> tuple[float, ...]:
    """Fixed factors of operands; () where all are 1, or one is not real."""
    numbers = [float(f) for f in factors if isinstance(f, (int, float))]
    return tuple(numbers) if len(numbers) == len(factors) and any(f != 1 for f in numbers) else ()


@rule(*_PLAIN)
def pointwise(t: Tracer, out: Outputs, *args: Any, **kwargs: Any) -> Made:
    """Reads the same element of each tensor operand."""
    plain = t.plain
    inputs = [t.value(item) for item in args if isinstance(item, Tensor)]
    inputs += [t.value(item) for item in kwargs.values() if isinstance(item, Tensor)]
    if isinstance(out, (tuple, list)):
        value = t.node(pointwise_op(plain), inputs, out[0].shape, plain)
        return (value,) * len(out)
    by = args[1] if plain in ("div", "divide", "true_divide") and len(args) > 1 and len(inputs) == 1 else None
    whole = kwargs.get("rounding_mode") is not None
    factors = _scaled(1 / by) if isinstance(by, (int, float)) and by != 0 and not whole else ()
    if plain == "rsub" and len(inputs) == 2:
        factors = _scaled(kwargs.get("alpha", args[2] if len(args) > 2 else 1), 1.0)
    name = _PUBLIC.get(plain, plain)
    name = _TRUTHS.get(name, name) if out.dtype is torch.bool else name
    return t.node(pointwise_op(name, factors, _numbers(t, name, args, kwargs)), inputs, out.shape, plain)


def _numbers(t: Tracer, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[float | None, ...]:
    """The plain numbers among the arguments, for functions whose results may be known numbers."""
    if name == "nan_to_num":
        kind, given = args[0].dtype, t.arguments(args, kwargs)  # type: ignore[attr-defined]
        ends = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
        wanted = (("nan", 0.0), ("posinf", ends.max), ("neginf", ends.min))
        return (None, *(float(default if given.get(key) is None else given[key]) for key, default in wanted))
    if name in _LIMITS:
        given = t.arguments(args, kwargs)
        found = [given.get(key) for key, _ in _LIMITS[name]]
        return (None, *(None if isinstance(x, Tensor) else np.nan if x is None else float(x) for x in found))
    plain = [item for item in args[:2] if not isinstance(item, Tensor)]
    if len(args) != 2 or len(plain) != 1 or not isinstance(plain[0], (int, float)):
        return ()
    turned = args[::-1] if t.plain == "rsub" else args
    return tuple(None if isinstance(item, Tensor) else float(item) for item in turned)  # type: ignore[arg-type]


@rule("bucketize", "searchsorted", "isin")
def searched(t: Tracer, out: Tensor, a: Operand, b: Operand, *_: object, **__: object) -> int:
    """Each number is looked for among others, all of which it reads: those of its own row where they are sorted."""
    keys, table = (b, a) if t.plain == "searchsorted" else (a, b)
    inputs = [t.value(keys)] if isinstance(keys, Tensor) else []
    if isinstance(table, Tensor) and id(table) in t.handles:
        axes = (table.dim() - 1,) if t.plain == "searchsorted" else tuple(range(table.dim()))
        shape = [1 if axis in axes else n for axis, n in enumerate(table.shape)]
        inputs.append(t.node(ops.Reduce(axes, True, t.plain), (t.value(table),), shape, t.plain))
    return t.node(pointwise_op(t.plain), inputs, out.shape, t.plain)


@rule("mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
      "soft_margin_loss")  # fmt: skip
def loss(t: Tracer, out: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> int:
    """Element by element, then perhaps the mean or the sum of all."""
    given = t.arguments((x, *args), kwargs)
    tensors = [item for item in given.values() if isinstance(item, Tensor)]
    shape = np.broadcast_shapes(*(tuple(item.shape) for item in tensors))
    value = t.node(pointwise_op(t.plain), [t.value(item) for item in tensors], shape, t.plain)
    reduction = given.get("reduction", 1)
    if reduction == 0 or not shape:
        return value
    name = {1: "mean", 2: "sum"}[reduction]
    return t.node(ops.Reduce(tuple(range(len(shape))), False, name), (value,), out.shape, t.plain)


@rule("linalg_cross")
def cross(t: Tracer, out: Tensor, a: Tensor, b: Tensor, *, dim: int = -1) -> int:
    """Component i is a[i + 1] b[i + 2] - a[i + 2] b[i + 1]."""
    axis, shape = axis_of(dim, out.dim()), out.shape
    parts = [
        [t.node(ops.Roll((axis - out.dim() + x.dim(),), (-k,)), (t.value(x),), x.shape, "cross") for k in (1, 2)]
        for x in (a, b)
    ]
    products = [t.node(pointwise_op("multiply"), (parts[0][k], parts[1][1 - k]), shape, "cross") for k in (0, 1)]
    return t.node(pointwise_op("subtract"), products, shape, "cross")


def affine(t: Tracer, value: int, shape: Sequence[int], axis: int | None, *vectors: Maybe) -> int:
    """``value`` and those of the vectors that a source can change (a bias, a scale, a slope) together: along
    ``axis``, or where None along the last ones.
    """
    live = [vector for vector in vectors if vector is not None and t.depends(vector)]
    if not live:
        return value
    inputs = [value]
    for vector in live:
        own = t.value(vector)
        if axis is not None:
            after = (*(1,) * axis, -1, *(1,) * (len(shape) - axis - 1))
            own = t.node(ops.Reshape(), (own,), [vector.numel() if n < 0 else n for n in after], t.plain)
        inputs.append(own)
    return t.node(pointwise_op("add"), inputs, shape, t.plain)


def with_all_of(t: Tracer, value: int, shape: Sequence[int], *tensors: Maybe) -> int:
    """``value`` and, at each place, all of those tensors that a source can change."""
    for tensor in tensors:
        if tensor is not None and t.depends(tensor):
            whole = t.node(ops.Reduce(tuple(range(tensor.dim())), False, "weights"), (t.value(tensor),), (), t.plain)
            value = t.node(pointwise_op("add"), (value, whole), shape, t.plain)
    return value


@rule("prelu")
def prelu(t: Tracer, out: Tensor, x: Tensor, weight: Tensor) -> int:
    value = t.node(pointwise_op("prelu"), (t.value(x),), out.shape, "prelu")
    return affine(t, value, out.shape, 1 if weight.dim() and weight.numel() > 1 else None, weight)


@rule("add", "_add_relu", "__add__")
def add(t: Tracer, out: Tensor, a: Tensor, b: Operand, *_: object, alpha: float = 1) -> int:
    """Numbers are kept: a mask may be made with them."""
    inputs = [t.value(a)]
    numbers: tuple[float | None, ...] = ()
    if alpha == 0:
        b = 0.0
    if isinstance(b, Tensor):
        scaled = alpha != 1 and id(b) not in t.handles
        inputs.append(t.array(np.asarray(t.data(b) * alpha)) if scaled else t.value(b))
        if alpha != 1 and not scaled:
            return t.node(pointwise_op("add", _scaled(1.0, alpha)), inputs, out.shape, "add")
    elif not isinstance(b, complex):
        numbers = (None, float(b * alpha))
    return t.node(pointwise_op("add", (), numbers), inputs, out.shape, "add")


@rule("sub", "subtract", "__sub__")
def subtract(t: Tracer, out: Tensor, a: Tensor, b: Operand, *_: object, alpha: float = 1) -> int:
    """A constant taken away is its negative added, which may switch a softmax off."""
    if alpha == 0:
        b = 0.0
    if isinstance(b, Tensor) and id(b) in t.handles:
        return t.node(pointwise_op("subtract", _scaled(1.0, alpha)), (t.value(a), t.value(b)), out.shape, "sub")
    inputs = [t.value(a)]
    numbers: tuple[float | None, ...] = ()
    if isinstance(b, Tensor):
        inputs.append(t.array(np.asarray(-1.0 * t.data(b) * alpha)))
    elif not isinstance(b, complex):
        numbers = (None, float(-b * alpha))
    return t.node(pointwise_op("add", (), numbers), inputs, out.shape, "sub")


@rule("mul", "multiply", "__mul__")
def multiply(t: Tracer, out: Tensor, a: Operand, b: Operand) -> int:
    """A constant zero annuls the other operand, so zeros are kept."""
    inputs = [t.value(item) for item in (a, b) if isinstance(item, Tensor)]
    plain = [item for item in (a, b) if not isinstance(item, Tensor)]
    numbers: tuple[float | None, ...] = ()
    if 0 in plain:
        inputs.append(t.array(np.zeros(())))
    elif plain and not isinstance(plain[0], complex):
        numbers = tuple(float(item) if item is plain[0] else None for item in (a, b))
    factors = _scaled(*plain) if len(inputs) == 1 else ()
    return t.node(pointwise_op("multiply", factors, numbers), inputs, out.shape, "mul")


def times(t: Tracer, value: int, number: Any, shape: Sequence[int]) -> int:
    """A value times a plain number, which a field weighs it by; 0 leaves nothing of it."""
    if isinstance(number, complex) or number == 1:
        return value
    if number == 0:
        return t.node(pointwise_op("multiply"), (value, t.array(np.zeros(()))), shape, t.plain)
    factor = float(number)
    return t.node(pointwise_op("multiply", (factor,), (None, factor)), (value,), shape, t.plain)


@rule("addcmul", "addcdiv")
def add_product(t: Tracer, out: Tensor, x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> int:
    shape = np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    name = "multiply" if t.plain == "addcmul" else "divide"
    part = times(t, t.node(pointwise_op(name), (t.value(a), t.value(b)), shape, t.plain), value, shape)
    return t.node(pointwise_op("add"), (t.value(x), part), out.shape, t.plain)


@rule("lerp")
def lerp(t: Tracer, out: Tensor, x: Tensor, end: Tensor, weight: Operand) -> int:
    """Shares that are known scale both sides; others gate the way from one to the other."""
    pair = [(t.value(item), tuple(item.shape)) for item in (x, end)]
    if isinstance(weight, Tensor) and id(weight) in t.handles:
        shape = np.broadcast_shapes(pair[0][1], pair[1][1])
        way = t.node(pointwise_op("subtract"), (pair[1][0], pair[0][0]), shape, "lerp")
        part = t.node(pointwise_op("multiply"), (way, t.value(weight)), out.shape, "lerp")
        return t.node(pointwise_op("add"), (pair[0][0], part), out.shape, "lerp")
    share = np.asarray(t.data(weight) if isinstance(weight, Tensor) else weight)
    parts = []
    for (value, shape), number in zip(pair, (1 - share, share), strict=True):
        wide = np.broadcast_shapes(shape, number.shape)
        by = (value, t.array(number))
        parts.append(
            times(t, value, number.item(), shape)
            if number.size == 1
            else t.node(pointwise_op("multiply"), by, wide, "lerp")
        )
    return t.node(pointwise_op("add"), parts, out.shape, "lerp")


def operand(t: Tracer, item: Operand) -> int:
    """The value of a tensor or a number."""
    return t.value(item) if isinstance(item, Tensor) else t.array(np.asarray(item))


@rule("masked_fill")
def masked_fill(t: Tracer, out: Tensor, x: Tensor, mask: Tensor, value: Operand) -> int:
    return t.node(ops.Select(), (t.value(mask), operand(t, value), t.value(x)), out.shape, "masked_fill")


@rule("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(t: Tracer, out: Tensor, condition: Tensor, a: Operand, b: Operand) -> int:
    inputs = (t.value(condition), operand(t, a), operand(t, b))
    return t.node(ops.Select(), inputs, out.shape, "where")


@rule("tril", "triu")
def triangle(t: Tracer, out: Tensor, x: Tensor, diagonal: int = 0) -> int:
    """Multiplies by a constant mask of zeros and ones."""
    mask = torch.ones(tuple(x.shape[-2:]))
    mask = torch.tril(mask, diagonal) if t.plain == "tril" else torch.triu(mask, diagonal)
    return t.node(pointwise_op("multiply"), (t.value(x), t.array(mask.numpy())), out.shape, t.plain)


@rule("glu")
def glu(t: Tracer, out: Tensor, x: Tensor, dim: int = -1) -> int:
    axis = axis_of(dim, x.dim())
    half = x.shape[axis] // 2
    value = t.value(x)
    parts = [t.node(ops.Slice(axis, start), (value,), out.shape, "glu") for start in (0, half)]
    return t.node(pointwise_op("multiply"), parts, out.shape, "glu")


@rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(t: Tracer, out: Tensor, x: Tensor, p: float, train: bool) -> int:
    value = t.value(x)
    return t.node(pointwise_op("dropout"), (value,), out.shape, "dropout") if train and p > 0 else value


@rule("native_dropout")
def native_dropout(t: Tracer, out: Outputs, x: Tensor, p: float, train: bool | None) -> tuple[int, int]:
    value = dropout(t, out[0], x, p, bool(train))
    return value, value


@rule("copy")
def copy(t: Tracer, out: Tensor, x: Tensor, source: Tensor, non_blocking: bool = False) -> int:
    return _filled(t, out, t.value(source), tuple(source.shape))


@rule("fill", "zero")
def fill(t: Tracer, out: Tensor, x: Tensor, value: Operand = 0) -> int:
    if isinstance(value, Tensor):
        return _filled(t, out, t.value(value), tuple(value.shape))
    return _filled(t, out, t.array(np.asarray(value)), ())


def _filled(t: Tracer, out: Tensor, value: int, shape: tuple[int, ...]) -> int:
    return value if shape == tuple(out.shape) else t.node(ops.Expand(), (value,), out.shape, "fill")


@rule(
    "bernoulli",
    "normal",
    "uniform",
    "exponential",
    "cauchy",
    "geometric",
    "log_normal",
    "random",
    "randn_like",
    "rand_like",
)
def draw(t: Tracer, out: Tensor, *_: object, **__: object) -> int:
    """Random numbers: like weights, unknown and never zero. The odds they were drawn by do not reach them as a rule."""
    inputs = [t.value(item) for item in _ if isinstance(item, Tensor)]
    return t.node(pointwise_op("random"), inputs, out.shape, "random")
