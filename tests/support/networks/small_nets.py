"""Small networks for the tests of measured fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def positive_stack() -> nn.Module:
    """A linear network whose weights are all positive: its gradient is zero nowhere in the receptive field."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 2, dilation=2), nn.AvgPool2d(2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_().add_(0.01)
    return net.eval()


class Residual(nn.Module):
    """Strides 2 and 4 with a residual branch and an in-place activation after each layer that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.block = nn.Conv2d(8, 8, 3, 1, 1)
        self.act = nn.ReLU(inplace=True)
        self.down = nn.Conv2d(8, 16, 3, 2, 1)
        self.tail = nn.Conv2d(16, 16, 3, 1, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.act(x + self.block(x))
        x = self.tail(self.act(self.down(x)))
        return self.head(x.mean((2, 3)))


class Gated(nn.Module):
    """C27b: a gate that sees 7x7, computed under detach, on a path that sees 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.path = nn.Conv2d(1, 2, 3, padding=1)
        self.gate = nn.Conv2d(1, 2, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) * torch.sigmoid(self.gate(x.detach()))


class Rounded(nn.Module):
    """C27b: hard rounding between two convolutions: 5x5 information, no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.round(self.first(x) * 4))


def seeded(make: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network with seeded weights, in evaluation mode."""
    torch.manual_seed(seed)
    return make().eval()
