"""Segmentation networks with published or hand-made fields, as small PyTorch modules of few channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PaddedUNet(nn.Module):
    """A U-Net of ``depth`` poolings with two padded convolutions of ``kernel`` a block and 2x2/2 transposed ones (Loos
    et al. 2024).
    """

    def __init__(self, depth: int, kernel: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_double(1, kernel) for _ in range(depth))
        self.bottom = _double(1, kernel)
        self.up = nn.ModuleList(nn.ConvTranspose2d(1, 1, 2, 2) for _ in range(depth))
        self.merge = nn.ModuleList(_double(2, kernel) for _ in range(depth))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for up, merge in zip(self.up, self.merge):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return x


def _double(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 1, kernel, padding="same"), nn.Conv2d(1, 1, kernel, padding="same"))


class Branches(nn.Module):
    """A 3x3 stem, parallel 3x3 of several rates (0: a 1x1) with so many channels each, concatenated, a 1x1 head."""

    def __init__(
        self, rates: Sequence[int], channels: Sequence[int], stem_stride: int = 1, pooled: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, stem_stride, 1)
        self.branches = nn.ModuleList(
            nn.Conv2d(2, c, 3, padding=r, dilation=r) if r else nn.Conv2d(2, c, 1) for r, c in zip(rates, channels)
        )
        self.pooled = pooled
        self.head = nn.Conv2d(sum(channels) + 2 * pooled, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        found = [branch(x) for branch in self.branches]
        if self.pooled:
            found.append(x.mean(dim=(2, 3), keepdim=True).expand_as(x))
        return self.head(torch.cat(found, dim=1))


class DenseASPP(nn.Module):
    """Densely chained rates: each 3-tap layer reads the input and all layers before it; a 1-tap head reads all."""

    def __init__(self, rates: Sequence[int], channels: int = 2, growth: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(channels + i * growth, growth, 3, padding=r, dilation=r) for i, r in enumerate(rates)
        )
        self.head = nn.Conv1d(channels + len(rates) * growth, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.head(x)


class MiniUNet(nn.Module):
    """docs/cases.md C9: 3x3, then the skip beside pool 2, 3x3 and nearest x2; a 3x3 reads both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep, self.last = (nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 2), (2, 2), (4, 1)))
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(torch.cat([x, self.up(self.deep(self.pool(x)))], dim=1))


class PlainChain(nn.Sequential):
    """3x3 layers of these rates, one behind the other."""

    def __init__(self, *rates: int) -> None:
        super().__init__(*(nn.Conv2d(1, 1, 3, padding=r, dilation=r) for r in rates))
