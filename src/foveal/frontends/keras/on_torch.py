"""A Keras model on the PyTorch backend: a PyTorch module whose submodules go by their Keras names.

Its variables stand in the module as ordinary parameters and are handed to Keras by a stateless scope, so that a trace
can replace them without touching the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import torch
from keras.src.backend.common import global_state
from torch import nn

from foveal.frontends.keras.trace import arguments, layer_paths
from foveal.frontends.torch.trace import trace_module
from foveal.ir.graph import Graph


def trace_model(model: Any, inputs: Any, *, name: str, axes: Any, weights: str, training: bool) -> Graph:
    """The graph of a built Keras model."""
    given = arguments(inputs)
    return trace_module(
        KerasModule(model, training), (given,) if isinstance(given, list) else given,
        name=name, axes=axes, weights=weights,
    )  # fmt: skip


class KerasModule(nn.Module):
    """The model with its variables as its own parameters, under their Keras paths."""

    def __init__(self, model: Any, training: bool = False) -> None:
        super().__init__()
        object.__setattr__(self, "keras_model", model)
        self.mode = training
        self.layer_paths = layer_paths(model)
        self.inner = {path for path, _ in self.layer_paths.values()}
        for variable in model.variables:
            path, _, last = _dotted(model, variable).rpartition(".")
            value = variable.value.detach()
            if value.dtype.is_floating_point and variable.trainable:
                self._holder(path).register_parameter(last, nn.Parameter(value, requires_grad=False))
            else:
                self._holder(path).register_buffer(last, value)

    def _holder(self, path: str) -> nn.Module:
        """The submodule that holds the variables of a layer, made where there is none."""
        module: nn.Module = self
        for part in filter(None, path.split(".")):
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module._modules[part]  # type: ignore[assignment]
        return module

    def layer_names(self) -> dict[int, str]:
        """What a trace calls the modules that run, by identity."""
        return {id(self.keras_model): "", **{key: path for key, (path, _) in self.layer_paths.items()}}

    def describe(self, module: torch.nn.Module, own: int, leaf: bool) -> tuple[int, bool]:
        """A layer's own parameter count and whether it has no layers inside; another module's are as given."""
        if id(module) not in self.layer_paths:
            return own, leaf
        path, layer = self.layer_paths[id(module)]
        single = not any(name.startswith(f"{path}.") for name in self.inner)
        return sum(int(v.value.numel()) for v in layer.trainable_variables) if single else 0, single

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)  # the hooks belong to the Keras model

    def __deepcopy__(self, memo: dict[int, object]) -> KerasModule:
        """Its own parameters, the same Keras model: a run never writes to that."""
        copy = KerasModule(self.keras_model, self.mode)
        copy.load_state_dict({key: value.clone() for key, value in self.state_dict().items()}, assign=True)
        return copy

    def forward(self, *args: Any, **named: Any) -> Any:
        """Inputs by name are one argument of a Keras model."""
        model: Any = self.keras_model
        args = (*args, named) if named else args
        device = torch.device("meta" if any(item.is_meta for item in _tensors(args)) else "cpu")
        number = next((item.dtype for item in _tensors(args) if item.dtype.is_floating_point), torch.float32)
        with keras.StatelessScope() as scope, _on(device), _in_precision(model, number):
            for variable in model.variables:
                path, _, last = _dotted(model, variable).rpartition(".")
                scope.add_update((variable, getattr(self._holder(path), last)))
            return model(*args, training=self.mode)


def _dotted(model: Any, variable: Any) -> str:
    return str(variable.path).removeprefix(f"{model.name}/").replace("/", ".")


def _tensors(item: object) -> Iterator[torch.Tensor]:
    if isinstance(item, torch.Tensor):
        yield item
    elif isinstance(item, dict):
        for part in item.values():
            yield from _tensors(part)
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from _tensors(part)


@contextmanager
def _on(device: torch.device) -> Iterator[None]:
    """Within: Keras makes its tensors on this device.

    ``keras.device`` keeps the name alone, which is unequal to every device, and so Keras would copy meta tensors.
    """
    before = global_state.get_global_attribute("torch_device", None)
    global_state.set_global_attribute("torch_device", device)
    try:
        yield
    finally:
        global_state.set_global_attribute("torch_device", before)


@contextmanager
def _in_precision(model: Any, number: torch.dtype) -> Iterator[None]:
    """Within: layers cast nothing where the run is in another precision than single."""
    other, before = number is not torch.float32, keras.config.floatx()
    name = str(number).removeprefix("torch.")
    layers = (model, *(layer for _, layer in layer_paths(model).values()))
    casts = [(layer, layer.autocast, layer.dtype_policy) for layer in layers]
    inputs = [
        item for layer in layers if isinstance(layer, keras.Model) for item in getattr(layer, "inputs", None) or []
    ]
    dtypes = [(item, item._dtype) for item in inputs]
    try:
        keras.config.set_floatx(name if other else before)
        for layer, _, _ in casts if other else ():
            layer.autocast, layer.dtype_policy = False, keras.DTypePolicy(name)
        for item, dtype in dtypes if other else ():
            item._dtype = name if dtype.startswith("float") else dtype
        yield
    finally:
        keras.config.set_floatx(before)
        for layer, cast, policy in casts if other else ():
            layer.autocast, layer.dtype_policy = cast, policy
        for item, dtype in dtypes:
            item._dtype = dtype
