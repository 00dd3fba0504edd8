"""Lowering of gathering, scattering, selecting and sorting."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.frontends import tables
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, Shape, axis_of, lowering
from foveal.frontends.tables import places
from foveal.ir import ops

_JOINS = {"add": "add", "mul": "multiplied", "max": "maximum", "min": "minimum"}


def wrapped(index: np.ndarray, length: int) -> np.ndarray:
    """Indices that count from the end made positive; raises ValueError for one that points outside."""
    numbers = index.astype(np.int64)
    outside = numbers[(numbers < -length) | (numbers >= length)]
    if outside.size:
        raise ValueError(f"index {outside[0]} points outside of {length} elements")
    return np.where(numbers < 0, numbers + length, numbers)


def moved(call: Call, x: Operand, index: np.ndarray) -> Operand:
    """The elements of ``x`` at row-major positions ``index``; -1 is nothing."""
    return call.emit(ops.Gather(np.ascontiguousarray(index)), x, index.shape)


@lowering("Gather")
def gather(call: Call, x: Operand, index: Operand) -> Operand | list[Operand]:
    """A constant index takes; a computed one looks up in a fixed table, or samples."""
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    numbers = index.array
    if numbers is None:
        return _looked_up(call, x, index, axis)
    flat = wrapped(numbers, x.shape[axis]).reshape(-1)
    taken = (*x.shape[:axis], flat.size, *x.shape[axis + 1 :])
    out = (*x.shape[:axis], *numbers.shape, *x.shape[axis + 1 :])
    value = call.emit(ops.Take(axis, flat), x, taken)
    return value if taken == out else call.emit(ops.Reshape(), value, out)


def _looked_up(call: Call, x: Operand, index: Operand, axis: int) -> Operand | list[Operand]:
    if x.depends or not index.depends:
        return call.data_dependent([x, index])
    out = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if axis == 0:
        return call.emit(ops.Lookup(), index, out)
    wide = (1,) * axis + index.shape + (1,) * (x.rank - axis - 1)
    return call.emit(ops.Expand(), call.emit(ops.Reshape(), index, wide), out)


@lowering("GatherElements")
def gather_elements(call: Call, x: Operand, index: Operand) -> Operand | list[Operand]:
    """A constant index is a move; a computed one looks up in a fixed table, or samples."""
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    numbers = index.array
    if numbers is None:
        if x.depends or not index.depends:
            return call.data_dependent([x, index])
        return call.emit(ops.Pointwise("lookup"), index, index.shape)
    along = wrapped(numbers, x.shape[axis])
    line = tables.line(along, axis, x.shape)
    if line is not None:
        return call.emit(ops.Take(axis, line), x, index.shape)
    return moved(call, x, _along(places(x.shape), along, axis))


def _along(array: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """``take_along_axis`` where the index may be shorter along the other axes."""
    cut = tuple(slice(None) if k == axis else slice(n) for k, n in enumerate(index.shape))
    return np.take_along_axis(array[cut], index, axis)


@lowering("GatherND")
def gather_nd(call: Call, x: Operand, index: Operand) -> Operand | list[Operand]:
    """The last axis of the index holds coordinates; leading ``batch_dims`` axes go together."""
    batch = int(call.attribute("batch_dims", 0))
    numbers = index.array
    if numbers is None:
        if x.depends or not index.depends:
            return call.data_dependent([x, index])
        return _tuple_lookup(call, index, call.shapes[0])
    return moved(call, x, places(x.shape)[_coordinates(numbers, x.shape, batch)])


def _tuple_lookup(call: Call, index: Operand, out: Shape) -> Operand:
    """A fixed table read at computed coordinates: all coordinates of a tuple, and its axes come last."""
    kept = index.shape[:-1]
    value = call.emit(ops.Reduce((index.rank - 1,), False, "coordinates"), index, kept)
    wide = kept + (1,) * (len(out) - len(kept))
    return call.emit(ops.Expand(), call.emit(ops.Reshape(), value, wide), out)


def _coordinates(index: np.ndarray, shape: Shape, batch: int = 0) -> tuple[np.ndarray, ...]:
    rows = np.moveaxis(index, -1, 0)
    found = tuple(wrapped(row, shape[batch + k]) for k, row in enumerate(rows))
    lead = np.indices(index.shape[:-1])[:batch]
    return (*lead, *found)


@lowering("ScatterElements", "Scatter")
def scatter_elements(call: Call, x: Operand, index: Operand, updates: Operand) -> Operand | list[Operand]:
    """A constant index is a move; a computed one reaches along the whole axis."""
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    numbers = index.array
    if numbers is not None:
        along, reduction = wrapped(numbers, x.shape[axis]), call.word("reduction", "none", *_JOINS)
        line = tables.line(along, axis, x.shape)
        found = None if line is None or reduction == "none" else tables.back(line, x.shape[axis])
        if found is not None:
            joined = call.emit(ops.Take(axis, found, None, _JOINS[reduction]), updates, x.shape)
            return call.emit(ops.Pointwise(_JOINS[reduction]), (x, joined), x.shape)
        return written(call, x, _along(places(x.shape), along, axis), updates, reduction)
    if any(n != m for k, (n, m) in enumerate(zip(x.shape, index.shape, strict=True)) if k != axis):
        return call.data_dependent([x, index, updates])
    kept = tuple(1 if k == axis else n for k, n in enumerate(x.shape))
    parts = [call.emit(ops.Reduce((axis,), True, "scatter"), part, kept) for part in (index, updates)]
    return call.emit(ops.Pointwise("scatter"), (x, *parts), x.shape)


@lowering("ScatterND")
def scatter_nd(call: Call, x: Operand, index: Operand, updates: Operand) -> Operand | list[Operand]:
    """The last axis of the index holds coordinates; computed ones may write anywhere."""
    numbers = index.array
    if numbers is None:
        return call.data_dependent([x, index, updates])
    target = places(x.shape)[_coordinates(numbers, x.shape)]
    return written(call, x, target, updates, call.word("reduction", "none", *_JOINS))


def written(call: Call, x: Operand, target: np.ndarray, updates: Operand, reduction: str = "none") -> Operand:
    """``x`` with ``updates`` written to row-major positions ``target``; of several for one element the last stays, or
    all are joined.
    """
    flat = target.reshape(-1)
    if reduction == "none":
        back = np.full(prod(x.shape), -1, dtype=np.int64)
        back[flat] = np.arange(flat.size)
        mask = call.constant((back >= 0).reshape(x.shape))
        return call.emit(ops.Select(), (mask, moved(call, updates, back.reshape(x.shape)), x), x.shape)
    index = tables.back(flat, prod(x.shape))
    if index is None:
        raise Refused("too many updates of one element")
    joined = call.emit(ops.Gather(index.reshape(*x.shape, -1), None, _JOINS[reduction]), updates, x.shape)
    return call.emit(ops.Pointwise(_JOINS[reduction]), (x, joined), x.shape)


@lowering("TensorScatter")
def tensor_scatter(
    call: Call, cache: Operand, update: Operand, indices: Operand | None = None
) -> Operand | list[Operand]:
    """A block of the cache is replaced, from a place of its own for each sample."""
    axis = axis_of(int(call.attribute("axis", -2)), cache.rank)
    if indices is not None and not indices.known:
        return call.data_dependent([cache, update, indices])
    starts = np.zeros(cache.shape[0], dtype=np.int64) if indices is None else call.array(indices, "write_indices")
    place = np.indices(update.shape)
    at = place[axis] + starts.reshape(-1)[place[0]]
    place[axis] = at % cache.shape[axis] if call.word("mode", "linear", "circular") == "circular" else at
    return written(call, cache, np.ravel_multi_index(tuple(place), cache.shape), update)


@lowering("Compress")
def compress(call: Call, x: Operand, condition: Operand) -> Operand | list[Operand]:
    """A constant condition takes; a computed one sets the length of the output, too."""
    if not condition.known:
        return call.data_dependent([x, condition])
    chosen = np.flatnonzero(call.array(condition, "the condition").reshape(-1))
    axis = call.attribute("axis")
    if axis is None:
        return moved(call, x, chosen)
    along = axis_of(int(axis), x.rank)
    chosen = chosen[chosen < x.shape[along]]  # a condition may be longer than the axis
    shape = (*x.shape[:along], chosen.size, *x.shape[along + 1 :])
    return call.emit(ops.Take(along, chosen), x, shape)


@lowering("NonZero", "Unique")
def data_decides(call: Call, x: Operand) -> list[Operand]:
    """Data decides how long the output is, and what stands where."""
    return call.data_dependent([x])


@lowering("TopK")
def top_k(call: Call, x: Operand, k: Operand | None = None) -> list[Operand]:
    """Any of the largest may be anywhere along the axis."""
    if k is not None and k.depends:
        return call.data_dependent([x, k])
    axis = axis_of(int(call.attribute("axis", -1)), x.rank)
    value = call.emit(ops.Mix((axis,), "sort"), x, x.shape)
    if call.shapes[0] != x.shape:
        value = call.emit(ops.Slice(axis, 0), value, call.shapes[0])
    return [value] * max(1, call.wanted)
