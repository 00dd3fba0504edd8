"""Random fully convolutional networks in one or two dimensions, for tilings."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 2


class Crop(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.before : x.shape[-1] - self.after]


class PadBefore(nn.Module):
    """Padding on the left side only, of a mode."""

    def __init__(self, width: int, mode: str) -> None:
        super().__init__()
        self.width, self.mode = width, mode

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.width, 0), mode=self.mode)


class SamePad(nn.Module):
    """A strided convolution with TensorFlow's SAME padding, from the size of the map it gets."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv = (nn.Conv1d if dims == 1 else nn.Conv2d)(CHANNELS, CHANNELS, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        widths: list[int] = []
        for length in reversed(x.shape[2:]):
            total = max(3 - (length % 2 or 2), 0)
            widths += [total // 2, total - total // 2]
        return self.conv(F.pad(x, widths))


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Hourglass(nn.Module):
    """Pooling, a layer, nearest or linear upsampling to the size of the skip, concatenation."""

    def __init__(self, inner: nn.Module, after: nn.Module, mode: str) -> None:
        super().__init__()
        self.inner, self.after, self.mode = inner, after, mode

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool1d(x, 2) if x.ndim == 3 else F.max_pool2d(x, 2)
        mode = {"nearest": "nearest", "linear": "linear" if x.ndim == 3 else "bilinear"}[self.mode]
        return self.after(torch.cat([x, F.interpolate(self.inner(pooled), scale_factor=2, mode=mode)], 1))


def random_network(seed: int, dims: int) -> nn.Module:
    """A few random layers with seeded weights, in double precision."""
    random = Random(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(random.randint(2, 5)):
        layers.append(_layer(random, dims))
        if random.random() < 0.4:
            layers.append(nn.ReLU())
    model = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.sign(parameter))
    return model


def _layer(random: Random, dims: int) -> nn.Module:
    conv = nn.Conv1d if dims == 1 else nn.Conv2d
    kind = random.choice(
        [
            "conv",
            "conv",
            "conv",
            "pool",
            "average",
            "up",
            "transposed",
            "residual",
            "hourglass",
            "crop",
            "before",
            "same",
        ]
    )
    if kind == "conv":
        kernel = random.choice([1, 2, 3, 5])
        return conv(
            CHANNELS, CHANNELS, kernel, stride=random.choice([1, 1, 2]), padding=random.randint(0, kernel // 2),
            dilation=random.choice([1, 1, 2]),
        )  # fmt: skip
    if kind == "pool":
        return (nn.MaxPool1d if dims == 1 else nn.MaxPool2d)(2)
    if kind == "average":
        return (nn.AvgPool1d if dims == 1 else nn.AvgPool2d)(3, 2, 1, count_include_pad=random.random() < 0.5)
    if kind == "up":
        return nn.Upsample(scale_factor=2, mode=random.choice(["nearest", "linear" if dims == 1 else "bilinear"]))
    if kind == "transposed":
        kernel = random.choice([2, 3, 4])
        made = nn.ConvTranspose1d if dims == 1 else nn.ConvTranspose2d
        return made(CHANNELS, CHANNELS, kernel, 2, padding=random.randint(0, 1))
    if kind == "residual":
        return Residual(conv(CHANNELS, CHANNELS, 3, padding=1))
    if kind == "hourglass":
        inner = conv(CHANNELS, CHANNELS, 3, padding=1)
        after = conv(2 * CHANNELS, CHANNELS, 3, padding=1)
        return Hourglass(inner, after, random.choice(["nearest", "linear"]))
    if kind == "crop":
        return Crop(random.randint(0, 3), random.randint(0, 3))
    if kind == "before":
        return PadBefore(random.randint(1, 3), random.choice(["constant", "reflect", "replicate"]))
    return SamePad(dims)
