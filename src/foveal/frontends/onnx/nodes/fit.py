"""Whether an operation fits its operands: what a damaged file says must not reach the analyses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from math import prod
from typing import Any

import numpy as np

from foveal.frontends.onnx.load import LONGEST_AXIS
from foveal.ir import ops

Shape = tuple[int, ...]


def check_fit(op: ops.Operation, shapes: Sequence[Shape], out: Shape) -> None:
    """Raises ValueError where shapes and settings of an operation contradict each other or are beyond all measure."""
    if isinstance(op, ops.Reshape) and prod(shapes[0]) != prod(out):
        raise ValueError(f"an input of shape {list(shapes[0])} cannot become {list(out)}")
    if isinstance(op, (ops.Pointwise, ops.Select, ops.Expand)) and not _broadcasts(shapes, out):
        raise ValueError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not give {list(out)}")
    if isinstance(op, ops.Contract):
        _check_labels(op, shapes)
    if isinstance(op, ops.Concatenate) and not _joins(op.axis, shapes, out):
        raise ValueError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not join to {list(out)}")
    for setting in ("kernel", "stride", "dilation"):
        if any(n < 1 for n in _whole(getattr(op, setting, ()))):
            raise ValueError(f"{setting} {getattr(op, setting)} must be at least 1 everywhere")
    for entry in fields(op):
        if any(abs(n) > LONGEST_AXIS for n in _whole(getattr(op, entry.name))):
            raise ValueError(f"{entry.name} {getattr(op, entry.name)} is beyond all measure")


def _joins(axis: int, shapes: Sequence[Shape], out: Shape) -> bool:
    """Whether shapes that are alike but along the axis fill the output."""
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in (*shapes, out) if len(shape) == len(out)}
    return all(len(s) == len(out) for s in shapes) and len(rest) == 1 and sum(s[axis] for s in shapes) == out[axis]


def _broadcasts(shapes: Sequence[Shape], out: Shape) -> bool:
    try:
        return np.broadcast_shapes(*shapes, out) == out
    except ValueError:
        return False


def _check_labels(op: ops.Contract, shapes: Sequence[Shape]) -> None:
    lengths: dict[int, int] = {}
    for labels, shape in zip(op.labels, shapes, strict=True):
        for label, n in zip(labels, shape, strict=True):
            if n != 1 and lengths.setdefault(label, n) != n:
                raise ValueError(f"axes of {lengths[label]} and {n} elements cannot be summed together")


def _whole(value: Any) -> list[int]:
    """The integers of a setting; none of an array's."""
    if isinstance(value, tuple):
        return [n for item in value for n in _whole(item)]
    return [value] if isinstance(value, int) else []
