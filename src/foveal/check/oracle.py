"""The black-box oracle: which source columns move which units of a real PyTorch model, found by changing them.

The oracle knows no operation and no rule: it runs the model in double precision and compares. It can only miss a
dependency (a ReLU that stays shut, a maximum won by another element), never invent one, so it is repeated over base
inputs, patterns of change and, if asked, freshly drawn weights, and the answers are joined with *or*.

Weights: "own" keeps the model's; "generic" draws them anew per round, in turn signed (scale 1 / sqrt(fan in)) and all
positive (1 / fan in: nothing cancels, no ReLU shuts, a raised column wins each maximum), even and heavy-tailed (another
element wins each maximum). No drawn weight is near zero, norms keep a positive scale, and signals neither vanish nor
explode over tens of layers.

Layers are named as the PyTorch front end names modules: the module path, ``path#2`` for the second call, ``path.key``
for outputs in a container, ``output`` for the whole model. torch is imported only when a function is called.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from foveal.check.perturbation import (
    PATTERNS,
    STYLES,
    Bools,
    Floats,
    Style,
    column_change,
    draw_inputs,
    moved,
    perturb_column,
)
from foveal.core.errors import VerificationError, first_line

if TYPE_CHECKING:
    import torch
    from torch import nn

Weights = Literal["own", "generic"]


Outputs = dict[str, Floats]
COPIES = 96
"""Perturbed copies of the input per forward pass, where the model takes a batch."""


@dataclass(frozen=True)
class Call:
    """A model with the arrays of one call: positional ones under "0", "1" ..., keyword ones under their names."""

    model: nn.Module
    arrays: dict[str, np.ndarray]
    axes: dict[str, tuple[int, ...]]

    @property
    def names(self) -> list[str]:
        """The inputs whose positions are counted: floating, with at least one counted axis."""
        return [name for name, array in self.arrays.items() if self.axes[name] and array.dtype.kind == "f"]


def counted_axes(rank: int) -> tuple[int, ...]:
    """The axes whose positions are counted: all but the first two; the second of (N, T); none of a vector."""
    return (1,) if rank == 2 else tuple(range(2, rank))


def prepare(model: nn.Module, inputs: Any, axes: Mapping[str, Sequence[int]] | None = None) -> Call:
    """A double-precision, evaluation-mode copy of the model with its inputs; the model itself is not touched.

    ``inputs``: a shape, a tensor or array, a sequence of these (positional) or a dict of these (keywords). A shape
    stands for floating numbers; integer examples are passed as they are.
    """
    from foveal.frontends.torch.dispatch.swap import in_mode, in_number

    single = not isinstance(inputs, Mapping) and _is_single(inputs)
    named = inputs.items() if isinstance(inputs, Mapping) else enumerate([inputs] if single else inputs)
    items = {str(key): value for key, value in named}
    arrays = {name: _array(value) for name, value in items.items()}
    counted = {name: tuple((axes or {}).get(name, counted_axes(array.ndim))) for name, array in arrays.items()}
    try:
        return Call(in_mode(in_number(copy.deepcopy(model)), False), arrays, counted)
    except Exception as error:
        raise VerificationError(f"the model cannot be copied: {first_line(error)}") from error


def _is_single(inputs: Any) -> bool:
    return not isinstance(inputs, (tuple, list)) or all(isinstance(item, int) for item in inputs)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, (tuple, list)) and all(isinstance(item, int) for item in value):
        return np.zeros(value)
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def draw_weights(model: nn.Module, seed: int, style: Style) -> None:
    """Fill all parameters and running statistics of ``model`` (in place) with generic values, see the module's text."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * (high - low) + low

    def sign(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randint(0, 2, tensor.shape, generator=generator).to(tensor.dtype) * 2 - 1

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                fan_in = max(1, parameter.numel() // parameter.shape[0])
                size = uniform(parameter, 0.5, 1.5)
                if style.heavy:
                    size = torch.exp(size * sign(parameter) * 1.5) / 2
                parameter.copy_(size / fan_in if style.positive else size * sign(parameter) / fan_in**0.5)
            elif "bias" in name:
                size = uniform(parameter, 0.5, 2.0) if style.heavy else uniform(parameter, 0.02, 0.1)
                parameter.copy_(size if style.positive else size * sign(parameter))
            else:
                parameter.copy_(uniform(parameter, 0.5, 1.5))
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(uniform(buffer, 0.5, 1.5))
            elif name.endswith("running_mean"):
                buffer.copy_(uniform(buffer, -0.1, 0.1))


def begin_round(
    call: Call, seed: int, index: int, weights: Weights
) -> tuple[np.random.Generator, Style, dict[str, np.ndarray]]:
    """Draw what one round needs: its generator, its style, the base inputs and, if asked, the weights (in place)."""
    style = STYLES[index % len(STYLES)]
    rng = np.random.default_rng([seed, index])
    if weights == "generic":
        draw_weights(call.model, int(rng.integers(2**31)), style)
    return rng, style, draw_inputs(call.arrays, rng, style)


def run(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> Outputs:
    """One forward pass; every tensor that a module returned, by layer name."""
    import torch

    from foveal.frontends.torch.dispatch.restore import untouched

    found: Outputs = {}
    args = [torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items() if name.isdigit()]
    kwargs = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items() if not name.isdigit()}
    with (
        untouched(model),
        warnings.catch_warnings(),
        torch.inference_mode(False),
        torch.no_grad(),
        _captured(model, found),
    ):
        warnings.simplefilter("ignore")  # the model's own warnings were shown when its user ran it
        try:
            model(*args, **kwargs)
        except Exception as error:
            raise VerificationError(f"the model cannot be run in float64: {first_line(error)}") from error
    return found


@contextmanager
def _captured(model: nn.Module, found: Outputs) -> Iterator[None]:
    """Record what each module returns, at the moment it returns (later in-place operations cannot reach the copy)."""
    from foveal.frontends.torch.files.wrappers import is_wrapper, named_modules

    modules = {path: module for path, module in named_modules(model) if not path or not is_wrapper(module)}

    def hook_for(path: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            for name, tensor in _tensors(path, output):
                first, _, rest = name[len(path) + 1 :].partition(".")
                if f"{path}.{first}" in modules:
                    name = f"{path}[{first}]" + (f".{rest}" if rest else "")
                unique, count = name, 1
                while unique in found:
                    count += 1
                    unique = f"{name}#{count}"
                found[unique] = tensor.detach().to("cpu").numpy().copy()

        return hook

    handles = [module.register_forward_hook(hook_for(path or "output")) for path, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(name: str, output: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The real-valued tensors in an output of any nesting, each with its layer name."""
    import torch

    if isinstance(output, torch.Tensor):
        if not output.is_complex():
            yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _tensors(f"{name}.{key}", value)
    elif hasattr(output, "_fields"):
        for key in output._fields:
            yield from _tensors(f"{name}.{key}", getattr(output, key))
    elif isinstance(output, (tuple, list)):
        for index, value in enumerate(output):
            yield from _tensors(f"{name}.{index}", value)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for entry in dataclasses.fields(output):
            yield from _tensors(f"{name}.{entry.name}", getattr(output, entry.name))


@dataclass(frozen=True)
class Probe:
    """One perturbation: the counted axis (by number), the position along it, and how the column changes."""

    axis: int
    position: int
    pattern: Literal["small", "large", "up", "down"]


def probes(lengths: Sequence[int]) -> list[Probe]:
    """Every column of every counted axis, changed in every way."""
    return [
        Probe(axis, position, pattern)
        for axis, length in enumerate(lengths)
        for position in range(length)
        for pattern in PATTERNS
    ]


def dependency(
    model: nn.Module,
    inputs: Any,
    layers: Sequence[str] | None = None,
    seed: int = 0,
    *,
    source: str | int = 0,
    rounds: int = 2,
    weights: Weights = "own",
    axes: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, tuple[Bools, ...]]:
    """Which columns of a source move which elements of each layer's output.

    Returns, per layer name, one Boolean array per counted source axis, of shape (positions, *shape of the layer).
    ``source`` is the number or name of an input; ``rounds`` base inputs (and weights, where "generic") are tried.
    """
    call = prepare(model, inputs, axes)
    result: dict[str, tuple[Bools, ...]] = {}
    for index in range(rounds):
        merge(result, dependency_round(call, source_name(call, source), seed, index, weights, layers))
    return result


def merge(result: dict[str, tuple[Bools, ...]], more: dict[str, tuple[Bools, ...]]) -> None:
    """Join by *or*, in place."""
    for layer, arrays in more.items():
        known = result.get(layer)
        result[layer] = arrays if known is None else tuple(a | b for a, b in zip(known, arrays, strict=True))


def source_name(call: Call, source: str | int) -> str:
    """The name of an input of the call."""
    names = list(call.arrays)
    if isinstance(source, int) and source < len(names):
        return names[source]
    if source in names:
        return str(source)
    raise VerificationError(f"unknown source '{source}'; the inputs are: {', '.join(names)}")


def dependency_round(
    call: Call, source: str, seed: int, index: int, weights: Weights, layers: Sequence[str] | None = None
) -> dict[str, tuple[Bools, ...]]:
    """One round of :func:`dependency`: one base input, all columns, all patterns."""
    rng, style, base = begin_round(call, seed, index, weights)
    axes = call.axes[source]
    lengths = [base[source].shape[axis] for axis in axes]
    single = run(call.model, base)
    kept = [name for name in single if layers is None or name in layers]
    if layers is not None and (missing := [name for name in layers if name not in single]):
        raise VerificationError(f"no module output is named '{missing[0]}'; known: {', '.join(list(single)[:12])}")
    found = {name: tuple(np.zeros((n, *single[name].shape), bool) for n in lengths) for name in kept}
    todo = probes(lengths)
    batched = True
    for start in range(0, len(todo), COPIES):
        chunk = todo[start : start + COPIES]
        copies = [perturb_column(base[source], axes[p.axis], p.position, p.pattern, rng, style.gain) for p in chunk]
        stacked = _run_batched(call, base, source, copies, single, check=start == 0) if batched else None
        if stacked is None:
            batched = False
            stacked = _run_looped(call, base, source, copies)
        for name in kept:
            _record(found[name], chunk, stacked[name], single[name])
    return found


def _record(found: tuple[Bools, ...], chunk: Sequence[Probe], outputs: Floats, single: Floats) -> None:
    """``outputs``: the unperturbed copy twice (their spread is the noise), then one copy per probe."""
    spread = float(np.nan_to_num(np.abs(outputs[:2] - single)).max(initial=0.0))
    change = moved(outputs[2:], outputs[0], spread)
    for row, probe in enumerate(chunk):
        found[probe.axis][probe.position] |= change[row]


def _run_looped(call: Call, base: Mapping[str, np.ndarray], source: str, copies: Sequence[Floats]) -> Outputs:
    """One forward pass per copy; the unperturbed input twice in front."""
    runs = [run(call.model, {**base, source: array}) for array in (base[source], base[source], *copies)]
    return {name: np.stack([one[name] for one in runs]) for name in runs[0]}


def _run_batched(
    call: Call, base: Mapping[str, np.ndarray], source: str, copies: Sequence[Floats], single: Outputs, check: bool
) -> Outputs | None:
    """All copies in one forward pass along the batch axis; None where the model does not treat a batch as copies."""
    batch = base[source].shape[0]
    count = len(copies) + 2
    arrays = {}
    for name, array in base.items():
        alike = array.ndim > 0 and array.shape[0] == batch
        arrays[name] = np.concatenate([array] * count) if alike else array
    arrays[source] = np.concatenate([base[source], *copies, base[source]])
    try:
        together = run(call.model, arrays)
    except VerificationError:
        return None
    if list(together) != list(single):
        return None
    unstacked = {name: _unstack(together[name], single[name].shape, count) for name in single}
    if any(array is None for array in unstacked.values()):
        return None
    result = {name: np.concatenate([a[:1], a[-1:], a[1:-1]]) for name, a in unstacked.items() if a is not None}
    if check and not _copies_agree(call, base, source, copies[-1], result):
        return None
    return result


def _unstack(array: Floats, shape: tuple[int, ...], count: int) -> Floats | None:
    """Bring the copies to a new first axis. A layer that ignores the batch (a position table) is repeated."""
    if array.shape == shape:
        return np.broadcast_to(array, (count, *shape))
    if array.ndim != len(shape):
        return None
    grown = [axis for axis, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a != b]
    if len(grown) != 1 or array.shape[grown[0]] != count * shape[grown[0]]:
        return None
    axis = grown[0]
    return np.moveaxis(array.reshape(*shape[:axis], count, *shape[axis:]), axis, 0)


def _copies_agree(call: Call, base: Mapping[str, np.ndarray], source: str, last: Floats, stacked: Outputs) -> bool:
    """Whether the last perturbed copy gives the same alone as in the batch, in every layer."""
    alone = run(call.model, {**base, source: last})
    return all(np.allclose(stacked[name][-1], alone[name], rtol=1e-7, atol=1e-9, equal_nan=True) for name in alone)


def support(
    model: nn.Module,
    inputs: Any,
    layer: str,
    index: Any,
    seed: int = 0,
    *,
    source: str | int = 0,
    rounds: int = 2,
    weights: Weights = "own",
) -> Bools:
    """The exact set of source positions that move the elements ``index`` of a layer, holes included.

    ``index`` is any NumPy index into the layer's output, for example ``np.s_[0, :, 8, 8]`` (a unit: all channels).
    Returns a Boolean array over the counted axes. One run per position and pattern: for small networks.
    """
    call = prepare(model, inputs)
    name = source_name(call, source)
    axes = call.axes[name]
    lengths = tuple(call.arrays[name].shape[axis] for axis in axes)
    seen = np.zeros(lengths, bool)
    for round_index in range(rounds):
        rng, style, base = begin_round(call, seed, round_index, weights)
        reference = run(call.model, base)[layer]
        for position in np.ndindex(*lengths):
            where = [slice(None)] * base[name].ndim
            for axis, at in zip(axes, position, strict=True):
                where[axis] = slice(at, at + 1)
            for pattern in PATTERNS:
                if seen[position]:
                    break
                copy_ = base[name].copy()
                copy_[tuple(where)] += column_change(copy_[tuple(where)].shape, pattern, rng, style.gain)
                output = run(call.model, {**base, name: copy_})[layer]
                seen[position] = bool(np.any(moved(output[None], reference)[0][index]))
    return seen
