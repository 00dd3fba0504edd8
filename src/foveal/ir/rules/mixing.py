"""Pointwise operations, reductions, normalisation, softmax, scans, and the operations that read everything."""

from __future__ import annotations

from math import prod

from foveal.ir import ops
from foveal.ir.relation import SAME, All, Blocks, Keep, KeepAll, Prefix, Read, Relabel, Relation, Reshape, Step
from foveal.ir.rules.along import chosen, closing, mixed, reduced, running
from foveal.ir.rules.elements import elements
from foveal.ir.rules.registry import Facts, Shape, Shapes, broadcast, everything, rule
from foveal.ir.traits import NEITHER, Alike, always

UNSURE = "product of spectra"
"""A transform back of spectra that were multiplied is a convolution, whose reach is not known."""


@rule(
    ops.Pointwise,
    function=lambda op: op.name or "unnamed",
    joins=lambda op: {"add": "sum", "multiply": "product"}.get(op.name, "other"),
    wants=lambda op, i: "zero" if op.name == "multiply" or (op.name == "divide" and i == 0) else "",
    fixed=elements, settles=lambda op: op.name not in ("multiply", "divide"),
    multiply_adds=0, gain="fixed", alike=NEITHER, shift="", size="free", passes=True,
)  # fmt: skip
def pointwise(op: ops.Pointwise, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The same element of each operand; a constant zero annuls the other factor."""
    annulling = facts if op.name == "multiply" else facts[:1] if op.name == "divide" else ()
    zeros = [(f.zero, f.padding) for f in annulling if f.zero is not None]
    zeros += [(f.mask, False) for f in annulling if f.mask is not None]
    found = []
    for i, shape in enumerate(shapes):
        relation = broadcast(shape, out)
        for zero, padding in zeros:
            if zero.any():
                relation = (*relation, Keep(~zero, padding))
        found.append(Read(i, relation, factor=op.factors[i] if op.factors else 1.0))
    return tuple(found)


@rule(
    ops.Select, multiply_adds=0, gain="fixed", alike=NEITHER, shift="", size="free",
    fixed=chosen, settles=True, wants=lambda op, i: "fixed" if i == 0 else "",
)  # fmt: skip
def select(op: ops.Select, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Where the condition is known only the chosen side is read."""
    condition = facts[0].fixed
    relations = [broadcast(shape, out) for shape in shapes]
    if condition is None:
        return tuple(Read(i, relation) for i, relation in enumerate(relations))
    cells = condition.cells
    asked = condition.where(cells.free)
    true, false = condition.where(cells.free | (cells.low != 0)), condition.where(cells.free | (cells.low == 0))
    own = (Read(0, (*relations[0], Keep(asked))),) if asked.any() else ()
    return (*own, Read(1, (*relations[1], Keep(true))), Read(2, (*relations[2], Keep(false))))


@rule(ops.Lookup, fixed=always(None), multiply_adds=0, gain="unit", alike=NEITHER, shift="")
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
    multiply_adds=0, gain="fixed", pools=True, shift="", size="given", fixed=reduced, closed=closing, settles=True,
    wants=lambda op, i: "closed",
)  # fmt: skip
def reduce(op: ops.Reduce, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """All positions along the axes."""
    kept = tuple(1 if i in op.axes else n for i, n in enumerate(shapes[0]))
    closed = facts[0].closed
    steps: Relation = (All(op.axes) if closed is None else KeepAll(~closed, op.axes),)
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
    wants=lambda op, i: "closed" if op.name in ("softmax", "log_softmax", "sort") else "",
    status=lambda op: "bound" if op.name == UNSURE else "exact",
    closed=closing, fixed=mixed, settles=lambda op: op.name in ("softmax", "log_softmax"),
    multiply_adds=0, gain="unit", alike=NEITHER, shift="", size="free",
)  # fmt: skip
def mix(op: ops.Mix, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """All positions along the axes; normalisation reads its own element too, apart from the statistics."""
    closed = facts[0].closed
    if op.name == "log_softmax" and closed is not None and closed.any():
        # a score that is switched off adds nothing to the others' sum, but is handed on itself
        return Read(0, SAME), Read(0, (KeepAll(~closed, op.axes),), "weights")
    if op.name == "softmax" and closed is not None and closed.any():
        return (Read(0, (KeepAll(~closed, op.axes),), "weights"),)
    axes = op.axes
    if op.name in ("softmax", "log_softmax") and prod(shapes[0][axis] for axis in axes) == 1:
        return ()  # of one score it is 1 (its logarithm 0), whatever the score
    steps: list[Step] = []
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
    along=lambda op, shapes: (op.axis,), runs=lambda op: op.axis, fixed=running, settles=True,
)  # fmt: skip
def scan(op: ops.Scan, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Everything so far (or from here on) along the axis, and all features."""
    features = (All(op.across),) if op.across else ()
    along = All((op.axis,)) if op.direction == "both" else Prefix(op.axis, op.direction == "backward")
    return (Read(0, (*features, along)),)


@rule(ops.Sample, fixed=always(None), status="data-dependent")
def sample(op: ops.Sample, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """What a sampler can reach: everything, or a line."""
    return everything(op, shapes, out, facts) if op.axis is None else (Read(0, (All((op.axis,)),), "statistics"),)


# What an operation reads that is not understood.
rule(ops.Opaque, fixed=always(None), status="bound")(everything)
