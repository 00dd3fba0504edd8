"""The tables of rules and traits, and the look-ups that the rest of the program uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from foveal.ir import ops
from foveal.ir.cache import Bounded
from foveal.ir.fixed import Fixed
from foveal.ir.relation import SAME, Everything, Expand, Read, Relation
from foveal.ir.traits import UNDESCRIBED, Traits, made

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]


class Facts(NamedTuple):
    """What is known about one operand before any input is seen; None where nothing is.

    zero: Boolean, broadcastable to the operand's shape, true where it is zero whatever the input.
    closed: the same, true where it adds nothing to the softmax that reads it.
    fixed: which elements are numbers whatever the input.
    padding: the zeros are (also) zero padding, and there only because the source ends; mask: those that are not.
    value: the operand itself, where it is a constant.
    """

    zero: np.ndarray | None = None
    closed: np.ndarray | None = None
    fixed: Fixed | None = None
    padding: bool = False
    mask: np.ndarray | None = None
    value: np.ndarray | None = None


UNKNOWN = Facts()
Rule = Callable[[ops.Operation, Shapes, Shape, tuple[Facts, ...]], tuple[Read, ...]]
RULES: dict[type[ops.Operation], Rule] = {}
TRAITS: dict[type[ops.Operation], Traits] = {}

F = TypeVar("F", bound=Callable[..., tuple[Read, ...]])


def rule(kind: type[ops.Operation], **answers: Any) -> Callable[[F], F]:
    """Register the rule of one operation, and what analyses ask of it: traits by name, each a function or an answer
    (:class:`foveal.ir.traits.Traits`). Raises FovealError for a trait that does not exist.
    """
    described = made(answers)

    def register(function: F) -> F:
        RULES[kind], TRAITS[kind] = function, described
        _cached_reads.cache_clear()
        return function

    return register


def traits(op: ops.Operation) -> Traits:
    """What is said about the operation beside its rule."""
    return TRAITS[type(op)] if type(op) in RULES else UNDESCRIBED


def reads(op: ops.Operation, shapes: Shapes, out: Shape, facts: tuple[Facts, ...] | None = None) -> tuple[Read, ...]:
    """How the output (of shape ``out``) reads the operands (of ``shapes``). An operation without a rule reads
    everything.
    """
    if facts is None:
        return _cached_reads(op, shapes, out)
    return RULES.get(type(op), everything)(op, shapes, out, facts)


@Bounded
def _cached_reads(op: ops.Operation, shapes: Shapes, out: Shape) -> tuple[Read, ...]:
    return RULES.get(type(op), everything)(op, shapes, out, (UNKNOWN,) * len(shapes))


def everything(op: ops.Operation, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """The answer that cannot be too small."""
    return tuple(Read(i, (Everything(shape, out),)) for i, shape in enumerate(shapes))


def broadcast(shape: Shape, out: Shape) -> Relation:
    """The same position after NumPy broadcasting."""
    return SAME if shape == out else (Expand(shape, out),)
