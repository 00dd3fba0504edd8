"""The user's own module inside what libraries put around it, so that layers have the names its author gave them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from foveal.core.errors import SourceError

LAYERS = 8
"""Wrappers around one another that are taken off."""
_AROUND = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What ``torch.compile``, sharded parameters and checkpoints of activations call the module that they hold."""
_HOLDERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
_EMPTY = ("lightning", "pytorch_lightning")
"""Packages whose base class has a forward that only raises."""


def unwrapped(model: Any) -> Any:
    """The module inside ``torch.compile``, DataParallel, averages, PEFT's adapters, and objects or modules without a
    forward of their own whose ``.model`` (or ``.module``) is one (ultralytics' YOLO, a pipeline, a learner). Anything
    else as it is.
    """
    for _ in range(LAYERS):
        inner = _inside(model)
        if inner is None:
            break
        model = inner
    return model


def _inside(model: Any) -> nn.Module | None:
    if not isinstance(model, nn.Module):
        inner = None if isinstance(model, type) else _quietly(model, "model")
        return inner if isinstance(inner, nn.Module) else None
    modules = model._modules
    if is_wrapper(model):
        return next(modules[name] for name in (*_AROUND, "module") if name in modules)
    if any(kind.__name__ == "PeftModel" for kind in type(model).__mro__):
        base: Any = model.get_base_model()  # type: ignore[operator]
        return None if base is modules.get("base_model") else base  # a learned prompt is put before the inputs
    return None if has_forward(model) else modules.get("model", modules.get("module"))


def named_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Path and module, as ``model.named_modules()``, but a wrapper inside (a compiled part) takes no place in a path:
    it and what it holds share one.
    """
    found, around = [], {path for path, module in model.named_modules() if path and is_wrapper(module)}
    for path, module in model.named_modules():
        for wrapper in sorted(around, key=len, reverse=True):
            if path.startswith(f"{wrapper}."):
                path = ".".join([wrapper, *path[len(wrapper) + 1 :].split(".")[1:]])
        found.append((path, module))
    return found


def is_wrapper(module: nn.Module) -> bool:
    """Whether a module only runs the one that it holds."""
    return bool(wrappers((module,)))


def wrappers(modules: Iterable[nn.Module]) -> set[int]:
    """The identities of those that only run the module that they hold; all at once, as every trace asks it of each."""
    return {
        id(module)
        for module in modules
        if isinstance(module, _HOLDERS) or not _AROUND.isdisjoint(module._modules.keys())
    }


def has_forward(module: nn.Module) -> bool:
    """Whether a module has a forward pass: its own, or one that a base class has and that does something."""
    if isinstance(module, torch.jit.ScriptModule) or "forward" in vars(module):
        return True
    owner = next(kind for kind in type(module).__mro__ if "forward" in vars(kind))
    return owner is not nn.Module and owner.__module__.partition(".")[0] not in _EMPTY


def _quietly(model: Any, name: str) -> Any:
    try:
        return getattr(model, name, None)
    except Exception:  # a property that fails says that there is none
        return None


def no_network(model: Any) -> SourceError:
    """Why an object cannot be traced, and which networks it holds."""
    kind = type(model).__name__
    parts = model._modules if isinstance(model, nn.Module) else getattr(model, "__dict__", {})
    held = [name for name, item in parts.items() if isinstance(item, nn.Module) and has_forward(item)]
    if held:
        names = ", ".join(f"{name} ({type(parts[name]).__name__})" for name in held[:6])
        return SourceError(f"a {kind} has no forward of its own; give one of the networks it holds: {names}")
    if isinstance(model, nn.Module):
        return SourceError(f"a {kind} has no forward: nothing can be traced")
    given = "a class: give an instance of it" if inspect.isclass(model) else f"a {kind}"
    if isinstance(model, dict) and any(isinstance(item, torch.Tensor) for item in model.values()):
        return SourceError("these are weights, not a network: load them into the module and give that")
    return SourceError(f"cannot trace {given}: give a torch.nn.Module, an ExportedProgram or a source string")
