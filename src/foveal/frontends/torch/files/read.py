"""Read model files and exported programs. Nothing in a file is executed but the network's own operations."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foveal.core.errors import SourceError, first_line
from foveal.frontends.torch.files.archive import load_program
from foveal.frontends.torch.files.build import Loaded, build
from foveal.frontends.torch.files.defaults import default_inputs, from_first_layer
from foveal.frontends.torch.files.export import ExportedModule, example_of, is_exported
from foveal.frontends.torch.files.wrappers import has_forward, no_network, unwrapped
from foveal.ir.graph import Graph

SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".jit")


def load(source: str, *, pretrained: bool = False) -> Loaded:
    """Build the model a source string names, without downloading anything unless ``pretrained``.

    Raises SourceError in one line: no such name (with the closest three), a missing package, an unreadable file.
    """
    suffix = Path(source).suffix.lower()
    if suffix == ".h5":
        raise SourceError(f"{source}: Keras files cannot be read in this version; export the model as .pt2")
    if suffix in SUFFIXES:
        return load_file(source)
    loaded = build(source, pretrained)
    return loaded if isinstance(loaded.model, Graph) else _completed(loaded, source)


def _completed(loaded: Loaded, source: str) -> Loaded:
    """The module that a factory meant, and what to call it with; raises SourceError."""
    try:
        found = adopt(loaded.model)
    except SourceError as error:
        raise SourceError(f"{source} gives a {type(loaded.model).__name__}: {error}") from error
    inputs = loaded.inputs if found.inputs is None or loaded.inputs is not None else found.inputs
    for guess in (default_inputs, from_first_layer):
        inputs = guess(found.model) if inputs is None else inputs
    return Loaded(found.model, (1, 3, 224, 224) if inputs is None else inputs, loaded.axes, loaded.name)


def load_file(source: str) -> Loaded:
    """The model in a ``.pt2`` file (torch.export) or a TorchScript file; raises SourceError in one line."""
    path = Path(source)
    if not path.is_file():
        raise SourceError(f"{source}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() == ".pt2":
                model: Any = load_program(str(path))
            else:
                model = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except SourceError:
        raise
    except Exception as error:
        if path.suffix.lower() in (".pt", ".pth"):
            _refuse_pickle(source)
        kind = "torch.export" if path.suffix.lower() == ".pt2" else "TorchScript"
        raise SourceError(f"{source}: not a readable {kind} file ({first_line(error)[:200]})") from error
    return adopt(model)._replace(name=path.stem)


def _refuse_pickle(source: str) -> None:
    """Raises SourceError where the file holds weights, or a pickled module, which would run code; nothing is run."""
    try:
        held = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "GLOBAL" in str(error):
            raise SourceError(
                f"{source}: holds a pickled module, which could run code: give a factory (package.module:factory), or "
                "save it with torch.export.save"
            ) from None
        return
    except Exception:
        return
    if isinstance(held, dict):
        raise SourceError(
            f"{source}: this holds weights, not a network: give a factory (package.module:factory), and the file "
            "beside it where a command takes --weights"
        ) from None


def adopt(model: Any) -> Loaded:
    """What to trace for an object that a caller hands in; raises SourceError where it is no model."""
    if isinstance(model, torch.export.ExportedProgram):
        given = model.example_inputs
        inputs = None if given is None else (given[1] if given[1] and not given[0] else tuple(given[0]))
        return Loaded(ExportedModule(model), inputs)
    model = unwrapped(model)
    if isinstance(model, torch.fx.GraphModule) and is_exported(model):
        return Loaded(ExportedModule(model), example_of(model))
    if isinstance(model, torch.jit.ScriptModule):
        _check_watchable(model)
    if isinstance(model, nn.Module) and has_forward(model):
        return Loaded(model, None)
    raise no_network(model)


def _check_watchable(model: torch.jit.ScriptModule) -> None:
    """Raises SourceError where a script was rewritten into operations that no dispatcher sees."""
    try:
        kinds = {node.kind() for node in model.graph.nodes()}
    except Exception:  # no forward, or several
        return
    if any("mkldnn" in kind.lower() for kind in kinds):
        raise SourceError(
            "a script that torch.jit.optimize_for_inference has turned into oneDNN's own operations cannot be watched; "
            "give the module from before (torch.jit.freeze is no hindrance)"
        )
