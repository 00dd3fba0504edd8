"""Pointwise operations, reductions, normalisation, softmax, scans, and the operations that read everything."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from foveal.ir import ops
from foveal.ir.relation import SAME, All, Blocks, Keep, KeepAll, Prefix, Read, Relabel, Relation, Reshape, Step
from foveal.ir.rules.registry import Facts, Shape, Shapes, broadcast, everything, rule
from foveal.ir.traits import NEITHER, Alike, Known, Mask

LISTED = 1 << 16
"""Attention matrices up to this many elements carry their known zeros in the bounds."""

UNSURE = "product of spectra"
"""A transform back of spectra that were multiplied is a convolution, whose reach is not known."""
KEEPS_ZERO = frozenset(
    ("relu", "negative", "abs", "tanh", "gelu", "silu", "sqrt", "square", "sin", "sinh", "tan", "asin", "atan", "elu")
    + ("leaky_relu", "selu", "hardtanh", "cast", "sign", "softsign", "hardshrink", "softshrink", "prelu", "scale")
)
"""Functions f with f(0) = 0."""


def _annulled(op: ops.Pointwise, known: Known) -> Mask:
    """Zero where a factor, a dividend or the argument of a function that keeps zero is."""
    if op.name == "multiply":
        return _either([known.zero(i) for i in range(len(known.shapes))], known)
    if op.name == "divide" or (op.name in KEEPS_ZERO and len(known.shapes) == 1):
        return _either([known.zero(0)], known)
    return None


def _still_closed(op: ops.Pointwise, known: Known) -> Mask:
    return _either([known.closed(i) for i in range(len(known.shapes))], known) if op.name == "add" else None


def _either(masks: list[Mask], known: Known) -> Mask:
    rank, result = len(known.out), None
    for mask in masks:
        if mask is not None:
            mask = mask.reshape((1,) * (rank - mask.ndim) + mask.shape)
            result = mask if result is None else result | mask
    return result


@rule(
    ops.Pointwise,
    function=lambda op: op.name or "unnamed",
    joins=lambda op: {"add": "sum", "multiply": "product"}.get(op.name, "other"),
    wants=lambda op, i: "zero" if op.name == "multiply" or (op.name == "divide" and i == 0) else "",
    zero=_annulled, closed=_still_closed,
    multiply_adds=0, gain="fixed", alike=NEITHER, shift="", size="free", passes=True,
)  # fmt: skip
def pointwise(op: ops.Pointwise, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The same element of each operand; a constant zero annuls the other factor."""
    annulling = facts if op.name == "multiply" else facts[:1] if op.name == "divide" else ()
    zeros = [(f.zero, f.padding) for f in annulling if f.zero is not None]
    found = []
    for i, shape in enumerate(shapes):
        relation = broadcast(shape, out)
        for zero, padding in zeros:
            if zero.any():
                relation = (*relation, Keep(~zero, padding))
        found.append(Read(i, relation, factor=op.factors[i] if op.factors else 1.0))
    return tuple(found)


def _chosen(known: Known, mask: Callable[[int], Mask]) -> Mask:
    """The mask of the side that a constant condition takes at each position."""
    condition, no = known.value(0), np.zeros((), dtype=bool)
    if condition is None:
        return None
    a, b = mask(1), mask(2)
    return np.where(condition.astype(bool), no if a is None else a, no if b is None else b)


@rule(
    ops.Select, multiply_adds=0, gain="fixed", alike=NEITHER, shift="", size="free",
    zero=lambda op, known: _chosen(known, known.zero), closed=lambda op, known: _chosen(known, known.closed),
    wants=lambda op, i: "value" if i == 0 else "",
)  # fmt: skip
def select(op: ops.Select, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """With a constant condition only the chosen side is read."""
    condition = facts[0].value
    relations = [broadcast(shape, out) for shape in shapes]
    if condition is None:
        return tuple(Read(i, relation) for i, relation in enumerate(relations))
    chosen = condition.astype(bool)
    return Read(1, (*relations[1], Keep(chosen))), Read(2, (*relations[2], Keep(~chosen)))


@rule(ops.Lookup, multiply_adds=0, gain="unit", alike=NEITHER, shift="")
def lookup(op: ops.Lookup, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The index's own position; the table's axes come last."""
    padded = shapes[0] + (1,) * (len(out) - len(shapes[0]))
    features = (None,) * (len(out) - len(shapes[0]))
    steps: Relation = (Relabel((*range(len(shapes[0])), *features)),) if features else ()
    return (Read(0, (*steps, *broadcast(padded, out))),)


@rule(
    ops.Reduce,
    alike=lambda op: Alike(False, op.name == "sum"),
    whole=lambda op: (f"takes the {op.name} over", "a running or windowed mean over the past"),
    status=lambda op: "bound" if op.name == UNSURE else "exact",
    multiply_adds=0, gain="fixed", pools=True, shift="", size="given",
)  # fmt: skip
def reduce(op: ops.Reduce, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """All positions along the axes."""
    kept = tuple(1 if i in op.axes else n for i, n in enumerate(shapes[0]))
    steps: Relation = (All(op.axes),)
    relation = steps if kept == out else (*steps, Reshape(kept, out))
    fan = prod(shapes[0][axis] for axis in op.axes)
    if op.name == "sum":
        return (Read(0, relation, edges=True),)
    kind = "value" if op.name in ("mean", "max", "min", "amax", "amin") else "statistics"
    return (Read(0, relation, kind, fan, averaged=op.name == "mean", edges=True),)


STATISTICS = (
    "takes its statistics over",
    "batch normalisation in evaluation mode, or statistics over features or a running window",
)


@rule(
    ops.Mix,
    whole=lambda op: STATISTICS if op.name == "normalize" else ("", ""),
    wants=lambda op, i: "closed" if op.name in ("softmax", "log_softmax") else "",
    zero=lambda op, known: known.closed(0) if op.name == "softmax" else None,
    status=lambda op: "bound" if op.name == UNSURE else "exact",
    multiply_adds=0, gain="unit", alike=NEITHER, shift="", size="free",
)  # fmt: skip
def mix(op: ops.Mix, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """All positions along the axes; normalisation reads its own element too, apart from the statistics."""
    closed = facts[0].closed
    if op.name == "log_softmax" and closed is not None and closed.any():
        # a score that is switched off adds nothing to the others' sum, but is handed on itself
        return Read(0, SAME), Read(0, (KeepAll(~closed, op.axes),), "weights")
    if op.name == "softmax" and closed is not None and closed.any():
        keep = ~closed
        steps: list[Step] = [KeepAll(keep, op.axes)]
        # a large matrix is not marked element by element: whoever reads it asks for its known zeros
        return (Read(0, (*steps, Keep(keep)) if keep.size <= LISTED else tuple(steps), "weights"),)
    axes = op.axes
    if op.name in ("softmax", "log_softmax") and prod(shapes[0][axis] for axis in axes) == 1:
        return ()  # of one score it is 1 (its logarithm 0), whatever the score
    steps = []
    if op.groups is not None:
        axis, count = op.groups
        steps.append(Blocks(axis, shapes[0][axis], shapes[0][axis], count))
        axes = tuple(a for a in axes if a != axis)
    if axes:
        steps.append(All(axes))
    if op.name == "normalize":
        return Read(0, SAME), Read(0, tuple(steps), "statistics")
    if op.name in ("softmax", "log_softmax"):
        return (Read(0, tuple(steps), "weights"),)
    fan = prod(shapes[0][axis] for axis in op.axes)
    return (Read(0, tuple(steps), "value" if op.name in ("fft", "ifft", UNSURE) else "statistics", fan),)


@rule(
    ops.Scan, multiply_adds=lambda op, shapes, out: None if op.across else 0, shift="runs over the whole axis",
    along=lambda op, shapes: (op.axis,), runs=lambda op: op.axis,
)  # fmt: skip
def scan(op: ops.Scan, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Everything so far (or from here on) along the axis, and all features."""
    features = (All(op.across),) if op.across else ()
    along = All((op.axis,)) if op.direction == "both" else Prefix(op.axis, op.direction == "backward")
    return (Read(0, (*features, along)),)


# What a sampler can reach is everything; so is what an operation reads that is not understood.
rule(ops.Sample, status="data-dependent")(everything)
rule(ops.Opaque, status="bound")(everything)
