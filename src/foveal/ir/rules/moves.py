"""Moves: each output element is one input element, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from foveal.ir import ops, relation as rel
from foveal.ir.cache import Bounded
from foveal.ir.fixed import Fixed
from foveal.ir.relation import Read
from foveal.ir.rules.along import moved, padded
from foveal.ir.rules.registry import F, Facts, Shape, Shapes, broadcast, rule
from foveal.ir.rules.tables import table
from foveal.ir.rules.windows import only_zeros_read
from foveal.ir.traits import NEITHER, Alike, Known, Padding


def move(kind: type[ops.Operation], **answers: Any) -> Callable[[F], F]:
    """Register an operation that multiplies nothing; it is not tied to its place unless its own answers say so."""
    return rule(kind, **{"multiply_adds": 0, "gain": "fixed", "alike": NEITHER, "shift": ""} | answers)


@move(ops.Reshape, size="given", views=True, passes=True, apply=lambda op, arrays, out: arrays[0].reshape(out))
def reshape(op: ops.Reshape, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Row-major order is kept."""
    return (Read(0, rel.SAME if shapes[0] == out else (rel.Reshape(shapes[0], out),)),)


@move(
    ops.Permute, size="free", views=True, passes=True,
    apply=lambda op, arrays, out: arrays[0].transpose(op.order),
)  # fmt: skip
def permute(op: ops.Permute, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Axes change places."""
    return (Read(0, (rel.Relabel(op.order),)),)


@move(ops.Expand, size="given", views=True, apply=lambda op, arrays, out: np.broadcast_to(arrays[0], out))
def expand(op: ops.Expand, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Broadcasting."""
    return (Read(0, broadcast(shapes[0], out)),)


@move(
    ops.Slice, size="given", views=True,
    apply=lambda op, arrays, out: arrays[0].take(op.start + op.step * np.arange(out[op.axis]), axis=op.axis),
)  # fmt: skip
def slice_(op: ops.Slice, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """A window of one tap."""
    return (Read(0, _line(op.axis, shapes[0][op.axis], out[op.axis], op.step, -op.start)),)


@move(
    ops.Flip, shift="turns the map over", along=lambda op, shapes: op.axes,
    fixed=lambda op, known: moved(lambda codes, nothing: np.flip(codes[0], op.axes), known),
)  # fmt: skip
def flip(op: ops.Flip, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Reversed along the axes."""
    return (Read(0, (rel.Reverse(op.axes, tuple(shapes[0][a] for a in op.axes)),)),)


@move(
    ops.Roll, shift="turns the map round its border", along=lambda op, shapes: op.axes,
    fixed=lambda op, known: moved(lambda codes, nothing: np.roll(codes[0], op.shifts, op.axes), known),
)  # fmt: skip
def roll(op: ops.Roll, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Circular shift."""
    return (Read(0, tuple(rel.Rotate(a, s % max(1, out[a])) for a, s in zip(op.axes, op.shifts, strict=True))),)


@move(
    ops.Pad, size="given",
    pads=lambda op: Padding(op.widths, op.mode == "constant"),
    shift=lambda op: "continues the map at its other border" if op.mode == "circular" else "",
    zero=lambda op, known: known.only_zeros_read() if op.mode == "constant" and op.value == 0 else None, fixed=padded,
)  # fmt: skip
def pad(op: ops.Pad, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Constant padding reads nothing; the other modes read what they copy."""
    steps: list[rel.Step] = []
    for axis, (before, after) in enumerate(op.widths):
        if before or after:
            n_in, n_out = shapes[0][axis], out[axis]
            copies = op.mode != "constant" and (before > 0 or after > 0)
            steps += [_copied(axis, n_in, n_out, before, op.mode)] if copies else _line(axis, n_in, n_out, 1, before)
    return (Read(0, tuple(steps)),)


@move(
    ops.Concatenate, size="free", joins="concatenation",
    apply=lambda op, arrays, out: np.concatenate(arrays, axis=op.axis),
)  # fmt: skip
def concatenate(op: ops.Concatenate, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Each operand fills its own stretch of the axis."""
    ends = accumulate(shape[op.axis] for shape in shapes)
    return tuple(
        Read(i, (rel.Embed(op.axis, end - shape[op.axis], shape[op.axis], out[op.axis]),))
        for i, (shape, end) in enumerate(zip(shapes, ends, strict=True))
    )


Codes = Callable[[list[np.ndarray], int], np.ndarray]


def _several(op: ops.Take | ops.Gather, rank: int) -> bool:
    return np.ndim(op.index) > rank


def _summed(op: ops.Take | ops.Gather, known: Known) -> Fixed | None:
    """A sum of nothing is zero; of another join nothing is said."""
    return known.unsaid() if op.name in ("add", "sample") else None


def _left_out(op: ops.Take | ops.Gather, index: np.ndarray, move: Codes, known: Known) -> Fixed | None:
    """A move with zeros where it reads nothing; of another join than a sum, nothing is no number."""
    nothing = bool((np.asarray(index) < 0).any())

    def moves(codes: list[np.ndarray], zero: int) -> np.ndarray:
        return move(codes, zero) if codes[0].size else np.full(known.out, zero)  # of nothing all is left out

    return None if nothing and op.name not in ("add", "sample") else moved(moves, known, nothing)


def _taken(op: ops.Take, known: Known) -> Fixed | None:
    index = np.asarray(op.index, dtype=np.int64).reshape(-1)

    def take(codes: list[np.ndarray], nothing: int) -> np.ndarray:
        absent = (index < 0).reshape((-1,) + (1,) * (codes[0].ndim - op.axis - 1))
        return np.where(absent, nothing, codes[0].take(np.maximum(index, 0), op.axis))

    return _summed(op, known) if _several(op, 1) else _left_out(op, index, take, known)


@move(
    ops.Take, zero=only_zeros_read, fixed=_taken, shift="reads by a fixed table of positions",
    along=lambda op, shapes: (op.axis,), alike=lambda op: Alike(True, True) if _several(op, 1) else NEITHER,
)  # fmt: skip
def take(op: ops.Take, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Constant index along one axis; an arithmetic progression is a slice."""
    n_in, index = shapes[0][op.axis], np.asarray(op.index, dtype=np.int64)
    if _several(op, 1):
        return (Read(0, (table(op.axis, n_in, index, op.weights, op.name == "sample"),), edges=True),)
    index = index.reshape(-1)
    steps = np.diff(index)
    if index.size > 1 and (index >= 0).all() and steps[0] > 0 and (steps == steps[0]).all():
        return (Read(0, _line(op.axis, n_in, index.size, int(steps[0]), -int(index[0]))),)
    column = np.where(index >= 0, index, rel.ABSENT)[:, None]
    return (Read(0, (rel.Table(op.axis, n_in, index.size, column, column),)),)


def _gathered(op: ops.Gather, known: Known) -> Fixed | None:
    def gather(codes: list[np.ndarray], nothing: int) -> np.ndarray:
        index = np.asarray(op.index).reshape(known.out)
        return np.where(index < 0, nothing, codes[0].reshape(-1)[np.maximum(index, 0)])

    return _summed(op, known) if _several(op, len(known.out)) else _left_out(op, op.index, gather, known)


@move(
    ops.Gather, zero=only_zeros_read, fixed=_gathered, shift="reads by a fixed table of positions",
    alike=lambda op: NEITHER if op.index.ndim < 2 else Alike(True, True),
)  # fmt: skip
def gather(op: ops.Gather, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Any constant move, or sum of moves."""
    index = np.asarray(op.index)
    if not _several(op, len(out)):
        return (Read(0, (rel.Scatter(index.reshape(-1), shapes[0], out),)),)
    flat = (prod(out), index.shape[-1])
    weights = None if op.weights is None else np.broadcast_to(op.weights, index.shape).reshape(flat)
    return (Read(0, (rel.Scatter(index.reshape(flat), shapes[0], out, weights),), edges=True),)


def _placed(op: ops.Place, known: Known) -> Fixed | None:
    def place(codes: list[np.ndarray], nothing: int) -> np.ndarray:
        root, part = codes
        result = root.copy()
        ends = (s + (n - 1) * p + 1 for s, p, n in zip(op.starts, op.steps, part.shape, strict=True))
        result[tuple(slice(s, e, p) for s, e, p in zip(op.starts, ends, op.steps, strict=True))] = part
        return result

    return moved(place, known)


@move(
    ops.Place, fixed=_placed, shift="writes at a fixed position",
    along=lambda op, shapes: tuple(a for a, (n, m) in enumerate(zip(shapes[0], shapes[1], strict=True)) if n != m),
)  # fmt: skip
def place(op: ops.Place, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The root outside the block, the part inside."""
    block = [
        _spread(axis, shapes[1][axis], n, op.starts[axis], op.steps[axis])
        for axis, n in enumerate(out)
        if shapes[1][axis] != n
    ]
    return Read(0, (rel.Outside(op.starts, op.steps, shapes[1], out),)), Read(1, tuple(block))


@Bounded
def _spread(axis: int, n_in: int, n_out: int, start: int, step: int) -> rel.Table:
    offset = np.arange(n_out) - start
    index = np.where((offset % step == 0) & (offset >= 0) & (offset // step < n_in), offset // step, rel.ABSENT)[
        :, None
    ]
    return rel.Table(axis, n_in, n_out, index, index, (1, step))


def _unrolled(op: ops.Unroll, known: Known) -> Fixed | None:
    index = np.arange(known.out[op.axis])[:, None] * op.step + np.arange(op.size) * op.dilation
    return moved(lambda codes, nothing: np.moveaxis(codes[0].take(index, op.axis), op.axis + 1, -1), known)


@move(ops.Unroll, fixed=_unrolled)
def unroll(op: ops.Unroll, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Sliding windows as an axis."""
    return (Read(0, (rel.Unroll(op.axis, out[op.axis], op.size, op.step, op.dilation),)),)


@move(ops.Overlap, zero=only_zeros_read)
def overlap(op: ops.Overlap, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Windows summed back where they came from."""
    count, size = shapes[0][op.axis], shapes[0][-1]
    if (count, size, op.step, op.before) == (out[op.axis], 1, 1, 0):
        return (Read(0, (rel.Relabel(tuple(range(len(out)))),)),)
    return (Read(0, (rel.Overlap(op.axis, count, size, out[op.axis], op.step, op.dilation, op.before),)),)


@lru_cache(4096)
def _line(axis: int, n_in: int, n_out: int, step: int, before: int) -> rel.Relation:
    if step == 1 and before == 0 and n_in == n_out:
        return ()
    return (rel.Slide(axis, n_in, n_out, 1, step, before, 1),)


@Bounded
def _copied(axis: int, n_in: int, n_out: int, before: int, mode: str) -> rel.Table:
    raw = np.arange(n_out) - before
    if mode == "circular":
        # PyTorch crops first, and what is left goes round
        first, last = max(0, -before), min(n_in, n_out - before)
        read = np.clip(first + (raw - first) % max(1, last - first), 0, n_in - 1)
    elif mode == "replicate":
        read = np.clip(raw, 0, n_in - 1)
    else:
        period = max(1, 2 * (n_in - 1))
        read = np.abs(raw) % period
        read = np.minimum(read, period - read) if n_in > 1 else read * 0
    return rel.Table(axis, n_in, n_out, read[:, None], raw[:, None], (1, 1))
