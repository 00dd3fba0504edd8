"""Lowering of moves: reshaping, slicing, padding, joining, repeating; sequences."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from foveal.frontends.onnx.lowering.table import Call, Item, Operand, Refused, Shape, axis_of, lowering
from foveal.ir import ops


@lowering("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(call: Call, x: Operand, shape: Operand | None = None) -> Operand | list[Operand]:
    """The second input gives the shape only; where data sets it, data decides."""
    if shape is not None and shape.depends:
        return call.data_dependent([x, shape])
    return call.emit(ops.Reshape(), x)


@lowering("Transpose")
def transpose(call: Call, x: Operand) -> Operand:
    """By default the order is reversed."""
    order = call.attribute("perm")
    if order is not None and len(order) != x.rank:
        raise ValueError(f"perm {list(order)} is no order of {x.rank} axes")
    return call.emit(ops.Permute(tuple(reversed(range(x.rank))) if order is None else tuple(order)), x)


@lowering("Expand")
def expand(call: Call, x: Operand, shape: Operand) -> Operand | list[Operand]:
    """Broadcasting in both directions."""
    if shape.depends:
        return call.data_dependent([x, shape])
    return call.emit(ops.Expand(), x)


@lowering("Tile")
def tile(call: Call, x: Operand, repeats: Operand) -> Operand | list[Operand]:
    """Each axis gets an axis of copies before it."""
    if repeats.depends:
        return call.data_dependent([x, repeats])
    counts = [m // n if n else 1 for n, m in zip(x.shape, call.shapes[0], strict=True)]
    value = call.emit(ops.Reshape(), x, tuple(k for n in x.shape for k in (1, n)))
    spread_out = tuple(k for count, n in zip(counts, x.shape, strict=True) for k in (count, n))
    return call.emit(ops.Reshape(), call.emit(ops.Expand(), value, spread_out))


@lowering("Concat")
def concatenate(call: Call, *operands: Operand) -> Operand:
    """Joined along the axis."""
    return call.emit(ops.Concatenate(axis_of(int(call.attribute("axis", 1)), operands[0].rank)), operands)


@lowering("Split")
def split(call: Call, x: Operand, sizes: Operand | None = None) -> list[Operand] | Operand:
    """Parts follow one another along the axis; their lengths show in the outputs' shapes."""
    if sizes is not None and sizes.depends:
        return call.data_dependent([x, sizes])
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    return pieces(call, x, axis, [shape[axis] for shape in call.shapes])


def pieces(call: Call, x: Operand, axis: int, lengths: list[int]) -> list[Operand]:
    """Consecutive parts of ``x`` along ``axis``."""
    parts, start = [], 0
    for length in lengths:
        parts.append(call.emit(ops.Slice(axis, start), x, (*x.shape[:axis], length, *x.shape[axis + 1 :])))
        start += length
    return parts


@lowering("Slice")
def slice_(
    call: Call,
    x: Operand,
    starts: Operand | None = None,
    ends: Operand | None = None,
    axes: Operand | None = None,
    steps: Operand | None = None,
) -> Operand | list[Operand]:
    """Attributes before opset 10, inputs from then on; a negative step reads backwards."""
    if any(operand is not None and operand.depends for operand in (starts, ends, axes, steps)):
        return call.data_dependent([item for item in (x, starts, ends, axes, steps) if item is not None])
    first, last = _row(call.setting("starts", 1)), _row(call.setting("ends", 2))
    along = _row(call.setting("axes", 3, tuple(range(len(first)))))
    by = _row(call.setting("steps", 4, (1,) * len(first)))
    value = x
    for axis, start, end, step in zip(along, first, last, by, strict=True):
        value = cut(call, value, axis_of(axis, x.rank), start, end, step)
    return value if value is not x else call.emit(ops.Pointwise("identity"), x)


def _row(value: Any) -> tuple[int, ...]:
    return (int(value),) if np.ndim(value) == 0 else tuple(int(item) for item in value)


def cut(call: Call, x: Operand, axis: int, start: int, end: int, step: int = 1) -> Operand:
    """``x[start:end:step]`` along ``axis``, in NumPy's sense."""
    n = x.shape[axis]
    taken = range(*slice(start, end, step).indices(n))
    if len(taken) == n and step == 1:
        return x
    first = taken.start
    if step < 0:
        x, first = call.emit(ops.Flip((axis,)), x, x.shape), n - 1 - first
    shape = (*x.shape[:axis], len(taken), *x.shape[axis + 1 :])
    return call.emit(ops.Slice(axis, first if len(taken) else 0, abs(step)), x, shape)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@lowering("Pad")
def pad(
    call: Call, x: Operand, pads: Operand | None = None, value: Operand | None = None, axes: Operand | None = None
) -> Operand | list[Operand]:
    """Attributes before opset 11, inputs from then on; negative widths crop, before the rest is padded."""
    if any(operand is not None and operand.depends for operand in (pads, axes)):
        return call.data_dependent([item for item in (x, pads, value, axes) if item is not None])
    sides = _row(call.setting("pads", 1, ()))
    along = [axis_of(axis, x.rank) for axis in _row(call.setting("axes", 3, tuple(range(x.rank))))]
    if len(sides) != 2 * len(along):
        raise Refused(f"{len(sides)} widths for {len(along)} axes")
    widths = [(0, 0)] * x.rank
    for k, axis in enumerate(along):
        widths[axis] = (sides[k], sides[len(along) + k])
    mode = _PAD_MODES[call.word("mode", *_PAD_MODES)]
    if value is not None and value.depends and mode == "constant":
        return _computed_border(call, x, tuple(widths), value)
    number = call.attribute("value", 0.0) if value is None or not value.known else float(_scalar(value.array))
    return padded(call, x, tuple(widths), mode, float(number))


def padded(call: Call, x: Operand, widths: ops.Pairs, mode: str = "constant", number: float = 0.0) -> Operand:
    """``x`` padded, or cropped where a width is negative."""
    result = x
    for axis, (before, after) in enumerate(widths):
        n = x.shape[axis]
        result = cut(call, result, axis, max(0, -before), n - max(0, -after))
    widths = tuple((max(0, before), max(0, after)) for before, after in widths)
    if not any(any(pair) for pair in widths):
        return result if result is not x else call.emit(ops.Pointwise("identity"), x, x.shape)
    shape = tuple(n + sum(pair) for n, pair in zip(result.shape, widths, strict=True))
    return call.emit(ops.Pad(widths, mode, number), result, shape)


def _scalar(array: Any) -> Any:
    return np.asarray(array).reshape(-1)[0] if np.size(array) else 0.0


def _computed_border(call: Call, x: Operand, widths: ops.Pairs, value: Operand) -> Operand:
    inner = padded(call, x, widths)
    mask = np.pad(np.zeros(x.shape, dtype=bool), [(max(0, a), max(0, b)) for a, b in widths], constant_values=True)
    cropped = tuple(
        slice(max(0, -a) if a < 0 else 0, m - max(0, -b)) for (a, b), m in zip(widths, mask.shape, strict=True)
    )
    wide = call.emit(ops.Reshape(), value, (1,) * x.rank)
    return call.emit(ops.Select(), (call.constant(mask[cropped]), wide, inner))


@lowering("CenterCropPad")
def center_crop_pad(call: Call, x: Operand, shape: Operand) -> Operand | list[Operand]:
    """Cropped or zero padded about the middle; an odd rest goes behind."""
    if shape.depends:
        return call.data_dependent([x, shape])
    widths = []
    for n, m in zip(x.shape, call.shapes[0], strict=True):
        before = (m - n) // 2 if m > n else -((n - m) // 2)
        widths.append((before, m - n - before))
    return padded(call, x, tuple(widths))


@lowering("DepthToSpace")
def depth_to_space(call: Call, x: Operand) -> Operand:
    """Channels fill the block; ``mode`` says whether they count the block first (DCR) or last (CRD)."""
    n, c, h, w = x.shape
    b = int(call.attribute("blocksize"))
    if call.word("mode", "DCR", "CRD") == "CRD":
        split_up, order = (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
    else:
        split_up, order = (n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2)
    return _shuffled(call, x, split_up, order)


@lowering("SpaceToDepth")
def space_to_depth(call: Call, x: Operand) -> Operand:
    """The block's place counts before the channel, as in DCR; or after it, as in CRD."""
    n, c, h, w = x.shape
    b = int(call.attribute("blocksize"))
    order = (0, 1, 3, 5, 2, 4) if call.word("mode", "DCR", "CRD") == "CRD" else (0, 3, 5, 1, 2, 4)
    return _shuffled(call, x, (n, c, h // b, b, w // b, b), order)


def _shuffled(call: Call, x: Operand, split_up: Shape, order: tuple[int, ...]) -> Operand:
    value = call.emit(ops.Reshape(), x, split_up)
    value = call.emit(ops.Permute(order), value, tuple(split_up[axis] for axis in order))
    return call.emit(ops.Reshape(), value)


@lowering("ReverseSequence")
def reverse_sequence(call: Call, x: Operand, lengths: Operand) -> Operand | list[Operand]:
    """The first positions of each sample, backwards."""
    if lengths.depends:
        return call.data_dependent([x, lengths])
    batch, time = int(call.attribute("batch_axis", 1)), int(call.attribute("time_axis", 0))
    place = np.moveaxis(np.arange(prod(x.shape)).reshape(x.shape), (time, batch), (0, 1)).copy()
    for sample, length in enumerate(call.array(lengths, "sequence_lens").reshape(-1)):
        place[:length, sample] = place[:length, sample][::-1].copy()
    return call.emit(ops.Gather(np.ascontiguousarray(np.moveaxis(place, (0, 1), (time, batch)))), x)


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
def concatenate_sequence(call: Call, items: Sequence) -> Operand:
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
def split_to_sequence(call: Call, x: Operand, sizes: Operand | None = None) -> list[Sequence]:
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
def optional(call: Call, x: Item = None) -> list[Item]:
    """The value itself."""
    if x is None:
        raise Refused("an optional value that is not there")
    return [x]


@lowering("OptionalHasElement")
def has_element(call: Call, x: Item = None) -> Operand:
    """Known when the model is traced."""
    return call.constant(np.asarray(x is not None))
