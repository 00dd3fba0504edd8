"""Lowering of quantised operators: the same reads as in floating point; scales and zero points are numbers."""

from __future__ import annotations

from foveal.frontends.onnx.lowering.contract import multiply
from foveal.frontends.onnx.lowering.elementwise import dependent, with_vectors
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.frontends.onnx.lowering.windows import convolve
from foveal.ir import ops


@lowering("QuantizeLinear", "DequantizeLinear")
def quantize(call: Call, x: Operand, scale: Operand, zero: Operand | None = None) -> Operand:
    """Its own element; a computed scale reaches what it scales."""
    value = call.emit(ops.Pointwise(call.name), x)
    live = dependent(scale, zero)
    if not live:
        return value
    axis = (
        axis_of(int(call.attribute("axis", 1)), x.rank)
        if x.rank and any(s.shape not in ((), (1,)) for s in live)
        else 0
    )
    if any(s.rank > 1 for s in live):
        raise Refused("scales per block are computed")
    return with_vectors(call, value, axis, live)


@lowering("DynamicQuantizeLinear")
def dynamic_quantize(call: Call, x: Operand) -> list[Operand]:
    """Scale and zero point come from the smallest and the largest element."""
    axes = tuple(range(x.rank))
    outputs = [call.emit(ops.Mix(axes, "normalize"), x, x.shape)]
    outputs += [call.emit(ops.Reduce(axes, False, "statistics"), x, ()) for _ in range(2)]
    return outputs[: max(1, call.wanted)]


@lowering("QLinearConv")
def quantized_convolution(
    call: Call,
    x: Operand,
    x_scale: Operand,
    x_zero: Operand,
    w: Operand,
    w_scale: Operand,
    w_zero: Operand,
    y_scale: Operand,
    y_zero: Operand,
    b: Operand | None = None,
) -> Operand:
    """A convolution; computed scales are not supported."""
    if dependent(x_scale, x_zero, w_scale, w_zero, y_scale, y_zero, b):
        raise Refused("scales or zero points are computed")
    return convolve(call, x, w)


@lowering("QLinearMatMul")
def quantized_matmul(
    call: Call,
    a: Operand,
    a_scale: Operand,
    a_zero: Operand,
    b: Operand,
    b_scale: Operand,
    b_zero: Operand,
    y_scale: Operand,
    y_zero: Operand,
) -> Operand:
    """A matrix product; computed scales are not supported."""
    if dependent(a_scale, a_zero, b_scale, b_zero, y_scale, y_zero):
        raise Refused("scales or zero points are computed")
    return multiply(call, a, b)
