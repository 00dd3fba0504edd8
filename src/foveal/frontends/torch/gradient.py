"""Input gradients of a traced PyTorch model: one forward pass, one backward pass per unit, no gradients of weights.

The model runs as a copy in evaluation mode, on the CPU and in its own precision unless told otherwise. A unit's
features are copied out as soon as their layer is named, before an in-place operation can change them, and the run ends
once the last layer that is asked for was reached. The first run tells which modules that is about; later runs watch
these alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from foveal.core.errors import FovealError, VerificationError, first_line
from foveal.frontends.torch.dispatch.restore import kept_of, untouched
from foveal.frontends.torch.dispatch.swap import in_mode
from foveal.frontends.torch.lowering.higher import experts_by_token
from foveal.frontends.torch.run import Reached, Reader, TorchRunner, default_dtype, precision_of, with_examples
from foveal.ir.backend import Procedure, Target


class _Leaf:
    """Takes the place of the tracer's table of values: the chosen source becomes a leaf that wants a gradient."""

    def __init__(self, name: str, wanted: bool = True) -> None:
        self.name, self.wanted = name, wanted
        self.tensor: Tensor | None = None
        self.ids: Tensor | None = None

    def source(self, tensor: Tensor, axes: Any, name: str) -> None:
        if name == self.name:
            whole = not (tensor.is_floating_point() or tensor.is_complex())
            self.ids = tensor if whole else None
            self.tensor = None if whole else tensor.requires_grad_(self.wanted)

    def embedded(self, module: nn.Module, args: Any, made: Tensor) -> Tensor | None:
        """A hook of embeddings: what is made of token ids is the leaf, as ids have no gradient."""
        if self.ids is None or not args or not _same(args[0], self.ids) or self.tensor is not None:
            return None
        self.tensor = made.detach().requires_grad_(True)
        return self.tensor

    def weights(self, stand_in: Tensor, original: Tensor, name: str) -> None:
        """No source: nothing is asked of it."""


_NORMS = {"batch_norm", "instance_norm", "native_batch_norm", "_native_batch_norm_legit_no_training"}


class _InOrder(TorchFunctionMode):
    """Within: the gradient of a norm over channels is in the order of its memory before it is handed on. In evaluation
    mode on the CPU, PyTorch 2.14 puts one of another order, a transposed map's, at wrong positions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.needed = False
        """Whether one was of another order."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "").partition(".")[0] in _NORMS:
            output = made[0] if isinstance(made, tuple) else made
            if output.requires_grad:
                output.register_hook(self._ordered)
        return made

    def _ordered(self, gradient: Tensor) -> Tensor:
        self.needed = self.needed or not gradient.is_contiguous()
        return gradient.contiguous()


class Differentiator:
    """A model ready to give input gradients of one source.

    ``dtype``: "float32", "float64" ...; None for the model's own; "mixed": that, with products of matrices in bfloat16.
    ``device``: where it runs, None for the CPU. Raises FovealError where it cannot be copied or moved there.
    """

    def __init__(
        self,
        runner: TorchRunner,
        source: str,
        axes: tuple[int, ...],
        dtype: str | None = None,
        waists: Any = (),
        device: str | None = None,
    ) -> None:
        self.mixed = dtype == "mixed"
        self.number = getattr(torch, dtype) if dtype and not self.mixed else precision_of(runner.model)
        if self.mixed and self.number != torch.float32:
            raise FovealError(f"mixed precision is for models in float32; this one is in {self.number}")
        runner.copies.clear()  # fused optimisers write weights without counting it: no old copy is known to be true
        self.device, model = _moved(runner, self.number, device or "cpu")
        self.model = in_mode(model, False).requires_grad_(False)
        self.modules = list(self.model.named_modules())
        self.kept = kept_of(self.model)
        self.known: dict[tuple[tuple[Target, ...], tuple[int, ...]], tuple[tuple[nn.Module, ...], _InOrder | None]] = {}
        """Of calls with these targets and shape: the modules to watch, and what their norms were asked."""
        self.waists = waists
        self.inputs = runner.inputs
        self.source = source
        self.axes = axes
        self.others = {name: array for name, array in runner.example(0).items() if name != source}

    def maps(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        protocol: Procedure,
        signs: Sequence[Sequence[np.random.Generator]],
        batched: bool = True,
    ) -> list[np.ndarray]:
        """One array (images, *source axes) in float64 per target: gradients brought to one map by the protocol.

        ``images``: the source's tensor, axis 0 the images where ``batched``. ``signs``: generators by target, image.
        """
        found = []
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
            leaf, reader = self._forward(images, targets)
            count = images.shape[0] if batched else 1
            for number, target in enumerate(targets):
                rows = self._features(reader.found[number], target, count)
                gradients = _differentiated(rows, leaf, protocol, signs[number], target.layer)
                total = reduced(gradients[0], self.axes, protocol, batched)
                for gradient in gradients[1:]:
                    total = total + reduced(gradient, self.axes, protocol, batched)
                found.append(total / len(gradients))
        return found

    def features(self, images: np.ndarray, targets: Sequence[Target], batched: bool = True) -> list[np.ndarray]:
        """One array (images, features) in float64 per target; nothing is kept for a backward pass."""
        with torch.inference_mode(False):
            _, reader = self._forward(images, targets, differentiated=False)
        count = images.shape[0] if batched else 1
        return [
            self._features(reader.found[number], target, count).double().cpu().numpy()
            for number, target in enumerate(targets)
        ]

    def _features(self, unit: Tensor, target: Target, count: int) -> Tensor:
        """(images, features) of one unit."""
        rows = unit.reshape(count, -1)
        if not rows.dtype.is_floating_point:
            raise FovealError(f"layer '{target.layer}' holds {rows.dtype}: whole numbers have no gradient")
        return rows[:, target.features]

    def _forward(
        self, images: np.ndarray, targets: Sequence[Target], differentiated: bool = True
    ) -> tuple[Tensor, Reader]:
        call = tuple(targets), images.shape
        makers, asked = self.known.get(call, ((), None))
        in_order = _InOrder() if asked is None or asked.needed else None
        leaf, reader = self._watched(images, targets, makers, in_order, differentiated)
        if makers and len(reader.found) < len(targets):  # these images take other ways
            in_order = _InOrder()
            leaf, reader = self._watched(images, targets, (), in_order, differentiated)
        if not makers and differentiated:
            self.known[call] = reader.alone, in_order
        missing = sorted({t.layer for n, t in enumerate(targets) if n not in reader.found})
        if missing:
            raise FovealError(
                f"a gradient is read where a module returns: {', '.join(missing)} is an operation inside one"
            )
        if leaf.ids is not None and not differentiated:
            raise FovealError(f"source '{self.source}' takes whole numbers: nothing stands for an occluded one")
        if leaf.tensor is None:
            raise FovealError(
                f"source '{self.source}' takes whole numbers, which no nn.Embedding reads: they have no gradient"
            )
        return leaf.tensor, reader

    def _watched(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        makers: Sequence[nn.Module],
        in_order: _InOrder | None,
        differentiated: bool,
    ) -> tuple[_Leaf, Reader]:
        """One run, of which the named modules are watched, or all where none is."""
        leaf = _Leaf(self.source, differentiated)
        given = with_examples(self.inputs, {**self.others, self.source: images}, self.number)
        reader = Reader(self.model, targets, self.modules, makers)
        with untouched(self.model, kept=self.kept), _quietly(self.number), in_order or nullcontext():
            args, kwargs = given.make(leaf, real=True, device=self.device)  # type: ignore[arg-type]
            mixed = torch.autocast(self.device.type, torch.bfloat16) if self.mixed else nullcontext()
            try:
                with reader, _hooked(self.model, leaf), _cut_at(self.model, self.waists), mixed:
                    reader.outputs(self.model(*args, **kwargs))
            except Reached:
                pass
            except Exception as error:
                raise VerificationError(f"the model cannot be run: {first_line(error)} ({reader.place()})") from error
        return leaf, reader


def _moved(runner: TorchRunner, number: torch.dtype, device: str) -> tuple[torch.device, nn.Module]:
    """The device of that name and a copy of the model there."""
    try:
        place = torch.device(device)
        if place.type == "cpu":
            return place, runner.copy(number)
        torch.zeros(1, device=place)
        return place, runner.copied_anew(number).to(place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise FovealError(f"device '{device}' cannot be used here: {first_line(error)}") from None


def _differentiated(
    rows: Tensor, leaf: Tensor, protocol: Procedure, signs: Sequence[np.random.Generator], layer: str
) -> Sequence[Tensor]:
    """One gradient for each draw of signs, zero where the layer does not read the source; raises FovealError where the
    model records no gradient.
    """
    scalars = _scalars(rows, protocol, signs)
    if not scalars[0].requires_grad:
        raise FovealError(
            f"no gradient reaches layer '{layer}': the model switches gradients off on the way "
            "(torch.no_grad, inference_mode, detach), or the layer does not depend on the source"
        )
    if len(scalars) > 1:
        try:  # all draws in one pass back
            ones = torch.eye(len(scalars), dtype=rows.dtype, device=rows.device)
            every = torch.stack(scalars)
            together = torch.autograd.grad(every, leaf, ones, True, allow_unused=True, is_grads_batched=True)[0]
            return [_or_zero(together, leaf)] if together is None else list(together.detach())
        except RuntimeError:  # an operation without a rule for that
            pass
    try:
        found = [torch.autograd.grad(scalar, leaf, retain_graph=True, allow_unused=True)[0] for scalar in scalars]
    except RuntimeError as error:
        raise FovealError(f"layer '{layer}' has no gradient: {first_line(error)}") from error
    return [_or_zero(gradient, leaf) for gradient in found]


def _or_zero(gradient: Tensor | None, leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if gradient is None else gradient.detach()


def _scalars(rows: Tensor, protocol: Procedure, signs: Sequence[np.random.Generator]) -> list[Tensor]:
    """What is differentiated, for each draw: images do not mix, so their sum serves them all."""
    if protocol.features == "relu":
        rows = rows.relu()
    if protocol.channels != "signs":
        return [rows.mean(1).sum() if protocol.channels == "mean" else rows.sum()]
    drawn = [np.stack([g.integers(0, 2, rows.shape[1]) * 2 - 1 for g in signs]) for _ in range(protocol.draws)]
    return [(rows * torch.as_tensor(each).to(rows)).sum() for each in drawn]


def reduced(gradient: Tensor, axes: tuple[int, ...], protocol: Procedure, batched: bool) -> np.ndarray:
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
    found: np.ndarray = values.double().cpu().numpy()
    return found if batched else found[None]


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


def _same(given: Any, ids: Tensor) -> bool:
    return isinstance(given, Tensor) and given.numel() == ids.numel() and given.data_ptr() == ids.data_ptr()


@contextmanager
def _hooked(model: nn.Module, leaf: _Leaf) -> Iterator[None]:
    """Within: the embedding of the chosen source's ids is the leaf."""
    found = [m for m in model.modules() if isinstance(m, nn.Embedding)] if leaf.ids is not None else []
    hooks = [module.register_forward_hook(leaf.embedded) for module in found]
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
        with torch.inference_mode(False), torch.enable_grad(), default_dtype(number), experts_by_token():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
