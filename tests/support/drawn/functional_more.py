"""More of what people write: pools, views, writes in place, constant indices, matrices, masks, gates and loops."""

from __future__ import annotations

import random
from itertools import pairwise
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from support.drawn.functional import Function, maker, weights

Shape = tuple[int, ...]


def _each(rng: random.Random, shape: Shape, *choices: int) -> list[int]:
    """One of the choices per spatial axis."""
    return [rng.choice(choices) for _ in shape[2:]]


def _draw(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.randrange(1 << 30))


def _at(axis: int, index: object) -> tuple[object, ...]:
    return (slice(None),) * axis + (index,)


def _along(axis: int, shape: Shape, values: Tensor) -> Tensor:
    return values.reshape([-1 if a == axis else 1 for a in range(len(shape))])


@maker
def filtered(rng: random.Random, shape: Shape) -> Function:
    """Convolutions with a number of their own per axis, and with every kind of border."""
    rank, groups = len(shape) - 2, rng.choice([1, 1, shape[1]])
    kernel, stride, dilation = (_each(rng, shape, *c) for c in ((1, 2, 3, 4), (1, 1, 2, 3), (1, 1, 2)))
    if rng.random() < 0.4:
        transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
        weight = weights(rng, shape[1], rng.choice([1, 2]), *kernel)
        padding, more = _each(rng, shape, 0, 0, 1), [rng.randrange(s) for s in stride]
        return lambda x: transposed(x, weight, None, stride, padding, more, groups, dilation)
    conv = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    weight = weights(rng, groups * rng.choice([1, 2]), shape[1] // groups, *kernel)
    mode, ends = rng.choice(["constant", "reflect", "replicate", "circular"]), _each(rng, shape, 0, 1, 2)
    ends = [rng.choice([0, n]) for n in ends for _ in range(2)]
    if rng.random() < 0.2:
        return lambda x: conv(x, weight, None, 1, "same", dilation, groups)
    return lambda x: conv(F.pad(x, ends, mode), weight, None, stride, 0, dilation, groups)


@maker
def pooled(rng: random.Random, shape: Shape) -> Function:
    rank, way = len(shape) - 2, rng.choice(["average", "average", "most", "power", "adaptive", "adaptive_most"])
    kernel, stride, padding = (_each(rng, shape, *c) for c in ((2, 3), (1, 2, 3), (0, 1)))
    ceil, counted = rng.random() < 0.5, rng.random() < 0.5
    if way == "average":
        average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
        return lambda x: average(x, kernel, stride, padding, ceil, counted)
    if way == "most":
        most, dilation = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1], _each(rng, shape, 1, 1, 2)
        return lambda x: most(x, kernel, stride, padding, dilation, ceil)
    if way == "power":
        power = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[rank - 1]
        sides, step = (kernel, stride) if rank > 1 else (kernel[0], stride[0])
        return lambda x: power(x, 2.0, sides, step, ceil)
    size = [rng.randint(1, n + 1) for n in shape[2:]]
    adaptive = (
        (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
        if way == "adaptive"
        else (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
    )[rank - 1]
    return lambda x: adaptive(x, size)


@maker
def rescaled(rng: random.Random, shape: Shape) -> Function:
    """Modes, ratios per axis and ways of counting that `resized` leaves out."""
    rank, way = len(shape) - 2, rng.choice(["bicubic", "antialias", "area", "axes", "again"])
    factors = [rng.choice([0.4, 0.5, 0.75, 1.0, 1.2, 1.7, 2.0, 2.5, 3.0]) for _ in shape[2:]]
    size = [max(1, n + rng.randint(-n // 2, n)) for n in shape[2:]]
    linear, align = ("linear", "bilinear", "trilinear")[rank - 1], rng.random() < 0.5
    if way == "area":
        return lambda x: F.interpolate(x, size=size, mode="area")
    if way == "bicubic":
        given = {"size": size} if rng.random() < 0.5 else {"scale_factor": factors}
        return lambda x: F.interpolate(x, mode="bicubic", align_corners=align, **given)
    if way == "antialias":
        mode = rng.choice(["bilinear", "bicubic"])
        return lambda x: F.interpolate(x, size=size, mode=mode, antialias=True)
    mode = rng.choice(["nearest", "nearest-exact", linear])
    return lambda x: F.interpolate(x, scale_factor=factors, mode=mode, recompute_scale_factor=way == "again")


@maker
def written(rng: random.Random, shape: Shape) -> Function:
    """Writes into a part of a tensor, by every way there is of naming the part."""
    axis = rng.randrange(2, len(shape))
    n, step = shape[axis], rng.choice([1, 1, 2, 3])
    a, b = sorted(rng.sample(range(n + 1), 2))
    t = rng.randrange(n)
    way = rng.choice(["slice", "add", "narrow", "select", "scatter", "column", "loop", "flat", "neighbour", "twice"])

    def function(x: Tensor) -> Tensor:
        y = x.clone()
        part = _at(axis, slice(a, b, step))
        if way == "slice":
            y[part] = torch.sin(y[part].flip(axis))
        elif way == "add":
            y[part] += x.select(axis, t).unsqueeze(axis)
        elif way == "narrow":
            y.narrow(axis, a, b - a).copy_(x.narrow(axis, n - b, b - a)).mul_(0.5)
        elif way == "select":
            y.select(axis, t).add_(x.select(axis, a))
        elif way == "scatter":
            y = torch.slice_scatter(y, torch.tanh(x[part].roll(1, axis)), axis, a, b, step)
            y = torch.select_scatter(y, x.select(axis, a) * 2, axis, t)
        elif way == "column":
            y.movedim(axis, -1)[..., t] = x.movedim(axis, -1)[..., a] * 3
        elif way == "loop":
            for i in range(1, n, step):
                y[_at(axis, i)] = y[_at(axis, i)] + 0.5 * y[_at(axis, i - 1)]
        elif way == "flat":
            rows = y.view(1, shape[1], -1)
            rows[..., a:b] = 2 * rows[..., rows.shape[-1] - b : rows.shape[-1] - a]
        elif way == "neighbour":
            y[_at(axis, slice(1, None))] -= x[_at(axis, slice(None, -1))]
        else:
            y[part] = 0
            y[_at(axis, slice(t, t + 2))] = x[_at(axis, slice(t, t + 2))] + 1
        return y * 1.5

    return function


@maker
def addressed(rng: random.Random, shape: Shape) -> Function:
    """Constant indices that `indexed` leaves out."""
    axis, draw = rng.randrange(2, len(shape)), _draw(rng)
    n, count = shape[axis], rng.randint(1, 5)
    target = torch.randint(0, n, (n,), generator=draw)
    order, some = torch.randperm(n, generator=draw), torch.randint(0, n, (count,), generator=draw)
    elements = torch.randint(0, n, shape, generator=draw)
    total = torch.Size(shape).numel()
    flat = torch.randint(0, total, (total,), generator=draw)
    keep, mode = torch.rand(n, generator=draw) < 0.6, rng.choice(["sum", "mean", "prod"])
    last = torch.randint(0, shape[-1], (count,), generator=draw)
    spot = torch.randint(0, shape[-2], (count,), generator=draw)
    way = rng.choice(
        ["put", "accumulate", "copy", "fill", "take", "put_", "reduce", "elements", "along", "mask", "pair", "pair_put",
         "index_reduce", "assign", "permuted"]
    )  # fmt: skip

    def function(x: Tensor) -> Tensor:
        if way in ("put", "accumulate"):
            return x.index_put((torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long),
                                *(target % m for m in shape[2:])),
                               x[(0, 0, *(order % m for m in shape[2:]))], way == "accumulate")  # fmt: skip
        if way == "copy":
            return x.index_copy(axis, order[:count], x.narrow(axis, 0, min(count, n)))
        if way == "fill":
            return x.index_fill(axis, some, 2.0)
        if way == "take":
            return torch.take(x, flat).reshape(shape)
        if way == "put_":
            return x.clone().put_(flat[: total // 2], x.reshape(-1)[: total // 2] * 2, accumulate=mode == "sum")
        if way == "reduce":
            return x.scatter_reduce(axis, elements, x, mode)
        if way == "elements":
            return x.scatter(axis, _along(axis, shape, order).expand(shape), x * 2)
        if way == "along":
            return torch.take_along_dim(x, elements, axis)
        if way == "mask":
            return x[_at(axis, keep)]
        if way == "pair":
            return x[..., spot, last].unsqueeze(2) if x.dim() == 4 else x[..., last]
        if way == "pair_put":
            y = torch.zeros_like(x)
            y[..., spot, last] = x[..., spot.flip(0), last]
            return y + x
        if way == "index_reduce":
            return x.index_reduce(axis, target, x, "mean")
        if way == "assign":
            y = x * 1.0
            y[_at(axis, keep)] = y[_at(axis, keep)].roll(1, axis) * 2
            return y
        return x[_at(axis, order.tolist())]

    return function


@maker
def viewed_again(rng: random.Random, shape: Shape) -> Function:
    """Views and reshapes in which positions change their axis, their order or their number."""
    axis, n = rng.randrange(2, len(shape)), shape[-1]
    mixing = weights(rng, shape[1], shape[1])
    way = rng.choice(
        ["tokens", "depth", "blocks", "windows", "flip", "roll", "repeat", "tile", "parts", "heads", "strided", "fold",
         "folded", "frames", "wrong", "turn", "order", "expand", "diagonal"]
    )  # fmt: skip
    order = [0, 1, *rng.sample(range(2, len(shape)), len(shape) - 2)]
    size, step, shift = rng.choice([2, 3]), rng.choice([1, 2]), rng.choice([-2, -1, 1, 2])

    def function(x: Tensor) -> Tensor:
        if way == "tokens":
            return (x.flatten(2).transpose(1, 2) @ mixing).transpose(1, 2).reshape(x.shape)
        if way == "depth" and x.dim() == 4:
            return F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2) if step == 1 else F.pixel_unshuffle(x, 2)
        if way in ("blocks", "windows"):
            m = x.shape[axis] // size
            parts = x.narrow(axis, 0, m * size).unflatten(axis, (m, size))
            parts = parts.transpose(axis, axis + 1) if way == "blocks" else parts + parts.mean(axis + 1, keepdim=True)
            return parts.flatten(axis, axis + 1)
        if way == "flip":
            return x.flip(axis) + 0.5 * x
        if way == "roll":
            return x + 2 * x.roll((shift, 1), (axis, -1)) if axis != x.dim() - 1 else x + x.roll(shift, axis)
        if way == "repeat":
            return x.repeat_interleave(size, axis)
        if way == "tile":
            return (
                torch.cat([x, x.flip(axis)], axis) if step == 1 else x.repeat([1 + (a == axis) for a in range(x.dim())])
            )
        if way == "parts":
            return torch.cat([p * (i + 1) for i, p in enumerate(x.split(size, axis))][::-1], axis)
        if way == "heads":
            return x.reshape(1, -1, n).transpose(1, 2).reshape(1, n, -1).transpose(1, 2).reshape(x.shape)
        if way == "strided":
            return x.contiguous().as_strided((1, x.shape[1], n - 1), (0, x.stride(1), 1), 1) if x.dim() == 3 else x * 2
        if way == "fold" and x.dim() == 4:
            columns = F.unfold(x, size, stride=step, padding=1)
            return F.fold(columns * 2, x.shape[2:], size, stride=step, padding=1)
        if way == "folded":
            return x.unfold(axis, size, step).mean(-1)
        if way == "frames":
            pieces = x.unfold(-1, size, step)
            return pieces.reshape(*x.shape[:-1], -1)
        if way == "wrong":
            return x.reshape(1, *x.shape[:0:-1]).reshape(x.shape) * 2
        if way == "turn" and x.dim() == 4:
            return torch.rot90(x, step, (2, 3))
        if way == "expand":
            wide = (*x.shape[: axis + 1], size, *x.shape[axis + 1 :])
            return x.unsqueeze(axis + 1).expand(wide).flatten(axis, axis + 1)
        if way == "diagonal" and x.dim() == 4:
            return torch.diag_embed(x.diagonal(0, 2, 3)) + torch.tril(x) + torch.triu(x, 1) * 2
        return x.permute(order).contiguous() * 2

    return function


@maker
def transformed(rng: random.Random, shape: Shape) -> Function:
    """Products with matrices, on any axis and side."""
    way = rng.choice(["cosine", "left", "channels", "sides", "linear", "diagonal", "sparse"])
    n, m, draw = shape[-1], shape[-2], _draw(rng)
    learnt, mixing = weights(rng, rng.choice([n, 3]), n), weights(rng, shape[1], shape[1])
    place = torch.arange(n, dtype=torch.float64)
    cosine = torch.cos(pi / n * (place + 0.5) * place[:, None])
    band = sum(torch.diag(torch.full((m - abs(k),), 0.5 + k), k) for k in (-1, 0, 1)).double()
    sparse = torch.where(torch.rand(n, n, generator=draw) < 0.3, torch.rand(n, n, generator=draw) + 0.5, 0).double()
    if way == "cosine":
        return lambda x: x @ cosine
    if way == "left" and len(shape) > 3:
        return lambda x: band @ x
    if way == "channels":
        return lambda x: torch.einsum("oc,nc...->no...", mixing, x)
    if way == "sides" and len(shape) == 4:
        return lambda x: torch.einsum("ai,ncij,jb->ncab", band, x, sparse)
    if way == "diagonal":
        return lambda x: x * place + torch.einsum("...i,ij->...j", x, torch.diag(place))
    if way == "sparse":
        return lambda x: F.linear(x, sparse) if n > 3 else torch.matmul(x, sparse)
    return lambda x: F.linear(x, learnt)


@maker
def masked(rng: random.Random, shape: Shape) -> Function:
    n, axis, draw = shape[-1], rng.randrange(2, len(shape)), _draw(rng)
    keep = torch.rand(shape[2:], generator=draw) < 0.6
    row = torch.rand(n, generator=draw) < 0.5
    way = rng.choice(["where", "fill", "times", "softmax", "running", "exp", "triangle", "both", "scatter"])

    def function(x: Tensor) -> Tensor:
        if way == "where":
            return torch.where(keep, x * 2, x.flip(axis))
        if way == "fill":
            return x.masked_fill(~keep, 0.0) + 0.5 * x.roll(1, axis)
        if way == "times":
            return x * keep.to(x.dtype) + x.flip(-1) * (~keep)
        if way == "softmax":
            weights = torch.softmax(x.masked_fill(~row, float("-inf")), -1) if row.any() else x
            return weights * 3 + x
        if way == "running":
            causal = torch.full((n, n), float("-inf"), dtype=x.dtype).triu(1)
            return (torch.softmax(0.1 * x.unsqueeze(-2) + causal, -1) * x.unsqueeze(-2)).sum(-1)
        if way == "exp":
            future = torch.ones(n, n, dtype=torch.bool).triu(1)
            lag = (x.unsqueeze(-1) - x.unsqueeze(-2)).masked_fill(future, -torch.inf)
            return (torch.exp(torch.clamp(lag, max=2)) @ x.unsqueeze(-1)).squeeze(-1)
        if way == "triangle":
            scores = torch.tril(x.transpose(-1, -2) @ x)
            return (scores @ x.transpose(-1, -2)).transpose(-1, -2) * 0.1
        if way == "both":
            return torch.where(row, x.cumsum(-1), torch.where(keep, x, 1.0))
        return x.masked_scatter(keep.expand(shape), x.flip(axis).contiguous())

    return function


@maker
def gated(rng: random.Random, shape: Shape) -> Function:
    axis = rng.randrange(1, len(shape))
    way = rng.choice(["mean", "pool", "instance", "group", "layer", "softmax", "minus", "variance", "most", "channels"])

    def function(x: Tensor) -> Tensor:
        if way == "mean":
            return x * torch.sigmoid(x.mean(axis, keepdim=True))
        if way == "pool":
            pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.dim() - 3]
            return x * torch.sigmoid(pool(x, x.shape[2:]))
        if way == "instance":
            return F.instance_norm(x) + x
        if way == "group":
            return F.group_norm(x, 1) + x
        if way == "layer":
            return F.layer_norm(x, x.shape[-1:]) + 0.5 * x
        if way == "softmax":
            return torch.softmax(0.3 * x, axis) + 0.1 * x
        if way == "minus":
            return x - x.mean(tuple(range(axis, x.dim())), keepdim=True)
        if way == "variance":
            return x / (1 + x.var(axis, keepdim=True, unbiased=False))
        if way == "most":
            return x + x.amax(axis, keepdim=True)
        return F.normalize(x, dim=1) + x

    return function


@maker
def looped(rng: random.Random, shape: Shape) -> Function:
    """Loops over positions of any axis, with a state or with a window."""
    axis, reach = rng.randrange(2, len(shape)), rng.choice([1, 2, 3])
    way = rng.choice(["cell", "both", "window", "gates", "pairs", "out", "every", "list", "back", "delay"])
    n, mixing = shape[axis], weights(rng, shape[1], shape[1])

    def mixed(x: Tensor) -> Tensor:
        return torch.einsum("oc,nc...->no...", mixing, x)

    def cell(parts: list[Tensor]) -> list[Tensor]:
        state, states = torch.zeros_like(parts[0]), []
        for part in parts:
            state = torch.tanh(0.3 * mixed(part) + 0.5 * state)
            states.append(state)
        return states

    def function(x: Tensor) -> Tensor:
        parts = list(x.unbind(axis))
        if way == "cell":
            return torch.stack(cell(parts), axis)
        if way == "both":
            return torch.cat([torch.stack(cell(parts), axis), torch.stack(cell(parts[::-1])[::-1], axis)], 1)
        if way == "window":
            return torch.stack([x.narrow(axis, t, reach).mean(axis) for t in range(0, n - reach + 1, 2)], axis)
        if way == "gates":
            memory, states = torch.zeros_like(parts[0]), []
            for part in parts:
                keep = torch.sigmoid(part)
                memory = keep * memory + (1 - keep) * torch.tanh(mixed(part) * 0.3)
                states.append(memory.unsqueeze(axis))
            return torch.cat(states, axis)
        if way == "pairs":
            return torch.stack([a * 2 - b for a, b in pairwise(parts)], axis)
        if way == "out":
            out = x.new_zeros(x.shape)
            for t in range(0, n, reach):
                out[_at(axis, t)] = mixed(x[_at(axis, t)]) + x[_at(axis, max(0, t - 1))]
            return out
        if way == "every":
            return torch.stack(parts[::reach], axis)
        if way == "list":
            return torch.stack([parts[(3 * t + 1) % n] * (t + 1) for t in range(n)], axis)
        if way == "back":
            return torch.stack(cell(parts[::-1]), axis).flip(axis)
        late = [torch.zeros_like(parts[0])] * reach + parts
        return torch.stack([a + 0.5 * b for a, b in zip(parts, late, strict=False)], axis)

    return function
