"""All that the rooms above ask of a PyTorch model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foveal.core.errors import FovealError
from foveal.frontends.torch import emitted
from foveal.frontends.torch.dispatch.swap import in_mode, seeded
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.files.defaults import from_first_layer
from foveal.frontends.torch.files.rate import sampling
from foveal.frontends.torch.files.weights import left_over, load_weights
from foveal.frontends.torch.files.wrappers import named_modules, unwrapped
from foveal.frontends.torch.gradient import Differentiator
from foveal.frontends.torch.run import TorchLayer, TorchRunner, default_dtype, precision_of, run_once, with_examples
from foveal.frontends.torch.stream.module import StreamingModule
from foveal.frontends.torch.stream.program import Recorder, recorded
from foveal.ir.backend import Backend, Forward, Preparation, Sampling
from foveal.ir.graph import Graph, GraphBuilder


class TorchBackend(TorchRunner, Backend):
    """A module and its call."""

    framework = "PyTorch"
    retraces = True

    @property
    def prefix_tokens(self) -> int:
        """Class token and registers, where the model says so."""
        number = getattr(self.model, "num_prefix_tokens", None)
        if isinstance(number, int):
            return number
        return int(hasattr(self.model, "class_token") or hasattr(self.model, "cls_token"))

    def lacks_batch(self, shape: tuple[int, ...]) -> bool:
        """By the channels and the axes of its first convolution."""
        meant = from_first_layer(self.model)
        return isinstance(meant, tuple) and len(meant) == len(shape) + 1 and meant[1] == shape[0]

    def layer_of(self, module: object) -> str | None:
        """By identity; a Keras model knows its layers itself."""
        known: Any = getattr(self.model, "layer_names", None)
        if callable(known):
            found: str | None = known().get(id(module))
            return found
        return next((name for name, part in named_modules(self.model) if part is module), None)

    @property
    def weightless(self) -> bool:
        """Whether a tensor is on the meta device."""
        return any(item.is_meta for item in (*self.model.parameters(), *self.model.buffers()))

    def generic(self) -> TorchBackend:
        """A copy in which each zero of a weight, biases apart, is a number of the size of the others."""
        model = self.copied_anew(torch.float64)
        with torch.no_grad():
            for name, item in model.named_parameters():
                zero = item == 0
                if not name.endswith("bias") and item.dtype.is_floating_point and bool(zero.any()):
                    size = float(item.abs().max()) or 1.0 / max(1, item[0].numel() if item.dim() > 1 else 1) ** 0.5
                    item[zero] = seeded(item, name).to(item.dtype)[zero].sign() * size / 2
        made = TorchBackend(model, self.inputs, self.training)
        made.copies[made.copied(torch.float64)] = model  # nobody else has it: no copy of the copy
        return made

    @property
    def precision(self) -> str:
        """That of its first tensor that has one."""
        return str(precision_of(self.model)).removeprefix("torch.")

    def preparation(self, name: str) -> Preparation:
        """timm's data config or torchvision's weights, else ImageNet's way."""
        config = getattr(self.model, "pretrained_cfg", None)
        if isinstance(config, dict) and config.get("mean"):
            return Preparation(
                "squash" if config.get("crop_mode") == "squash" else "cover",
                str(config.get("interpolation") or "bicubic"),
                float(config.get("crop_pct") or 0.875),
                tuple(map(float, config["mean"])),
                tuple(map(float, config["std"])),
                "timm",
            )
        home = type(self.model).__module__
        if home.startswith("torchvision.models.detection"):
            return Preparation("cover", "bilinear", 1.0, (0.0,), (1.0,), "torchvision")  # it normalises by itself
        return _torchvision_preparation(name) if home.startswith("torchvision.models") else Preparation()

    def sampling(self, source: str) -> Sampling | None:
        """By the model's configuration or processor, for a source with one axis."""
        slot = next(slot for slot in self.inputs.slots() if slot.name == source)
        axes = slot.axes or ()
        if len(axes) != 1 or not slot.dtype.is_floating_point:
            return None
        channels: int = prod([n for k, n in enumerate(slot.shape) if k and k not in axes])
        return sampling(self.model, channels)

    def gradient(
        self, source: str, axes: tuple[int, ...], dtype: str | None = None, waists: Any = (), device: str | None = None
    ) -> Differentiator:
        """By autograd, of a copy."""
        return Differentiator(self, source, axes, dtype, waists, device)

    def retraced(self, source: str, shape: tuple[int, ...]) -> Graph | None:
        """On meta tensors, on real ones where those do not do, as in a trace; the graph has no model behind it."""
        inputs = self.inputs.changed(lambda s: replace(s, shape=shape, example=None) if s.name == source else s)
        attempt = run_once(self.model, inputs, "cropped", self.training, "generic", real=False)
        if attempt.error is not None:
            attempt = run_once(self.model, inputs, "cropped", self.training, "generic", real=True)
        return None if attempt.error is not None else attempt.graph

    def streaming(self, source: str, axis: int, step: int, layer: str, dtype: str | None = None) -> StreamingModule:
        """Recorded at the traced length and at one step more."""
        number = getattr(torch, dtype) if dtype else precision_of(self.model)
        model = self.copied_anew(number).train(self.training)
        slot = next(slot for slot in self.inputs.slots() if slot.name == source)

        def call(length: int) -> Any:
            shape = tuple(length if k == axis else n for k, n in enumerate(slot.shape))
            kept = slot.example if slot.example is not None and not slot.example.is_meta else torch.zeros(slot.shape)
            part = np.resize(kept.detach().cpu().numpy(), shape)
            return with_examples(self.inputs, {source: part}, number).make(Values(GraphBuilder("run")), True)

        length = slot.shape[axis]
        with default_dtype(number):
            return StreamingModule(recorded(model, call, (length, length + step), layer))

    def rounding(self, layer: str) -> float:
        """By the conversions between precisions of one run."""
        with default_dtype(torch.float64):
            call = with_examples(self.inputs, self.example(0), torch.float64).make(Values(GraphBuilder("run")), True)
            return Recorder(self.copied_anew(torch.float64).train(self.training), *call, layer).rounding()

    def redrawn(self, seed: int) -> TorchBackend:
        """Kernels over the fan in, positive scales, small shifts; in double precision."""
        model = in_mode(self.copied_anew(torch.float64), self.training)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in model.parameters():
                if tensor.dtype.is_floating_point:
                    size = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
                    fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 1
                    sign = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1 if tensor.dim() > 1 else 1
                    tensor.copy_(size * sign / fan**0.5)
        return TorchBackend(model, self.inputs, self.training)

    def laid_out(self, axes: Mapping[str, tuple[int, ...]]) -> TorchBackend:
        """Its call with other axes."""
        inputs = self.inputs.changed(lambda s: s if s.axes is None else replace(s, axes=axes.get(s.name, s.axes)))
        return TorchBackend(self.model, inputs, self.training)

    def with_weights(self, path: str) -> tuple[TorchBackend, str]:
        """See :mod:`foveal.frontends.torch.files.weights`."""
        model = copy.deepcopy(self.model)
        left = load_weights(model, path)
        return TorchBackend(model, self.inputs, self.training), left_over(left, path) if left else ""

    @staticmethod
    @contextmanager
    def threads(number: int | None) -> Iterator[None]:
        """For all models of this process."""
        before = torch.get_num_threads()
        try:
            if number is not None:
                torch.set_num_threads(number)
            yield
        finally:
            torch.set_num_threads(before)

    @staticmethod
    def to_array(item: Any) -> np.ndarray:
        """A copy only where the tensor is on another device."""
        found: np.ndarray = item.detach().cpu().numpy()
        return found

    @staticmethod
    def from_array(array: np.ndarray) -> torch.Tensor:
        """Without a copy."""
        return torch.from_numpy(array)

    @staticmethod
    def tiled(model: Any, layer: str, output: str | int | None) -> Forward | None:
        """One layer of a module."""
        model = unwrapped(model)
        if not isinstance(model, torch.nn.Module):
            return None
        if output is not None:
            raise FovealError("output: a module's outputs have names; give the plan the layer, such as 'output.mask'")
        return TorchLayer(model, layer)

    @classmethod
    def built(cls, code: str) -> Any:
        """A module."""
        return emitted.build(code)

    @classmethod
    def latency(cls, code: str, shape: tuple[int, ...]) -> float:
        """The median of a few runs with batch 1."""
        return emitted.latency_of(code, shape)

    @classmethod
    def export_onnx(cls, code: str, shape: tuple[int, ...], path: str | Path) -> None:
        """Through torch.onnx; raises FovealError where that fails."""
        emitted.export_onnx(code, shape, path)


def _torchvision_preparation(name: str) -> Preparation:
    from torchvision import models

    try:
        given: Any = next(iter(models.get_model_weights(name).__members__.values())).transforms
        options = {**{k: p.default for k, p in inspect.signature(given.func).parameters.items()}, **given.keywords}
    except (ValueError, StopIteration, AttributeError):
        return Preparation()
    if "crop_size" not in options or not isinstance(options["crop_size"], int):
        return Preparation()
    return Preparation(
        "cover",
        str(options["interpolation"].value),
        options["crop_size"] / options.get("resize_size", options["crop_size"]),
        tuple(map(float, options["mean"])),
        tuple(map(float, options["std"])),
        "torchvision",
    )


BACKEND = TorchBackend
