"""Input gradients of a traced PyTorch model: one forward pass, one backward pass per unit, no gradients of weights.

The model runs as a copy in evaluation mode on the CPU, in its own precision unless told otherwise. A unit's features
are copied out as soon as their layer is named, before an in-place operation can change them, and the run ends once the
last layer that is asked for was reached.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError, VerificationError
from foveal.fields.measured.images import Preparation
from foveal.fields.measured.protocols import Protocol
from foveal.frontends.gradient_target import Target
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.inputs import Inputs, Slot
from foveal.frontends.torch.names import Naming
from foveal.frontends.torch.run import TorchRunner, _default_dtype, _with_examples
from foveal.ir.graph import GraphBuilder


class _Reached(BaseException):
    """Ends a forward pass once every layer was read; no model catches it."""


class _Reader(Naming):
    """Copies the units' features out as their layers are named."""

    def __init__(self, model: nn.Module, targets: Sequence[Target]) -> None:
        super().__init__(model, Values(GraphBuilder("run")))
        self.targets = targets
        self.found: dict[int, Tensor] = {}

    def _name_output(self, name: str, tensor: Tensor, kind: str, parameters: int, leaf: bool) -> None:
        for number, target in enumerate(self.targets):
            if target.layer == name and number not in self.found:
                index = tuple(slice(None) if i is None else i for i in target.place)
                self.found[number] = tensor[index].clone()
        if len(self.found) == len(self.targets):
            raise _Reached


class _Leaf:
    """Takes the place of the tracer's table of values: the chosen source becomes a leaf that wants a gradient."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensor: Tensor | None = None

    def source(self, tensor: Tensor, axes: Any, name: str) -> None:
        if name == self.name:
            self.tensor = tensor.requires_grad_(True)


class Differentiator:
    """A model ready to give input gradients of one source.

    ``dtype``: "float32", "float64" ...; None for the model's own. Raises FovealError where it cannot be copied.
    """

    def __init__(
        self, runner: TorchRunner, source: str, axes: tuple[int, ...], dtype: str | None = None, waists: Any = ()
    ) -> None:
        self.number = getattr(torch, dtype) if dtype else precision(runner.model)
        self.model = runner._copy(self.number).eval().requires_grad_(False)
        self.waists = waists
        self.inputs = runner.inputs
        self.source = source
        self.axes = axes
        self.others = {name: array for name, array in runner.example(0).items() if name != source}

    def maps(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        protocol: Protocol,
        signs: Sequence[Sequence[np.random.Generator]],
        batched: bool = True,
    ) -> list[np.ndarray]:
        """One array (images, *source axes) in float64 per target: gradients brought to one map by the protocol.

        ``images``: the source's tensor, axis 0 the images where ``batched``. ``signs``: generators by target, image.
        """
        leaf, reader = self._forward(images, targets)
        count = images.shape[0] if batched else 1
        found = []
        for number in range(len(targets)):
            rows = self._features(reader.found[number], targets[number], count)
            draws = protocol.draws if protocol.channels == "signs" else 1
            total = np.zeros(())
            for _ in range(draws):
                scalar = _scalar(rows, protocol, signs[number])
                (gradient,) = torch.autograd.grad(scalar, leaf, retain_graph=True, allow_unused=True)
                gradient = torch.zeros_like(leaf) if gradient is None else gradient
                total = total + reduced(gradient.detach(), self.axes, protocol, batched)
            found.append(total / draws)
        return found

    def _features(self, unit: Tensor, target: Target, count: int) -> Tensor:
        """(images, features) of one unit."""
        rows = unit.reshape(count, -1)
        if not rows.dtype.is_floating_point:
            raise FovealError(f"layer '{target.layer}' holds {rows.dtype}: whole numbers have no gradient")
        return rows if target.channel is None else rows[:, target.channel : target.channel + 1]

    def _forward(self, images: np.ndarray, targets: Sequence[Target]) -> tuple[Tensor, _Reader]:
        leaf = _Leaf(self.source)
        given = _with_examples(self.inputs, {**self.others, self.source: images}, self.number)
        reader = _Reader(self.model, targets)
        with _quietly(self.number):
            args, kwargs = given.make(leaf, real=True)  # type: ignore[arg-type]
            try:
                with reader, _cut_at(self.model, self.waists):
                    reader.outputs(self.model(*args, **kwargs))
            except _Reached:
                pass
            except Exception as error:
                line = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise VerificationError(f"the model cannot be run: {line} ({reader.place()})") from error
        missing = sorted({t.layer for n, t in enumerate(targets) if n not in reader.found})
        if missing:
            raise FovealError(
                f"a gradient is read where a module returns: {', '.join(missing)} is an operation inside one"
            )
        if leaf.tensor is None:
            raise FovealError(f"source '{self.source}' takes whole numbers: they have no gradient")
        return leaf.tensor, reader


def _scalar(rows: Tensor, protocol: Protocol, signs: Sequence[np.random.Generator]) -> Tensor:
    """What is differentiated: images do not mix, so their sum serves them all."""
    if protocol.features == "relu":
        rows = rows.relu()
    if protocol.channels == "signs":
        drawn = np.stack([g.integers(0, 2, rows.shape[1]) * 2 - 1 for g in signs])
        rows = rows * torch.as_tensor(drawn).to(rows.dtype)
    return rows.mean(1).sum() if protocol.channels == "mean" else rows.sum()


def reduced(gradient: Tensor, axes: tuple[int, ...], protocol: Protocol, batched: bool) -> np.ndarray:
    """(images, *source axes) of a gradient of the source's shape, in float64 where it is squared or added up."""
    values = gradient
    if protocol.each == "square":
        values = gradient.double().square()
    elif protocol.each != "plain":
        values = gradient.relu() if protocol.each == "relu" else gradient.abs()
    colours = tuple(a for a in range(gradient.ndim) if a not in axes and not (batched and a == 0))
    if colours:
        values = values.double().sum(colours) if protocol.colours == "sum" else values.double().mean(colours)
    if protocol.after == "relu":
        values = values.relu()
    found: np.ndarray = values.double().numpy()
    return found if batched else found[None]


def precision(model: nn.Module) -> torch.dtype:
    """The model's own floating type."""
    for item in (*model.parameters(), *model.buffers()):
        if item.dtype.is_floating_point:
            return item.dtype
    return torch.get_default_dtype()


def precision_name(model: nn.Module) -> str:
    """The same by name, such as "float32"."""
    return str(precision(model)).removeprefix("torch.")


def resized(runner: TorchRunner, source: str, shape: tuple[int, ...]) -> tuple[nn.Module, Inputs]:
    """The runner's model and its call with another shape of one source, for a trace."""

    def fill(item: Any) -> Any:
        if isinstance(item, Slot):
            return replace(item, shape=shape, example=None) if item.name == source else item
        if isinstance(item, dict):
            return {key: fill(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)(fill(part) for part in item)
        return item

    return runner.model, Inputs(fill(runner.inputs.args), fill(runner.inputs.kwargs))


def prefix_tokens(model: nn.Module) -> int:
    """How many tokens stand before those of the image (class token, registers), where the model says so."""
    number = getattr(model, "num_prefix_tokens", None)
    if isinstance(number, int):
        return number
    return int(hasattr(model, "class_token") or hasattr(model, "cls_token"))


def own_preparation(model: nn.Module, name: str, side: int) -> Preparation:
    """How the model's own evaluation prepares images: timm's data config or torchvision's weights, else ImageNet's."""
    config = getattr(model, "pretrained_cfg", None)
    if isinstance(config, dict) and config.get("mean"):
        return Preparation(
            "squash" if config.get("crop_mode") == "squash" else "cover",
            str(config.get("interpolation") or "bicubic"),
            float(config.get("crop_pct") or 0.875),
            tuple(map(float, config["mean"])),
            tuple(map(float, config["std"])),
            "timm",
        )
    if type(model).__module__.startswith("torchvision.models.detection"):
        return Preparation("cover", "bilinear", 1.0, (0.0,), (1.0,), "torchvision")  # it normalises by itself
    if type(model).__module__.startswith("torchvision.models"):
        return _torchvision_preparation(name)
    return Preparation()


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


@contextmanager
def _cut_at(model: nn.Module, waists: Any) -> Iterator[None]:
    """Within: modules hand on only the part of their output that their waist keeps."""

    def cutter(keep: Any) -> Any:
        parts = tuple(slice(None) if part is None else slice(*part) for part in keep)
        return lambda _module, _args, output: output[parts]

    hooks = [model.get_submodule(waist.layer).register_forward_hook(cutter(waist.keep)) for waist in waists]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _quietly(number: torch.dtype) -> Iterator[None]:
    """Gradients on, the attention that has none off, plain tensors made in the model's precision."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.enable_grad(), _default_dtype(number):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def with_weights(runner: TorchRunner, path: str) -> TorchRunner:
    """The same call of a copy of the model with the weights in a file; see :mod:`foveal.frontends.torch.weights`."""
    from foveal.frontends.torch.weights import load_weights

    model = copy.deepcopy(runner.model)
    load_weights(model, path)
    return TorchRunner(model, runner.inputs, runner.training)


def retraced(runner: TorchRunner, source: str, shape: tuple[int, ...]) -> Any:
    """The graph of the model with another shape of one source; None where it does not run with it."""
    from foveal.frontends.torch.trace import run_once

    model, inputs = resized(runner, source, shape)
    attempt = run_once(model, inputs, "cropped", runner.training, "generic", real=False)
    return None if attempt.error is not None else attempt.graph
