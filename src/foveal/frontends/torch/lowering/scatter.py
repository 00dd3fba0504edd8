"""Lowering of gathers and scatters by constant indices, and of sampling at constant points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveal.frontends import tables
from foveal.frontends.torch.lowering.index import positive, sampled
from foveal.frontends.torch.lowering.pointwise import operand, times
from foveal.frontends.torch.lowering.table import Made, Maybe, Operand, Outputs, Sizes, Tracer, axis_of, ints, rule
from foveal.frontends.torch.lowering.views import positions
from foveal.ir import ops

JOINS = {"sum": "add", "add": "add", "mean": "add", "prod": "multiplied", "multiply": "multiplied", "amax": "maximum",
         "amin": "minimum"}  # fmt: skip
MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


@rule("gather")
def gather(t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor, **_: object) -> int:
    if id(index) not in t.handles:
        data = t.data(index).astype(np.int64)
        along = tables.line(data, axis_of(dim, x.dim()), tuple(x.shape)) if x.dim() else None
        if along is not None:
            return t.node(ops.Take(axis_of(dim, x.dim()), along), (t.value(x),), out.shape, "gather")
        place = torch.gather(positions(x), dim, torch.as_tensor(data))
        return t.node(ops.Gather(place.numpy()), (t.value(x),), out.shape, "gather")
    if not t.depends(x):
        return t.node(ops.Pointwise("lookup"), (t.value(index),), out.shape, "gather")
    axis, kept = axis_of(dim, x.dim()), list(x.shape)
    kept[axis : axis + 1] = [1]
    if not x.dim() or [*kept[:axis], *kept[axis + 1 :]] != [size for k, size in enumerate(index.shape) if k != axis]:
        return sampled(t, out, "gather", x, index)
    line = t.node(ops.Sample("gather", axis), (t.value(x),), kept, "gather")
    return t.node(ops.Pointwise("gather"), (line, t.value(index)), out.shape, "gather")


@rule("take")
def take(t: Tracer, out: Tensor, x: Tensor, index: Tensor) -> int:
    if id(index) in t.handles:
        return sampled(t, out, "take", x, index)
    return t.node(ops.Gather(positive(t.data(index), x.numel())), (t.value(x),), out.shape, "take")


@rule(
    "scatter", "scatter.src", "scatter.value", "scatter_add", "scatter_reduce", "scatter.reduce", "scatter.value_reduce"
)
def scatter(
    t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Operand, reduce: str = "", **_: Any
) -> int:
    """A constant index is a move; a computed one reaches along the whole axis."""
    reduce = "sum" if t.plain == "scatter_add" else reduce
    axis = axis_of(dim, x.dim())
    if id(index) in t.handles:
        return _computed(t, out, x, axis, index, source, reduce)
    data = t.data(index).astype(np.int64)
    place = torch.gather(positions(x), dim, torch.as_tensor(data)).numpy()
    if not isinstance(source, Tensor) and (not reduce or (reduce == "multiply" and source == 0)):
        return _write(t, x, place, None, source)
    value = operand(t, source)
    if not isinstance(source, Tensor):
        value = t.node(ops.Expand(), (value,), index.shape, "scatter")
    elif source.shape != index.shape:
        for k in range(x.dim()):
            shape = tuple(index.shape[: k + 1]) + tuple(source.shape[k + 1 :])
            value = t.node(ops.Slice(k, 0), (value,), shape, "scatter")
    if not reduce:
        return _write(t, x, place, value)
    along = tables.line(data, axis, tuple(x.shape)) if x.dim() else None
    return _joined(t, x, value, place, (axis, along), JOINS[reduce], bool(_.get("include_self", True)))


def _computed(t: Tracer, out: Tensor, x: Tensor, axis: int, index: Tensor, source: Operand, reduce: str) -> int:
    others = [size for k, size in enumerate(x.shape) if k != axis]
    parts = [item for item in (index, source) if isinstance(item, Tensor)]
    if any([size for k, size in enumerate(part.shape) if k != axis] != others for part in parts):
        return sampled(t, out, "scatter", x, *parts)
    kept = [1 if k == axis else size for k, size in enumerate(x.shape)]
    reduced = [
        t.value(part)
        if part.shape[axis] == 1
        else t.node(ops.Reduce((axis,), True, "scatter"), (t.value(part),), kept, "scatter")
        for part in parts
    ]
    if reduce in ("", "sum", "add"):  # one of the two, so that a constant among them is no known number
        new = reduced[1] if isinstance(source, Tensor) else operand(t, source)
        new = t.node(ops.Pointwise("add"), (new, t.value(x)), out.shape, "scatter") if reduce else new
        return t.node(ops.Select(), (reduced[0], new, t.value(x)), out.shape, "scatter")
    return t.node(ops.Pointwise("scatter"), (t.value(x), *reduced), out.shape, "scatter")


def _joined(
    t: Tracer,
    x: Tensor,
    value: int,
    place: np.ndarray,
    along: tuple[int, np.ndarray | None],
    name: str,
    keeps: bool = True,
) -> int:
    """``x`` with the elements of ``value`` joined to those at row-major positions ``place`` (``keeps``: not in place of
    them). along: an axis and the index along it, where it is the same everywhere.
    """
    axis, line = along
    shape = tuple(x.shape)
    if line is None:
        index = tables.back(place, x.numel())
        op: ops.Operation | None = None if index is None else ops.Gather(index.reshape(*shape, -1), None, name)
    else:
        index = tables.back(positive(line, shape[axis]), shape[axis])
        op = None if index is None else ops.Take(axis, index, None, name)
    if index is None or op is None:
        t.builder.note("opaque", t.builder.scope, f"{t.plain}: too many elements for one place")
        return t.node(ops.Opaque(f"aten::{t.plain}"), (t.value(x), value), shape, t.plain)
    moved = t.node(op, (value,), shape, t.plain)
    if keeps:
        return t.node(ops.Pointwise(name), (t.value(x), moved), shape, t.plain)
    reached = np.asarray((index >= 0).any(axis=-1))
    mask = reached.reshape(shape if line is None else [n if k == axis else 1 for k, n in enumerate(shape)])
    return t.node(ops.Select(), (t.array(mask), moved, t.value(x)), shape, t.plain)


def _write(t: Tracer, x: Tensor, place: np.ndarray, value: int | None, number: complex = 0) -> int:
    """``x`` with the elements at row-major positions ``place`` replaced by those of ``value`` (same shape), or a
    number.
    """
    shape = tuple(x.shape)
    back = np.full(x.numel(), -1, dtype=np.int64)
    back[place.reshape(-1)] = np.arange(place.size)
    mask = t.array((back >= 0).reshape(shape))
    if value is None:
        new = t.array(np.asarray(number))
    else:
        new = t.node(ops.Gather(back.reshape(shape)), (value,), shape, "write")
    return t.node(ops.Select(), (mask, new, t.value(x)), shape, "write")


def _write_along(t: Tracer, x: Tensor, axis: int, index: np.ndarray, value: int, whole: bool) -> int:
    """The same for all of an axis at ``index``; ``whole``: ``value`` is a number for all."""
    shape = tuple(x.shape)
    back = np.full(shape[axis], -1, dtype=np.int64)
    back[positive(index, shape[axis])] = np.arange(index.size)
    mask = t.array((back >= 0).reshape([n if k == axis else 1 for k, n in enumerate(shape)]))
    new = value if whole else t.node(ops.Take(axis, back), (value,), shape, "write")
    return t.node(ops.Select(), (mask, new, t.value(x)), shape, "write")


@rule("index_put", "_index_put_impl", "_unsafe_index_put")
def index_put(
    t: Tracer, out: Tensor, x: Tensor, indices: Sequence[Maybe], values: Tensor, accumulate: bool = False, *_: object
) -> int:
    given = [(axis, item) for axis, item in enumerate(indices) if item is not None]
    if any(id(item) in t.handles for _, item in given):
        masks = [item for _, item in given]
        inner = x.dim() - given[0][0] - masks[0].dim()
        if len(masks) == 1 and masks[0].dtype is torch.bool and not accumulate and values.dim() <= inner + 1:
            filled = _masked(t, x, masks[0], values, inner)
            if filled is not None:
                return filled
        return sampled(t, x, "index_put", x, values, *masks)
    places = positions(x)[tuple(slice(None) if item is None else torch.as_tensor(t.data(item)) for item in indices)]
    place = places.numpy()
    value = t.value(values)
    if tuple(values.shape) != place.shape:
        value = t.node(ops.Expand(), (value,), place.shape, "index_put")
    if accumulate:
        return _joined(t, x, value, place, (0, None), "add")
    return _write(t, x, place, value)


def _masked(t: Tracer, x: Tensor, mask: Tensor, values: Tensor, inner: int) -> int | None:
    """Where a computed mask is true the same values stand (numbers, or a row along the ``inner`` axes behind it)."""
    if values.dim() > inner and values.shape[0] != 1:
        return None
    shape, row = (*mask.shape, *(1,) * inner), tuple(values.shape)[max(0, values.dim() - inner) :]
    condition = t.value(mask) if not inner else t.node(ops.Reshape(), (t.value(mask),), shape, "index_put")
    value = t.value(values)
    if row != tuple(values.shape):
        value = t.node(ops.Reshape(), (value,), row, "index_put")
    return t.node(ops.Select(), (condition, value, t.value(x)), x.shape, "index_put")


@rule("put")
def put(t: Tracer, out: Tensor, x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> int:
    """Row-major positions, whatever the shape."""
    if id(index) in t.handles:
        return sampled(t, x, "put", x, index, source)
    place = positive(t.data(index), x.numel())
    if accumulate:
        return _joined(t, x, t.value(source), place, (0, None), "add")
    return _write(t, x, place, t.value(source))


@rule("masked_scatter")
def masked_scatter(t: Tracer, out: Tensor, x: Tensor, mask: Tensor, source: Tensor) -> int:
    """The chosen places take the elements of the source in order."""
    if id(mask) in t.handles:
        return sampled(t, out, "masked_scatter", x, mask, source)
    chosen = np.flatnonzero(np.broadcast_to(t.data(mask), tuple(out.shape)))
    back = np.full(out.numel(), -1, dtype=np.int64)
    back[chosen] = np.arange(chosen.size)
    new = t.node(ops.Gather(back.reshape(tuple(out.shape))), (t.value(source),), out.shape, "masked_scatter")
    return t.node(ops.Select(), (t.value(mask), new, t.value(x)), out.shape, "masked_scatter")


@rule("index_add")
def index_add(t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> int:
    return _at_index(t, x, dim, index, source, "add", True, alpha)


@rule("index_reduce")
def index_reduce(
    t: Tracer,
    out: Tensor,
    x: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> int:
    return _at_index(t, x, dim, index, source, JOINS[reduce], include_self)


def _at_index(
    t: Tracer, x: Tensor, dim: int, index: Tensor, source: Tensor, name: str, keeps: bool, alpha: float = 1
) -> int:
    if id(index) in t.handles:
        return sampled(t, x, t.plain, x, index, source)
    if not x.dim():
        return t.node(ops.Pointwise(name), (t.value(x), t.value(source)), x.shape, t.plain)
    along = (axis_of(dim, x.dim()), t.data(index).reshape(-1))
    return _joined(t, x, times(t, t.value(source), alpha, source.shape), along[1], along, name, keeps)


@rule("index_copy")
def index_copy(t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    if id(index) in t.handles:
        return sampled(t, x, "index_copy", x, index, source)
    if not x.dim():
        return t.value(source)
    return _write_along(t, x, axis_of(dim, x.dim()), t.data(index).reshape(-1), t.value(source), False)


@rule("index_fill")
def index_fill(t: Tracer, out: Tensor, x: Tensor, dim: int, index: Tensor, value: Operand) -> int:
    if id(index) in t.handles:
        return sampled(t, x, "index_fill", x, index, value)
    if not x.dim():
        return t.node(ops.Expand(), (operand(t, value),), x.shape, "index_fill")
    return _write_along(t, x, axis_of(dim, x.dim()), t.data(index).reshape(-1), operand(t, value), True)


@rule("slice_scatter", "select_scatter", "diagonal_scatter")
def view_scatter(t: Tracer, out: Tensor, x: Tensor, source: Tensor, *args: Any, **kwargs: Any) -> int:
    """The place is told by the same view of positions."""
    plain = t.plain.removesuffix("_scatter")
    viewed = {"slice": torch.ops.aten.slice.Tensor, "select": torch.ops.aten.select.int}.get(
        plain, torch.ops.aten.diagonal.default
    )
    place = viewed(positions(x), *args, **kwargs)
    return _write(t, x, place.contiguous().numpy(), t.value(source))


@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "_grid_sampler_2d_cpu_fallback")
def grid_sample(t: Tracer, out: Tensor, x: Tensor, grid: Tensor, mode: int, padding: int, align: bool) -> int:
    """Constant points are a table; computed ones may be anywhere."""
    if id(grid) in t.handles:
        return sampled(t, out, t.plain, x, grid)
    moves = tables.sampling(tuple(x.shape), t.data(grid), MODES[mode], PADDINGS[padding], align)
    if moves is None:
        return sampled(t, out, t.plain, x, grid)
    value = t.value(x)
    for op, shape in moves:
        value = t.node(op, (value,), shape, "grid_sampler")
    return value


@rule("fractional_max_pool2d", "fractional_max_pool3d")
def fractional_pool(t: Tracer, out: Outputs, x: Tensor, kernel: Sizes, size: Sizes, samples: Tensor) -> Made:
    """Given numbers (one for each channel and axis) say where the windows are; drawn ones do not."""
    first, count = out[0], t.spatial
    lead, space = tuple(x.shape[:-count]), tuple(x.shape[-count:])
    pools, sizes = ints(kernel, count), tuple(first.shape[-count:])
    data = None if id(samples) in t.handles else t.data(samples).reshape(-1, count)
    if data is None or (t.depends(x) and not np.isfinite(data).all()):
        return (sampled(t, first, t.plain, x, samples),) * len(out)
    order = (1, 0) if count == 2 else (0, 1, 2)
    rows = [tables.fractional(data[:, order[a]], space[a], sizes[a], pools[a]) for a in range(count)]
    value = t.value(x)
    if all((row == row[:1]).all() for row in rows):
        shape = tuple(x.shape)
        for a, row in enumerate(rows):
            shape = (*shape[: len(lead) + a], sizes[a], *shape[len(lead) + a + 1 :])
            value = t.node(ops.Take(len(lead) + a, row[0], None, "max"), (value,), shape, t.plain)
        return (value,) * len(out)
    channels = int(np.prod(lead))
    rows = [np.broadcast_to(row, (channels, *row.shape[1:])) if len(row) == 1 else row for row in rows]
    flat = np.arange(channels).reshape(channels, *[1] * (2 * count))
    for a, row in enumerate(rows):
        wide = [channels, *[1] * (2 * count)]
        wide[1 + a], wide[1 + count + a] = row.shape[1:]
        flat = flat * space[a] + row.reshape(wide)
    index = flat.reshape(*lead, *sizes, -1)
    if index.size > tables.LARGEST:
        return (sampled(t, first, t.plain, x, samples),) * len(out)
    value = t.node(ops.Gather(index, None, "max"), (value,), first.shape, t.plain)
    return (value,) * len(out)
