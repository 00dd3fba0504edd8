"""The table from ATen operation names to neutral operations.

Three kinds of entry. A *rule* takes the tracer, the framework's own output and the call's arguments, adds nodes, and
returns one value id per output. A *view* takes the input, the output and the arguments and returns the steps of the
move. *Same* operations return a tensor with the same elements in new memory. Names are those of the schema without
``aten::``; an overload may be named after a dot (``max.dim``) where overloads differ. The families live in their own
files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}
VIEWS: dict[str, Rule] = {}
SAME: set[str] = set()
DATA_DEPENDENT: set[str] = set()


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under the names of the operations it lowers."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def view(*names: str) -> Callable[[Rule], Rule]:
    """Register a view under the names of the operations it describes."""

    def register(function: Rule) -> Rule:
        for name in names:
            VIEWS[name] = function
        return function

    return register


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis."""
    return axis + rank if axis < 0 else axis


def axes_of(axes: Any, rank: int) -> tuple[int, ...]:
    """Non-negative axes in order; None or () means all of them."""
    if axes is None or (not isinstance(axes, int) and len(axes) == 0):
        return tuple(range(rank))
    if isinstance(axes, int):
        axes = (axes,)
    return tuple(sorted(axis_of(axis, rank) for axis in axes))


def ints(value: Any, count: int) -> tuple[int, ...]:
    """A number or a sequence as a tuple of ``count`` numbers (a sequence of one is repeated)."""
    if isinstance(value, int):
        return (value,) * count
    values = tuple(int(item) for item in value)
    return values * count if len(values) == 1 else values
