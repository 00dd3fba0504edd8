"""Lowering of sequences (lists of operands, known in length) and optional values."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.frontends.onnx.lowering.movement import pieces
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.ir import ops

Sequence = list[Operand]


def _place(call: Call, position: Operand, length: int) -> int:
    place = int(call.array(position, "the position").reshape(()))
    if not -length <= place <= length:
        raise Refused(f"position {place} in a sequence of {length}")
    return place + length if place < 0 else place


@lowering("SequenceConstruct")
def construct(call: Call, *items: Operand) -> list[Sequence]:
    """A list of its inputs."""
    return [list(items)]


@lowering("SequenceEmpty")
def empty(call: Call) -> list[Sequence]:
    """An empty list."""
    return [[]]


@lowering("SequenceAt")
def at(call: Call, items: Sequence, position: Operand) -> Operand:
    """One item."""
    return items[_place(call, position, len(items))]


@lowering("SequenceInsert")
def insert(call: Call, items: Sequence, item: Operand, position: Operand | None = None) -> list[Sequence]:
    """At the end by default."""
    place = len(items) if position is None else _place(call, position, len(items))
    return [[*items[:place], item, *items[place:]]]


@lowering("SequenceErase")
def erase(call: Call, items: Sequence, position: Operand | None = None) -> list[Sequence]:
    """The last one by default."""
    place = len(items) - 1 if position is None else _place(call, position, len(items))
    return [[*items[:place], *items[place + 1 :]]]


@lowering("SequenceLength")
def length(call: Call, items: Sequence) -> Operand:
    """Known, whatever the items hold."""
    return call.constant(np.asarray(len(items), dtype=np.int64))


@lowering("ConcatFromSequence")
def concatenate(call: Call, items: Sequence) -> Operand:
    """Joined along an axis, or side by side along a new one."""
    if not items:
        raise Refused("an empty sequence")
    shape = items[0].shape
    new = bool(call.attribute("new_axis", 0))
    axis = axis_of(int(call.attribute("axis")), len(shape) + new)
    if new:
        wide = (*shape[:axis], 1, *shape[axis:])
        items = [call.emit(ops.Reshape(), item, wide) for item in items]
    total = sum(item.shape[axis] for item in items)
    out = (*items[0].shape[:axis], total, *items[0].shape[axis + 1 :])
    return call.emit(ops.Concatenate(axis), items, out)


@lowering("SplitToSequence")
def split(call: Call, x: Operand, sizes: Operand | None = None) -> list[Sequence]:
    """Parts of given lengths, or of one length, the last being the rest; single positions by default."""
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    n = x.shape[axis]
    numbers = np.asarray(1) if sizes is None else call.array(sizes, "the lengths")
    if numbers.ndim == 0:
        step = int(numbers)
        if step < 1:
            raise Refused(f"parts of length {step}")
        lengths = [min(step, n - start) for start in range(0, n, step)]
    else:
        lengths = [int(k) for k in numbers]
    parts = pieces(call, x, axis, lengths)
    if sizes is None and not call.attribute("keepdims", 1):
        flat = (*x.shape[:axis], *x.shape[axis + 1 :])
        parts = [call.emit(ops.Reshape(), part, flat) for part in parts]
    return [parts]


@lowering("Optional", "OptionalGetElement")
def optional(call: Call, x: Any = None) -> list[Any]:
    """The value itself."""
    if x is None:
        raise Refused("an optional value that is not there")
    return [x]


@lowering("OptionalHasElement")
def has_element(call: Call, x: Any = None) -> Operand:
    """Known when the model is traced."""
    return call.constant(np.asarray(x is not None))
