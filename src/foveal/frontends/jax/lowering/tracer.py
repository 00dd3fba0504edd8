"""What a rule of the table is given: the equation, the cells of its operands, and the tracer that adds nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import jax
import numpy as np

from foveal.ir import ops
from foveal.ir.graph import GraphBuilder, Node

if TYPE_CHECKING:
    from foveal.frontends.jax.names import Names

Array = Any  # of JAX or NumPy, or what JAX takes for one
Arrays = Sequence[Array]
Shape = tuple[int, ...]
_MOVES = (ops.Reshape, ops.Expand)


class Variable(Protocol):
    """A variable of a jaxpr, or a literal."""

    aval: jax.core.ShapedArray


class Equation(Protocol):
    """What is read of an equation of a jaxpr."""

    primitive: Any
    params: dict[str, Any]
    invars: Sequence[Variable]
    outvars: Sequence[Variable]
    source_info: Any


class Jaxpr(Protocol):
    """What is read of a jaxpr."""

    constvars: Sequence[Variable]
    invars: Sequence[Variable]
    outvars: Sequence[Variable]
    eqns: Sequence[Equation]


@dataclass(eq=False)
class Cell:
    """What a variable holds: a value of the graph, or numbers known before any input is seen; ``array`` in a live
    walk.
    """

    shape: Shape
    value: int | None = None
    data: np.ndarray | None = None
    array: Array = None


class Tracer:
    """What rules use of a walk."""

    def __init__(self, builder: GraphBuilder, names: Names) -> None:
        self.builder = builder
        self.names = names
        self.dependent: set[int] = set()
        self.made: dict[int, Node] = {}
        self.origin_name = ""
        self.title = ""

    def node(self, op: ops.Operation, inputs: Sequence[int], shape: Sequence[int]) -> int:
        """Add an operation; returns the id of its output value."""
        value = self.builder.node(op, inputs, tuple(shape), self.origin_name)
        self.made[value] = self.builder.graph.nodes[-1]
        if not self.dependent.isdisjoint(inputs):
            self.dependent.add(value)
        return value

    def array(self, data: Array) -> int:
        """A constant value."""
        return self.builder.constant(np.asarray(data))

    def value(self, cell: Cell) -> int:
        """The value id of a cell; a constant gets one when it is first asked for."""
        if cell.value is None:
            assert cell.data is not None
            cell.value = self.array(cell.data)
        return cell.value

    def depends(self, cell: Cell) -> bool:
        """Whether a cell depends on a source."""
        return cell.value in self.dependent

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value."""
        return self.builder.graph.values[value].shape

    def producer(self, value: int) -> Node | None:
        """The node that made a value."""
        return self.made.get(value)

    def origin(self, value: int) -> Node | None:
        """The node behind reshapes and broadcasts."""
        node = self.producer(value)
        while node is not None and isinstance(node.op, _MOVES):
            node = self.producer(node.inputs[0])
        return node

    def permuted(self, value: int, order: Sequence[int]) -> int:
        """The value with output axis i its axis ``order[i]``."""
        if tuple(order) == tuple(range(len(order))):
            return value
        shape = self.shape(value)
        return self.node(ops.Permute(tuple(order)), (value,), [shape[axis] for axis in order])

    def reshaped(self, value: int, shape: Sequence[int]) -> int:
        """The value in another shape."""
        return value if self.shape(value) == tuple(shape) else self.node(ops.Reshape(), (value,), shape)

    def spread(self, value: int, axis: int, factor: int) -> int:
        """Every ``factor``-th place along an axis holds an element, the places between hold nothing."""
        shape = self.shape(value)
        if factor == 1 or shape[axis] < 2:
            return value
        place = np.arange((shape[axis] - 1) * factor + 1)
        index = np.where(place % factor == 0, place // factor, -1)
        return self.node(ops.Take(axis, index), (value,), (*shape[:axis], index.size, *shape[axis + 1 :]))

    def together(self, inputs: Sequence[int], shape: Sequence[int], name: str) -> int:
        """One value that reads the same element of several."""
        return inputs[0] if len(inputs) == 1 else self.node(ops.Pointwise(name), inputs, shape)

    def opaque(self, eqn: Equation, inputs: Sequence[int], shape: Sequence[int], name: str) -> int:
        """No rule: reads everything; the report lists it."""
        self.builder.note("opaque", self.builder.scope, name)
        return self.node(ops.Opaque(name), inputs, shape)

    def means(self, title: str, *inner: int) -> None:
        """The operation at hand, together with those that made the values ``inner``, is one of another name."""
        self.title = title
        self.names.forget(inner)
