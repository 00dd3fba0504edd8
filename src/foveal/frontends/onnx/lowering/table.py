"""The table from ONNX operators to neutral operations, and what a lowering is given.

A *lowering* is a small function registered under the operators it lowers. It takes the call and the operator's inputs
in the order of the specification (None for an input left out), adds nodes, and returns its output, or a list of them
in order where the operator has several (None where one is not wanted)::

    @lowering("Relu", "Sigmoid")
    def unary(call: Call, x: Operand) -> Operand:
        return call.emit(ops.Pointwise(call.name), x)

What it can rely on:

- Every input has a concrete ``shape``. ``x.array`` is its numbers where they are known (an initialiser, a Constant, a
  Shape, anything computed from these), else None; ``call.array(x, what)`` is the same but refuses an unknown one with
  :class:`Refused`, which the tracer turns into an Opaque operation with that reason.
- ``call.shapes`` are the shapes of the outputs, inferred (or, where data decides them, taken from one run).
- An operator whose inputs are all known by value is evaluated before the table is asked: a lowering is called only
  where something is computed from a source or from weights too large to fold.
- An operator without a lowering that the specification defines as a function of others is replaced by its body.
- ``If``, ``Loop``, ``Scan``, ``Constant``, ``Identity``, ``Shape`` and ``Size`` belong to the tracer.

Numbers or weights: ``call.emit`` makes of an operand that is known by value a *constant* where its numbers decide what
is read (integers, Booleans, masks of 0 and 1 or with entries of -100 or less), else a *parameter* (generic, never
zero). ``call.weight(w)`` says that an operand is a kernel whatever its numbers.

Attribute forms that became inputs are one helper: ``call.setting("axes", 1)`` is the attribute if the node has it, else
the numbers of input 1, else None. A sequence is a Python list of operands. ``call.opset`` is the version of the
operator's own domain. The families live in their own files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Protocol

import numpy as np

from foveal.ir import ops

Shape = tuple[int, ...]
Item = Any  # an operand; a list of them for a sequence; None for what was left out
Setting = Any  # a number, a string, an array, or a tuple of these


class Refused(Exception):
    """A lowering does not know what the call means; its text says why. The tracer answers with a bound."""


@dataclass(eq=False)
class Operand:
    """One tensor of the model while it is traced.

    ``read``: makes its numbers, None where they are not known. ``value``: its id in the graph once it has one.
    ``depends``: whether a source can change it.
    """

    shape: Shape
    dtype: np.dtype[np.generic]
    read: Callable[[], np.ndarray] | None = None
    value: int | None = None
    depends: bool = False
    name: str = ""
    look: Callable[[], np.ndarray] | None = None
    """The numbers to be looked at and let go at once, where that costs less than reading them."""
    _kept: np.ndarray | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def known(self) -> bool:
        """Whether the numbers are known."""
        return self.read is not None

    @property
    def array(self) -> np.ndarray | None:
        """The numbers, None where they are not known. Small arrays are kept once read."""
        if self._kept is not None or self.read is None:
            return self._kept
        found = np.asarray(self.read())
        if found.size <= 1 << 16:
            self._kept = found
        return found


class Call(Protocol):
    """One operator of the model, as a lowering sees it."""

    name: str
    """Plain name for the operation: the operator in lower case with underscores (``max_pool``, ``gelu``)."""
    op_type: str
    domain: str
    opset: int
    inputs: tuple[Item, ...]
    wanted: int
    """Number of outputs, up to the last one with a name."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of each output, in order; () for one that is not wanted."""

    def attribute(self, name: str, default: Setting = None) -> Setting:
        """The attribute as int, float, str, array, or tuple of these; else the specification's default; else
        ``default``.
        """

    def word(self, name: str, *known: str) -> str:
        """A string attribute that is one of ``known``, the first of which it is where nothing else is said. Raises
        Refused, naming it, for any other.
        """

    def setting(self, name: str, index: int, default: Setting = None) -> Setting:
        """The attribute where the node has it, else the numbers of input ``index`` as a tuple (a number for a scalar),
        else ``default``. Raises Refused where that input is not known.
        """

    def array(self, operand: Operand | None, what: str) -> np.ndarray:
        """Its numbers. Raises Refused ("``what`` is computed") where they are not known."""

    def emit(
        self, operation: ops.Operation, inputs: Operand | Sequence[Operand], shape: Shape | None = None
    ) -> Operand:
        """Add a node; ``shape`` defaults to that of the first output."""

    def constant(self, array: np.ndarray) -> Operand:
        """An operand known by value."""

    def weight(self, operand: Operand) -> Operand:
        """The operand as a kernel: generic numbers, never zero, unless a source can change it or numbers count."""

    def maker(self, operand: Operand) -> tuple[ops.Operation | None, tuple[Shape, ...]]:
        """The operation that made an operand and the shapes it read; (None, ()) where none did."""

    def opaque(self, reason: str) -> list[Operand]:
        """All outputs read everything that the operator was given; listed as a bound, with the reason."""

    def data_dependent(self, inputs: Sequence[Operand] | None = None) -> list[Operand]:
        """All outputs read where data says (Sample): everything the inputs hold; listed as data-dependent."""


Lowering = Callable[Concatenate[Call, ...], Item]

LOWERINGS: dict[tuple[str, str], Lowering] = {}
"""(domain, operator) -> lowering. The standard domain is ""."""


def lowering(*names: str, domain: str = "") -> Callable[[Lowering], Lowering]:
    """Register a lowering under the names of the operators it lowers."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[domain, name] = function
        return function

    return register


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis. Raises Refused where the operand has no such axis."""
    if not -rank <= axis < rank:
        raise Refused(f"axis {axis} of an operand with {rank} axes")
    return axis + rank if axis < 0 else axis


def axes_of(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Non-negative axes in order."""
    return tuple(sorted(axis_of(int(axis), rank) for axis in axes))


def spread(value: Sequence[int] | None, count: int, default: int) -> tuple[int, ...]:
    """One number per spatial axis; None is ``default`` for all. Raises Refused for another length."""
    found = (default,) * count if value is None or len(value) == 0 else tuple(int(item) for item in value)
    if len(found) != count:
        raise Refused(f"{len(found)} numbers for {count} spatial axes")
    return found
