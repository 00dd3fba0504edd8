"""Lowering of PyTorch's eager int8 operations, the same windows and products as in floating point, and of fake ones."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from foveal.frontends.products import matmul_op
from foveal.frontends.torch.lowering.pointwise import pointwise_op
from foveal.frontends.torch.lowering.reduce import normalize
from foveal.frontends.torch.lowering.table import Made, Outputs, Tracer, axis_of, rule
from foveal.frontends.torch.lowering.windows import convolution_op
from foveal.ir import ops

_CONVOLUTIONS = [f"quantized::conv{n}d{end}" for n in (1, 2, 3) for end in ("", "_relu")]


@rule(*_CONVOLUTIONS)
def quantized_convolution(t: Tracer, out: Tensor, x: Tensor, packed: Any, *_: object) -> int:
    """The packed weights tell stride, padding, dilation and groups."""
    weight = packed.unpack()[0]
    count = t.spatial
    if weight.dim() > count + 2:
        # One-dimensional weights are packed as two-dimensional ones of height 1.
        weight = weight.squeeze(2)
    settings = [tuple(item())[-count:] for item in (packed.stride, packed.padding, packed.dilation)]
    op = convolution_op(tuple(weight.shape[2:]), *settings, packed.groups())
    kernel = t.builder.parameter(tuple(weight.shape), "packed weights")
    return t.node(op, (t.value(x), kernel), out.shape, t.plain)


@rule("quantized::linear_dynamic", "quantized::linear_relu_dynamic")
def dynamic_linear(t: Tracer, out: Tensor, x: Tensor, packed: Any, *_: object) -> int:
    """All elements share one scale, which their extremes set: statistics over the whole tensor."""
    value = normalize(t, x, tuple(range(x.dim())), t.plain)
    kernel = t.builder.parameter((x.shape[-1], out.shape[-1]), "packed weights")
    return t.node(matmul_op(x.dim(), 2), (value, kernel), out.shape, t.plain)


@rule("quantized::linear", "quantized::linear_relu")
def quantized_linear(t: Tracer, out: Tensor, x: Tensor, packed: Any, *_: object) -> int:
    """The last axis against a weight of shape (features in, features out)."""
    kernel = t.builder.parameter((x.shape[-1], out.shape[-1]), "packed weights")
    return t.node(matmul_op(x.dim(), 2), (t.value(x), kernel), out.shape, t.plain)


@rule(*(f"quantized::{name}{end}" for name in ("add", "mul") for end in ("", "_relu")))
def quantized_binary(t: Tracer, out: Tensor, a: Tensor, b: Tensor, *_: object) -> int:
    return t.node(pointwise_op("quantized"), (t.value(a), t.value(b)), out.shape, t.plain)


@rule(
    *(f"quantized::{name}" for name in ("hardswish", "leaky_relu", "elu", "celu", "relu6", "add_scalar", "mul_scalar"))
)
def quantized_unary(t: Tracer, out: Tensor, x: Tensor, *_: object) -> int:
    return t.node(pointwise_op("quantized"), (t.value(x),), out.shape, t.plain)


@rule("quantized::cat", "quantized::cat_relu")
def quantized_cat(t: Tracer, out: Tensor, tensors: list[Tensor], dim: int, *_: object) -> int:
    op = ops.Concatenate(axis_of(dim, out.dim()))
    return t.node(op, [t.value(tensor) for tensor in tensors], out.shape, t.plain)


@rule("quantized::batch_norm2d", "quantized::batch_norm2d_relu", "quantized::batch_norm3d")
def quantized_batch_norm(t: Tracer, out: Tensor, x: Tensor, *_: object) -> int:
    return t.node(pointwise_op("batch_norm"), (t.value(x),), out.shape, t.plain)


@rule("fused_moving_avg_obs_fake_quant", "_fused_moving_avg_obs_fq_helper")
def observed_fake_quantize(t: Tracer, out: Outputs, x: Tensor, observes: Tensor, *_: object) -> Made:
    """Element by element; while it observes, its scale follows the extremes of the whole tensor."""
    if t.data(observes).any():
        value = normalize(t, x, tuple(range(x.dim())), "fake_quantize")
    else:
        value = t.node(pointwise_op("fake_quantize"), (t.value(x),), x.shape, "fake_quantize")
    return (value, None) if isinstance(out, (tuple, list)) else value


@rule(
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    *(f"fake_quantize_per_{what}_affine_cachemask" for what in ("tensor", "channel")),
    *(f"_fake_quantize_learnable_per_{what}_affine" for what in ("tensor", "channel")),
)
def fake_quantize(t: Tracer, out: Outputs, x: Tensor, *_: object) -> Made:
    value = t.node(pointwise_op("fake_quantize"), (t.value(x),), x.shape, "fake_quantize")
    return (value, None) if isinstance(out, (tuple, list)) else value
