"""Front ends: each turns one kind of network description into a graph. ``trace`` finds the right one.

A source string is ``gallery:NAME``, ``torchvision:NAME``, ``timm:NAME``, ``keras:NAME``, ``package.module:factory``, a
file (``.onnx``, ``.keras``, ``.pt2``, ``.pt``, ``.yaml``) or a text specification (``conv3x64 conv3x64 pool2``). No
framework is imported before it is needed.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from foveal.core.errors import SourceError
from foveal.ir.extension import REGISTRY, load as load_rules
from foveal.ir.graph import Graph

_LATER = {".h5": "Keras"}
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
    module = _torch_part("torch.files.read" if files else "torch.files.build", source)
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
    if not REGISTRY.loaded:
        load_rules()
    if _is_onnx(model):
        return _onnx(model, inputs, axes, weights, name)
    kind = _kind(model)
    if kind != "torch":
        return _other(kind, model, inputs, axes, weights, name, training)
    if isinstance(model, (str, Path)) and not _is_torch(str(model)):
        return _specified(str(model), inputs)
    if isinstance(model, (str, Path)):
        loaded = load(str(model), pretrained=pretrained)
        name = name or loaded.name
    else:
        loaded = _torch_part("torch.files.read", "a PyTorch model").adopt(model)
    if isinstance(loaded.model, Graph):
        return loaded.model
    chosen = loaded.inputs if inputs is None else inputs
    if chosen is None:
        raise SourceError("no input shape: give one, such as (1, 3, 224, 224)")
    counted = loaded.axes if axes is None and inputs is None else axes
    traced: Graph = _torch_part("torch.trace", "a PyTorch model").trace_module(
        loaded.model, chosen, name=name, axes=counted, training=training, weights=weights
    )
    return traced


def _kind(model: Any) -> str:
    """Which front end a model belongs to: "keras", "jax" (functions and Flax modules) or "torch" (all the rest)."""
    if isinstance(model, (str, Path)):
        text = str(model).strip()
        return "keras" if text.startswith("keras:") or Path(text).suffix.lower() == ".keras" else "torch"
    homes = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in homes:
        return "keras"
    if "torch" in homes:
        return "torch"
    pair = isinstance(model, tuple) and len(model) == 2 and hasattr(model[0], "apply")
    return "jax" if "flax" in homes or "equinox" in homes or pair or callable(model) else "torch"


def _other(kind: str, model: Any, inputs: Any, axes: Any, weights: str, name: str, training: bool) -> Graph:
    """The graph of a Keras model, a JAX function or a Flax module."""
    package, what = {"keras": ("keras", "a Keras model"), "jax": ("jax", "a function or Flax module")}[kind]
    if kind == "keras":
        _choose_keras_backend()
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise SourceError(
                f"{what} needs {error.name}, which is not installed; Keras runs on the backend that KERAS_BACKEND "
                "names: set it to torch or jax"
            ) from error
        raise SourceError(f"{what} needs {package}, which is not installed: pip install 'foveal[{package}]'") from error
    module = import_module(f"foveal.frontends.{kind}.trace")
    if kind == "keras":
        graph: Graph = module.trace_keras(model, inputs, name=name, axes=axes, weights=weights, training=training)
        return graph
    if inputs is None:
        raise SourceError("no input shape: give one, such as (1, 224, 224, 3)")
    made: Graph = module.trace_function(model, inputs, name=name, axes=axes, weights=weights)
    return made


def _choose_keras_backend() -> None:
    """Where nothing says otherwise and TensorFlow, Keras's own default, is missing: PyTorch, else JAX."""
    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ or find_spec("tensorflow"):
        return
    installed = [name for name in ("torch", "jax") if find_spec(name)]
    if installed:
        os.environ["KERAS_BACKEND"] = installed[0]


def _is_torch(source: str) -> bool:
    """Whether a source string names something that PyTorch builds or reads."""
    suffix = Path(source).suffix.lower()
    if suffix in _LATER or suffix in (".pt2", ".pt", ".pth", ".ts", ".jit"):
        return True
    return not source.startswith("gallery:") and _FACTORY.fullmatch(source.strip()) is not None


def _is_onnx(model: Any) -> bool:
    """Whether it is an ONNX file or an ONNX model in memory."""
    if isinstance(model, (str, Path)):
        return Path(model).suffix.lower() == ".onnx"
    return type(model).__name__ == "ModelProto"


def _onnx(model: Any, inputs: Any, axes: Any, weights: str, name: str) -> Graph:
    """The graph of an ONNX file or model."""
    try:
        import_module("onnx")
    except ModuleNotFoundError as error:
        raise SourceError(
            f"{model} needs the onnx package, which is not installed: pip install 'foveal[onnx]'"
        ) from error
    module = import_module("foveal.frontends.onnx.trace")
    entry = module.trace_file if isinstance(model, (str, Path)) else module.trace_model
    graph: Graph = entry(model, inputs, axes=axes, weights=weights, name=name)
    return graph


def _specified(source: str, inputs: Any) -> Graph:
    """A gallery name, a YAML file or a quoted specification."""
    if isinstance(inputs, dict):
        if len(inputs) != 1:
            raise SourceError("a specification has one input; give one shape")
        inputs = next(iter(inputs.values()))
    graph: Graph = import_module("foveal.frontends.text.trace").trace_spec(source, inputs)
    return graph


def _torch_part(module: str, what: str) -> Any:
    """A module of this package that needs PyTorch."""
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        raise SourceError(f"{what} needs PyTorch, which is not installed: pip install 'foveal[torch]'") from error
    return import_module(f"foveal.frontends.{module}")
