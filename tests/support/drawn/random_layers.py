"""One function per kind of step of a random network: it draws the settings; None where the kind does not fit."""

from __future__ import annotations

from math import prod
from random import Random

import torch
from torch import nn
from torch.nn import functional as F

from support.drawn import random_steps as steps

Shape = tuple[int, ...]


def _each(rng: Random, space: Shape, low: int, high: int) -> Shape:
    """One draw for all axes, or one per axis."""
    same = rng.randint(low, high)
    return tuple(same if rng.random() < 0.5 else rng.randint(low, high) for _ in space)


def _module(name: str, space: Shape) -> type[nn.Module]:
    kind: type[nn.Module] = getattr(nn, f"{name}{len(space)}d")
    return kind


def convolution(rng: Random, channels: int, space: Shape) -> nn.Module:
    kernel, dilation = _each(rng, space, 1, 5), _each(rng, space, 1, rng.choice([1, 1, 3]))
    groups = rng.choice([g for g in (1, 1, 1, 2, channels) if channels % g == 0])
    out = groups * rng.randint(1, max(1, 4 // groups))
    mode = rng.choice(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"])
    if rng.random() < 0.25:
        padding: Shape | str = "same"
        stride: Shape = (1,) * len(space)
    else:
        padding = tuple(rng.randint(0, d * (k - 1) + (mode == "zeros")) for k, d in zip(kernel, dilation, strict=True))
        stride = _each(rng, space, 1, rng.choice([1, 2, 3]))
    return _module("Conv", space)(channels, out, kernel, stride, padding, dilation, groups, padding_mode=mode)


def transposed(rng: Random, channels: int, space: Shape) -> nn.Module:
    kernel, stride, dilation = (
        _each(rng, space, 1, 4),
        _each(rng, space, 1, 3),
        _each(rng, space, 1, rng.choice([1, 2])),
    )
    padding = tuple(rng.randint(0, k) for k in kernel)
    extra = tuple(rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    groups = rng.choice([g for g in (1, 1, channels) if channels % g == 0])
    out = groups * rng.randint(1, max(1, 3 // groups))
    kind = _module("ConvTranspose", space)
    return kind(channels, out, kernel, stride, padding, extra, groups, dilation=dilation)


def pad(rng: Random, channels: int, space: Shape) -> nn.Module:
    mode = rng.choice(["constant", "constant", "reflect", "replicate", "circular"])
    low = -2 if mode == "constant" else 0
    widths = [rng.randint(low, 3) for _ in range(2 * len(space))]
    return steps.Do(lambda x: F.pad(x, widths, mode=mode), f"pad {widths} {mode}")


def max_pool(rng: Random, channels: int, space: Shape) -> nn.Module:
    kernel = _each(rng, space, 1, 4)
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    kind = _module("MaxPool", space)
    return kind(kernel, _each(rng, space, 1, 3), padding, _each(rng, space, 1, 2), ceil_mode=rng.random() < 0.5)


def average_pool(rng: Random, channels: int, space: Shape) -> nn.Module:
    kernel = _each(rng, space, 1, 4)
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    ceil, count = rng.random() < 0.5, rng.random() < 0.5
    return _module("AvgPool", space)(kernel, _each(rng, space, 1, 3), padding, ceil_mode=ceil, count_include_pad=count)


def power_pool(rng: Random, channels: int, space: Shape) -> nn.Module:
    """After a softplus, since a norm is not smooth at zero."""
    kernel, stride = rng.randint(1, 3), rng.randint(1, 3)
    return nn.Sequential(nn.Softplus(), _module("LPPool", space)(2, kernel, stride, rng.random() < 0.5))


def adaptive(rng: Random, channels: int, space: Shape) -> nn.Module:
    out = tuple(rng.choice([1, 2, 3, 4, n, rng.randint(1, n + 3)]) for n in space)
    return _module(rng.choice(["AdaptiveAvgPool", "AdaptiveMaxPool"]), space)(out)


def resample(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[len(space)]
    mode = rng.choice(["nearest", "nearest-exact", *smooth, *smooth])
    options: dict[str, object] = {}
    if mode in smooth:
        options["align_corners"] = rng.random() < 0.5
        options["antialias"] = len(space) == 2 and rng.random() < 0.3
    if rng.random() < 0.5:
        size = tuple(rng.randint(1, 18) for _ in space)
        return steps.Do(lambda x: F.interpolate(x, size=size, mode=mode, **options), f"size {size} {mode} {options}")
    factors = tuple(rng.choice([0.25, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 2.0, 2.3, 3.0]) for _ in space)
    if mode.startswith("nearest") and any(_undefined(n, f) for n, f in zip(space, factors)):
        return None
    again = rng.random() < 0.2
    if again:
        options["recompute_scale_factor"] = True
    return steps.Do(
        lambda x: F.interpolate(x, scale_factor=factors, mode=mode, **options), f"by {factors} {mode} {options}"
    )


def _undefined(length: int, factor: float) -> bool:
    """Where torch's nearest neighbour differs with map size, memory layout (it takes the factor or the ratio of the
    lengths) or precision (an output that falls between two inputs)."""
    if factor in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0):
        return False
    out = int(length * factor)
    ties = (abs((o + shift) / factor - round((o + shift) / factor)) < 1e-6 for o in range(1, out) for shift in (0, 0.5))
    return out in (length, 2 * length) or any(ties)


def shuffle(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    name = rng.choice(["PixelShuffle", "PixelUnshuffle", "ChannelShuffle"])
    if name == "ChannelShuffle":
        groups = [g for g in (2, 3) if channels % g == 0]
        return nn.ChannelShuffle(rng.choice(groups)) if groups and len(space) == 2 else None
    return getattr(nn, name)(rng.choice([2, 2, 3])) if len(space) == 2 else None


def focus(rng: Random, channels: int, space: Shape) -> nn.Module:
    axis = rng.randint(2, len(space) + 1)

    def cut(x: torch.Tensor, offset: int) -> torch.Tensor:
        even = x.narrow(axis, 0, x.shape[axis] // 2 * 2)
        return even[(slice(None),) * axis + (slice(offset, None, 2),)]

    branches = [steps.Do(lambda x, o=offset: cut(x, o), f"axis {axis} from {offset} step 2") for offset in (0, 1)]
    return steps.Branches(branches, "concatenate")


def cut(rng: Random, channels: int, space: Shape) -> nn.Module:
    axis = rng.randint(1, len(space) + 1)
    length = (channels, *space)[axis - 1]
    start, step = rng.randint(0, max(0, length // 3)), rng.choice([1, 1, 2, 3])
    stop = rng.randint(start + 1, length)
    index = (slice(None),) * axis + (slice(start, stop, step),)
    return steps.Do(lambda x: x[index], f"axis {axis} [{start}:{stop}:{step}]")


def move(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    axes = list(range(2, len(space) + 2))
    axis = rng.choice(axes)
    name = rng.choice(["flip", "roll", "swap", "take", "repeat", "tile", "fold", "unfold", "stretch", "raster"])
    if name == "flip":
        return steps.Do(lambda x: x.flip(axis), f"flip {axis}")
    if name == "roll":
        shift = rng.randint(-4, 4)
        return steps.Do(lambda x: x.roll(shift, axis), f"roll {shift} axis {axis}")
    if name == "swap" and len(space) > 1:
        other = rng.choice([a for a in axes if a != axis])
        return steps.Do(lambda x: x.transpose(axis, other), f"swap {axis} {other}")
    if name == "take":
        index = torch.tensor([rng.randrange(space[axis - 2]) for _ in range(rng.randint(2, 12))])
        return steps.Do(lambda x: x.index_select(axis, index), f"take {index.tolist()} axis {axis}")
    if name == "repeat":
        return steps.Do(lambda x: x.repeat_interleave(2, dim=axis), f"repeat axis {axis}")
    if name == "tile":
        counts = [2 if a == axis else 1 for a in range(len(space) + 2)]
        return steps.Do(lambda x: x.repeat(counts), f"tile {counts}")
    if name == "fold" and len(space) > 1:
        kept = [1 if i == axis - 2 else n for i, n in enumerate(space)]
        return steps.Do(lambda x: x.movedim(axis, 2).reshape(x.shape[0], -1, *kept), f"axis {axis} into channels")
    if name == "unfold":
        size, step = rng.randint(1, 3), rng.randint(1, 3)
        return steps.Do(
            lambda x: x.unfold(axis, size, step).movedim(-1, 1).flatten(1, 2), f"unfold {axis} {size} {step}"
        )
    if name == "stretch" and channels % 2 == 0:
        shape = [n * (2 if i == axis - 2 else 1) for i, n in enumerate(space)]
        return steps.Do(lambda x: x.reshape(x.shape[0], channels // 2, *shape), f"channels into {shape} row-major")
    if name == "raster":
        return steps.Do(lambda x: x.flatten(2), "flatten space")
    return None


def branch(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    """A residual or gated branch whose inner part keeps the shape (aligned or not)."""
    inner: list[nn.Module] = []
    for _ in range(rng.randint(1, 2)):
        kernel, dilation = _each(rng, space, 1, 4), _each(rng, space, 1, 2)
        reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        before = [rng.choice([0, r // 2, r]) for r in reach]
        widths = [w for b, r in reversed(list(zip(before, reach, strict=True))) for w in (b, r - b)]
        if any(widths):
            inner.append(steps.Do(lambda x, w=widths: F.pad(x, w), f"pad {widths}"))
        inner.append(_module("Conv", space)(channels, channels, kernel, dilation=dilation))
    return steps.Residual(nn.Sequential(*inner), rng.choice(["add", "add", "multiply"]))


def split(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    if channels < 2:
        return None
    part = rng.randint(1, channels - 1)
    kind = _module("Conv", space)
    return steps.SplitHalf(kind(part, rng.randint(1, 3), 3, padding="same"), part, rng.random() < 0.6)


def norm(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    """A norm and a GELU: without it the mean over a normalised map is constant, and no rule can know.

    Where statistics are over fewer than four elements their own dependency nearly cancels: left out.
    """
    made = _norm(rng, channels, space)
    return nn.Sequential(made, nn.GELU()) if made is not None else None


def _norm(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    name = rng.choice(["batch", "group", "instance", "channel", "local", "softmax"])
    # a term that is the same in all channels vanishes in a norm over channels, unless each channel is scaled first
    scale = _module("Conv", space)(channels, channels, 1, groups=channels)
    if name == "batch":
        return _module("BatchNorm", space)(channels)
    if name == "group":
        groups = rng.choice([g for g in (1, 2, channels) if channels % g == 0])
        return nn.GroupNorm(groups, channels) if prod(space) * channels // groups >= 4 else None
    if name == "instance":
        return _module("InstanceNorm", space)(channels, affine=True) if prod(space) >= 4 else None
    if name == "local":
        return nn.LocalResponseNorm(3, alpha=1.0)
    if name == "softmax":
        return nn.Sequential(scale, nn.Softmax(dim=1)) if channels >= 3 else None
    return nn.Sequential(scale, steps.ChannelNorm(channels)) if channels >= 4 else None


def pointwise(rng: Random, channels: int, space: Shape) -> nn.Module:
    kinds = [
        nn.ReLU,
        nn.GELU,
        nn.Sigmoid,
        nn.SiLU,
        nn.PReLU,
        nn.LeakyReLU,
        nn.Hardswish,
        nn.Tanh,
        nn.Softplus,
        nn.ReLU6,
    ]
    return rng.choice(kinds)()


def window_attention(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    window = tuple(rng.choice([w for w in (2, 3, 4) if n % w == 0] or [0]) for n in space)
    if 0 in window or len(space) > 2:
        return None
    shift = tuple(w // 2 if n > w else 0 for n, w in zip(space, window, strict=True))
    if rng.random() < 0.4:
        shift = (0,) * len(space)
    return steps.WindowAttention(channels, space, window, shift, masked=any(shift) and rng.random() < 0.7)


def mixer(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    axis = rng.randint(2, len(space) + 1)
    length = space[axis - 2]
    name = rng.choice(
        ["attention", "matrix", "matrix", "gate", "gate", "recurrent", "cumsum", "cumsum", "raster", "patches"]
    )
    if name == "attention":
        return steps.Attention(channels, rng.random() < 0.5, rng.random() < 0.5)
    if name == "matrix":
        triangular = rng.random() < 0.6
        return steps.AxisMix(axis, length, length if triangular else rng.randint(1, length + 2), triangular)
    if name == "gate":
        return steps.Gate(channels)
    if name == "recurrent":
        return steps.Recurrent(channels, axis, rng.choice(["lstm", "gru", "rnn"]), rng.random() < 0.4)
    if name == "cumsum":
        return steps.Do(lambda x: x.cumsum(axis) / length, f"cumsum {axis}")
    if name == "raster":
        return steps.Raster(channels, rng.randint(2, 4), rng.randint(1, 2))
    if len(space) != 2:
        return None
    kernel, padding = (rng.randint(1, 3), rng.randint(1, 3)), rng.randint(0, 1)
    return steps.Patches(kernel, rng.randint(1, 2), padding, (space[0], space[1]), rng.random() < 0.5)
