"""The table from ATen operation names to neutral operations.

Three kinds of entry. A *rule* takes the tracer, the framework's own output and the call's arguments, adds nodes, and
returns one value id per output. A *view* takes the input, the output and the arguments and returns the steps of the
move. *Same* operations return a tensor with the same elements in new memory. Names are those of the schema without
``aten::``; an overload may be named after a dot (``max.dim``) where overloads differ. The families live in their own
files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, Protocol, TypeVar

import numpy as np
from torch import Tensor

from foveal.ir import ops
from foveal.ir.graph import GraphBuilder

Overload = Any  # one of the framework's operations (``torch._ops.OpOverload``)
Args = tuple[Any, ...]  # what it is given by place
Kwargs = dict[str, Any]  # what it is given by name
Result = Any  # what it returns, or NotImplemented where a way of lowering does not take it
Ints = Sequence[int]
Sizes = int | Sequence[int]  # one number for every axis, or one for each
Operand = Tensor | complex  # a tensor or a number
Maybe = Tensor | None  # None where it was left out
Outputs = Tensor | tuple[Tensor, ...] | list[Tensor]  # what the framework made: one tensor or several
Made = int | tuple[int | None, ...]  # the value of each output; None for one that nothing is made for


class Tracer(Protocol):
    """What a rule is given of the run at hand."""

    builder: GraphBuilder
    plain: str  # the name of the operation, without namespace
    spatial: int  # spatial axes that the name tells (``avg_pool2d``: 2)
    func: Overload

    @property
    def handles(self) -> Mapping[int, object]:
        """By ``id`` the tensors that stand for values of the graph; any other is a constant."""

    def node(self, op: ops.Operation, inputs: Sequence[int], shape: Sequence[int], origin: str = "") -> int:
        """Add an operation; returns the value of its output."""

    def value(self, tensor: Tensor) -> int:
        """The value that a tensor stands for now."""

    def array(self, data: np.ndarray) -> int:
        """The value of a constant."""

    def data(self, tensor: Tensor) -> np.ndarray:
        """The numbers of a constant."""

    def depends(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on a source."""

    def moves(self, value: int) -> bool:
        """Whether a source can change a value of the graph."""

    def arguments(self, args: Args, kwargs: Kwargs) -> Kwargs:
        """The arguments of the operation at hand by the names of its schema."""

    def set_length(self, shape: Sequence[int]) -> None:
        """Data set the length of a result."""


Rule = Callable[Concatenate[Tracer, ...], Result]
View = Callable[Concatenate[Tensor, ...], Result]
Kind = TypeVar("Kind")

RULES: dict[str, Rule] = {}
VIEWS: dict[str, View] = {}
_SAME = """
clone detach alias contiguous to _to_copy lift lift_fresh lift_fresh_copy detach_copy positive resolve_conj
resolve_neg type_as requires_grad alias_copy _to_dense to_dense _autocast_to_full_precision
_autocast_to_reduced_precision _conj_physical data cpu cuda""".split()  # noqa: SIM905
_DATA_DEPENDENT = """
nonzero masked_select unique _unique _unique2 unique_dim unique_consecutive nms nonzero_numpy argwhere bincount
repeat_interleave.Tensor""".split()  # noqa: SIM905
SAME, DATA_DEPENDENT = set(_SAME), set(_DATA_DEPENDENT)


def _register(table: dict[str, Kind], names: tuple[str, ...]) -> Callable[[Kind], Kind]:
    def register(function: Kind) -> Kind:
        table.update(dict.fromkeys(names, function))
        return function

    return register


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under the names of the operations it lowers."""
    return _register(RULES, names)


def view(*names: str) -> Callable[[View], View]:
    """Register a view under the names of the operations it describes."""
    return _register(VIEWS, names)


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis."""
    return axis + rank if axis < 0 else axis


def axes_of(axes: Sizes | None, rank: int) -> tuple[int, ...]:
    """Non-negative axes in order; None or () means all of them."""
    if axes is None or axes == () or axes == []:
        return tuple(range(rank))
    return tuple(sorted(axis_of(axis, rank) for axis in ((axes,) if isinstance(axes, int) else axes)))


def ints(value: Sizes, count: int) -> tuple[int, ...]:
    """A number or a sequence as a tuple of ``count`` numbers (a sequence of one is repeated)."""
    if isinstance(value, int):
        return (value,) * count
    values = tuple(int(item) for item in value)
    return values * count if len(values) == 1 else values
