"""Random networks for the tile fuzz: windows of all kinds, resizes by scale and by size, pads, gates, folds, slices."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 2
Function = Callable[[Tensor], Tensor]


class Step(nn.Module):
    """A function with the modules that it uses."""

    def __init__(self, name: str, function: Function, *inner: nn.Module) -> None:
        super().__init__()
        self.name, self.function, self.inner = name, function, nn.ModuleList(inner)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name


def drawn(seed: int) -> tuple[nn.Module, Tensor, int]:
    """A network in double precision, an input as it is traced, and the source's length."""
    random = Random(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(*(_step(random) for _ in range(random.randint(1, 4)))).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.sign(parameter))
    traced = random.randint(40, 90)
    return model, torch.randn(1, WIDTH, traced, dtype=torch.float64), traced + random.choice([0, 0, 1, 7, 24, 60])


def _conv(random: Random) -> nn.Module:
    kernel, dilation = random.choice([1, 2, 3, 5, 7]), random.choice([1, 1, 2, 3])
    mode = random.choice(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"])
    return nn.Conv1d(
        WIDTH, WIDTH, kernel, random.choice([1, 1, 2, 3, 4]), random.randint(0, dilation * (kernel - 1)), dilation,
        padding_mode=mode,
    )  # fmt: skip


def _same(kernel: int = 3) -> nn.Module:
    return nn.Conv1d(WIDTH, WIDTH, kernel, padding=kernel // 2)


def _resize(random: Random) -> nn.Module:
    mode = random.choice(["nearest", "nearest-exact", "linear", "linear"])
    corners = {"align_corners": random.random() < 0.2} if mode == "linear" else {}
    factor = random.choice([2, 3, 0.5, 1.5, 1.3, 0.7, 2 / 3, 0.25])
    if random.random() < 0.5:
        again = random.choice([None, True]) if factor in (2, 3, 0.5, 1.5, 0.25) else None
        return Step(
            f"scale {factor} {mode} {corners}",
            lambda x: F.interpolate(x, scale_factor=factor, mode=mode, recompute_scale_factor=again, **corners),
        )
    fixed = random.random() < 0.15
    return Step(
        f"size {factor} {mode} {corners} {fixed}",
        lambda x: F.interpolate(x, size=48 if fixed else max(1, int(x.shape[-1] * factor)), mode=mode, **corners),
    )


def _gate(random: Random) -> nn.Module:
    inner = _same()
    kind = random.choice(["mean", "bins", "window", "share"])
    bins = random.choice([2, 4, 5])

    def function(x: Tensor) -> Tensor:
        if kind == "mean":
            pooled = x.mean(-1, keepdim=True)
        elif kind == "bins":
            pooled = F.adaptive_avg_pool1d(x, bins)
        elif kind == "window":
            pooled = F.avg_pool1d(x, bins)
        else:
            pooled = F.interpolate(x, size=bins)
        return x * torch.sigmoid(F.interpolate(inner(pooled), size=x.shape[-1]))

    return Step(f"gate {kind} {bins}", function, inner)


def _slice(random: Random) -> nn.Module:
    first, last, step = random.randint(0, 3), random.randint(0, 3), random.choice([1, 1, 2, 3])
    kind = random.choice(["plain", "plain", "plain", "share", "half"])

    def function(x: Tensor) -> Tensor:
        if kind == "share":
            return x[..., :: max(1, x.shape[-1] // 8)]
        if kind == "half":
            return x[..., x.shape[-1] // 2 :]
        return x[..., first : x.shape[-1] - last : step]

    return Step(f"slice {kind} {first} {last} {step}", function)


def _pad(random: Random) -> nn.Module:
    widths = random.randint(0, 4), random.randint(-2, 4)
    mode = random.choice(["constant", "reflect", "replicate", "circular"])
    if mode != "constant":
        widths = widths[0], max(0, widths[1])
    return Step(f"pad {widths} {mode}", lambda x: F.pad(x, widths, mode=mode))


def _fold(random: Random) -> nn.Module:
    size, stride = random.choice([(3, 1), (4, 2), (4, 4), (8, 8), (5, 2)])
    joined = random.random() < 0.5

    def function(x: Tensor) -> Tensor:
        cut = F.unfold(x[:, :, None], (1, size), stride=(1, stride))
        found = F.fold(cut * 0.5, (1, x.shape[-1]), (1, size), stride=(1, stride))[:, :, 0]
        return torch.cat([found, x], 1)[:, 1 : 1 + WIDTH] if joined else found

    return Step(f"fold {size} {stride} {joined}", function)


def _attention(random: Random) -> nn.Module:
    window = random.choice([4, 8])
    pads, shift = random.random() < 0.5, random.choice([0, 0, 2])

    def function(x: Tensor) -> Tensor:
        length = x.shape[-1]
        if shift:
            x = torch.roll(x, shift, -1)
        y = F.pad(x, (0, -length % window)) if pads else x[..., : length - length % window]
        rows = y.reshape(1, WIDTH, -1, window).permute(0, 2, 3, 1)
        mixed = torch.softmax(rows @ rows.transpose(-1, -2), -1) @ rows
        return mixed.permute(0, 3, 1, 2).reshape(1, WIDTH, -1)[..., :length]

    return Step(f"attention {window} {pads} {shift}", function)


def _branches(random: Random) -> nn.Module:
    one, two = _step(random, 1), _step(random, 1)
    joins = random.random() < 0.5

    def function(x: Tensor) -> Tensor:
        a, b = one(x), two(x)
        if nearly_as_long(a, b):
            length = min(a.shape[-1], b.shape[-1])
            a, b = a[..., :length], b[..., :length]
        else:
            b = F.interpolate(b, size=a.shape[-1])
        return torch.cat([a, b], 1)[:, 1 : 1 + WIDTH] if joins else a + b

    return Step(f"branches {joins}", function, one, two)


def nearly_as_long(a: Tensor, b: Tensor) -> bool:
    """Whether two lengths are near enough to be cropped to one."""
    return abs(a.shape[-1] - b.shape[-1]) < 8


def _counted(random: Random) -> nn.Module:
    """A number that depends on the length, which no operand shows."""
    return Step("count", lambda x: x * (1.0 + 1.0 / x.shape[-1]))


def _step(random: Random, depth: int = 0) -> nn.Module:
    kind = random.choice(
        ["conv"] * 5 + ["pool"] * 2 + ["resize"] * 3 + ["transposed"] * 2 + ["gate", "slice", "slice", "pad", "pad"]
        + ["fold", "attention", "residual"] + ([] if depth else ["branches"] * 2) + ["count"] * (random.random() < 0.2)
    )  # fmt: skip
    if kind == "pool":
        made = random.choice([nn.MaxPool1d, nn.AvgPool1d])
        kernel = random.choice([2, 3, 4])
        pooled: nn.Module = made(
            kernel, random.choice([1, 2, 3]), random.randint(0, kernel // 2), ceil_mode=random.random() < 0.3
        )
        return pooled
    if kind == "transposed":
        kernel, stride = random.choice([2, 3, 4, 5]), random.choice([1, 2, 3])
        return nn.ConvTranspose1d(
            WIDTH, WIDTH, kernel, stride, random.randint(0, 2), random.randint(0, stride - 1)
        )  # fmt: skip
    if kind == "residual":
        inner = _same(random.choice([3, 5]))
        return Step("residual", lambda x: x + inner(x), inner)
    makers = {
        "conv": _conv, "resize": _resize, "gate": _gate, "slice": _slice, "pad": _pad, "fold": _fold,
        "attention": _attention, "branches": _branches, "count": _counted,
    }  # fmt: skip
    return makers[kind](random)
