"""Random causal and nearly causal networks by number, and the judgement: with state against the whole, in float64."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveal.frontends.torch.stream.module import StreamingModule
from foveal.frontends.torch.stream.program import recorded

WIDTH = 4
ROUNDING = 1e-11
"""Share of the largest value; each of a dozen layers leaves some units in the last place of 1e-16."""


class Padded(nn.Module):
    """A convolution padded by one of PyTorch's modes."""

    def __init__(self, before: int, after: int, mode: str, conv: nn.Module) -> None:
        super().__init__()
        self.widths, self.mode, self.conv = (before, after), mode, conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.widths, mode=self.mode))


class Rows(nn.Module):
    """A layer on (batch, time, channels)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(x.transpose(1, 2))
        return (found[0] if isinstance(found, tuple) else found).transpose(1, 2)


class Band(nn.Module):
    """Attention of two heads over a band of positions."""

    def __init__(self, back: int, ahead: int) -> None:
        super().__init__()
        self.back, self.ahead, self.read = back, ahead, nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        number = x.shape[1]
        parts = self.read(x).view(1, number, 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4)
        mask = torch.ones(number, number, dtype=torch.bool).tril(self.ahead).triu(-self.back)
        made = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=mask)
        return made.transpose(1, 2).reshape(1, number, WIDTH)


class Branches(nn.Module):
    """The sum, or the channels side by side, of what two ways make."""

    def __init__(self, a: nn.Module, b: nn.Module, joined: bool) -> None:
        super().__init__()
        self.a, self.b = a, b
        self.mix = nn.Conv1d(2 * WIDTH, WIDTH, 1) if joined else None

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        return a + b if self.mix is None else self.mix(torch.cat((a, b), 1))


class Function(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "sum":
            return x.cumsum(-1) / 50
        if self.kind == "gate":
            a, b = x.chunk(2, 1)
            return torch.cat((a * torch.sigmoid(b), b), 1)
        if self.kind == "crop":
            return x[..., 1:]
        if self.kind == "zeros":
            return torch.cat((x.new_zeros(1, WIDTH, 2), x), -1)
        if self.kind == "linear":
            return F.interpolate(x, scale_factor=3, mode="linear")
        return F.interpolate(x, scale_factor=2)


def drawn(number: int) -> tuple[nn.Module, int]:
    """A network and its step."""
    draw = random.Random(number)
    torch.manual_seed(number)
    layers, step = [], 1
    for _ in range(draw.randint(2, 6)):
        layer, stride = _layer(draw, deep=True)
        layers.append(layer)
        step *= stride
    return nn.Sequential(*layers).double().eval(), step


def _same(draw: random.Random) -> nn.Module:
    """A layer that keeps the length."""
    kernel, dilation = draw.randint(1, 5), draw.randint(1, 3)
    reach = (kernel - 1) * dilation
    before = draw.choice([reach, reach, reach // 2, 0])
    conv = nn.Conv1d(WIDTH, WIDTH, kernel, dilation=dilation, groups=draw.choice([1, 2]))
    return draw.choice(
        [
            lambda: Padded(before, reach - before, draw.choice(["constant", "replicate", "reflect"]), conv),
            lambda: nn.Conv1d(WIDTH, WIDTH, kernel, dilation=dilation, padding="same"),
            lambda: Rows(draw.choice([nn.GRU, nn.LSTM, nn.RNN])(WIDTH, WIDTH, draw.randint(1, 2), batch_first=True)),
            lambda: Rows(Band(draw.randint(0, 6), draw.choice([0, 0, 2]))),
            lambda: Rows(nn.LayerNorm(WIDTH)),
            lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), draw.choice([nn.ELU(), nn.GELU(), nn.ReLU(inplace=True)])),
            lambda: nn.MaxPool1d(3, 1, 1),
            lambda: Function(draw.choice(["sum", "gate"])),
        ]
    )()


def _layer(draw: random.Random, deep: bool) -> tuple[nn.Module, int]:
    stride = draw.choice([2, 2, 3])
    kernel = draw.randint(1, 6)
    kind = draw.randrange(10)
    if kind < 4:
        return _same(draw), 1
    if kind == 4:
        return nn.Conv1d(WIDTH, WIDTH, kernel, stride, draw.randint(0, kernel // 2)), stride
    if kind == 5:
        over = draw.randint(0, stride - 1)
        return nn.ConvTranspose1d(WIDTH, WIDTH, max(kernel, 2), stride, draw.randint(0, 1), over), 1
    if kind == 6:
        return draw.choice([nn.MaxPool1d(kernel, stride, kernel // 2), nn.AvgPool1d(kernel, stride)]), stride
    if kind == 7:
        return Function(draw.choice(["linear", "nearest", "crop", "zeros"])), 1
    return Branches(draw.choice([nn.Identity(), _same(draw)]), _same(draw), draw.random() < 0.5), 1


def judge(number: int) -> tuple[str, str]:
    """A word, and what is wrong ("" where nothing is)."""
    model, step = drawn(number)
    draw = random.Random(-number)
    length = step * max(-(-60 // step), 9)  # units enough to tell a band of attention from one over everything

    def call(positions: int) -> tuple[tuple[Tensor], dict[str, object]]:
        return (torch.randn(1, WIDTH, positions, dtype=torch.float64),), {}

    with torch.no_grad():
        try:
            model(call(length)[0][0])
        except RuntimeError:
            return "does not run", ""
        module = StreamingModule(recorded(model, call, (length, length + step), ""))
        total = length + step * draw.randrange(6)
        x = torch.randn(1, WIDTH, total, dtype=torch.float64)
        whole = model(x)
        sizes = [draw.choice([1, 2, step, draw.randint(1, total)]) for _ in range(total)]
        made = module.run(x, sizes)
    if made.shape != whole.shape:
        return "wrong", f"{tuple(made.shape)} for {tuple(whole.shape)}"
    apart = float((made - whole).abs().max() / whole.abs().max().clamp(min=1e-3))
    return "equal", "" if apart <= ROUNDING else f"{apart:.3g} apart"
