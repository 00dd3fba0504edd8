"""What a model is called with: shapes or example tensors, read once."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.core.errors import TraceError
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.lowering.table import Args, Kwargs
from foveal.ir.layout import by_name

Axes = tuple[int, ...]


def _is_shape(item: object) -> bool:
    return isinstance(item, (tuple, list, torch.Size)) and len(item) > 0 and all(type(part) is int for part in item)


@dataclass(frozen=True)
class Slot:
    """One tensor of the call: its name, shape, type, example if given, and counted axes (None or empty: not a source
    but a constant where it has an example, else any numbers, like weights).
    """

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
            return _with_parts(item, lambda _, part: fill(part))

        return Inputs(fill(self.args), fill(self.kwargs))

    def make(self, values: Values, real: bool, seed: int = 0, device: Any = "cpu") -> tuple[Args, Kwargs]:
        """The arguments as tensors, meta or real (on ``device``), each counted one a source of ``values``."""
        device = device if real else "meta"
        generator = torch.Generator().manual_seed(seed)
        made = self.changed(lambda slot: _tensor(slot, device, generator, values))
        return made.args, made.kwargs

    def slots(self) -> list[Slot]:
        """All tensors in order."""
        found: list[Slot] = []
        self.changed(found.append)
        return found


def _with_parts(item: Any, change: Callable[[Any, Any], Any]) -> Any:
    """A container of the same kind, each part changed by its key and itself; anything else as it is."""
    if isinstance(item, Mapping):
        made = {key: change(key, part) for key, part in item.items()}
        if type(item) is dict:
            return made
        again: Any = copy.copy(item)  # a tokenizer's BatchEncoding, an OrderedDict
        for key, part in made.items():
            again[key] = part
        return again
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return type(item)(*(change(key, getattr(item, key)) for key in item._fields))
    if isinstance(item, (list, tuple)):
        return type(item)([change(key, part) for key, part in enumerate(item)])
    if dataclasses.is_dataclass(item) and not isinstance(item, (type, Slot)):
        again = copy.copy(item)
        for field in dataclasses.fields(item):
            object.__setattr__(again, field.name, change(field.name, getattr(item, field.name)))
        return again
    return item


def _tensor(slot: Slot, device: Any, generator: torch.Generator, values: Values) -> Tensor:
    if not slot.axes and slot.example is not None and not slot.example.is_meta:
        return slot.example.detach().to("cpu" if device == "meta" else device, copy=True)
    if device == "meta":
        example = slot.example
        tensor = torch.empty(slot.shape, dtype=slot.dtype, device="meta")
        if example is not None and example.shape == tensor.shape:  # its layout in memory as well
            tensor = torch.empty_like(example.detach(), dtype=slot.dtype, device="meta")
    elif slot.example is not None and not slot.example.is_meta:
        tensor = slot.example.detach().to(device, copy=True)
    elif slot.dtype.is_floating_point:
        tensor = torch.rand(slot.shape, dtype=slot.dtype, generator=generator).to(device)
    else:
        tensor = torch.zeros(slot.shape, dtype=slot.dtype, device=device)
    if slot.axes:
        values.source(tensor, slot.axes, slot.name)
    else:
        values.weights(tensor, tensor, slot.name)
    return tensor


def readings(inputs: Any, axes: Any = None, model: nn.Module | None = None) -> list[Inputs]:
    """The ways to call ``model`` with what the caller gave, the likeliest first.

    A shape, several shapes or tensors, a mapping of either, or example tensors in any nesting. A mapping is keyword
    arguments where ``model.forward`` knows all its names; else it is the one argument of a ``forward(batch)``, or its
    names are only names, in order. A list may be the one argument as well. Raises TraceError.
    """
    parameters = _parameters(model)
    if isinstance(inputs, Mapping):
        if _knows(parameters, inputs):
            return [read_inputs(inputs, axes)]
        several, batch = _read_all(tuple(inputs.items()), axes), Inputs((_read(inputs, "", axes, count()),), {})
        if parameters is None or len(parameters) != 1:
            return [several] if parameters is None or len(inputs) <= len(parameters) else [several, batch]
        hinted = len(inputs) > 1 or parameters[0].name in BATCH or "dict" in str(parameters[0].annotation).lower()
        return [batch, several] if hinted else [several, batch]
    found = [read_inputs(inputs, axes)]
    together = isinstance(inputs, list) or hasattr(inputs, "_fields")
    if together and not _is_shape(inputs) and parameters and len(_needed(parameters)) <= 1:
        one = Inputs((_read(inputs, "input" if isinstance(inputs, list) else "", axes, count()),), {})
        alone = len(parameters) == 1 or "list" in str(parameters[0].annotation).lower()
        found = [one, *found] if len(inputs) > 1 and alone else [*found, one]
    return found


def _needed(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Those that a call cannot leave out."""
    return [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


BATCH = {"batch", "data", "sample", "batch_dict", "data_dict", "inputs_dict", "input_dict"}
"""Names that people give to the one argument that is a mapping."""


_IDS = re.compile(r"Long, Int|must be long|index tensor", re.IGNORECASE)


def wants_ids(error: Exception) -> bool:
    """Whether a model failed because it looks rows up (an embedding) and was given floating numbers."""
    return _IDS.search(str(error)) is not None


def with_ids(given: Inputs) -> Inputs:
    """The same call with whole numbers for floating inputs of one sequence or a batch of them that have no example;
    for all of any shape where there is no such input.
    """
    open_ = [slot for slot in given.slots() if slot.example is None and slot.dtype.is_floating_point]
    flat = {slot.name for slot in open_ if len(slot.shape) <= 2} or {slot.name for slot in open_}
    return given.changed(lambda slot: dataclasses.replace(slot, dtype=torch.int64) if slot.name in flat else slot)


def as_given(given: Inputs, axes: Any) -> Inputs | None:
    """The same call with masks (zeros and ones, of which some are ones) as constants, beside other inputs and unless
    the caller gave them axes; None where there are none.
    """
    if axes is not None and not isinstance(axes, Mapping):
        return None
    masks = {
        slot.name
        for slot in given.slots()
        if slot.axes and slot.example is not None and not slot.example.is_meta
        and not slot.dtype.is_floating_point and slot.example.numel()
        and bool((slot.example == 1).any() & ((slot.example == 0) | (slot.example == 1)).all())
        and (axes is None or by_name(axes, slot.name) is None)
    }  # fmt: skip
    if not masks or masks >= {slot.name for slot in given.slots() if slot.axes}:
        return None
    return given.changed(lambda slot: dataclasses.replace(slot, axes=()) if slot.name in masks else slot)


_TENSOR = re.compile(r"'(int|float)' object (has no attribute|is not subscriptable)|must be Tensor, not (int|float)")


def wants_tensors(error: Exception) -> bool:
    """Whether a model failed because it was given a plain number where it takes a tensor of one."""
    return _TENSOR.search(str(error)) is not None


def with_tensors(given: Inputs) -> Inputs:
    """The same call with constants of one element for plain numbers, as a batch of one has them."""

    def fill(item: Any) -> Any:
        if isinstance(item, Slot):
            return item
        if type(item) in (int, float):
            example = torch.tensor([item])
            return Slot("", (1,), example.dtype, example, ())
        return _with_parts(item, lambda _, part: fill(part))

    return Inputs(fill(given.args), fill(given.kwargs))


def read_inputs(inputs: Any, axes: Any = None) -> Inputs:
    """The plain reading: positional arguments, or keyword arguments for a mapping. Raises TraceError."""
    if _is_shape(inputs) or _is_array(inputs):
        inputs = (inputs,)
    if isinstance(inputs, Mapping):
        counter = count()
        return Inputs((), {key: _read(item, key, axes, counter) for key, item in inputs.items()})
    if not isinstance(inputs, (tuple, list)) or not len(inputs):
        if dataclasses.is_dataclass(inputs) and not isinstance(inputs, type):
            return Inputs((_read(inputs, "", axes, count()),), {})
        raise TraceError(
            f"cannot read inputs of type {type(inputs).__name__}: give a shape such as (1, 3, 224, 224), shapes, or "
            "example tensors"
        )
    single = len(inputs) == 1
    return _read_all(tuple(("input" if single else f"input{index}", item) for index, item in enumerate(inputs)), axes)


def _read_all(items: tuple[tuple[str, Any], ...], axes: Any) -> Inputs:
    counter = count()
    return Inputs(tuple(_read(item, name, axes, counter) for name, item in items), {})


def _read(item: Any, name: str, axes: Any, counter: Iterator[int]) -> Any:
    if _is_shape(item) or _is_array(item):
        return _slot(item, name, _axes_for(axes, name, next(counter)))
    return _with_parts(item, lambda key, part: _read(part, f"{name}.{key}" if name else str(key), axes, counter))


def _is_array(item: object) -> bool:
    return isinstance(item, (Tensor, np.ndarray))


def _parameters(model: nn.Module | None) -> list[inspect.Parameter] | None:
    """What the model's forward takes; None where that cannot be told, or where it takes any names."""
    try:
        return None if model is None else list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _knows(parameters: list[inspect.Parameter] | None, names: Mapping[str, Any]) -> bool:
    """Whether the model's forward takes all these names."""
    if parameters is None:
        return False
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return True
    return set(names) <= {parameter.name for parameter in parameters}


def _axes_for(axes: Any, name: str, index: int) -> Any:
    if axes is None or isinstance(axes, str):
        return axes
    if isinstance(axes, Mapping):
        return by_name(axes, name)
    if all(isinstance(item, int) for item in axes):
        return tuple(axes)
    return axes[index] if index < len(axes) else None


def _slot(item: Any, name: str, axes: Any) -> Slot:
    example = torch.from_numpy(np.ascontiguousarray(item)) if isinstance(item, np.ndarray) else item
    example = example if isinstance(example, Tensor) else None
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
