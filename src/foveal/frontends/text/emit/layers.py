"""One layer of a text specification in PyTorch: what stands in ``__init__`` and what in ``forward``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from foveal.core.errors import SourceError
from foveal.frontends.text.emit.blocks import Make, Number, Shape
from foveal.frontends.text.model import LayerSpec, Spans
from foveal.ir.ops import Operation, Pad, Pool

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


Writer = Callable[[LayerSpec, Any, Shape, Shape], Written]
"""From a layer, its operation in the graph, and the shapes before and after it."""

ACTIVATIONS = {
    "relu": "torch.relu({x})", "relu6": "F.relu6({x})", "leaky": "F.leaky_relu({x})", "elu": "F.elu({x})",
    "gelu": "F.gelu({x})", "silu": "F.silu({x})", "swish": "F.silu({x})", "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})", "hswish": "F.hardswish({x})", "hsigmoid": "F.hardsigmoid({x})",
    "softplus": "F.softplus({x})", "softmax": "torch.softmax({x}, 1)",
    "dropout": "F.dropout({x}, training=self.training)",
}  # fmt: skip
CALL = "{layer}({x})"
WEIGHTED = frozenset(("conv", "causal", "tconv", "fc", "bn", "gn", "in", "ln", "se", "attention"))


def written(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    """The PyTorch form of a layer between values of these shapes; raises SourceError where there is none."""
    if spec.kind in ACTIVATIONS:
        return Written(ACTIVATIONS[spec.kind], begins=False)
    return _WRITERS[spec.kind](spec, op, before, after)


def _make(name: str, *options: Number, **placed: int | Shape) -> Make:
    return Make(name, (*(Number(role, value) for role, value in placed.items()), *options))


def _number(values: Shape) -> int | Shape:
    """One number where all axes have the same."""
    return values[0] if len(set(values)) == 1 else values


def _axes(spans: Spans | None, rank: int, default: int) -> Shape:
    given = spans or ((default, default),)
    return tuple(before for before, _ in (given * rank if len(given) == 1 else given))


def _even(padding: Spans) -> bool:
    return all(before == after for before, after in padding)


def _inside(padding: Spans) -> Shape:
    """What the layer pads itself: both sides alike, or nothing."""
    return tuple(before if _even(padding) else 0 for before, _ in padding)


def _padded(padding: Spans, mode: str = "", around: str = "{x}") -> str:
    """``F.pad``; PyTorch lists the last axis first."""
    return f"F.pad({around}, ({', '.join(f'{before}, {after}' for before, after in reversed(padding))}){mode})"


def _convolution(spec: LayerSpec, op: Any, before: Shape, after: Shape) -> Written:
    rank, name = len(op.kernel), {"conv": "nn.Conv", "tconv": "nn.ConvTranspose"}.get(spec.kind, "CausalConv")
    if spec.kind == "tconv":
        given = spec.number("p") or tuple((n, n) for n in op.before)
        padding = given * rank if len(given) == 1 else given
    else:
        padding = op.padding if spec.kind == "conv" else ((0, 0),)
    options = {"stride": (op.stride, 1), "padding": (_inside(padding), 0), "dilation": (op.dilation, 1)}
    if spec.kind == "tconv":
        options["output_padding"] = _axes(spec.number("op"), rank, 0), 0
    module = _make(
        f"{name}{rank}d",
        *(Number(role, _number(values), default) for role, (values, default) in options.items()),
        Number("groups", op.groups, 1),
        _bias(spec),
        inputs=before[1], outputs=after[1], kernel=_number(op.kernel),
    )  # fmt: skip
    if _even(padding):
        return Written(CALL, module)
    if spec.kind == "conv":
        return Written(f"{{layer}}({_padded(padding)})", module)
    return Written(_padded(tuple((-a, -b) for a, b in padding), around=CALL), module)


def _bias(spec: LayerSpec) -> Number:
    return Number("bias", "nobias" not in spec.flags, True)


def _pool(spec: LayerSpec, op: Pool, before: Shape, after: Shape) -> Written:
    rank, average, padding = len(op.kernel), op.name == "average", op.padding
    said = [("stride", op.stride, op.kernel), ("padding", _inside(padding), (0,) * rank)]
    said.append(("dilation", op.dilation, (1,) * rank))
    rest = "".join(f", {name}={_number(values)}" for name, values, default in said if values != default)
    rest += ", ceil_mode=True" if "ceil" in spec.flags else ""
    around = "{x}" if _even(padding) else _padded(padding, "" if average else ', value=float("-inf")')
    return Written(f"F.{'avg' if average else 'max'}_pool{rank}d({around}, {_number(op.kernel)}{rest})")


def _adaptive(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    sort = "max" if "max" in spec.flags else "avg"
    return Written(f"F.adaptive_{sort}_pool{len(before) - 2}d({{x}}, {_number(after[2:])})")


def _global(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    return Written(f"{{x}}.mean({list(range(2, len(before)))}, keepdim=True)")


def _up(spec: LayerSpec, op: Any, before: Shape, after: Shape) -> Written:
    rank = len(op.axes)
    modes = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}.get(op.mode)
    if modes is not None and rank not in modes:
        raise SourceError(f"{spec.where}: PyTorch has cubic interpolation for two axes only, the input has {rank}")
    said = f', mode="{modes[rank]}"' if modes else ""
    said += ", align_corners=True" if op.align_corners else ""
    return Written(f"F.interpolate({{x}}, scale_factor={_number(tuple(map(int, op.scales)))}{said})")


def _pad(spec: LayerSpec, op: Pad, before: Shape, after: Shape) -> Written:
    return Written(_padded(op.widths[2:], "" if op.mode == "constant" else f', mode="{op.mode}"'))


def _shuffle(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    factors = _axes(spec.size, rank, 2)
    if rank != 2 or len(set(factors)) > 1:
        raise SourceError(f"{spec.where}: PyTorch shuffles two axes by one factor; the input has {rank} axes")
    return Written(f"F.pixel_{spec.kind}({{x}}, {factors[0]})")


def _linear(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    module = _make("nn.Linear", _bias(spec), inputs=math.prod(before[1:]), outputs=after[1])
    return Written(CALL if len(before) == 2 else "{layer}({x}.flatten(1))", module)


def _norm(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    rank, channels = max(1, len(before) - 2), before[1]
    made = {
        "bn": _make(
            f"nn.BatchNorm{rank}d", Number("track_running_stats", "train" not in spec.flags, True), channels=channels
        ),
        "in": _make(f"nn.InstanceNorm{rank}d", Number("affine", "affine" in spec.flags, False), channels=channels),
        "gn": _make("nn.GroupNorm", count=_axes(spec.size, 1, 1)[0], channels=channels),
        "ln": _make("ChannelNorm", channels=channels),
    }
    return Written(CALL, made[spec.kind], False)


def _squeeze(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    hidden = max(1, before[1] // _axes(spec.size, 1, 16)[0])
    return Written(CALL, _make("SqueezeExcite", channels=before[1], hidden=hidden))


def _attention(spec: LayerSpec, op: Operation, before: Shape, after: Shape) -> Written:
    return Written(CALL, _make("PositionAttention", channels=before[1], heads=_axes(spec.size, 1, 1)[0]))


_WRITERS: dict[str, Writer] = {
    "conv": _convolution, "causal": _convolution, "tconv": _convolution, "pool": _pool, "maxpool": _pool,
    "avgpool": _pool, "adaptive": _adaptive, "gap": _global, "up": _up, "pad": _pad, "crop": _pad,
    "shuffle": _shuffle, "unshuffle": _shuffle, "fc": _linear, "bn": _norm, "gn": _norm, "in": _norm, "ln": _norm,
    "se": _squeeze, "attention": _attention,
}  # fmt: skip
