"""Random functional code: one number, one function of a tensor (1, channels, *space), written as people write it."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]
Maker = Callable[[random.Random, tuple[int, ...]], Function]
MAKERS: list[Maker] = []


def maker(function: Maker) -> Maker:
    MAKERS.append(function)
    return function


def weights(rng: random.Random, *shape: int) -> nn.Parameter:
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    sign = torch.randint(0, 2, shape, generator=generator) * 2 - 1
    return nn.Parameter((torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5) * sign, requires_grad=False)


@maker
def convolved(rng: random.Random, shape: tuple[int, ...]) -> Function:
    rank, kernel = len(shape) - 2, rng.choice([1, 2, 3])
    conv = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    weight = weights(rng, rng.choice([2, shape[1]]), shape[1], *[kernel] * rank)
    stride, padding, dilation = rng.choice([1, 1, 2]), rng.choice([0, 1, 2]), rng.choice([1, 1, 2])
    return lambda x: conv(x, weight, None, stride, padding, dilation)


@maker
def frames(rng: random.Random, shape: tuple[int, ...]) -> Function:
    n, way, gain = shape[-1], rng.choice(["stack", "cat", "assign", "flip"]), rng.uniform(0.5, 2)

    def function(x: Tensor) -> Tensor:
        parts = [x[..., t] * gain for t in range(n)]
        if way == "flip":
            return torch.stack(parts[::-1], -1)
        if way == "cat":
            return torch.cat([part.unsqueeze(-1) for part in parts], -1)
        if way == "stack":
            return torch.stack(parts, -1)
        out = torch.zeros_like(x)
        for t, part in enumerate(parts):
            out[..., t] = part
        return out

    return function


@maker
def recurrent(rng: random.Random, shape: tuple[int, ...]) -> Function:
    keep, reach = rng.uniform(0.3, 0.9), rng.choice([1, 1, 2])

    def function(x: Tensor) -> Tensor:
        state, states = torch.zeros_like(x[..., 0]), []
        for t in range(0, x.shape[-1], reach):
            state = torch.tanh(x[..., t] + keep * state)
            states.append(state)
        return torch.stack(states, -1)

    return function


@maker
def assigned(rng: random.Random, shape: tuple[int, ...]) -> Function:
    n = shape[-1]
    a, b = sorted(rng.sample(range(n + 1), 2))
    return lambda x: _assign(x, a, b)


def _assign(x: Tensor, a: int, b: int) -> Tensor:
    y = x * 1.5
    y[..., a:b] = y[..., a:b].flip(-1) + 1
    return y


@maker
def indexed(rng: random.Random, shape: tuple[int, ...]) -> Function:
    axis = rng.randrange(2, len(shape))
    n = shape[axis]
    index = torch.tensor([rng.randrange(n) for _ in range(rng.randint(2, n + 1))])
    target = torch.tensor([rng.randrange(n) for _ in range(n)])
    way = rng.choice(["select", "add", "roll", "take", "gather", "scatter_add"])
    if way == "select":
        return lambda x: x.index_select(axis, index)
    if way == "add":
        return lambda x: torch.zeros_like(x).index_add(axis, target, x) + 0.5 * x
    if way == "roll":
        return lambda x: x.roll(rng.choice([1]), axis)
    if way == "take":
        return lambda x: x[(slice(None),) * axis + (index,)]
    full = target.reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape).contiguous()
    if way == "gather":
        return lambda x: x.gather(axis, full)
    return lambda x: torch.zeros_like(x).scatter_add(axis, full, x)


@maker
def multiplied(rng: random.Random, shape: tuple[int, ...]) -> Function:
    n, way = shape[-1], rng.choice(["band", "tril", "learnt", "einsum"])
    weight = weights(rng, n, n)
    if way == "learnt":
        return lambda x: x @ weight
    matrix = torch.eye(n, dtype=torch.float64) + torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)
    matrix = torch.tril(torch.ones(n, n, dtype=torch.float64)) if way == "tril" else matrix
    if way == "einsum":
        return lambda x: torch.einsum("...v,vw->...w", x, matrix)
    return lambda x: x @ matrix


@maker
def attended(rng: random.Random, shape: tuple[int, ...]) -> Function:
    n, window, way = shape[-1], rng.choice([2, 3, 99]), rng.choice(["where", "fill", "add", "sdpa", "exp"])
    place = torch.arange(n)
    keep = (place[:, None] >= place) & (place[:, None] - place < window)

    def function(x: Tensor) -> Tensor:
        tokens = x.transpose(-1, -2)
        if way == "sdpa":
            return F.scaled_dot_product_attention(tokens, tokens, tokens, keep).transpose(-1, -2)
        scores = tokens @ x
        if way == "where":
            scores = torch.where(keep, scores, torch.full((), -1e9, dtype=x.dtype))
        elif way == "add":
            scores = scores + torch.zeros(n, n, dtype=x.dtype).masked_fill(~keep, -1e9)
        else:
            scores = scores.masked_fill(~keep, float("-inf"))
        weights = torch.softmax(0.1 * scores, -1)
        if way == "exp":  # by hand; without the sum its results grow until no finite mask closes anything
            weights = torch.exp(0.1 * scores) / torch.exp(0.1 * scores).sum(-1, keepdim=True)
        return (weights @ tokens).transpose(-1, -2)

    return function


@maker
def resized(rng: random.Random, shape: tuple[int, ...]) -> Function:
    rank, factor = len(shape) - 2, rng.choice([0.5, 0.6, 1.5, 2.0, 1.3])
    mode = rng.choice(["nearest", "nearest-exact", ("linear", "bilinear", "trilinear")[rank - 1]])
    align = rng.choice([True, False]) if mode.endswith("linear") else None
    if rng.random() < 0.5:
        return lambda x: F.interpolate(x, scale_factor=factor, mode=mode, align_corners=align)
    size = [max(1, int(n * factor)) for n in shape[2:]]
    return lambda x: F.interpolate(x, size=size, mode=mode, align_corners=align)


@maker
def padded(rng: random.Random, shape: tuple[int, ...]) -> Function:
    mode = rng.choice(["constant", "reflect", "replicate", "circular"])
    ends = [rng.choice([0, 1, 2, -1]) for _ in range(2 * (len(shape) - 2))]
    if mode == "circular":  # PyTorch copies what it has not written yet where a side is longer than what is left
        sides = [
            (n + min(a, 0) + min(b, 0), max(a, b)) for n, a, b in zip(shape[:1:-1], ends[::2], ends[1::2], strict=True)
        ]
        mode = mode if all(left >= most for left, most in sides) else "constant"
    return lambda x: F.pad(x, ends, mode)


@maker
def viewed(rng: random.Random, shape: tuple[int, ...]) -> Function:
    way = rng.choice(["flatten", "swap", "last", "unfold", "cumsum", "diff", "channels_last"])
    if way == "channels_last" and len(shape) == 4:
        return lambda x: _front_cleared(x.to(memory_format=torch.channels_last) * 1.0)
    if way == "flatten":
        return lambda x: (x.reshape(x.shape[0], x.shape[1], -1) * 2).reshape(x.shape)
    if way == "swap" and len(shape) > 3:
        return lambda x: x.transpose(-1, -2)
    if way == "unfold":
        return lambda x: x.unfold(-1, 2, 1).sum(-1)
    if way == "cumsum":
        return lambda x: x.cumsum(-1)
    if way == "diff":
        return lambda x: x.diff(dim=-1)
    return lambda x: F.layer_norm(x.movedim(1, -1), (x.shape[1],)).movedim(-1, 1) + x


def _front_cleared(x: Tensor) -> Tensor:
    rows = x.reshape(1, -1)
    rows[:, : rows.shape[1] // 4] = 0
    return x + 0.5


class Drawn(nn.Module):
    """The functions in turn."""

    def __init__(self, functions: list[Function]) -> None:
        super().__init__()
        self.functions = functions
        self.weights = nn.ParameterList(
            cell.cell_contents
            for f in functions
            for cell in f.__closure__ or ()
            if isinstance(cell.cell_contents, nn.Parameter)
        )

    def forward(self, x: Tensor) -> Tensor:
        for function in self.functions:
            x = function(x)
        return x


def _way(function: Function) -> str:
    """The word that chose among the ways of a maker, else the line of the function."""
    code, cells = function.__code__, function.__closure__ or ()  # type: ignore[attr-defined]
    held = dict(zip(code.co_freevars, cells, strict=True))
    return str(held["way"].cell_contents) if "way" in held else f"line {code.co_firstlineno}"


def drawn(number: int) -> tuple[Drawn, tuple[int, ...], list[str]] | None:
    """The model of a number, its input's shape, the kinds of its steps; None where none fits."""
    from support.drawn import functional_more  # noqa: F401  the other makers

    rng = random.Random(number)
    rank = rng.choice([1, 1, 2, 3])
    shape = now = (1, rng.choice([1, 2, 3]), *(rng.randint(*((6, 11), (4, 7), (3, 5))[rank - 1]) for _ in range(rank)))
    came = torch.rand(shape, dtype=torch.float64)
    functions: list[Function] = []
    kinds: list[str] = []
    for _ in range(rng.randint(1, 4)):
        take = rng.choice(MAKERS)
        function = take(rng, now)
        try:
            made = function(came)
        except Exception:  # it does not fit this shape
            continue
        if made.dim() == len(now) and 0 < made.numel() <= 3000:
            functions.append(function)
            kinds.append(f"{take.__name__}/{_way(function)}")
            came, now = made, tuple(made.shape)
    return (Drawn(functions), shape, kinds) if functions else None
