"""One layer of a text specification in PyTorch: what stands in ``__init__`` and what in ``forward``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from foveal.core.errors import SourceError
from foveal.frontends.text.model import LayerSpec, Spans
from foveal.frontends.text.site import same_padding

HELPERS = {
    "ChannelNorm": '''class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
''',
    "SqueezeExcite": '''class SqueezeExcite(nn.Module):
    """A gate per channel, from the mean over all positions."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, x):
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.flatten(2).mean(2)))))
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))
''',
    "PositionAttention": '''class PositionAttention(nn.MultiheadAttention):
    """Self-attention over all positions."""

    def __init__(self, channels, heads):
        super().__init__(channels, heads, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = super().forward(tokens, tokens, tokens, need_weights=False)
        return mixed.transpose(1, 2).reshape(x.shape)
''',
}


@dataclass(frozen=True)
class Written:
    """module: the constructor, "" where the layer has no weights; call: with ``{x}`` and ``{layer}`` left open."""

    call: str
    module: str = ""
    helpers: tuple[str, ...] = ()
    reshapes: bool = False


Shape = tuple[int, ...]
Writer = Callable[[LayerSpec, Shape, Shape], Written]

_ACTIVATIONS = {
    "relu": "F.relu({x})", "relu6": "F.relu6({x})", "leaky": "F.leaky_relu({x})", "elu": "F.elu({x})",
    "gelu": "F.gelu({x})", "silu": "F.silu({x})", "swish": "F.silu({x})", "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})", "hswish": "F.hardswish({x})", "hsigmoid": "F.hardsigmoid({x})",
    "softplus": "F.softplus({x})", "softmax": "F.softmax({x}, dim=1)",
}  # fmt: skip


def written(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    """The PyTorch form of a layer between values of these shapes; raises SourceError where there is none."""
    if spec.kind in _ACTIVATIONS:
        return Written(_ACTIVATIONS[spec.kind])
    return _WRITERS[spec.kind](spec, before, after)


def _axes(spans: Spans | None, rank: int, default: tuple[int, ...]) -> tuple[int, ...]:
    if not spans:
        return default
    return tuple(before for before, _ in (spans * rank if len(spans) == 1 else spans))


def _number(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"({', '.join(map(str, values))})"


def _options(**values: tuple[tuple[int, ...], int]) -> str:
    """``, stride=2`` for each option that is not its default."""
    return "".join(f", {key}={_number(v)}" for key, (v, default) in values.items() if set(v) != {default})


def _padding(spec: LayerSpec, space: Shape, window: list[tuple[int, int, int]], default: Spans) -> Spans:
    if "same" in spec.flags:
        return tuple(same_padding(n, *axis) for n, axis in zip(space, window, strict=True))
    if "valid" in spec.flags:
        return ((0, 0),) * len(space)
    given = spec.number("p") or default
    return given * len(space) if len(given) == 1 else given


def _even(padding: Spans) -> bool:
    return all(before == after for before, after in padding)


def _padded(padding: Spans, mode: str = "") -> str:
    """``F.pad`` around ``{x}``; PyTorch lists the last axis first."""
    widths = ", ".join(f"{before}, {after}" for before, after in reversed(padding))
    return f"F.pad({{x}}, ({widths}){mode})"


def _groups(spec: LayerSpec, inputs: int) -> int:
    return inputs if "dw" in spec.flags else _axes(spec.number("g"), 1, (1,))[0]


def _bias(spec: LayerSpec) -> str:
    return ", bias=False" if "nobias" in spec.flags else ""


def _convolution(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = (_axes(spec.number(o), rank, (1,) * rank) for o in ("s", "d"))
    if spec.kind == "causal":
        padding: Spans = ((dilation[0] * (kernel[0] - 1), 0),)
    else:
        centred = tuple((d * (k - 1) // 2,) * 2 for k, d in zip(kernel, dilation, strict=True))
        window = list(zip(kernel, stride, dilation, strict=True))
        padding = _padding(spec, before[2:], window, tuple((side, side) for side, _ in centred))
    inside = tuple(a for a, _ in padding) if _even(padding) else (0,) * rank
    rest = _options(stride=(stride, 1), padding=(inside, 0), dilation=(dilation, 1),
                    groups=((_groups(spec, before[1]),), 1))  # fmt: skip
    module = f"nn.Conv{rank}d({before[1]}, {after[1]}, {_number(kernel)}{rest}{_bias(spec)})"
    return Written("{layer}({x})" if _even(padding) else f"{{layer}}({_padded(padding)})", module)


def _transposed(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = (_axes(spec.number(o), rank, (1,) * rank) for o in ("s", "d"))
    extra = _axes(spec.number("op"), rank, (0,) * rank)
    given = spec.number("p") or tuple((d * (k - 1) // 2,) * 2 for k, d in zip(kernel, dilation, strict=True))
    padding = tuple((a, b) for a, b in (given * rank if len(given) == 1 else given))
    inside = tuple(a for a, _ in padding) if _even(padding) else (0,) * rank
    rest = _options(stride=(stride, 1), padding=(inside, 0), output_padding=(extra, 0),
                    groups=((_groups(spec, before[1]),), 1), dilation=(dilation, 1))  # fmt: skip
    module = f"nn.ConvTranspose{rank}d({before[1]}, {after[1]}, {_number(kernel)}{rest}{_bias(spec)})"
    if _even(padding):
        return Written("{layer}({x})", module)
    return Written(_padded(tuple((-a, -b) for a, b in padding)).replace("{x}", "{layer}({x})"), module)


def _pool(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    kernel = _axes(spec.size, rank, (1,) * rank)
    stride, dilation = _axes(spec.number("s"), rank, kernel), _axes(spec.number("d"), rank, (1,) * rank)
    padding = _padding(spec, before[2:], list(zip(kernel, stride, dilation, strict=True)), ((0, 0),))
    average = spec.kind == "avgpool"
    inside = tuple(a for a, _ in padding) if _even(padding) else (0,) * rank
    rest = "" if stride == kernel else f", stride={_number(stride)}"
    rest += _options(padding=(inside, 0), dilation=(dilation, 1)) + (", ceil_mode=True" if "ceil" in spec.flags else "")
    name = f"F.{'avg' if average else 'max'}_pool{rank}d"
    around = "{x}" if _even(padding) else _padded(padding, "" if average else ', value=float("-inf")')
    return Written(f"{name}({around}, {_number(kernel)}{rest})", reshapes=True)


def _adaptive(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    sort = "max" if "max" in spec.flags else "avg"
    return Written(f"F.adaptive_{sort}_pool{len(before) - 2}d({{x}}, {_number(after[2:])})", reshapes=True)


def _global(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written(f"F.adaptive_avg_pool{len(before) - 2}d({{x}}, 1)", reshapes=True)


def _up(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    factor = _number(_axes(spec.size, rank, (2,) * rank))
    words = {"linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}
    sort = next((words[flag] for flag in spec.flags if flag in words), "nearest")
    mode = {"linear": {1: "linear", 2: "bilinear", 3: "trilinear"}, "cubic": {2: "bicubic"}}.get(sort, {})
    if sort != "nearest" and rank not in mode:
        raise SourceError(f"{spec.where}: PyTorch has cubic interpolation for two axes only, the input has {rank}")
    said = f', mode="{mode[rank]}"' if mode else ""
    align = ", align_corners=True" if "align" in spec.flags else ""
    return Written(f"F.interpolate({{x}}, scale_factor={factor}{said}{align})", reshapes=True)


def _pad(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    sign = -1 if spec.kind == "crop" else 1
    spans = spec.size * rank if len(spec.size) == 1 else spec.size
    mode = next(iter(spec.flags), "")
    widths = tuple((sign * a, sign * b) for a, b in spans)
    return Written(_padded(widths, f', mode="{mode}"' if mode else ""), reshapes=True)


def _shuffle(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = len(before) - 2
    factors = _axes(spec.size, rank, (2,) * rank)
    if rank != 2 or len(set(factors)) > 1:
        raise SourceError(f"{spec.where}: PyTorch shuffles two axes by one factor; the input has {rank} axes")
    return Written(f"F.pixel_{spec.kind}({{x}}, {factors[0]})", reshapes=True)


def _linear(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    flat = "{x}" if len(before) == 2 else "{x}.flatten(1)"
    return Written(f"{{layer}}({flat})", f"nn.Linear({math.prod(before[1:])}, {after[1]}{_bias(spec)})")


def _batch_norm(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    rank = max(1, len(before) - 2)
    train = ", track_running_stats=False" if "train" in spec.flags else ""
    return Written("{layer}({x})", f"nn.BatchNorm{rank}d({before[1]}{train})")


def _group_norm(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written("{layer}({x})", f"nn.GroupNorm({spec.size[0][0]}, {before[1]})")


def _instance_norm(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    affine = ", affine=True" if "affine" in spec.flags else ""
    return Written("{layer}({x})", f"nn.InstanceNorm{len(before) - 2}d({before[1]}{affine})")


def _layer_norm(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written("{layer}({x})", f"ChannelNorm({before[1]})", ("ChannelNorm",))


def _squeeze(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    hidden = max(1, before[1] // _axes(spec.size, 1, (16,))[0])
    return Written("{layer}({x})", f"SqueezeExcite({before[1]}, {hidden})", ("SqueezeExcite",))


def _attention(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    heads = _axes(spec.size, 1, (1,))[0]
    return Written("{layer}({x})", f"PositionAttention({before[1]}, {heads})", ("PositionAttention",))


def _dropout(spec: LayerSpec, before: Shape, after: Shape) -> Written:
    return Written("F.dropout({x}, training=self.training)")


_WRITERS: dict[str, Writer] = {
    "conv": _convolution, "causal": _convolution, "tconv": _transposed, "pool": _pool, "maxpool": _pool,
    "avgpool": _pool, "adaptive": _adaptive, "gap": _global, "up": _up, "pad": _pad, "crop": _pad,
    "shuffle": _shuffle, "unshuffle": _shuffle, "fc": _linear, "bn": _batch_norm, "gn": _group_norm,
    "in": _instance_norm, "ln": _layer_norm, "se": _squeeze, "attention": _attention, "dropout": _dropout,
}  # fmt: skip
