"""Trace a JAX function or a Flax module through its jaxpr: nothing is computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax

from foveal.core.errors import FovealError, SourceError, TraceError, first_line
from foveal.frontends.jax.backend import JaxBackend
from foveal.frontends.jax.inputs import Call, counted_axes, read_call
from foveal.frontends.jax.lowering.tracer import Array
from foveal.frontends.jax.models import Adapted, adapt
from foveal.frontends.jax.walk import Program, walk_program
from foveal.ir.graph import Graph
from foveal.ir.layout import all_known


def trace(model: Any, inputs: Any, *, pretrained: bool, name: str, axes: Any, training: bool, weights: str) -> Graph:
    """The graph of a function or module; see :func:`trace_function`."""
    if inputs is None:
        raise SourceError("no input shape: give one, such as (1, 224, 224, 3)")
    return trace_function(model, inputs, name=name, axes=axes, weights=weights)


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
    traced = Program(adapted, call, program, _sources(program, adapted, call, axes))
    graph, _ = walk_program(traced, weights == "values")
    graph.backend = JaxBackend(model, traced)
    return graph


def make_program(adapted: Adapted, call: Call) -> Any:
    """The closed jaxpr of ``weights, inputs -> outputs`` (both flat). Raises TraceError."""

    def flat(*arrays: Array) -> Any:
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
        shown = ", ".join("x".join(map(str, slot.shape)) or "scalar" for slot in call.slots)
        raise TraceError(f"{adapted.name}: {first_line(error)} (input shape {shown})") from error


def _sources(program: Any, adapted: Adapted, call: Call, axes: Any) -> tuple[tuple[int, ...] | None, ...]:
    variables = program.jaxpr.invars[len(adapted.weights) :]
    all_known(axes, (slot.name for slot in call.slots))
    pairs = zip(call.slots, variables)
    return tuple(counted_axes(slot, axes, index, program.jaxpr, var) for index, (slot, var) in enumerate(pairs))
