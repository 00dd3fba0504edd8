"""Lowering of moves: reshape, broadcast, slices, padding, gathers and scatters."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from foveal.frontends import tables
from foveal.frontends.jax.lowering.table import rule
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Shape, Tracer
from foveal.ir import ops


@rule("reshape", "squeeze")
def reshape(t: Tracer, eqn: Equation, x: Cell, *_: object) -> int:
    return t.reshaped(t.value(x), eqn.outvars[0].aval.shape)


@rule("broadcast_in_dim")
def broadcast(t: Tracer, eqn: Equation, x: Cell, *_: object) -> int:
    shape = eqn.outvars[0].aval.shape
    placed = [1] * len(shape)
    for axis, n in zip(eqn.params["broadcast_dimensions"], x.shape):
        placed[axis] = n
    value = t.reshaped(t.value(x), tuple(placed))
    return value if tuple(placed) == shape else t.node(ops.Expand(), (value,), shape)


@rule("broadcast_to")
def broadcast_to(t: Tracer, eqn: Equation, x: Cell, *_: object) -> int:
    return t.node(ops.Expand(), (t.value(x),), eqn.outvars[0].aval.shape)


@rule("transpose")
def transpose(t: Tracer, eqn: Equation, x: Cell) -> int:
    return t.permuted(t.value(x), tuple(eqn.params["permutation"]))


@rule("rev")
def reverse(t: Tracer, eqn: Equation, x: Cell) -> int:
    return t.node(ops.Flip(tuple(eqn.params["dimensions"])), (t.value(x),), x.shape)


@rule("slice")
def slices(t: Tracer, eqn: Equation, x: Cell) -> int:
    strides = eqn.params["strides"] or (1,) * len(x.shape)
    return sliced(t, t.value(x), eqn.params["start_indices"], eqn.outvars[0].aval.shape, strides)


def sliced(t: Tracer, value: int, starts: Sequence[int], shape: tuple[int, ...], strides: Sequence[int]) -> int:
    """One slice per axis that changes."""
    current = t.shape(value)
    for axis, (start, step, n) in enumerate(zip(starts, strides, shape)):
        if n != current[axis] or step != 1 or start:
            current = (*current[:axis], n, *current[axis + 1 :])
            value = t.node(ops.Slice(axis, int(start), int(step)), (value,), current)
    return value


@rule("split")
def split(t: Tracer, eqn: Equation, x: Cell) -> list[int]:
    axis, start, made = eqn.params["axis"], 0, []
    for var, size in zip(eqn.outvars, eqn.params["sizes"]):
        made.append(t.node(ops.Slice(axis, start), (t.value(x),), var.aval.shape))
        start += size
    return made


@rule("concatenate")
def concatenate(t: Tracer, eqn: Equation, *cells: Cell) -> int:
    op = ops.Concatenate(eqn.params["dimension"])
    return t.node(op, [t.value(cell) for cell in cells], eqn.outvars[0].aval.shape)


@rule("pad")
def pad(t: Tracer, eqn: Equation, x: Cell, fill: Cell) -> int:
    """Interior padding spreads the elements; the rest pads or crops. A computed fill is read by every padded place."""
    value, shape = t.value(x), eqn.outvars[0].aval.shape
    config = eqn.params["padding_config"]
    for axis, (_, _, interior) in enumerate(config):
        value = t.spread(value, axis, interior + 1)
    number = float(np.real(fill.data)) if fill.data is not None else 1.0
    widths = tuple((int(low), int(high)) for low, high, _ in config)
    if any(pair != (0, 0) for pair in widths):
        value = t.node(ops.Pad(widths, "constant", number), (value,), shape)
    return t.together([value, t.value(fill)], shape, "pad") if t.depends(fill) else value


@rule("tile")
def tile(t: Tracer, eqn: Equation, x: Cell) -> int:
    value = t.value(x)
    for axis, count in enumerate(eqn.params["reps"]):
        if count > 1:
            index = np.tile(np.arange(x.shape[axis]), count)
            shape = t.shape(value)
            value = t.node(ops.Take(axis, index), (value,), (*shape[:axis], index.size, *shape[axis + 1 :]))
    return value


@rule("stack")
def stack(t: Tracer, eqn: Equation, *cells: Cell) -> int:
    axis, shape = eqn.params.get("axis", 0), eqn.outvars[0].aval.shape
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [t.reshaped(t.value(cell), one) for cell in cells]
    return t.node(ops.Concatenate(axis), parts, shape)


@rule("unstack")
def unstack(t: Tracer, eqn: Equation, x: Cell) -> list[int]:
    axis, made = eqn.params.get("axis", 0), []
    one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    for number, var in enumerate(eqn.outvars):
        value = t.node(ops.Slice(axis, number), (t.value(x),), one)
        made.append(t.reshaped(value, var.aval.shape))
    return made


@rule("dynamic_slice")
def dynamic_slice(t: Tracer, eqn: Equation, x: Cell, *starts: Cell) -> int:
    """With known starts (moved inside, as XLA does) a slice; with computed ones a sample."""
    shape = eqn.outvars[0].aval.shape
    if any(start.data is None for start in starts):
        inputs = [t.value(cell) for cell in (x, *starts) if cell.data is None]
        return t.node(ops.Sample("dynamic_slice"), inputs, shape)
    return sliced(t, t.value(x), _inside(x.shape, shape, starts), shape, (1,) * len(shape))


@rule("dynamic_update_slice")
def dynamic_update_slice(t: Tracer, eqn: Equation, x: Cell, part: Cell, *starts: Cell) -> int:
    if any(start.data is None for start in starts):
        inputs = [t.value(cell) for cell in (x, part, *starts) if cell.data is None]
        return t.node(ops.Sample("dynamic_update_slice"), inputs, x.shape)
    op = ops.Place(tuple(_inside(x.shape, part.shape, starts)), (1,) * len(x.shape))
    return t.node(op, (t.value(x), t.value(part)), x.shape)


def _inside(whole: Shape, part: Shape, starts: Sequence[Cell]) -> list[int]:
    return [int(np.clip(np.asarray(s.data), 0, n - m)) for s, n, m in zip(starts, whole, part)]


@rule("gather")
def gather(t: Tracer, eqn: Equation, x: Cell, indices: Cell) -> int:
    """Known indices are a move, found by gathering positions; computed ones sample."""
    shape = eqn.outvars[0].aval.shape
    if indices.data is None:
        if t.depends(indices) and not t.depends(x) and _one_row_each(eqn, x):
            return _looked_up(t, eqn, indices, shape)
        return t.node(ops.Sample("gather"), (t.value(x), t.value(indices)), shape)
    index = _run_on(eqn, _positions(x.shape) + 1, indices.data, fill=0) - 1
    axis = _taken_axis(eqn, x)
    if axis is not None and shape == (*x.shape[:axis], shape[axis], *x.shape[axis + 1 :]):
        stride = int(np.prod(x.shape[axis + 1 :]))
        row = np.moveaxis(index, axis, 0).reshape(shape[axis], -1)[:, 0] if index.size else np.zeros(0, np.int64)
        return t.node(ops.Take(axis, np.where(row < 0, -1, row // stride)), (t.value(x),), shape)
    return t.node(ops.Gather(index), (t.value(x),), shape)


def _taken_axis(eqn: Equation, x: Cell) -> int | None:
    """The single axis that is indexed while all others are kept whole and in place; None where there is none."""
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    partial = [axis for axis, (size, n) in enumerate(zip(sizes, x.shape)) if size != n]
    axes = sorted(set(numbers.start_index_map) | set(partial))
    if len(axes) != 1 or numbers.operand_batching_dims or numbers.collapsed_slice_dims != tuple(axes):
        return None
    rest = tuple(axis for axis in range(len(x.shape)) if axis != axes[0])
    return axes[0] if numbers.offset_dims == rest else None


def _one_row_each(eqn: Equation, x: Cell) -> bool:
    """An embedding: rows of a table of weights."""
    numbers = eqn.params["dimension_numbers"]
    return numbers.start_index_map == (0,) == numbers.collapsed_slice_dims and not numbers.operand_batching_dims


def _looked_up(t: Tracer, eqn: Equation, indices: Cell, shape: tuple[int, ...]) -> int:
    """Each index reads its own row: the table's axes come last."""
    offset = eqn.params["dimension_numbers"].offset_dims
    row = [axis for axis in range(len(shape)) if axis not in offset]
    value = t.reshaped(t.value(indices), indices.shape[:-1])
    value = t.node(ops.Lookup(), (value,), tuple(shape[axis] for axis in (*row, *offset)))
    return t.permuted(value, tuple(int(axis) for axis in np.argsort((*row, *offset))))


def _positions(shape: Sequence[int]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)


def _run_on(eqn: Equation, *arrays: np.ndarray, fill: int | None = None) -> np.ndarray:
    """The primitive itself, run on whole numbers."""
    params = dict(eqn.params)
    if fill is not None and "fill_value" in params:
        params["fill_value"] = fill
    with jax.ensure_compile_time_eval():
        return np.asarray(eqn.primitive.bind(*(jnp.asarray(array) for array in arrays), **params)).astype(np.int64)


_JOINS = {"scatter-add": "add", "scatter-sub": "add", "scatter-mul": "multiplied", "scatter-min": "minimum",
          "scatter-max": "maximum"}  # fmt: skip


@rule("scatter", "scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max")
def scatter(t: Tracer, eqn: Equation, x: Cell, indices: Cell, updates: Cell) -> int:
    """Known indices are a move; computed ones reach everywhere. Several updates of one place are joined; of those that
    replace each other any may stay.
    """
    shape = x.shape
    inputs = [t.value(cell) for cell in (x, indices, updates) if cell.data is None]
    if indices.data is None:
        return t.node(ops.Sample("scatter"), inputs, shape)
    lines = _targets(eqn, x, indices, updates)
    index = tables.back(lines, int(np.prod(shape)))
    if index is None:
        return t.opaque(eqn, inputs, shape, "scatter of too many updates to one place")
    name = _JOINS.get(eqn.primitive.name, "scatter")
    axis = _written_axis(eqn, x, updates)
    stride = int(np.prod(shape[axis + 1 :])) if axis is not None else 1
    if axis is not None:
        first = np.moveaxis(lines, axis, 0).reshape(updates.shape[axis], -1)[:, 0] if lines.size else lines.reshape(-1)
        along = tables.back(np.where(first < 0, -1, first // stride), shape[axis])
        assert along is not None
        op: ops.Operation = ops.Take(axis, along[:, 0] if along.shape[1] == 1 else along, None, name)
    else:
        op = ops.Gather(index.reshape(shape) if index.shape[1] == 1 else index.reshape(*shape, -1), None, name)
    if eqn.primitive.name == "scatter" and _applies(eqn) and updates.data is not None:
        return t.node(ops.Pointwise("apply"), (t.value(x),), shape)
    moved = t.node(op, (t.value(updates),), shape)
    if eqn.primitive.name == "scatter" and not _applies(eqn):
        reached = (index >= 0).any(axis=1).reshape(shape)
        return t.node(ops.Select(), (t.array(reached), moved, t.value(x)), shape)
    inputs = [t.value(x)] if x.data is None else []
    return t.node(ops.Pointwise(name), (*inputs, moved), shape)


def _applies(eqn: Equation) -> bool:
    """Whether what is written is worked out from what stood there (``.at[].apply``)."""
    update = eqn.params.get("update_jaxpr")
    return update is not None and update.outvars[0] is not update.invars[1]


def _written_axis(eqn: Equation, x: Cell, updates: Cell) -> int | None:
    """The single axis that is indexed while the updates hold all others whole and in place."""
    numbers = eqn.params["dimension_numbers"]
    axes = numbers.scatter_dims_to_operand_dims
    if len(axes) != 1 or numbers.operand_batching_dims or numbers.inserted_window_dims != tuple(axes):
        return None
    rest = tuple(axis for axis in range(len(x.shape)) if axis != axes[0])
    whole = len(updates.shape) == len(x.shape) and all(updates.shape[a] == x.shape[a] for a in rest)
    return axes[0] if whole and tuple(numbers.update_window_dims) == rest else None


def _targets(eqn: Equation, x: Cell, indices: Cell, updates: Cell) -> np.ndarray:
    """The row-major place of the operand that each update reaches (-1: none): the gather that reads what it writes."""
    numbers = eqn.params["dimension_numbers"]
    window = list(numbers.update_window_dims)
    skipped = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = [1 if axis in skipped else updates.shape[window.pop(0)] for axis in range(len(x.shape))]
    opposite = jax.lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    mode = eqn.params["mode"]
    with jax.ensure_compile_time_eval():
        found = jax.lax.gather(
            jnp.asarray(_positions(x.shape)), jnp.asarray(indices.data), opposite, sizes, mode=mode, fill_value=-1
        )
        return np.asarray(found).astype(np.int64)


@rule("bitcast_convert_type")
def bitcast(t: Tracer, eqn: Equation, x: Cell) -> int:
    """Narrower numbers stand side by side on a new last axis, and are one number again."""
    shape, value = eqn.outvars[0].aval.shape, t.value(x)
    if len(shape) > len(x.shape):
        value = t.node(ops.Expand(), (t.reshaped(value, (*x.shape, 1)),), shape)
    elif len(shape) < len(x.shape):
        value = t.node(ops.Reduce((len(shape),), False, "bitcast"), (value,), shape)
    return t.node(ops.Pointwise("bitcast"), (value,), shape)
