"""Stands meta tensors in for a model's parameters while it is traced, and puts everything back.

Within the context the modules' parameters are meta tensors of the same shape, buffers and plain tensor attributes are
copies, modules are in the asked mode. Afterwards each module's own dictionary is as it was: parameters, buffers,
flags and whatever the forward pass set.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from foveal.core.errors import TraceError

_NO_TENSORS = {int, bool, float, str, tuple, list, dict, OrderedDict, set, type(None)}
"""The types of most attributes of modules."""


class Swapped(NamedTuple):
    """One parameter: what stands in for it, itself, and its dotted name."""

    stand_in: Tensor
    original: Tensor
    name: str


@contextmanager
def stand_ins(
    model: nn.Module,
    training: bool,
    values: bool,
    real: bool = False,
    generic: frozenset[str] = frozenset(),
    modules: Sequence[tuple[str, nn.Module]] | None = None,
) -> Iterator[list[Swapped]]:
    """Swap tensors within; yields what counts as weights.

    ``values`` keeps real parameters as they are and out of the list, so that they are constants; ``real`` keeps them
    for a run on real tensors, with seeded random numbers for those on the meta device. Buffers named in ``generic`` are
    weights as well.
    """
    modules = list(model.named_modules()) if modules is None else modules
    saved = [(module, _snapshot(module)) for _, module in modules]
    fused = torch.backends.mha.get_fastpath_enabled()
    swapped: list[Swapped] = []
    try:
        if any(getattr(module, "training", training) != training or _observes(module) for _, module in modules):
            in_mode(model, training)
        torch.backends.mha.set_fastpath_enabled(False)
        known: dict[int, Tensor] = {}
        for path, module in modules:
            _swap(path, module, known, swapped, (values, real), generic)
        yield swapped
    finally:
        for module, snapshot in saved:
            _restore(module, snapshot)
        torch.backends.mha.set_fastpath_enabled(fused)


def in_number(module: nn.Module, number: torch.dtype = torch.float64) -> nn.Module:
    """All numbers in one precision, on the CPU. A class may use the words ``to``, ``cpu`` and ``double`` otherwise."""
    if isinstance(module, torch.jit.ScriptModule):
        return module.cpu().to(number)
    return nn.Module.to(module, "cpu", number)


def in_mode(module: nn.Module, training: bool) -> nn.Module:
    """Set the mode of a module and of all in it. A class may use the word ``train`` for something else, such as a
    training run: its method is called only where it takes a ``mode``. In evaluation a fake quantiser keeps the range
    that it has seen, as a batch norm does; PyTorch's own goes on observing until it is told not to.
    """
    if isinstance(module, torch.jit.ScriptModule):
        if hasattr(module, "training"):  # what was frozen has none
            module.train(training)
        return module
    own = type(module).train
    if own is not nn.Module.train and "mode" in inspect.signature(own).parameters and "train" not in vars(module):
        return module.train(training)
    module.training = training
    if not training and _observes(module):
        module._buffers["observer_enabled"] = torch.zeros_like(module.observer_enabled)  # type: ignore[arg-type]
    for child in module.children():
        in_mode(child, training)
    return module


def _observes(module: nn.Module) -> bool:
    """Whether a module is a fake quantiser of ``torch.ao``."""
    return "observer_enabled" in module.__dict__.get("_buffers", ())


Snapshot = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _snapshot(module: nn.Module) -> Snapshot:
    if isinstance(module, torch.jit.ScriptModule):
        return {"training": getattr(module, "training", None)}, {}, {}
    return dict(module.__dict__), dict(module._parameters), dict(module._buffers)


def _restore(module: nn.Module, snapshot: Snapshot) -> None:
    attributes, parameters, buffers = snapshot
    if isinstance(module, torch.jit.ScriptModule):
        if attributes["training"] is not None and module.training != attributes["training"]:
            module.train(bool(attributes["training"]))
        return
    tables: tuple[Any, ...] = (module.__dict__, module._parameters, module._buffers)
    for table, original in zip(tables, (attributes, parameters, buffers), strict=True):
        table.clear()
        table.update(original)


def _swap(
    path: str,
    module: nn.Module,
    known: dict[int, Tensor],
    swapped: list[Swapped],
    how: tuple[bool, bool],
    generic: frozenset[str],
) -> None:
    values, real = how
    prefix = f"{path}." if path else ""
    if isinstance(module, torch.jit.ScriptModule):
        swapped.extend(Swapped(item, item, prefix + name) for name, item in module.named_parameters(recurse=False))
        return
    for name, original in module._parameters.items():
        if original is None:
            continue
        new = known.get(id(original))
        if new is None:
            if is_lazy(original):
                raise TraceError(
                    f"parameter '{prefix}{name}' is lazy and has no shape yet; run the model once before tracing it"
                )
            new = known[id(original)] = _weights(original, values, real, prefix + name)
            if not values or original.is_meta:
                swapped.append(Swapped(new, original, prefix + name))
        module._parameters[name] = new  # type: ignore[assignment]
    for name, buffer in module._buffers.items():
        if buffer is not None:
            new = known.get(id(buffer))
            if new is None:
                weights = prefix + name in generic
                made = torch.empty_like(buffer, device="meta") if weights and not real else None
                new = known[id(buffer)] = _buffer(buffer, real, prefix + name) if made is None else made
                if buffer.is_meta or weights:
                    swapped.append(Swapped(new, buffer, prefix + name))
            module._buffers[name] = new
    own = module.__dict__
    held = [name for name, item in own.items() if type(item) not in _NO_TENSORS and isinstance(item, Tensor)]
    for name in held:
        if not own[name].is_meta:
            own[name] = own[name].detach().to("cpu", copy=True)


def float_buffers(modules: Sequence[tuple[str, nn.Module]]) -> dict[str, tuple[dict[str, Any], str, Tensor]]:
    """The floating buffers that a model may write to, by name: the table where each stands, its key, the tensor.

    Those of scripted modules are left out, and those of norms, which are not read as matrices.
    """
    return {
        f"{path}.{name}" if path else name: (module._buffers, name, buffer)
        for path, module in modules
        if module._buffers and not isinstance(module, (torch.jit.ScriptModule, nn.modules.batchnorm._NormBase))
        for name, buffer in module._buffers.items()
        if buffer is not None and buffer.dtype.is_floating_point
    }


def _weights(original: Tensor, values: bool, real: bool, name: str) -> Tensor:
    if real and original.is_meta:
        return seeded(original, name)
    if values or real or original.is_meta:
        return original
    return nn.Parameter(torch.empty_like(original, device="meta", requires_grad=False), requires_grad=False)


def _buffer(original: Tensor, real: bool, name: str) -> Tensor:
    if not original.is_meta:
        return original.detach().to("cpu", copy=True)
    return seeded(original, name) if real else original


def seeded(original: Tensor, name: str) -> Tensor:
    """Real numbers for a tensor on the meta device: fan-in scaled normal ones from a seed that its name gives;
    variances are 1.
    """
    if name.endswith(("var", "running_std")) or not original.dtype.is_floating_point:
        return torch.ones(original.shape, dtype=original.dtype)
    generator = torch.Generator().manual_seed(sum(ord(letter) * (index + 1) for index, letter in enumerate(name)))
    fan_in = max(1, original[0].numel()) if original.dim() > 1 else 1
    numbers = torch.randn(original.shape, dtype=torch.float32, generator=generator)
    numbers = 1.0 + 0.1 * numbers if original.dim() <= 1 and name.endswith("weight") else numbers / fan_in**0.5
    return nn.Parameter(numbers.to(original.dtype), requires_grad=False)
