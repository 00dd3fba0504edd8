"""A Keras model on the JAX backend: a function of its variables, traced through its jaxpr.

Keras itself puts each layer into a named scope of its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foveal.frontends.jax.inputs import Call, read_call
from foveal.frontends.jax.models import Adapted
from foveal.frontends.jax.trace import trace_adapted
from foveal.frontends.keras.trace import arguments, layer_paths
from foveal.ir.graph import Graph


def trace_model(model: Any, inputs: Any, *, name: str, axes: Any, weights: str, training: bool) -> Graph:
    """The graph of a built Keras model."""
    adapted = adapt(model, training)
    return trace_adapted(model, adapted, _call(inputs), name=name, axes=axes, weights=weights)


def _call(inputs: Any) -> Call:
    given = arguments(inputs)
    call = read_call((given,) if isinstance(given, (list, dict)) else given)
    if not isinstance(given, dict):
        return call
    return replace(call, slots=tuple(replace(slot, name=slot.name.removeprefix("input.")) for slot in call.slots))


def adapt(model: Any, training: bool) -> Adapted:
    """The model as a function of its variables, by their Keras paths without the model's own name."""
    trainable, fixed = list(model.trainable_variables), list(model.non_trainable_variables)
    variables = [*trainable, *fixed]

    def call(weights: Any, *args: Any, **kwargs: Any) -> Any:
        count = len(trainable)
        outputs, _ = model.stateless_call(weights[:count], weights[count:], *args, training=training, **kwargs)
        return outputs

    own = f"{model.name}/"
    names = tuple(variable.path.removeprefix(own).replace("/", ".") for variable in variables)
    types = {path: type(layer).__name__ for path, layer in layer_paths(model).values()}
    arrays = tuple(variable.value for variable in variables)
    trained = tuple(bool(variable.trainable) for variable in variables)
    tables = tuple(np.dtype(variable.dtype).kind in "iub" and "seed" not in variable.path for variable in variables)
    return Adapted(call, arrays, names, False, types, model.name, tables, trained)
