"""Front ends: each turns one kind of network description into a graph. ``trace`` finds the right one.

A source string is ``gallery:NAME``, ``torchvision:NAME``, ``timm:NAME``, ``package.module:factory``, a file
(``.pt2``, ``.pt``, ``.yaml``) or a text specification (``conv3x64 conv3x64 pool2``). No framework is imported before
it is needed.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from foveal.errors import SourceError
from foveal.graph import Graph

_LATER = {".onnx": "ONNX", ".keras": "Keras", ".h5": "Keras"}
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Loaded(NamedTuple):
    """A model built from a source string, and what to call it with unless the caller says."""

    model: Any
    inputs: Any
    axes: Any = None
    name: str = ""


def load(source: str, *, pretrained: bool = False) -> Loaded:
    """Build the PyTorch model a source string names, without downloading anything unless ``pretrained``.

    Raises SourceError in one line: no such name (with the closest three), a missing package, an unreadable file.
    """
    suffix = Path(source).suffix.lower()
    if suffix in _LATER:
        raise SourceError(f"{source}: {_LATER[suffix]} files cannot be read in this version; export the model as .pt2")
    files = suffix in (".pt2", ".pt", ".pth", ".ts", ".jit")
    module = _torch_part("torch_files" if files else "torch_build", source)
    loaded: Loaded = module.load_file(source) if files else module.build(source, pretrained)
    return loaded


def trace(
    model: Any,
    inputs: Any = None,
    *,
    pretrained: bool = False,
    training: bool = False,
    axes: Any = None,
    weights: str = "generic",
    name: str = "",
) -> Graph:
    """The graph of a model or of what a source string names.

    ``inputs`` is a shape such as (1, 3, 224, 224), several shapes, a dict of them, or example tensors; a source
    string has a default. See ``trace_module`` for the rest. Raises SourceError, TraceError.
    """
    if isinstance(model, Graph):
        return model
    if isinstance(model, (str, Path)) and not _is_torch(str(model)):
        return _specified(str(model), inputs)
    if isinstance(model, (str, Path)):
        loaded = load(str(model), pretrained=pretrained)
        name = name or loaded.name
    else:
        loaded = _torch_part("torch_files", "a PyTorch model").adopt(model)
    if isinstance(loaded.model, Graph):
        return loaded.model
    chosen = loaded.inputs if inputs is None else inputs
    if chosen is None:
        raise SourceError("no input shape: give one, such as (1, 3, 224, 224)")
    counted = loaded.axes if axes is None and inputs is None else axes
    traced: Graph = _torch_part("torch_trace", "a PyTorch model").trace_module(
        loaded.model, chosen, name=name, axes=counted, training=training, weights=weights
    )
    return traced


def _is_torch(source: str) -> bool:
    """Whether a source string names something that PyTorch builds or reads."""
    suffix = Path(source).suffix.lower()
    if suffix in _LATER or suffix in (".pt2", ".pt", ".pth", ".ts", ".jit"):
        return True
    return not source.startswith("gallery:") and _FACTORY.fullmatch(source.strip()) is not None


def _specified(source: str, inputs: Any) -> Graph:
    """A gallery name, a YAML file or a quoted specification."""
    if isinstance(inputs, dict):
        if len(inputs) != 1:
            raise SourceError("a specification has one input; give one shape")
        inputs = next(iter(inputs.values()))
    graph: Graph = import_module("foveal.frontends.spec").trace_spec(source, inputs)
    return graph


def _torch_part(module: str, what: str) -> Any:
    """A module of this package that needs PyTorch."""
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        raise SourceError(f"{what} needs PyTorch, which is not installed: pip install 'foveal[torch]'") from error
    return import_module(f"foveal.frontends.{module}")
