"""Trace a Keras 3 model on whichever backend Keras runs: PyTorch through the PyTorch front end, JAX through its jaxpr.

Layers have their Keras names, those of a model inside a model a dotted path. The counted axes follow the model's data
format.
"""

from __future__ import annotations

import difflib
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import keras

from foveal.core.errors import SourceError, TraceError, first_line
from foveal.ir.graph import Graph

SIDE = 224
"""Positions along an axis that a model leaves open, unless the caller says."""


def trace(model: Any, inputs: Any, *, pretrained: bool, name: str, axes: Any, training: bool, weights: str) -> Graph:
    """The graph of a Keras model or layer, of ``keras:NAME`` (Keras Applications, no weights) or of a ``.keras`` file.

    ``inputs``: as for the other front ends; by default what the model itself says, open axes 224. Raises SourceError
    where the backend has no front end, TraceError where the model does not run.
    """
    backend = keras.backend.backend()
    if backend not in ("torch", "jax"):
        raise SourceError(
            f"Keras runs on {backend}, which has no front end: set KERAS_BACKEND to torch or jax before Keras is loaded"
        )
    if isinstance(model, (str, Path)):
        model = load_keras(str(model))
    chosen = default_shapes(model) if inputs is None else inputs
    counted = default_axes(chosen) if axes is None else axes
    if not getattr(model, "built", True):
        _build(model, chosen)
    module = import_module(f"foveal.frontends.keras.on_{backend}")
    graph: Graph = module.trace_model(
        model, chosen, name=name or model.name, axes=counted, weights=weights, training=training
    )
    return graph


def load_keras(source: str) -> Any:
    """The model that ``keras:NAME`` names or a ``.keras`` file holds; nothing is downloaded, no code in it run."""
    if source.strip().startswith("keras:"):
        return application(source.strip().partition(":")[2])
    if not Path(source).is_file():
        raise SourceError(f"{source}: no such file")
    try:
        return keras.models.load_model(source, compile=False, safe_mode=True)
    except Exception as error:
        raise SourceError(f"{source}: not a readable Keras file ({first_line(error)[:200]})") from error


def applications() -> dict[str, Any]:
    """The model functions of Keras Applications by name."""
    found = {name: getattr(keras.applications, name) for name in dir(keras.applications) if name[0].isupper()}
    return {name: function for name, function in found.items() if inspect.isfunction(function)}


def application(name: str) -> Any:
    """A model of Keras Applications without weights."""
    known = applications()
    if name not in known:
        close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.0)
        raise SourceError(f"keras has no model '{name}'; closest: {', '.join(close)}")
    try:
        return known[name](weights=None)
    except Exception as error:
        raise SourceError(f"keras:{name} could not be built: {first_line(error)}") from error


def default_shapes(model: Any) -> Any:
    """The shapes a model declares, a batch of one, open axes 224; raises SourceError where it declares none."""
    shape = getattr(model, "input_shape", None) if getattr(model, "built", False) else None
    if shape is None:
        raise SourceError("no input shape: give one, such as (1, 224, 224, 3)")
    if isinstance(shape, dict):
        return {key: _closed(item) for key, item in shape.items()}
    if isinstance(shape, list):
        return tuple(_closed(item) for item in shape)
    return _closed(shape)


def _closed(shape: Any) -> tuple[int, ...]:
    return tuple((1 if axis == 0 else SIDE) if n is None else int(n) for axis, n in enumerate(shape))


def default_axes(inputs: Any) -> Any:
    """The counted axes by Keras's data format: those between batch and channels (axis 1 of two)."""
    shapes: Any = inputs.values() if isinstance(inputs, dict) else [inputs] if _is_one(inputs) else inputs
    last = keras.config.image_data_format() == "channels_last"
    found = []
    for item in shapes:
        rank = len(_shape(item))
        found.append((1,) if rank == 2 else tuple(range(1, rank - 1)) if last else tuple(range(2, rank)))
    if isinstance(inputs, dict):
        return dict(zip(inputs, found))
    return found[0] if len(found) == 1 else tuple(found)


def _is_one(inputs: object) -> bool:
    if hasattr(inputs, "shape"):
        return True
    return isinstance(inputs, (tuple, list)) and all(type(item) is int for item in inputs)


def _shape(item: Any) -> tuple[int, ...]:
    """A shape, or that of an array."""
    return tuple(item.shape if hasattr(item, "shape") else item)


def _build(model: Any, inputs: Any) -> None:
    """Let a model that was never called make its weights."""
    shapes: Any = inputs.values() if isinstance(inputs, dict) else [inputs] if _is_one(inputs) else inputs
    tensors = [keras.KerasTensor(_shape(item), dtype="float32") for item in shapes]
    try:
        if isinstance(inputs, dict):
            model(dict(zip(inputs, tensors)))
        elif len(tensors) == 1:
            model(tensors[0])
        else:
            model(tensors)
    except Exception as error:
        raise TraceError(f"{model.name}: {first_line(error)}") from error


def layer_paths(model: Any, prefix: str = "") -> dict[int, tuple[str, Any]]:
    """Every layer below a model with its dotted path of Keras names, by identity."""
    found: dict[int, tuple[str, Any]] = {}
    for layer in getattr(model, "layers", None) or getattr(model, "_layers", []):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        path = f"{prefix}{layer.name}"
        found.setdefault(id(layer), (path, layer))
        for key, item in layer_paths(layer, f"{path}.").items():
            found.setdefault(key, item)
    return found


def arguments(inputs: Any) -> Any:
    """What a model is called with: several inputs are one argument, a list."""
    return list(inputs) if isinstance(inputs, (tuple, list)) and not _is_one(inputs) and len(inputs) > 1 else inputs
