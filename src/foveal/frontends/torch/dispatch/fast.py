"""Short cuts for the operations that make up most of a run: the shape is worked out here, nothing is executed.

Each one returns NotImplemented where anything is unusual (a constant operand, another rank, a shape that does not
fit), and the general way, which asks the framework, takes over. A short cut adds the same nodes as the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from foveal.frontends.torch.dispatch.shapes import blank, channels_last, convolved, like
from foveal.frontends.torch.dispatch.values import Handle
from foveal.frontends.torch.lowering.table import Ints, Maybe, Overload, Result
from foveal.frontends.torch.lowering.windows import convolution_op
from foveal.ir import ops
from foveal.ir.lengths import window_outputs

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer

Shortcut = Callable[..., Result]
FAST: dict[Overload, Shortcut] = {}
aten = torch.ops.aten


def fast(*overloads: Overload) -> Callable[[Shortcut], Shortcut]:
    """Register a short cut."""

    def register(function: Shortcut) -> Shortcut:
        FAST.update(dict.fromkeys(overloads, function))
        return function

    return register


def _finish(t: Tracer, out: Tensor, op: ops.Operation, inputs: tuple[int, ...], name: str) -> Tensor:
    value = t.node(op, inputs, out.shape, name)
    t.handles[id(out)] = Handle(out, value)
    t.naming.operation(name, value, out)
    return out


def _unary(name: str) -> None:
    op = ops.Pointwise(name)

    def out_of_place(t: Tracer, x: Tensor, *_: object, **__: object) -> Result:
        handle = t.handles.get(id(x))
        if handle is None or not x.dtype.is_floating_point:
            return NotImplemented
        return _finish(t, like(x), op, (t.values.read(handle),), name)

    def in_place(t: Tracer, x: Tensor, *_: object, **__: object) -> Result:
        handle = t.handles.get(id(x))
        if handle is None:
            return NotImplemented
        values = t.values
        value = t.node(op, (values.read(handle),), x.shape, name)
        values.write(handle, value)
        t.naming.operation(name, value, x)
        return x

    if hasattr(aten, name):
        FAST[getattr(aten, name).default] = out_of_place
    if hasattr(aten, name + "_"):
        FAST[getattr(aten, name + "_").default] = in_place


for _name in (
    "relu",
    "relu6",
    "silu",
    "hardswish",
    "hardsigmoid",
    "sigmoid",
    "gelu",
    "elu",
    "leaky_relu",
    "tanh",
    "hardtanh",
):
    _unary(_name)


_CONVOLUTIONS = {3: "conv1d", 4: "conv2d", 5: "conv3d"}


@lru_cache(maxsize=4096)
def _convolved(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Ints, padding: Ints, dilation: Ints, groups: int, biased: bool
) -> tuple[tuple[int, ...], ops.Convolution] | None:
    """Output shape and operation, or None where the shapes do not fit."""
    if len(x) != len(weight) or x[1] != weight[1] * groups or weight[0] % groups:
        return None
    op = convolution_op(weight[2:], stride, padding, dilation, groups, biased)
    space = tuple(map(window_outputs, x[2:], op.kernel, op.stride, op.padding, op.dilation))
    return None if min(space) < 1 else ((x[0], weight[0], *space), op)


@fast(aten.conv1d.default, aten.conv2d.default, aten.conv3d.default)
def convolution(
    t: Tracer,
    x: Tensor,
    weight: Tensor,
    bias: Maybe = None,
    stride: Ints = (1,),
    padding: Ints = (0,),
    dilation: Ints = (1,),
    groups: int = 1,
) -> Result:
    handle, kernel = t.handles.get(id(x)), t.handles.get(id(weight))
    if handle is None or kernel is None or (bias is not None and t.depends(bias)):
        return NotImplemented
    steps = (tuple(stride), tuple(padding), tuple(dilation))
    found = _convolved(tuple(x.shape), tuple(weight.shape), *steps, groups, bias is not None)
    if found is None:
        return NotImplemented
    out = convolved(x, weight, found[0])
    read = t.values.read
    return _finish(t, out, found[1], (read(handle), read(kernel)), _CONVOLUTIONS[len(found[0])])


_BATCH_NORM = ops.Pointwise("batch_norm")


@fast(aten.batch_norm.default)
def batch_norm(
    t: Tracer, x: Tensor, weight: Maybe, bias: Maybe, mean: Maybe, var: Maybe, training: bool, *_: object
) -> Result:
    handle = t.handles.get(id(x))
    if handle is None or training or mean is None or mean.shape[0] != x.shape[1]:
        return NotImplemented
    for item in (weight, bias, mean, var):
        own = None if item is None else t.handles.get(id(item))
        if own is not None and own.original is None and item is not None and t.depends(item):
            return NotImplemented
    return _finish(t, blank(x.shape, x.dtype, channels_last(x)), _BATCH_NORM, (t.values.read(handle),), "batch_norm")


def _binary(name: str, op: ops.Pointwise, out_of_place: Overload, in_place: Overload) -> None:
    """``name`` as PyTorch says it, which names the layer."""

    def operands(t: Tracer, a: Tensor, b: Tensor, alpha: float = 1) -> tuple[Handle, Handle] | None:
        first, second = t.handles.get(id(a)), t.handles.get(id(b))
        if alpha != 1 or first is None or second is None or a.shape != b.shape or a.dtype != b.dtype:
            return None
        return first, second

    def make(t: Tracer, a: Tensor, b: Tensor, **scale: float) -> Result:
        pair = operands(t, a, b, **scale)
        if pair is None or (a.stride() != b.stride() and not (a.is_contiguous() and b.is_contiguous())):
            return NotImplemented
        read = t.values.read
        return _finish(t, like(a), op, (read(pair[0]), read(pair[1])), name)

    def update(t: Tracer, a: Tensor, b: Tensor, **scale: float) -> Result:
        pair = operands(t, a, b, **scale)
        if pair is None:
            return NotImplemented
        values = t.values
        value = t.node(op, (values.read(pair[0]), values.read(pair[1])), a.shape, name)
        values.write(pair[0], value)
        t.naming.operation(name, value, a)
        return a

    FAST[out_of_place], FAST[in_place] = make, update


_binary("add", ops.Pointwise("add"), aten.add.Tensor, aten.add_.Tensor)
_binary("mul", ops.Pointwise("multiply"), aten.mul.Tensor, aten.mul_.Tensor)


@lru_cache(maxsize=512)
def linear_op(rank: int, biased: bool) -> ops.Contract:
    """The last axis against the second of the weight."""
    return ops.Contract((tuple(range(rank)), (rank, rank - 1)), (*range(rank - 1), rank), biased)


@fast(aten.linear.default)
def linear(t: Tracer, x: Tensor, weight: Tensor, bias: Maybe = None) -> Result:
    handle, kernel = t.handles.get(id(x)), t.handles.get(id(weight))
    if handle is None or kernel is None or (bias is not None and t.depends(bias)):
        return NotImplemented
    shape, size = x.shape, weight.shape
    if len(size) != 2 or shape[-1] != size[1]:
        return NotImplemented
    out = torch.empty((*shape[:-1], size[0]), dtype=x.dtype, device="meta")
    read = t.values.read
    return _finish(t, out, linear_op(len(shape), bias is not None), (read(handle), read(kernel)), "linear")


@lru_cache(maxsize=64)
def concatenate_op(axis: int) -> ops.Concatenate:
    """One concatenation per axis."""
    return ops.Concatenate(axis)


@fast(aten.cat.default)
def concatenate(t: Tracer, tensors: Sequence[Tensor], dim: int = 0) -> Result:
    first = tensors[0]
    axis = dim + first.dim() if dim < 0 else dim
    inputs, length, shape, last = [], 0, list(first.shape), True
    for tensor in tensors:
        handle = t.handles.get(id(tensor))
        own = tensor.shape
        if handle is None or tensor.dtype != first.dtype or len(own) != len(shape):
            return NotImplemented
        inputs.append(t.values.read(handle))
        last = last and channels_last(tensor)
        length += own[axis]
        if tuple(own[:axis]) != tuple(shape[:axis]) or tuple(own[axis + 1 :]) != tuple(shape[axis + 1 :]):
            return NotImplemented
    shape[axis] = length
    out = blank(shape, first.dtype, last)
    return _finish(t, out, concatenate_op(axis), tuple(inputs), "cat")


@fast(aten.dropout.default, aten.feature_dropout.default, aten.dropout_.default, aten.alpha_dropout.default)
def dropout(t: Tracer, x: Tensor, p: float, training: bool) -> Result:
    if training or id(x) not in t.handles:
        return NotImplemented
    return x
