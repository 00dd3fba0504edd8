"""Calls, conditions and loops of a jaxpr: walked into where it can be told what they do, else a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from foveal.frontends.jax.lowering.table import HEAVY
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Jaxpr, Variable
from foveal.frontends.jax.names import scope_path
from foveal.ir import ops

if TYPE_CHECKING:
    from foveal.frontends.jax.walk import Walk

LONGEST = 1024
"""Loops of more steps than this are a bound."""
LARGEST = 200_000
"""Equations that a loop may unroll to."""

Control = Callable[..., Sequence[Cell]]
CONTROL: dict[str, Control] = {}


def control(*names: str) -> Callable[[Control], Control]:
    """Register how a primitive with jaxprs inside is walked."""

    def register(function: Control) -> Control:
        CONTROL.update(dict.fromkeys(names, function))
        return function

    return register


def closed(item: Any) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr and its constants, whether it is closed or not."""
    return (item.jaxpr, item.consts) if hasattr(item, "consts") else (item, ())


def _inner(t: Walk, item: Any, cells: Sequence[Cell], path: tuple[str, ...]) -> list[Cell]:
    jaxpr, consts = closed(item)
    return list(t.walk(jaxpr, [t.closed_over(const) for const in consts], cells, path))


@control(
    "jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint", "custom_jvp_call",
    "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin", "composite", "run_state", "remat_opt",
)  # fmt: skip
def call(t: Walk, eqn: Equation, cells: list[Cell], path: tuple[str, ...]) -> Sequence[Cell]:
    """A call is its body; a small one is named as one operation."""
    body = next(eqn.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in eqn.params)
    name = str(eqn.params.get("name", "")).strip("_<>")
    one = bool(name) and _is_small(closed(body)[0])
    t.names.quiet += one
    outputs = _inner(t, body, cells, path)
    t.names.quiet -= one
    given = {cell.value for cell in cells}
    fresh = [cell for cell in outputs if t.depends(cell) and cell.value not in given]
    if one and fresh:
        t.names.operation(name, name, fresh)
    if t.live and t.number is None and eqn.primitive.name.startswith(("custom_jvp", "custom_vjp")):
        for cell, array in zip(outputs, t.computed(eqn, cells)):
            cell.array = array  # by its own derivative
    return outputs


def _is_small(jaxpr: Jaxpr) -> bool:
    """Without a convolution, a product, a loop or a named scope."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in HEAVY or scope_path(eqn):
            return False
        for item in eqn.params.values():
            if (hasattr(item, "eqns") or hasattr(item, "jaxpr")) and not _is_small(closed(item)[0]):
                return False
    return True


@control("cond")
def condition(t: Walk, eqn: Equation, cells: list[Cell], path: tuple[str, ...]) -> Sequence[Cell]:
    """With a known index its branch; else every output reads the index and the outputs of all branches."""
    which, branches = cells[0], eqn.params["branches"]
    if which.data is not None:
        number = int(np.clip(int(which.data), 0, len(branches) - 1))
        return _inner(t, branches[number], cells[1:], path)
    found = [_inner(t, branch, cells[1:], path) for branch in branches]
    outputs = []
    for row in zip(*found):
        shape = row[0].shape
        value = t.node(ops.Pointwise("cond"), [t.value(which), *(t.value(cell) for cell in row)], shape)
        outputs.append(Cell(shape, value))
    if t.live:
        index = jnp.asarray(which.array).astype(jnp.int32)
        for cell, row in zip(outputs, zip(*found)):
            arrays = [t.lift(item.array) for item in row]
            cell.array = jax.lax.select_n(jnp.clip(index, 0, len(arrays) - 1), *arrays)
    return outputs


@control("scan")
def scan(t: Walk, eqn: Equation, cells: list[Cell], path: tuple[str, ...]) -> Sequence[Cell]:
    """Unrolled; where it runs over the source its steps have no names, where over weights they are layers."""
    params = eqn.params
    body, length = params["jaxpr"], params["length"]
    split = params["num_consts"], params["num_consts"] + params["num_carry"]
    fixed, carry, rows = cells[: split[0]], cells[split[0] : split[1]], cells[split[1] :]
    if length > LONGEST or length * len(closed(body)[0].eqns) > LARGEST:
        return _bound(t, eqn, cells)
    t.names.quiet += any(t.depends(row) for row in rows)
    steps: list[list[Cell]] = []
    order = range(length - 1, -1, -1) if params["reverse"] else range(length)
    for index in order:
        outputs = _inner(t, body, [*fixed, *carry, *(_row(t, row, index) for row in rows)], path)
        carry = outputs[: len(carry)]
        steps.append(outputs[len(carry) :])
    t.names.quiet -= any(t.depends(row) for row in rows)
    if params["reverse"]:
        steps.reverse()
    stacked = [_stacked(t, [step[k] for step in steps], var) for k, var in enumerate(eqn.outvars[len(carry) :])]
    outputs = [*carry, *stacked]
    named = [cell for cell in stacked if t.depends(cell)] or [cell for cell in carry if t.depends(cell)]
    if named:
        t.names.operation("scan", "scan", named)
    return outputs


def _row(t: Walk, cell: Cell, index: int) -> Cell:
    """One step's slice of a scanned array."""
    shape = cell.shape[1:]
    array = cell.array[index] if t.live else None
    if cell.data is not None:
        return Cell(shape, None, cell.data[index], array)
    value = t.node(ops.Slice(0, index), (t.value(cell),), (1, *shape))
    return Cell(shape, t.reshaped(value, shape), None, array)


def _stacked(t: Walk, cells: list[Cell], var: Variable) -> Cell:
    """The steps' outputs as one array."""
    shape = tuple(var.aval.shape)
    if not cells:
        return t.constant(np.zeros(shape, var.aval.dtype))
    array = jnp.stack([t.lift(cell.array) for cell in cells]) if t.live else None
    if all(cell.data is not None for cell in cells):
        data = np.stack([np.asarray(cell.data) for cell in cells])
        return Cell(shape, None, data, array if t.live else data)
    parts = [t.reshaped(t.value(cell), (1, *shape[1:])) for cell in cells]
    return Cell(shape, t.node(ops.Concatenate(0), parts, shape), None, array)


@control("while")
def loop(t: Walk, eqn: Equation, cells: list[Cell], path: tuple[str, ...]) -> Sequence[Cell]:
    """Unrolled while its condition is known; a condition that depends on data makes it a bound."""
    params = eqn.params
    n, m = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    test, fixed, start = cells[:n], cells[n:m], cells[m:]
    if not _counted(t, params, test, fixed, start, path):
        return _bound(t, eqn, cells)
    state = start
    while bool(_inner(t, params["cond_jaxpr"], [*test, *state], path)[0].data):
        state = _inner(t, params["body_jaxpr"], [*fixed, *state], path)
    return state


def _counted(
    t: Walk, params: dict[str, Any], test: list[Cell], fixed: list[Cell], start: list[Cell], path: tuple[str, ...]
) -> bool:
    """Whether every step's condition is known: tried on a graph of its own."""
    twin = t.twin()
    state: list[Cell] = [twin.stand_in(cell, t.depends(cell)) for cell in start]
    test = [twin.stand_in(cell, t.depends(cell)) for cell in test]
    fixed = [twin.stand_in(cell, t.depends(cell)) for cell in fixed]
    for _ in range(LONGEST):
        going = _inner(twin, params["cond_jaxpr"], [*test, *state], path)[0].data
        if going is None or len(twin.builder.graph.nodes) > LARGEST:
            return False
        if not bool(going):
            return True
        state = _inner(twin, params["body_jaxpr"], [*fixed, *state], path)
    return False


def _bound(t: Walk, eqn: Equation, cells: list[Cell]) -> Sequence[Cell]:
    """Every output reads everything."""
    inputs = [t.value(cell) for cell in cells if cell.data is None]
    name = eqn.primitive.name
    outputs = [Cell(tuple(v.aval.shape), t.opaque(eqn, inputs, v.aval.shape, name)) for v in eqn.outvars]
    t.names.operation(name, name, [cell for cell in outputs if t.depends(cell)])
    if t.live:
        for cell, array in zip(outputs, t.computed(eqn, cells)):
            cell.array = array
    return outputs
