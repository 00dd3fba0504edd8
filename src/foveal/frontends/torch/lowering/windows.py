"""Lowering of convolutions, pools, resampling and padding."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from torch import Tensor

from foveal.frontends.torch.lowering.pointwise import affine, times
from foveal.frontends.torch.lowering.table import Made, Maybe, Outputs, Sizes, Tracer, ints, rule
from foveal.ir import ops
from foveal.ir.lengths import same_padding


@lru_cache(maxsize=4096)
def convolution_op(
    kernel: tuple[int, ...], stride: Sizes, padding: Sizes | str, dilation: Sizes, groups: int, biased: bool = True
) -> ops.Convolution:
    """The convolution of PyTorch's arguments; ``padding`` may be "same" or "valid"."""
    count = len(kernel)
    strides, dilations = ints(stride, count), ints(dilation, count)
    if padding == "same":
        # The stride is 1 then, and the length does not matter.
        pairs = tuple(same_padding(1, size, 1, step) for size, step in zip(kernel, dilations, strict=True))
    else:
        pairs = tuple((side, side) for side in ints(0 if isinstance(padding, str) else padding, count))
    return ops.Convolution(kernel, strides, pairs, dilations, groups, biased)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _convolve(t: Tracer, out: Tensor, x: Tensor, weight: Tensor, bias: Maybe, op: ops.Operation, origin: str) -> int:
    """Add a convolution; an input without a batch axis gets one of length 1 for the while."""
    value = t.value(x)
    if x.dim() == weight.dim():
        return affine(t, t.node(op, (value, t.value(weight)), out.shape, origin), out.shape, 1, bias)
    value = t.node(ops.Reshape(), (value,), (1, *x.shape), origin)
    value = t.node(op, (value, t.value(weight)), (1, *out.shape), origin)
    return affine(t, t.node(ops.Reshape(), (value,), out.shape, origin), out.shape, 0, bias)


def _plain(
    t: Tracer, out: Tensor, x: Tensor, weight: Tensor, bias: Maybe, stride: Sizes, padding: Sizes, dilation: Sizes,
    groups: int,
) -> int:  # fmt: skip
    steps = (_tuple(stride), _tuple(padding), _tuple(dilation))
    op = convolution_op(tuple(weight.shape[2:]), *steps, groups, bias is not None)
    return _convolve(t, out, x, weight, bias, op, t.plain)


def _transposed(
    t: Tracer, out: Tensor, x: Tensor, weight: Tensor, bias: Maybe, stride: Sizes, padding: Sizes, dilation: Sizes,
    groups: int,
) -> int:  # fmt: skip
    kernel = tuple(weight.shape[2:])
    steps, before, spread = (ints(item, len(kernel)) for item in (stride, padding, dilation))
    op = ops.TransposedConvolution(kernel, steps, before, spread, groups, bias is not None)
    return _convolve(t, out, x, weight, bias, op, t.plain)


@rule("conv1d", "conv2d", "conv3d", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def convolution(
    t: Tracer,
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Maybe = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> int:
    return _plain(t, out, x, weight, bias, stride, padding, dilation, groups)


@rule("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution", "cudnn_convolution")
def any_convolution(
    t: Tracer,
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Maybe,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    *_: object,
) -> int:
    make = _transposed if transposed else _plain
    return make(t, out, x, weight, bias, stride, padding, dilation, groups)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv_transpose2d.input", "conv_transpose3d.input")
def transposed_convolution(
    t: Tracer,
    out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Maybe = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> int:
    return _transposed(t, out, x, weight, bias, stride, padding, dilation, groups)


@lru_cache(maxsize=4096)
def pool_op(kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, count: int, name: str) -> ops.Pool:
    """The pool of PyTorch's arguments; an empty stride is the kernel."""
    sizes = ints(kernel, count)
    steps = sizes if stride is None or stride == () else ints(stride, count)
    pairs = tuple((side, side) for side in ints(padding, count))
    return ops.Pool(sizes, steps, pairs, ints(dilation, count), name)


def _pool(
    t: Tracer, out: Tensor, x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, name: str
) -> int:
    count = t.spatial
    op = pool_op(_tuple(kernel), _tuple(stride), _tuple(padding), _tuple(dilation), count, name)
    return t.node(op, (t.value(x),), out.shape, t.plain)


@rule("quantized_max_pool2d", *(f"max_pool{n}d{end}" for n in (1, 2, 3) for end in ("", "_with_indices")))
def max_pool(
    t: Tracer,
    out: Outputs,
    x: Tensor,
    kernel: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Made:
    if isinstance(out, Tensor):
        return _pool(t, out, x, kernel, stride, padding, dilation, "max")
    return (_pool(t, out[0], x, kernel, stride, padding, dilation, "max"),) * 2


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(
    t: Tracer, out: Tensor, x: Tensor, kernel: Sizes, stride: Sizes = (), padding: Sizes = 0, *rest: Any, **named: Any
) -> int:
    """A divisor of one's own is a factor behind the mean."""
    value = _pool(t, out, x, kernel, stride, padding, 1, "average")
    divisor = rest[2] if len(rest) > 2 else named.get("divisor_override")
    return value if divisor is None else times(t, value, prod(ints(kernel, t.spatial)) / divisor, out.shape)


@lru_cache(maxsize=64)
def adaptive_op(axes: int, name: str) -> ops.AdaptivePool:
    """One adaptive pool per number of axes."""
    return ops.AdaptivePool(axes, name)


@rule(
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"
)
def adaptive_average_pool(t: Tracer, out: Tensor, x: Tensor, size: Sizes) -> int:
    return t.node(adaptive_op(t.spatial, "average"), (t.value(x),), out.shape, t.plain)


@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(t: Tracer, out: Outputs, x: Tensor, size: Sizes) -> tuple[int, int]:
    value = t.node(adaptive_op(t.spatial, "max"), (t.value(x),), out[0].shape, t.plain)
    return value, value
