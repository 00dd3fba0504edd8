"""Modules that appear in random networks and are not in torch.nn: moves, gates, attention, branches.

All take (N, C, *space) and return (N, C', *space'), treat the batch as copies, and cancel nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Do(nn.Module):
    """A function as a module, so that its result is a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor], text: str) -> None:
        super().__init__()
        self.function, self.text = function, text

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.text


class Residual(nn.Module):
    """x + branch(x); with "multiply", (x + 1) * sigmoid(branch(x)): zero padding would annul the gate."""

    def __init__(self, branch: nn.Module, name: str) -> None:
        super().__init__()
        self.branch, self.name = branch, name

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return x + 0.7 * y if self.name == "add" else (x + 1) * torch.sigmoid(y)

    def extra_repr(self) -> str:
        return self.name


class Branches(nn.Module):
    """Parallel branches joined: concatenated over channels, added, or stacked along the last axis."""

    def __init__(self, branches: Sequence[nn.Module], name: str) -> None:
        super().__init__()
        self.branches, self.name = nn.ModuleList(branches), name

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        if self.name == "concatenate":
            return torch.cat(parts, dim=1)
        if self.name == "append":
            return torch.cat(parts, dim=-1)
        total = parts[0]
        for part in parts[1:]:
            total = total + 0.8 * part
        return total

    def extra_repr(self) -> str:
        return self.name


class SplitHalf(nn.Module):
    """The first channels pass through the inner module, the rest go round it (or are dropped)."""

    def __init__(self, inner: nn.Module, channels: int, keep_rest: bool) -> None:
        super().__init__()
        self.inner, self.channels, self.keep_rest = inner, channels, keep_rest

    def forward(self, x: Tensor) -> Tensor:
        half, rest = x[:, : self.channels], x[:, self.channels :]
        return torch.cat([self.inner(half), rest], dim=1) if self.keep_rest else self.inner(half)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, keep_rest={self.keep_rest}"


class Gate(nn.Module):
    """Squeeze and excitation: a global mean, two 1x1 layers, a product (with x + 1, see Residual)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.flatten(2).mean(-1)
        gate = torch.sigmoid(self.expand(F.silu(self.reduce(pooled))))
        return (x + 1) * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class WindowAttention(nn.Module):
    """Attention in windows over the flattened positions of each window, with a shift and a mask (as in Swin)."""

    def __init__(
        self, channels: int, space: Sequence[int], window: Sequence[int], shift: Sequence[int], masked: bool
    ) -> None:
        super().__init__()
        self.space, self.window, self.shift = tuple(space), tuple(window), tuple(shift)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.dims = tuple(range(1, len(space) + 1))
        self.register_buffer("mask", self._mask() if masked else None)

    def _mask(self) -> Tensor:
        region = torch.zeros(1, *self.space, 1)
        for axis, (length, window, shift) in enumerate(zip(self.space, self.window, self.shift, strict=True)):
            index = torch.zeros(length)
            if shift:
                index[length - window : length - shift] = 1
                index[length - shift :] = 2
            view = [1] * region.dim()
            view[axis + 1] = length
            region = region * 3 + index.reshape(view)
        regions = self._partition(region).squeeze(-1)
        return (regions[:, None, :] != regions[:, :, None]) * -1e4

    def _partition(self, x: Tensor) -> Tensor:
        """(N, *space, C) to (N * windows, positions, C)."""
        shape = [x.shape[0]]
        for length, window in zip(self.space, self.window, strict=True):
            shape += [length // window, window]
        n = len(self.space)
        order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1]
        size = 1
        for window in self.window:
            size *= window
        return x.reshape(*shape, x.shape[-1]).permute(order).reshape(-1, size, x.shape[-1])

    def _merge(self, x: Tensor, batch: int) -> Tensor:
        n = len(self.space)
        counts = [length // window for length, window in zip(self.space, self.window, strict=True)]
        y = x.reshape(batch, *counts, *self.window, x.shape[-1])
        order = [0]
        for axis in range(n):
            order += [1 + axis, 1 + n + axis]
        return y.permute(*order, 2 * n + 1).reshape(batch, *self.space, x.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.movedim(1, -1)
        if any(self.shift):
            tokens = torch.roll(tokens, [-s for s in self.shift], self.dims)
        windows = self._partition(tokens)
        query, key, value = self.qkv(windows).chunk(3, dim=-1)
        score = query @ key.transpose(-2, -1) / x.shape[1]
        if self.mask is not None:
            count = self.mask.shape[0]
            score = (score.reshape(-1, count, *score.shape[1:]) + self.mask).reshape(score.shape)
        merged = self._merge(self.out(score.softmax(-1) @ value), x.shape[0])
        if any(self.shift):
            merged = torch.roll(merged, list(self.shift), self.dims)
        return merged.movedim(-1, 1)

    def extra_repr(self) -> str:
        return f"space={self.space}, window={self.window}, shift={self.shift}, masked={self.mask is not None}"


class Attention(nn.Module):
    """Attention over all positions, optionally causal, by the fused kernel or by two products."""

    def __init__(self, channels: int, causal: bool, fused: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.causal, self.fused = causal, fused

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, dim=-1)
        if self.fused:
            y = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        else:
            score = query @ key.transpose(-2, -1) / 2
            if self.causal:
                hidden = torch.triu(torch.ones(score.shape[-2:], dtype=torch.bool), diagonal=1)
                score = score.masked_fill(hidden, float("-inf"))
            y = score.softmax(-1) @ value
        return y.transpose(1, 2).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"causal={self.causal}, fused={self.fused}"


class AxisMix(nn.Module):
    """A learned matrix over one spatial axis; a triangular constant mask makes it causal."""

    def __init__(self, axis: int, length: int, out: int, triangular: bool) -> None:
        super().__init__()
        self.axis = axis
        self.weight = nn.Parameter(torch.ones(out, length))
        self.register_buffer("mask", torch.tril(torch.ones(out, length)) if triangular else None)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.mask is None else self.weight * self.mask
        return F.linear(x.movedim(self.axis, -1), weight).movedim(-1, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}, shape={tuple(self.weight.shape)}, triangular={self.mask is not None}"


class Recurrent(nn.Module):
    """A recurrent layer along one spatial axis, each line of the other axes by itself."""

    def __init__(self, channels: int, axis: int, kind: str, both: bool) -> None:
        super().__init__()
        cell = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.cell = cell(channels, 2, batch_first=True, bidirectional=both)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        y = x.movedim((1, self.axis), (-1, -2))
        z = self.cell(y.reshape(-1, *y.shape[-2:]))[0]
        return z.reshape(*y.shape[:-1], z.shape[-1]).movedim((-1, -2), (1, self.axis))


class Raster(nn.Module):
    """A 1-D convolution over the positions in raster order: it wraps around at the end of each line."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, padding="same", dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.flatten(2)).reshape(x.shape)


class Patches(nn.Module):
    """Sliding windows as channels (im2col) and back (col2im), or kept as channels."""

    def __init__(self, kernel: tuple[int, int], stride: int, padding: int, space: tuple[int, int], back: bool) -> None:
        super().__init__()
        self.unfold = nn.Unfold(kernel, stride=stride, padding=padding)
        self.fold = nn.Fold(space, kernel, stride=stride, padding=padding) if back else None
        self.grid = [(s + 2 * padding - k) // stride + 1 for s, k in zip(space, kernel, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        columns = self.unfold(x)
        if self.fold is not None:
            return self.fold(torch.tanh(columns))
        return columns.reshape(x.shape[0], -1, *self.grid)
