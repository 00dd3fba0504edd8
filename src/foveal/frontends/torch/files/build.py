"""Build PyTorch models by name, without weights and without downloading.

While a model is built, each parameter becomes a meta tensor as soon as a module registers it, and initialisation
skips it: weights cost nothing (memory that is never touched is never used), while buffers, index tables and whatever
else the constructor computes keep their values.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from foveal.core.errors import FovealError, SourceError, first_line
from foveal.frontends.backends import PASTED
from foveal.frontends.sources import calls
from foveal.frontends.torch.dispatch.constants import to_meta
from foveal.frontends.torch.files.pasted import pasted_input, pasted_module
from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result


class Loaded(NamedTuple):
    """A model built from a source string, and what to call it with unless the caller says."""

    model: Any
    inputs: Any
    axes: Any = None
    name: str = ""


class WithoutInitialization(TorchFunctionMode):
    """Skips what initialisation would do to parameters on the meta device; keeps everything else off that device."""

    def __torch_function__(self, func: Overload, types: Args, args: Args = (), kwargs: Kwargs | None = None) -> Result:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__"):
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, Tensor) and target.is_meta and name != "requires_grad_":
                return target
        if "device" in kwargs and kwargs["device"] is not None and torch.device(kwargs["device"]).type == "meta":
            # A table made where the weights are: its numbers matter.
            kwargs = {**kwargs, "device": "cpu"}
        try:
            return func(*args, **kwargs)
        except RuntimeError:
            # A constructor that runs a part of the model on a real tensor, to learn shapes.
            moved = to_meta(args, {}), to_meta(kwargs, {})
            if not any(isinstance(item, Tensor) and item.is_meta for item in args):
                raise
            return func(*moved[0], **moved[1])


@contextmanager
def weights_on_meta() -> Iterator[None]:
    """Within: parameters move to the meta device when a module registers them; tied ones stay tied."""
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}

    def move(module: nn.Module, name: str, parameter: nn.Parameter | None) -> Any:
        if parameter is None or parameter.is_meta or is_lazy(parameter):
            return None
        if id(parameter) not in moved:
            stand_in = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
            moved[id(parameter)] = (parameter, stand_in)
        return moved[id(parameter)][1]

    hook = nn.modules.module.register_module_parameter_registration_hook(move)
    try:
        with WithoutInitialization():
            yield
    finally:
        hook.remove()


def build(source: str, pretrained: bool = False) -> Loaded:
    """The model that ``torchvision:NAME``, ``timm:NAME`` or ``package.module:factory`` names, or that a pasted
    ``nn.Sequential(...)`` describes. Options: ``timm:NAME?img_size=64``, ``torchvision:NAME(num_classes=9)``.
    """
    if PASTED.match(source):
        model = make("pasted code", lambda: pasted_module(source), pretrained=False)
        return Loaded(model, pasted_input(model), None, "Sequential")
    package, _, name = source.strip().partition(":")
    if package == "torchvision":
        return _torchvision(name, pretrained)
    if package == "timm":
        return _timm(name, pretrained)
    return _factory(_module(package), name, pretrained)


def _module(package: str) -> str:
    """``models/net.py``, a file below the current folder, as the module ``models.net``; a module as it is."""
    if not package.endswith(".py"):
        return package
    return ".".join(part for part in Path(package[:-3]).parts if part != ".")


def make(what: str, builder: Callable[[], Any], pretrained: bool) -> Any:
    """What a builder gives, its parameters on the meta device unless ``pretrained``; raises SourceError."""
    try:
        if pretrained:
            return builder()
        try:
            with weights_on_meta():
                return builder()
        except Exception:
            # A constructor that reads its weights: build it really, with the framework's own random numbers.
            return builder()
    except FovealError:
        raise
    except Exception as error:
        raise SourceError(f"{what} could not be built: {first_line(error)}") from error


_COMPILER = "torch._dynamo.utils"


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Within, torchvision is imported without PyTorch's compiler, which takes as long again as PyTorch itself and is
    only asked whether it works here: whoever wants to know imports it then.
    """
    if _COMPILER in sys.modules:
        yield
        return
    stand_in: Any = ModuleType(_COMPILER)

    def real(name: str) -> Any:
        if name.startswith("__"):  # who looks over all modules
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]
        return getattr(importlib.import_module(_COMPILER), name)

    stand_in.is_compile_supported = lambda *args: real("is_compile_supported")(*args)
    stand_in.__getattr__ = real
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]


def _package(name: str) -> Any:
    try:
        with _without_compiler():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SourceError(f"{name} is not installed: pip install 'foveal[torch]'") from error


def _unknown(kind: str, name: str, known: Iterable[str]) -> SourceError:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.0)
    return SourceError(f"{kind} has no model '{name}'; closest: {', '.join(close)}")


def _torchvision(text: str, pretrained: bool) -> Loaded:
    models, asked = _package("torchvision").models, calls.read(text)
    name, known = asked.name, models.list_models()
    if name not in known:
        raise _unknown("torchvision", name, known)
    builder = models.get_model_builder(name)
    options: dict[str, Any] = {"weights": "DEFAULT" if pretrained else None, **asked.options}
    if "weights_backbone" in inspect.signature(builder).parameters:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3") and not pretrained:
        options["init_weights"] = False
    model = make(f"torchvision:{text}", lambda: builder(*asked.args, **options), pretrained)
    inputs, axes = _torchvision_input(name, builder.__module__, model)
    return Loaded(model, inputs, axes, name)


def _torchvision_input(name: str, module: str, model: Any) -> tuple[Any, Any]:
    """What a torchvision model is called with unless the caller says: the size its weights were made for.

    Detection models take a list of images, here of the size to which their own transform would bring them.
    """
    if ".video" in module:
        return (1, 3, 16, *_crop(name)), None
    if ".detection" in module:
        size = model.transform.fixed_size or (model.transform.min_size[-1],) * 2
        if "mask" in name:
            size = (320, 320)  # each of a hundred masks is pasted into a map of the image's size: gigabytes at 800
        return ([(3, *size)],), (1, 2)
    if ".optical_flow" in module:
        return ((1, 3, 224, 224), (1, 3, 224, 224)), None
    own = getattr(model, "image_size", None)
    return (1, 3, *((own, own) if isinstance(own, int) else _crop(name))), None


def _crop(name: str) -> tuple[int, int]:
    """The crop of the preprocessing that belongs to a model's weights (nothing is downloaded); else 224 by 224."""
    weights = _package("torchvision").models.get_model_weights(name)
    crop = getattr(weights.DEFAULT.transforms(), "crop_size", None) if len(weights) else None
    if not crop:
        return (224, 224)
    return (crop[0], crop[-1])


def _timm(text: str, pretrained: bool) -> Loaded:
    timm, asked = _package("timm"), calls.read(text)
    name, options = asked.name, {"pretrained": pretrained, **asked.options}
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    model = make(f"timm:{text}", lambda: timm.create_model(name, *asked.args, **options), pretrained)
    config = getattr(model, "pretrained_cfg", None) or {}
    channels, *size = config.get("input_size") or (3, 224, 224)
    own = options.get("img_size", size)
    sides = (own, own) if isinstance(own, int) else own
    return Loaded(model, (1, options.get("in_chans", channels), *sides), None, name)


def _factory(package: str, name: str, pretrained: bool) -> Loaded:
    """Call ``package.module:factory``; the current folder is on the import path for the while."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        target: Any = importlib.import_module(package)
        for part in name.split("."):
            target = getattr(target, part)
    except AttributeError as error:
        raise _no_attribute(package, name) from error
    except Exception as error:
        raise SourceError(f"{package}:{name} could not be imported: {error}") from error
    finally:
        sys.path.remove(here)
    made = target if isinstance(target, nn.Module) else make(f"{package}:{name}", target, pretrained=True)
    inputs: Any = None
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module):
        made, inputs = made
    return Loaded(made, inputs, None, name)


def _no_attribute(package: str, name: str) -> SourceError:
    module = sys.modules.get(package)
    names = [item for item in dir(module) if not item.startswith("_")] if module else []
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return SourceError(f"{package} has no '{name}'; closest: {', '.join(close) or 'nothing'}")
