"""Lowering of indexing, gathering, scattering, joining and other moves of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveal.frontends.torch.lowering.table import Made, Maybe, Outputs, Sizes, Tracer, axes_of, axis_of, rule
from foveal.frontends.torch.lowering.views import RESHAPE, permute_op, positions
from foveal.ir import ops


@rule("cat", "concat", "concatenate", "_cat")
def concatenate(t: Tracer, out: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> int:
    parts = [tensor for tensor in tensors if not (tensor.dim() == 1 and tensor.shape[0] == 0 and out.dim() != 1)]
    op = ops.Concatenate(axis_of(dim, out.dim()))
    return t.node(op, [t.value(part) for part in parts], out.shape, "cat")


@rule("stack")
def stack(t: Tracer, out: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> int:
    axis = axis_of(dim, out.dim())
    shape = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    parts = [t.node(RESHAPE, (t.value(tensor),), shape, "stack") for tensor in tensors]
    return t.node(ops.Concatenate(axis), parts, out.shape, "stack")


@rule("roll")
def roll(t: Tracer, out: Tensor, x: Tensor, shifts: Sizes, dims: Sizes = ()) -> int:
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    value = t.value(x)
    if not axes:
        value = t.node(RESHAPE, (value,), (x.numel(),), "roll")
        value = t.node(ops.Roll((0,), steps), (value,), (x.numel(),), "roll")
        return t.node(RESHAPE, (value,), out.shape, "roll")
    op = ops.Roll(tuple(axis_of(axis, x.dim()) for axis in axes), steps)
    return t.node(op, (value,), out.shape, "roll")


@rule("flip")
def flip(t: Tracer, out: Tensor, x: Tensor, dims: Sequence[int]) -> int:
    axes = axes_of(dims, x.dim()) if len(dims) else ()
    return t.node(ops.Flip(axes), (t.value(x),), out.shape, "flip")


@rule("rot90", "diag_embed", "diag", "take_along_axis", "fliplr", "flipud")
def moved(t: Tracer, out: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> int:
    """A move without a shorter form: the operation itself, run on positions, tells where each element comes from."""
    index = t.func(positions(x) + 1, *args, **kwargs) - 1
    return t.node(ops.Gather(index.contiguous().numpy()), (t.value(x),), out.shape, t.plain)


@rule("pixel_shuffle")
def pixel_shuffle(t: Tracer, out: Tensor, x: Tensor, factor: int) -> int:
    lead, (c, h, w) = tuple(x.shape[:-3]), x.shape[-3:]
    n = len(lead)
    value = t.node(RESHAPE, (t.value(x),), (*lead, c // factor**2, factor, factor, h, w), "pixel_shuffle")
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    value = t.node(permute_op(order), (value,), (*lead, c // factor**2, h, factor, w, factor), "pixel_shuffle")
    return t.node(RESHAPE, (value,), out.shape, "pixel_shuffle")


@rule("pixel_unshuffle")
def pixel_unshuffle(t: Tracer, out: Tensor, x: Tensor, factor: int) -> int:
    lead, (c, h, w) = tuple(x.shape[:-3]), x.shape[-3:]
    n = len(lead)
    split = (*lead, c, h // factor, factor, w // factor, factor)
    value = t.node(RESHAPE, (t.value(x),), split, "pixel_unshuffle")
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    value = t.node(permute_op(order), (value,), [split[axis] for axis in order], "pixel_unshuffle")
    return t.node(RESHAPE, (value,), out.shape, "pixel_unshuffle")


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(t: Tracer, out: Tensor, x: Tensor, groups: int) -> int:
    n, c, *space = x.shape
    value = t.node(RESHAPE, (t.value(x),), (n, groups, c // groups, *space), "channel_shuffle")
    order = (0, 2, 1, *range(3, len(space) + 3))
    value = t.node(permute_op(order), (value,), (n, c // groups, groups, *space), "channel_shuffle")
    return t.node(RESHAPE, (value,), out.shape, "channel_shuffle")


@rule("repeat_interleave.self_int", "repeat_interleave.self_Tensor")
def repeat_interleave(
    t: Tracer, out: Tensor, x: Tensor, repeats: Tensor | int, dim: int | None = None, **_: object
) -> int:
    value, shape = t.value(x), tuple(x.shape)
    if isinstance(repeats, Tensor) and id(repeats) in t.handles:
        return t.node(ops.Sample("repeat_interleave"), (value, t.value(repeats)), out.shape, "repeat_interleave")
    if dim is None:
        value, shape, dim = t.node(RESHAPE, (value,), (x.numel(),), "repeat_interleave"), (x.numel(),), 0
    axis = axis_of(dim, len(shape))
    counts = t.data(repeats) if isinstance(repeats, Tensor) else repeats
    index = np.repeat(np.arange(shape[axis]), counts)
    return t.node(ops.Take(axis, index), (value,), out.shape, "repeat_interleave")


@rule("index_select")
def index_select(t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor) -> int:
    axis = axis_of(dim, x.dim())
    if id(index) in t.handles:
        entry = looked_up(t, out, "index_select", x, axis, index)
        return sampled(t, out, "index_select", x, index) if entry is None else entry
    numbers = positive(t.data(index).reshape(-1), x.shape[axis])
    return t.node(ops.Take(axis, numbers), (t.value(x),), out.shape, "index_select")


def positive(index: np.ndarray, length: int) -> np.ndarray:
    """Indices that count from the end made positive."""
    numbers = index.astype(np.int64)
    return np.where(numbers < 0, numbers + length, numbers)


def looked_up(t: Tracer, out: Tensor, name: str, x: Tensor, axis: int, *indices: Tensor) -> int | None:
    """Of a table that no source reaches, read at computed places from ``axis`` on, an entry depends on its place; None
    where it is another kind of read.
    """
    if t.depends(x) or any(index.dtype is torch.bool for index in indices):
        return None
    computed = [index for index in indices if id(index) in t.handles]
    own = np.broadcast_shapes(*(tuple(index.shape) for index in computed))
    value = t.node(ops.Pointwise("lookup"), [t.value(index) for index in computed], own, name)
    last = axis + max(index.dim() for index in indices)
    value = t.node(RESHAPE, (value,), (*[1] * (last - len(own)), *own, *[1] * (out.dim() - last)), name)
    return t.node(ops.Expand(), (value,), out.shape, name)


def sampled(t: Tracer, out: Tensor, name: str, x: Tensor, *others: object) -> int:
    """Data says where it reads."""
    inputs = [t.value(item) for item in (x, *others) if isinstance(item, Tensor)]
    return t.node(ops.Sample(name), inputs, out.shape, name)


@rule("index", "_unsafe_index")
def index(t: Tracer, out: Tensor, x: Tensor, indices: Sequence[Maybe]) -> int:
    """Advanced indexing: constant indices are a move along one merged axis; computed ones sample."""
    given = [(axis, item) for axis, item in enumerate(indices) if item is not None]
    if any(id(item) in t.handles for _, item in given):
        if any(item.dtype is torch.bool and t.depends(item) for _, item in given):
            t.builder.note("data-dependent", t.builder.scope, "the shape of the result of index depends on data")
            t.set_length(out.shape)
        if len(given) == 1 and given[0][0] == 0 and given[0][1].dtype is not torch.bool and not t.depends(x):
            return t.node(ops.Lookup(), (t.value(given[0][1]),), out.shape, "index")
        axes = [axis for axis, _ in given]
        start = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0
        entry = looked_up(t, out, "index", x, start, *(item for _, item in given))
        return sampled(t, out, "index", x, *(item for _, item in given)) if entry is None else entry
    numbers, axes = constant_indices(t, given, tuple(x.shape))
    shape = tuple(x.shape)
    value = t.value(x)
    if axes != list(range(axes[0], axes[0] + len(axes))):
        order = (*axes, *(axis for axis in range(len(shape)) if axis not in axes))
        shape = tuple(shape[axis] for axis in order)
        value, axes = t.node(permute_op(order), (value,), shape, "index"), list(range(len(axes)))
    first, last = axes[0], axes[-1] + 1
    flat = np.ravel_multi_index(tuple(numbers), shape[first:last]).astype(np.int64)
    if last - first > 1:
        shape = (*shape[:first], int(np.prod(shape[first:last])), *shape[last:])
        value = t.node(RESHAPE, (value,), shape, "index")
    taken = (*shape[:first], flat.size, *shape[first + 1 :])
    value = t.node(ops.Take(first, flat.reshape(-1)), (value,), taken, "index")
    return value if taken == tuple(out.shape) else t.node(RESHAPE, (value,), out.shape, "index")


def constant_indices(
    t: Tracer, given: list[tuple[int, Tensor]], shape: tuple[int, ...]
) -> tuple[list[np.ndarray], list[int]]:
    """Index arrays, broadcast together, and the axes they index; a Boolean mask gives one array per axis it covers."""
    numbers: list[np.ndarray] = []
    axes: list[int] = []
    shift = 0
    for axis, item in given:
        data = t.data(item)
        parts = np.nonzero(data) if data.dtype in (np.bool_, np.uint8) else (data,)
        for offset, part in enumerate(parts):
            axes.append(axis + shift + offset)
            numbers.append(positive(part, shape[axis + shift + offset]))
        shift += len(parts) - 1 if data.dtype in (np.bool_, np.uint8) else 0
    return list(np.broadcast_arrays(*numbers)), axes


@rule(
    "torchvision::deform_conv2d",
    "torchvision::roi_align",
    "torchvision::roi_pool",
    "torchvision::ps_roi_align",
    "torchvision::ps_roi_pool",
    "torchvision::nms",
)
def sample_regions(t: Tracer, out: Outputs, x: Tensor, *args: object) -> Made:
    tensors = [item for item in args if isinstance(item, Tensor)]
    first = out[0] if isinstance(out, (tuple, list)) else out
    value = sampled(t, first, t.plain, x, *tensors)
    return (value,) * len(out) if isinstance(out, (tuple, list)) else value
