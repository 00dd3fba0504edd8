"""What a model is called with: shapes or example tensors, read once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from foveal.core.errors import TraceError
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.lowering.table import Args, Kwargs

Axes = tuple[int, ...]


def _is_shape(item: object) -> bool:
    return isinstance(item, (tuple, list, torch.Size)) and len(item) > 0 and all(type(part) is int for part in item)


@dataclass(frozen=True)
class Slot:
    """One tensor of the call: its name, shape, type, example if given, and counted axes (None: not a source)."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    example: Tensor | None
    axes: Axes | None


@dataclass(frozen=True)
class Inputs:
    """The call: nested positional and keyword arguments in which each tensor is a Slot."""

    args: Args
    kwargs: Kwargs

    def changed(self, change: Callable[[Slot], Any]) -> Inputs:
        """The same call with something else in place of each slot, in order."""

        def fill(item: Any) -> Any:
            if isinstance(item, Slot):
                return change(item)
            if isinstance(item, dict):
                return {key: fill(part) for key, part in item.items()}
            if isinstance(item, (list, tuple)):
                return type(item)([fill(part) for part in item])
            return item

        return Inputs(fill(self.args), fill(self.kwargs))

    def make(self, values: Values, real: bool, seed: int = 0) -> tuple[Args, Kwargs]:
        """The arguments as tensors, meta or real, each counted one a source of ``values``."""
        device = "cpu" if real else "meta"
        generator = torch.Generator().manual_seed(seed)
        made = self.changed(lambda slot: _tensor(slot, device, generator, values))
        return made.args, made.kwargs

    def slots(self) -> list[Slot]:
        """All tensors in order."""
        found: list[Slot] = []
        self.changed(found.append)
        return found


def _tensor(slot: Slot, device: str, generator: torch.Generator, values: Values) -> Tensor:
    if slot.axes is None:
        assert slot.example is not None
        return slot.example.detach().to("cpu", copy=True)
    if device == "meta":
        example = slot.example
        tensor = torch.empty(slot.shape, dtype=slot.dtype, device="meta")
        if example is not None and example.shape == tensor.shape:  # its layout in memory as well
            tensor = torch.empty_like(example.detach(), dtype=slot.dtype, device="meta")
    elif slot.example is not None and not slot.example.is_meta:
        tensor = slot.example.detach().to("cpu", copy=True)
    elif slot.dtype.is_floating_point:
        tensor = torch.rand(slot.shape, dtype=slot.dtype, generator=generator)
    else:
        tensor = torch.zeros(slot.shape, dtype=slot.dtype)
    values.source(tensor, slot.axes, slot.name)
    return tensor


def read_inputs(inputs: Any, axes: Any = None, model: nn.Module | None = None) -> Inputs:
    """Normalise what the caller gave: a shape, several shapes, a dict of either, or example tensors in any nesting.

    The names of a dict are keyword arguments where ``model.forward`` knows them all, else only names, in order.
    """
    counter = count()
    args: Args
    no_names: Kwargs = {}
    if _is_shape(inputs) or isinstance(inputs, Tensor):
        args, kwargs = (inputs,), no_names
    elif isinstance(inputs, dict):
        if not _knows(model, inputs):
            args = tuple(_read(item, key, axes, counter) for key, item in inputs.items())
            return Inputs(args, {})
        args, kwargs = (), inputs
    elif isinstance(inputs, (tuple, list)) and len(inputs):
        args, kwargs = tuple(inputs), no_names
    else:
        raise TraceError(
            f"cannot read inputs {inputs!r}: give a shape such as (1, 3, 224, 224), shapes, or example tensors"
        )
    single = len(args) == 1
    read_args = tuple(
        _read(item, "input" if single else f"input{index}", axes, counter) for index, item in enumerate(args)
    )
    return Inputs(read_args, {key: _read(item, key, axes, counter) for key, item in kwargs.items()})


def _read(item: Any, name: str, axes: Any, counter: Iterator[int]) -> Any:
    if _is_shape(item) or isinstance(item, Tensor):
        return _slot(item, name, _axes_for(axes, name, next(counter)))
    if isinstance(item, dict):
        return {key: _read(part, f"{name}.{key}", axes, counter) for key, part in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(_read(part, f"{name}.{index}", axes, counter) for index, part in enumerate(item))
    return item


def _knows(model: nn.Module | None, names: Kwargs) -> bool:
    """Whether the model's forward takes all these names."""
    if model is None:
        return True
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return True
    return set(names) <= {parameter.name for parameter in parameters}


def _axes_for(axes: Any, name: str, index: int) -> Any:
    if axes is None or isinstance(axes, str):
        return axes
    if isinstance(axes, dict):
        return axes.get(name)
    if all(isinstance(item, int) for item in axes):
        return tuple(axes)
    return axes[index] if index < len(axes) else None


def _slot(item: Any, name: str, axes: Any) -> Slot:
    example = item if isinstance(item, Tensor) else None
    shape = tuple(item.shape if example is not None else item)
    dtype = example.dtype if example is not None else torch.get_default_dtype()
    if len(shape) < 2 and axes is None:
        if example is None:
            raise TraceError(f"input '{name}' of shape {shape} has no axis to count; give an example tensor or axes")
        return Slot(name, shape, dtype, example, None)
    return Slot(name, shape, dtype, example, counted_axes(shape, axes, name))


def counted_axes(shape: tuple[int, ...], axes: Any, name: str) -> Axes:
    """The axes whose positions are counted: all but the first two, or axis 1 of two; or what ``axes`` says ("NHWC")."""
    rank = len(shape)
    if axes is None:
        return (1,) if rank == 2 else tuple(range(2, rank))
    if isinstance(axes, str):
        if len(axes) != rank:
            raise TraceError(f"axes {axes!r} has {len(axes)} letters but input '{name}' has shape {shape}")
        return tuple(index for index, letter in enumerate(axes.upper()) if letter not in "NBC")
    found = tuple(axis + rank if axis < 0 else axis for axis in axes)
    if any(not 0 <= axis < rank for axis in found):
        raise TraceError(f"axes {tuple(axes)} do not exist in input '{name}' of shape {shape}")
    return found
