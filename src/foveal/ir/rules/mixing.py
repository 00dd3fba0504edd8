"""Pointwise operations, reductions, normalisation, softmax, scans, and the operations that read everything."""

from __future__ import annotations

from math import prod

from foveal.ir import ops
from foveal.ir.relation import SAME, All, Blocks, Keep, KeepAll, Prefix, Read, Relation, Reshape, Step
from foveal.ir.rules.registry import Facts, Shape, Shapes, broadcast, everything, rule

LISTED = 1 << 16
"""Attention matrices up to this many elements carry their known zeros in the bounds."""


@rule(ops.Pointwise, factual=True)
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
        found.append(Read(i, relation))
    return tuple(found)


@rule(ops.Select, factual=True)
def select(op: ops.Select, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """With a constant condition only the chosen side is read."""
    condition = facts[0].value
    relations = [broadcast(shape, out) for shape in shapes]
    if condition is None:
        return tuple(Read(i, relation) for i, relation in enumerate(relations))
    chosen = condition.astype(bool)
    return Read(1, (*relations[1], Keep(chosen))), Read(2, (*relations[2], Keep(~chosen)))


@rule(ops.Lookup)
def lookup(op: ops.Lookup, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The index's own position; the table's axes come last."""
    padded = shapes[0] + (1,) * (len(out) - len(shapes[0]))
    steps: Relation = () if padded == shapes[0] else (Reshape(shapes[0], padded),)
    return (Read(0, (*steps, *broadcast(padded, out))),)


@rule(ops.Reduce)
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


@rule(ops.Mix, factual=True)
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
    return (Read(0, tuple(steps), "value" if op.name == "fft" else "statistics", fan),)


@rule(ops.Scan)
def scan(op: ops.Scan, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Everything so far (or from here on) along the axis, and all features."""
    steps: list[Step] = [All(op.across)] if op.across else []
    if op.direction == "both":
        steps.append(All((op.axis,)))
    else:
        steps.append(Prefix(op.axis, op.direction == "backward"))
    return (Read(0, tuple(steps)),)


@rule(ops.Sample)
def sample(op: ops.Sample, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """What the sampler can reach is everything."""
    return everything(op, shapes, out, facts)


@rule(ops.Opaque)
def opaque(op: ops.Opaque, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Not understood: the sound answer."""
    return everything(op, shapes, out, facts)
