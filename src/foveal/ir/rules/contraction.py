"""Sums of products over labelled axes: matmul, linear layers, attention's two products."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.ir import ops
from foveal.ir.relation import All, KeepAll, Read, Relabel, Step
from foveal.ir.rules.along import multiplied
from foveal.ir.rules.registry import Facts, Shape, Shapes, rule
from foveal.ir.rules.tables import table, taps
from foveal.ir.traits import NEITHER, Product

Zeros = list[tuple[ops.Ints, np.ndarray]]
"""Labels of an operand, and where it is zero."""


def _multiply_adds(op: ops.Contract, shapes: Shapes, out: Shape) -> int:
    lengths: dict[int, int] = {}
    for labels, shape in zip(op.labels, shapes, strict=True):
        for label, length in zip(labels, shape, strict=True):
            lengths[label] = max(length, lengths.get(label, 1))
    return prod(lengths.values())


@rule(
    ops.Contract, multiply_adds=_multiply_adds, product=lambda op: Product(op.labels, op.out),
    gain="fixed", alike=NEITHER, shift="", size="free", wants="zero", fixed=multiplied,
)  # fmt: skip
def contract(op: ops.Contract, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """An operand is read along the labels that are summed; where a partner is a known zero it is not read at all."""
    zeros = [(op.labels[i], f.zero) for i, f in enumerate(facts) if f.zero is not None and f.zero.any()]
    lengths = {
        label: n
        for labels, shape in zip(op.labels, shapes, strict=True)
        for label, n in zip(labels, shape, strict=True)
    }
    fan = prod(n for label, n in lengths.items() if label not in op.out)
    padding = any(f.padding for f in facts)
    matrix = _matrix(op, shapes, facts) if len(zeros) == 1 and not padding else None
    if matrix is not None:
        return matrix
    if not zeros:
        return tuple(Read(i, _plain(labels, op.out), fan=fan, edges=True) for i, labels in enumerate(op.labels))
    sure = [(labels, f.mask if f.padding else f.zero) for labels, f in zip(op.labels, facts, strict=True)]
    masks = [(labels, mask) for labels, mask in sure if mask is not None and padding]
    ways = [_masked(labels, op.out, zeros, padding, masks) for labels in op.labels]
    summed = ways[0][1]
    kept = None if padding else summed.keep.mean(axis=summed.axes) * fan
    return tuple(
        Read(i, way, fan=fan, edges=True, kept=None if kept is None else kept.reshape(kept.shape[: len(out)]))
        for i, way in enumerate(ways)
    )


def _matrix(op: ops.Contract, shapes: Shapes, facts: tuple[Facts, ...]) -> tuple[Read, ...] | None:
    """The product with a constant matrix that has zeros between one axis of the other operand and a new one: a table of
    what is not zero. None where it is another product.
    """
    known = 0 if facts[0].value is not None else 1
    zero, value = facts[known].zero, facts[known].value
    if len(shapes) != 2 or zero is None or value is None:
        return None
    own, labels = op.labels[known], op.labels[1 - known]
    zero = zero.reshape((1,) * (len(own) - zero.ndim) + zero.shape)
    varied = [label for label, n in zip(own, zero.shape, strict=True) if n > 1]
    summed = [label for label in varied if label in labels and label not in op.out]
    if len(varied) != 2 or len(summed) != 1:
        return None
    row, (column,) = summed[0], (label for label in varied if label != summed[0])
    axis, n_in = labels.index(row), value.shape[own.index(row)]
    if column in labels or column not in op.out or shapes[1 - known][axis] != n_in:
        return None
    others = tuple(a for a, n in enumerate(value.shape) if own[a] not in (row, column) and n == 1)
    turned = own.index(row) < own.index(column)
    live = ~zero.reshape([n for n in zero.shape if n > 1])
    index = taps(live.T if turned else live)
    weights = None
    if len(others) == value.ndim - 2:
        flat = np.abs(value.squeeze(others))
        weights = np.where(index < 0, 0.0, np.take_along_axis(flat.T if turned else flat, np.maximum(index, 0), 1))
    rest = tuple(a for a, label in enumerate(labels) if label not in op.out and a != axis)
    placed = [column if a == axis else label for a, label in enumerate(labels)]
    steps: list[Step] = [All(rest)] if rest else []
    steps.append(table(axis, n_in, index, weights))
    order = tuple(placed.index(label) if label in placed else None for label in op.out)
    if order != tuple(range(len(labels))):
        steps.append(Relabel(order))
    fan = prod(shapes[1 - known][a] for a in rest) * (1 if weights is not None else max(1, index.shape[1]))
    return (Read(1 - known, tuple(steps), fan=fan, edges=True),)


def _plain(labels: ops.Ints, out: ops.Ints) -> tuple[Step, ...]:
    summed = tuple(axis for axis, label in enumerate(labels) if label not in out)
    order = tuple(labels.index(label) if label in labels else None for label in out)
    steps: list[Step] = [All(summed)] if summed else []
    if order != tuple(range(len(labels))):
        steps.append(Relabel(order))
    return tuple(steps)


def _masked(
    labels: ops.Ints, out: ops.Ints, zeros: Zeros, padding: bool, masks: Zeros
) -> tuple[Relabel, KeepAll, Relabel]:
    every = list(out) + sorted({label for other, _ in zeros for label in other} | set(labels) - set(out))
    every = list(dict.fromkeys(every))
    wide = Relabel(tuple(labels.index(label) if label in labels else None for label in every))
    summed = tuple(axis for axis, label in enumerate(every) if label not in out)
    narrow = Relabel(tuple(range(len(out))))
    mask = _kept(every, masks) if masks else None
    return (wide, KeepAll(_kept(every, zeros + masks), summed, padding, mask), narrow)


def _kept(every: list[int], zeros: Zeros) -> np.ndarray:
    """Where no factor is zero, over all labels."""
    keep = np.ones((1,) * len(every), dtype=bool)
    for other, zero in zeros:
        full = zero.reshape((1,) * (len(other) - zero.ndim) + zero.shape)
        present = [label for label in every if label in other]
        moved = full.transpose([other.index(label) for label in present])
        shape = [moved.shape[present.index(label)] if label in other else 1 for label in every]
        keep = keep & ~moved.reshape(shape)
    return keep
