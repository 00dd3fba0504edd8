"""Walks a jaxpr equation by equation and writes the graph; in a live walk it computes every value as well.

Equations whose operands are all known are run at once, so that index tables and masks stay known by value; the rest is
lowered by the table. Calls (jit, custom derivatives, remat), conditions and loops are walked into, see
:mod:`foveal.frontends.jax.control`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from foveal.core.errors import TraceError
from foveal.frontends import tables
from foveal.frontends.jax.control import CONTROL
from foveal.frontends.jax.inputs import Call, Slot
from foveal.frontends.jax.lowering import (
    moves as jax_lowering_moves,
    pointwise as jax_lowering_pointwise,
    reduce as jax_lowering_reduce,
    table as table,
    windows as jax_lowering_windows,
)
from foveal.frontends.jax.lowering.tracer import Array, Cell, Equation, Jaxpr, Tracer, Variable
from foveal.frontends.jax.models import Adapted
from foveal.frontends.jax.names import Named, Names, scope_path
from foveal.frontends.jax.own import own_rule
from foveal.ir.graph import Graph, GraphBuilder

FAMILIES = (jax_lowering_moves, jax_lowering_pointwise, jax_lowering_reduce, jax_lowering_windows)
"""Importing a family fills the table."""
_DTYPES = ("new_dtype", "preferred_element_type", "dtype")


class Program(NamedTuple):
    """A model brought to a closed jaxpr of ``weights, inputs -> outputs``, its call and its counted axes."""

    adapted: Adapted
    call: Call
    closed: Any
    axes: tuple[tuple[int, ...] | None, ...]


class Walk(Tracer):
    """One pass over a jaxpr. ``live``: compute too; ``number``: in this floating type instead of the traced ones."""

    def __init__(self, builder: GraphBuilder, names: Names, live: bool = False, number: Any = None) -> None:
        super().__init__(builder, names)
        self.live = live
        self.number = number

    def constant(self, data: Array) -> Cell:
        """A cell known by value."""
        array = np.asarray(data)
        return Cell(array.shape, data=array, array=data)

    def parameter(self, shape: Sequence[int], name: str = "", array: Array = None) -> Cell:
        """A cell of weights."""
        return Cell(tuple(shape), self.builder.parameter(tuple(shape), name), None, array)

    def closed_over(self, const: Array) -> Cell:
        """A cell for an array that a function closes over, see :func:`is_weights`."""
        if jnp.issubdtype(const.dtype, jax.dtypes.extended) or is_weights(const):
            return self.parameter(const.shape, array=const)
        return self.constant(const)

    def twin(self) -> Walk:
        """A walk that computes nothing, on a graph of its own."""
        return Walk(GraphBuilder("trial"), Names())

    def stand_in(self, cell: Cell, dependent: bool) -> Cell:
        """Another walk's cell in this one."""
        if cell.data is not None:
            return Cell(cell.shape, None, cell.data, cell.data)
        made = self.parameter(cell.shape)
        if dependent and made.value is not None:
            self.dependent.add(made.value)
        return made

    def walk(self, jaxpr: Jaxpr, consts: Sequence[Cell], inputs: Sequence[Cell], prefix: tuple[str, ...]) -> list[Cell]:
        """The cells of a jaxpr's outputs."""
        env: dict[Variable, Cell] = dict(zip(jaxpr.constvars, consts, strict=True))
        env.update(zip(jaxpr.invars, inputs, strict=True))
        scopes = self.names.scopes(jaxpr, env, prefix)
        for index, eqn in enumerate(jaxpr.eqns):
            path = (*prefix, *scope_path(eqn))
            scopes.move(index, path)
            self.builder.scope = self.names.dotted(path)
            outputs = self._step(eqn, [self._read(env, item) for item in eqn.invars], path)
            env.update(zip(eqn.outvars, outputs))
        scopes.move(len(jaxpr.eqns), prefix)
        return [self._read(env, item) for item in jaxpr.outvars]

    def _read(self, env: dict[Variable, Cell], item: Any) -> Cell:
        if isinstance(item, Literal):
            aval: Any = item.aval
            return self.constant(np.asarray(item.val, aval.dtype))
        return env[item]

    def _step(self, eqn: Equation, cells: list[Cell], path: tuple[str, ...]) -> list[Cell]:
        name = self.origin_name = eqn.primitive.name
        self.title = table.TITLES.get(name, name)
        if name in CONTROL:
            return list(CONTROL[name](self, eqn, cells, path))
        if name in table.RANDOM:
            return self._with_arrays(eqn, cells, [self.parameter(var.aval.shape) for var in eqn.outvars])
        if all(cell.data is not None for cell in cells):
            return self._folded(eqn, cells)
        if name in table.SAME and len(cells) == len(eqn.outvars):
            made: Any = [cell.value if cell.data is None else None for cell in cells]
        else:
            made = self._lowered(eqn, cells)
        outputs = [
            Cell(tuple(var.aval.shape), value=value, data=cells[i].data if value is None else None)
            for i, (var, value) in enumerate(zip(eqn.outvars, made))
        ]
        if name not in table.UNNAMED and any(self.depends(cell) for cell in outputs):
            self.names.operation(self.title, name, outputs)
        return self._with_arrays(eqn, cells, outputs)

    def _lowered(self, eqn: Equation, cells: list[Cell]) -> Sequence[int]:
        rule = own_rule(eqn.primitive.name) or table.RULES.get(eqn.primitive.name)
        if rule is None:
            inputs = [self.value(cell) for cell in cells if cell.data is None]
            return [self.opaque(eqn, inputs, var.aval.shape, eqn.primitive.name) for var in eqn.outvars]
        made = rule(self, eqn, *cells)
        return (made,) if isinstance(made, int) else tuple(made)

    def _folded(self, eqn: Equation, cells: list[Cell]) -> list[Cell]:
        """Run an equation on known numbers."""
        with jax.ensure_compile_time_eval():
            found = bind(eqn, [_as(cell.data, var) for cell, var in zip(cells, eqn.invars)])
        return [self.constant(array) for array in found]

    def _with_arrays(self, eqn: Equation, cells: list[Cell], outputs: list[Cell]) -> list[Cell]:
        if self.live:
            for cell, array in zip(outputs, self.computed(eqn, cells)):
                cell.array = array
        return outputs

    def computed(self, eqn: Equation, cells: list[Cell]) -> list[Array]:
        """The equation's outputs in a live walk."""
        if self.number is None:
            return bind(eqn, [_as(cell.array, var) for cell, var in zip(cells, eqn.invars)])
        if eqn.primitive.name not in table.RULES and eqn.primitive.name not in table.SAME:
            found = bind(eqn, [_as(cell.array, var) for cell, var in zip(cells, eqn.invars)])
            return [self.lift(array) for array in found]
        params = dict(eqn.params)
        for key in _DTYPES:
            if params.get(key) is not None and jnp.issubdtype(params[key], jnp.floating):
                params[key] = np.dtype(self.number)
        return bind(eqn, [self.lift(cell.array) for cell in cells], params)

    def lift(self, array: Array) -> Array:
        """An array in the live walk's floating type."""
        kind: Any = getattr(array, "dtype", np.dtype(object))
        found = array if jnp.issubdtype(kind, jax.dtypes.extended) else jnp.asarray(array)
        return found.astype(self.number) if self.number and jnp.issubdtype(found.dtype, jnp.floating) else found


def is_weights(array: Array) -> bool:
    """Whether a closed-over array holds weights (generic numbers) rather than a table or a mask (known by value).

    Whole numbers, Booleans and scalars are known. Floating numbers are weights unless they are a mask of two numbers,
    one of them 0, the other 1 or -100 and less, or zero for the most part; a vector without a zero may as well be
    known.
    """
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return False
    if array.ndim == 0:
        return False
    numbers = np.asarray(array)
    if (array.ndim == 1 and numbers.all()) or tables.mostly_zero(np.atleast_2d(numbers)):
        return False
    found = np.unique(numbers.astype(np.complex128).real)
    return not (found.size == 2 and 0 in found and any(number == 1 or number <= -100 for number in found))


def _as(array: Array, var: Variable) -> Array:
    dtype = var.aval.dtype
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        return array
    return jnp.asarray(array, dtype)


def bind(eqn: Equation, arrays: Sequence[Array], params: dict[str, Any] | None = None) -> list[Array]:
    """Run one equation as it stands."""
    given = eqn.primitive.get_bind_params(eqn.params if params is None else params)
    # JAX before 0.9 hands the inner functions out apart from the parameters.
    functions, bound = given if isinstance(given, tuple) else ((), given)
    found = eqn.primitive.bind(*functions, *arrays, **bound)
    return list(found) if eqn.primitive.multiple_results else [found]


def walk_program(
    traced: Program, values: bool = False, arrays: Sequence[Array] | None = None, number: Any = None
) -> tuple[Graph, dict[str, Cell]]:
    """The graph and the cell of each layer. With ``arrays`` (weights, then inputs) all is computed too."""
    adapted, call, program = traced.adapted, traced.call, traced.closed
    builder = GraphBuilder(adapted.name)
    names = Names(adapted.root, adapted.types)
    walk = Walk(builder, names, arrays is not None, number)
    given = list(arrays) if arrays is not None else [None] * (len(adapted.weights) + len(call.slots))
    cells = [_weight(walk, adapted, k, values, given[k]) for k in range(len(adapted.weights))]
    for slot, axes, array in zip(call.slots, traced.axes, given[len(cells) :]):
        cells.append(_input(walk, slot, axes, array))
    consts = [walk.closed_over(const) for const in program.consts]
    outputs = walk.walk(program.jaxpr, consts, cells, ())
    leaves = [cell for cell in outputs if walk.depends(cell)]
    fixed = [number_ for number_, cell in enumerate(outputs) if not walk.depends(cell)]
    builder.graph.constants = {"output" if len(outputs) == 1 else f"output.{number_} of all": True for number_ in fixed}
    for number_, cell in enumerate(leaves):
        title = "output" if len(leaves) == 1 else f"output.{number_}"
        names.found.append(Named(title, cell, "module", adapted.name, False))
    by_layer = names.write(builder, walk.dependent, _parameters(adapted))
    builder.graph.parameters = sum(_parameters(adapted).values())
    return builder.graph.verify(), by_layer


def _weight(walk: Walk, adapted: Adapted, index: int, values: bool, array: Array) -> Cell:
    item = adapted.weights[index]
    real = not isinstance(item, jax.ShapeDtypeStruct)
    if real and (adapted.fixed[index] or (values and np.dtype(item.dtype).kind in "fiub")):
        cell = walk.constant(np.asarray(item))
        cell.array = item if array is None else array
        return cell
    return walk.parameter(item.shape, adapted.names[index], array)


def _input(walk: Walk, slot: Slot, axes: tuple[int, ...] | None, array: Array) -> Cell:
    if not axes:
        if slot.example is None and axes is not None:  # counts like weights
            return walk.parameter(slot.shape, array=array)
        if slot.example is None:
            raise TraceError(f"input '{slot.name}' of shape {slot.shape} has no axis to count; give an array or axes")
        cell = walk.constant(slot.example)
        cell.array = slot.example if array is None else array
        return cell
    value = walk.builder.source(slot.shape, axes, slot.name)
    walk.dependent.add(value)
    return Cell(slot.shape, value, None, array)


def _parameters(adapted: Adapted) -> dict[str, int]:
    """How many parameters each module holds itself."""
    found: dict[str, int] = {}
    for name, item, trained in zip(adapted.names, adapted.weights, adapted.trained):
        if trained:
            path = name.rpartition(".")[0]
            found[path] = found.get(path, 0) + int(np.prod(item.shape))
    return found
