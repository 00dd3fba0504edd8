"""One layer of a text specification in PyTorch: what stands in ``__init__`` and what in ``forward``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from foveal.core.errors import SourceError
from foveal.frontends.text.emit.blocks import Make, Number, Shape
from foveal.frontends.text.model import LayerSpec, Spans
from foveal.frontends.text.site import same_padding

HELPERS = {
    "CausalConv1d": '''class CausalConv1d(nn.Conv1d):
    """A convolution that reads nothing after its own position."""

    def forward(self, x: Tensor) -> Tensor:
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(F.pad(x, (reach, 0)))
''',
    "ChannelNorm": '''class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
''',
    "SqueezeExcite": '''class SqueezeExcite(nn.Module):
    """A gate per channel, from the mean over all positions."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(x.flatten(2).mean(2)))))
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))
''',
    "PositionAttention": '''class PositionAttention(nn.MultiheadAttention):
    """Self-attention over all positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = super().forward(tokens, tokens, tokens, need_weights=False)
        return mixed.transpose(1, 2).reshape(x.shape)
''',
}


class Written(NamedTuple):
    """call: with ``{x}`` and ``{layer}`` left open; module: the constructor, None where the layer has no weights;
    begins: whether it stands on a line of its own, which the norms and activations after it join.
    """

    call: str
    module: Make | None = None
    begins: bool = True


Writer = Callable[[LayerSpec, Shape, Shape], Written]

ACTIVATIONS = {
    "relu": "torch.relu({x})", "relu6": "F.relu6({x})", "leaky": "F.leaky_relu({x})", "elu": "F.elu({x})",
    "gelu": "F.gelu({x})", "silu": "F.silu({x})", "swish": "F.silu({x})", "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})", "hswish": "F.hardswish({x})", "hsigmoid": "F.hardsigmoid({x})",
    "softplus": "F.softplus({x})", "softmax": "torch.softmax({x}, 1)",
    "dropout": "F.dropout({x}, training=self.training)",
}  # fmt: skip
CALL = "{layer}({x})"
WEIGHTED = frozenset(("conv", "causal", "tconv", "fc", "bn", "gn", "in", "ln", "se", "attention"))


def written(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    """The PyTorch form of a layer between values of these shapes; raises SourceError where there is none."""
    if spec.kind in ACTIVATIONS:
        return Written(ACTIVATIONS[spec.kind], begins=False)
    return _WRITERS[spec.kind](spec, before, after)


def _axes(spans: Spans | None, rank: int, default: Shape) -> Shape:
    if not spans:
        return default
    return tuple(before for before, _ in (spans * rank if len(spans) == 1 else spans))


def _number(values: Shape) -> int | Shape:
    """One number where all axes have the same."""
    return values[0] if len(set(values)) == 1 else values


def _make(name: str, *options: Number, **placed: int | Shape) -> Make:
    return Make(name, (*(Number(role, value) for role, value in placed.items()), *options))


def _option(role: str, values: Shape, default: int) -> Number:
    return Number(role, _number(values), default)


def _bias(spec: LayerSpec) -> Number:
    return Number("bias", "nobias" not in spec.flags, True)


def _padding(spec: LayerSpec, space: Shape, window: list[tuple[int, int, int]], default: Spans) -> Spans:
    if "same" in spec.flags:
        return tuple(same_padding(n, *axis) for n, axis in zip(space, window, strict=True))
    if "valid" in spec.flags:
        return ((0, 0),) * len(space)
    given = spec.number("p") or default
    return given * len(space) if len(given) == 1 else given


def _even(padding: Spans) -> bool:
    return all(before == after for before, after in padding)


def _inside(padding: Spans) -> Shape:
    """What the layer pads itself: both sides alike, or nothing."""
    return tuple(before if _even(padding) else 0 for before, _ in padding)


def _padded(padding: Spans, mode: str = "", around: str = "{x}") -> str:
    """``F.pad``; PyTorch lists the last axis first."""
    widths = ", ".join(f"{before}, {after}" for before, after in reversed(padding))
    return f"F.pad({around}, ({widths}){mode})"


def _groups(spec: LayerSpec, inputs: int) -> int:
    return inputs if "dw" in spec.flags else _axes(spec.number("g"), 1, (1,))[0]


def _convolution(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = (_axes(spec.number(o), rank, (1,) * rank) for o in ("s", "d"))
    window = list(zip(kernel, stride, dilation, strict=True))
    centred = tuple((d * (k - 1) // 2,) * 2 for k, _, d in window)
    causal = spec.kind == "causal"
    padding = ((0, 0),) if causal else _padding(spec, before[2:], window, centred)
    module = _make(
        "CausalConv1d" if causal else f"nn.Conv{rank}d",
        _option("stride", stride, 1), _option("padding", _inside(padding), 0), _option("dilation", dilation, 1),
        Number("groups", _groups(spec, before[1]), 1), _bias(spec),
        inputs=before[1], outputs=after[1], kernel=_number(kernel),
    )  # fmt: skip
    return Written(CALL if _even(padding) else f"{{layer}}({_padded(padding)})", module)


def _transposed(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = (_axes(spec.number(o), rank, (1,) * rank) for o in ("s", "d"))
    given = spec.number("p") or tuple((d * (k - 1) // 2,) * 2 for k, d in zip(kernel, dilation, strict=True))
    padding = given * rank if len(given) == 1 else given
    module = _make(
        f"nn.ConvTranspose{rank}d",
        _option("stride", stride, 1), _option("padding", _inside(padding), 0),
        _option("output_padding", _axes(spec.number("op"), rank, (0,) * rank), 0),
        Number("groups", _groups(spec, before[1]), 1), _bias(spec), _option("dilation", dilation, 1),
        inputs=before[1], outputs=after[1], kernel=_number(kernel),
    )  # fmt: skip
    return Written(CALL if _even(padding) else _padded(tuple((-a, -b) for a, b in padding), around=CALL), module)


def _pool(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = _axes(spec.number("s"), rank, kernel), _axes(spec.number("d"), rank, (1,) * rank)
    padding = _padding(spec, before[2:], list(zip(kernel, stride, dilation, strict=True)), ((0, 0),))
    average = spec.kind == "avgpool"
    said = [("stride", stride, kernel), ("padding", _inside(padding), (0,) * rank), ("dilation", dilation, (1,) * rank)]
    rest = "".join(f", {name}={_number(value)}" for name, value, default in said if value != default)
    rest += ", ceil_mode=True" if "ceil" in spec.flags else ""
    around = "{x}" if _even(padding) else _padded(padding, "" if average else ', value=float("-inf")')
    return Written(f"F.{'avg' if average else 'max'}_pool{rank}d({around}, {_number(kernel)}{rest})")


def _adaptive(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    sort = "max" if "max" in spec.flags else "avg"
    return Written(f"F.adaptive_{sort}_pool{len(before) - 2}d({{x}}, {_number(after[2:])})")


def _global(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written(f"{{x}}.mean({list(range(2, len(before)))}, keepdim=True)")


def _up(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    words = {"linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}
    sort = next((words[flag] for flag in spec.flags if flag in words), "nearest")
    mode = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}.get(sort, {})
    if sort != "nearest" and rank not in mode:
        raise SourceError(f"{spec.where}: PyTorch has cubic interpolation for two axes only, the input has {rank}")
    said = f', mode="{mode[rank]}"' if mode else ""
    said += ", align_corners=True" if "align" in spec.flags else ""
    return Written(f"F.interpolate({{x}}, scale_factor={_number(_axes(spec.size, rank, (2,) * rank))}{said})")


def _pad(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    sign = -1 if spec.kind == "crop" else 1
    spans = spec.size * rank if len(spec.size) == 1 else spec.size
    mode = next(iter(spec.flags), "")
    return Written(_padded(tuple((sign * a, sign * b) for a, b in spans), f', mode="{mode}"' if mode else ""))


def _shuffle(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    factors = _axes(spec.size, rank, (2,) * rank)
    if rank != 2 or len(set(factors)) > 1:
        raise SourceError(f"{spec.where}: PyTorch shuffles two axes by one factor; the input has {rank} axes")
    return Written(f"F.pixel_{spec.kind}({{x}}, {factors[0]})")


def _linear(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    module = _make("nn.Linear", _bias(spec), inputs=math.prod(before[1:]), outputs=after[1])
    return Written(CALL if len(before) == 2 else "{layer}({x}.flatten(1))", module)


def _norm(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank, channels = max(1, len(before) - 2), before[1]
    if spec.kind == "bn":
        kept = Number("track_running_stats", "train" not in spec.flags, True)
        return Written(CALL, _make(f"nn.BatchNorm{rank}d", kept, channels=channels), False)
    if spec.kind == "gn":
        return Written(CALL, _make("nn.GroupNorm", count=spec.size[0][0], channels=channels), False)
    if spec.kind == "in":
        affine = Number("affine", "affine" in spec.flags, False)
        return Written(CALL, _make(f"nn.InstanceNorm{rank}d", affine, channels=channels), False)
    return Written(CALL, _make("ChannelNorm", channels=channels), False)


def _squeeze(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    hidden = max(1, before[1] // _axes(spec.size, 1, (16,))[0])
    return Written(CALL, _make("SqueezeExcite", channels=before[1], hidden=hidden))


def _attention(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written(CALL, _make("PositionAttention", channels=before[1], heads=_axes(spec.size, 1, (1,))[0]))


_WRITERS: dict[str, Writer] = {
    "conv": _convolution, "causal": _convolution, "tconv": _transposed, "pool": _pool, "maxpool": _pool,
    "avgpool": _pool, "adaptive": _adaptive, "gap": _global, "up": _up, "pad": _pad, "crop": _pad,
    "shuffle": _shuffle, "unshuffle": _shuffle, "fc": _linear, "bn": _norm, "gn": _norm, "in": _norm, "ln": _norm,
    "se": _squeeze, "attention": _attention,
}  # fmt: skip
