"""The networks of the cases with a known right answer, in plain PyTorch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from support.drawn.random_steps import Branches, Do, Gate, WindowAttention


def convolutions(*settings: dict[str, object], channels: int = 2) -> nn.Sequential:
    """A chain of 2-D convolutions of that many channels."""
    return nn.Sequential(*(nn.Conv2d(channels, channels, **{"kernel_size": 3, **s}) for s in settings))  # type: ignore[arg-type]


def dilated_lines(*dilations: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=d, dilation=d) for d in dilations))


def misaligned() -> nn.Module:
    def side(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(Do(lambda x: F.pad(x, (before, after, 1, 1)), "pad"), nn.Conv2d(2, 2, 3))

    return Branches([side(2, 0), side(0, 2)], "add")


def parallel() -> nn.Module:
    return Branches([nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 5, padding=2)], "concatenate")


class UNet(nn.Module):
    """``per_level`` 3-wide convolutions per level, max pooling by 2, nearest x2, skips concatenated; in 1-D or 2-D."""

    def __init__(self, depth: int, per_level: int, dims: int, channels: int = 2) -> None:
        super().__init__()
        conv = nn.Conv1d if dims == 1 else nn.Conv2d

        def block(inputs: int) -> nn.Sequential:
            widths = [inputs, *[channels] * per_level]
            return nn.Sequential(*(conv(a, b, 3, padding=1) for a, b in pairwise(widths)))

        self.down = nn.ModuleList([block(channels) for _ in range(depth)])
        self.middle = block(channels)
        self.up = nn.ModuleList([block(2 * channels) for _ in range(depth)])
        self.pool = nn.MaxPool1d(2) if dims == 1 else nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.middle(x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(torch.cat([skip, F.interpolate(x, scale_factor=2, mode="nearest")], dim=1))
        return x


def strided_and_back() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1)
    )


class SpaceToDepth(nn.Module):
    """Four shifted slices, concatenated, and a convolution, as in YOLOv5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return self.conv(torch.cat(parts, dim=1))


class Pyramid(nn.Module):
    """Two strided levels, lateral 1x1, top-down addition, a 3x3 on each output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)
        self.lateral3, self.lateral4 = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.p3, self.p4 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        c3 = self.stem(x)
        t4 = self.lateral4(self.deep(c3))
        t3 = self.lateral3(c3) + F.interpolate(t4, scale_factor=2, mode="nearest")
        return {"p3": self.p3(t3), "p4": self.p4(t4)}


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.mask = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(1, 2, 7, padding=3)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.image(image) + self.mask(mask)


def causal(chomp: bool) -> nn.Module:
    if chomp:
        return nn.Sequential(nn.Conv1d(2, 2, 3, dilation=2, padding=4), Do(lambda x: x[:, :, :-4], "chomp"))
    return nn.Sequential(Do(lambda x: F.pad(x, (4, 0)), "pad"), nn.Conv1d(2, 2, 3, dilation=2))


class SameAsTensorFlow(nn.Module):
    """A strided 3x3 with TensorFlow's SAME padding, found from the size of the map it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        widths: list[int] = []
        for length in (x.shape[-1], x.shape[-2]):
            total = max(3 - (length % 2 or 2), 0)
            widths += [total // 2, total - total // 2]
        return self.conv(F.pad(x, widths))


def squeeze_excited() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), Gate(2))


def normalised(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))


class BatchStatistics(nn.Module):
    """Batch norm with the statistics of the batch at hand, as in training."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True)


def strided_classifier() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 2, 3, stride=4), nn.Flatten(), nn.Linear(8, 3))


def patch_discriminator(strided: int, plain: int = 1, norm: bool = False) -> nn.Module:
    """PatchGAN in 1-D: ``strided`` 4-wide layers of stride 2, ``plain`` of stride 1, and the last one; padding 1."""
    layers: list[nn.Module] = []
    for index in range(strided + plain):
        layers.append(nn.Conv1d(1 if index == 0 else 2, 2, 4, stride=2 if index < strided else 1, padding=1))
        if norm and index:
            layers.append(nn.InstanceNorm1d(2))
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers, nn.Conv1d(2, 1, 4, padding=1))


def conv_conv_pool(count: int, pool: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(count):
        for _ in range(2):
            layers += [nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()]
        layers.append(pool(2))
    return nn.Sequential(*layers)


class DetachedGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.path, self.gate = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) * torch.sigmoid(self.gate(x)).detach()


def rounded() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), Do(lambda x: torch.round(x * 8), "round"), nn.Conv2d(4, 2, 3, padding=1)
    )


class Quantiser(nn.Module):
    """The nearest entry of a codebook at each position (argmin), as in VQ-VAE, between 5 and 3 wide convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Conv2d(2, 3, 5, padding=2), nn.Conv2d(3, 2, 3, padding=1)
        self.codes = nn.Embedding(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        latent = self.encode(x).movedim(1, -1)
        distance = (latent.unsqueeze(-2) - self.codes.weight).pow(2).sum(-1)
        return self.decode(self.codes(distance.argmin(-1)).movedim(-1, 1))


class Warp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.grid_sample(x, torch.tanh(self.offsets(x)).movedim(1, -1), align_corners=False)


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(self.conv(x)).real


class Unpool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.unpool(*self.pool(x))


def windows(pairs: int, shifted: bool = True, masked: bool = True) -> nn.Module:
    """Swin-like in 1-D: 32 tokens, window 4, shift 2."""
    layers: list[nn.Module] = []
    for _ in range(pairs):
        layers.append(WindowAttention(4, (32,), (4,), (0,), masked=False))
        if shifted:
            layers.append(WindowAttention(4, (32,), (4,), (2,), masked=masked))
    return nn.Sequential(*layers)


def resized(**settings: object) -> nn.Module:
    return Do(lambda x: F.interpolate(x, **settings), str(settings))  # type: ignore[arg-type]
