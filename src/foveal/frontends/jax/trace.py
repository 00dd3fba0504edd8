"""Trace a JAX function or a Flax module through its jaxpr: nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from foveal.core.errors import FovealError, TraceError
from foveal.frontends.jax.inputs import Call, Slot, counted_axes, read_call
from foveal.frontends.jax.models import Adapted, adapt
from foveal.frontends.jax.names import Named, Names
from foveal.frontends.jax.run import JaxRunner
from foveal.frontends.jax.walk import Cell, Walk
from foveal.ir.graph import Graph, GraphBuilder


def trace_function(model: Any, inputs: Any, *, name: str = "", axes: Any = None, weights: str = "generic") -> Graph:
    """The graph of a function, a Flax module (linen: bound, with its variables as a pair, or bare; nnx).

    ``inputs``: a shape, several, a dict (keyword arguments) or arrays; see :func:`read_call`. ``axes``: see
    :func:`counted_axes`. ``weights``: "generic" (never zero) or "values". Raises TraceError with JAX's own message.
    """
    call = read_call(inputs)
    return trace_adapted(model, adapt(model, call), call, name=name, axes=axes, weights=weights)


def trace_adapted(model: Any, adapted: Adapted, call: Call, *, name: str, axes: Any, weights: str) -> Graph:
    """The graph of a model that was brought to a function of its weights."""
    if weights not in ("generic", "values"):
        raise TraceError(f"weights must be 'generic' or 'values', not {weights!r}")
    adapted = replace(adapted, name=name or adapted.name)
    program = make_program(adapted, call)
    runner = JaxRunner(model, adapted, call, program, _sources(program, adapted, call, axes))
    graph, _ = walk_program(runner, weights == "values")
    graph.runner = runner
    return graph


def make_program(adapted: Adapted, call: Call) -> Any:
    """The closed jaxpr of ``weights, inputs -> outputs`` (both flat). Raises TraceError."""

    def flat(*arrays: Any) -> Any:
        count = len(adapted.weights)
        args, kwargs = call.arguments(arrays[count:])
        return adapted.call(list(arrays[:count]), *args, **kwargs)

    struct: Any = jax.ShapeDtypeStruct
    shapes = [struct(item.shape, item.dtype) for item in (*adapted.weights, *call.slots)]
    try:
        return jax.make_jaxpr(flat)(*shapes)
    except FovealError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        shown = ", ".join("x".join(map(str, slot.shape)) or "scalar" for slot in call.slots)
        raise TraceError(f"{adapted.name}: {line} (input shape {shown})") from error


def _sources(program: Any, adapted: Adapted, call: Call, axes: Any) -> tuple[tuple[int, ...] | None, ...]:
    variables = program.jaxpr.invars[len(adapted.weights) :]
    pairs = zip(call.slots, variables)
    return tuple(counted_axes(slot, axes, index, program.jaxpr, var) for index, (slot, var) in enumerate(pairs))


def walk_program(
    runner: JaxRunner, values: bool = False, arrays: Sequence[Any] | None = None, number: Any = None
) -> tuple[Graph, dict[str, Cell]]:
    """The graph and the cell of each layer. With ``arrays`` (weights, then inputs) all is computed too."""
    adapted, call, program = runner.adapted, runner.call, runner.program
    builder = GraphBuilder(adapted.name)
    names = Names(adapted.root, adapted.types)
    walk = Walk(builder, names, arrays is not None, number)
    given = list(arrays) if arrays is not None else [None] * (len(adapted.weights) + len(call.slots))
    cells = [_weight(walk, adapted, k, values, given[k]) for k in range(len(adapted.weights))]
    for slot, axes, array in zip(call.slots, runner.axes, given[len(cells) :]):
        cells.append(_input(walk, slot, axes, array))
    consts = [walk.closed_over(const) for const in program.consts]
    outputs = walk.walk(program.jaxpr, consts, cells, ())
    leaves = [cell for cell in outputs if walk.depends(cell)]
    for number_, cell in enumerate(leaves):
        title = "output" if len(leaves) == 1 else f"output.{number_}"
        names.found.append(Named(title, cell, "module", adapted.name, False))
    by_layer = names.write(builder, walk.dependent, _parameters(adapted))
    builder.graph.parameters = sum(_parameters(adapted).values())
    return builder.graph.verify(), by_layer


def _weight(walk: Walk, adapted: Adapted, index: int, values: bool, array: Any) -> Cell:
    item = adapted.weights[index]
    real = not isinstance(item, jax.ShapeDtypeStruct)
    if real and (adapted.fixed[index] or (values and np.dtype(item.dtype).kind in "fiub")):
        cell = walk.constant(np.asarray(item))
        cell.array = item if array is None else array
        return cell
    return walk.parameter(item.shape, adapted.names[index], array)


def _input(walk: Walk, slot: Slot, axes: tuple[int, ...] | None, array: Any) -> Cell:
    if axes is None:
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
