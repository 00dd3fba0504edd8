"""Measured squared gradients of random networks, and the networks to measure: what energy is the expectation of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Draw = Callable[[nn.Module], None]


def he(module: nn.Module) -> None:
    """Zero-mean normal weights of variance gain / fan in (docs/methods.md 2.3); the gain makes up for what follows."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.normal_(layer.weight, std=(getattr(layer, "gain", 1.0) / layer.weight[0].numel()) ** 0.5)


def squared_gradients(model: nn.Module, shape: tuple[int, ...], draws: int, seed: int, draw: Draw = he) -> np.ndarray:
    """(draws, *space): squared input gradient of the middle unit, features with random signs, weights drawn anew each
    time.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    found = []
    for _ in range(draws):
        draw(model)
        source = torch.randn(shape, requires_grad=True)
        out = model(source)
        unit = out[(0, slice(None), *(n // 2 for n in out.shape[2:]))]
        sign = torch.randint(0, 2, unit.shape) * 2.0 - 1
        gradient = torch.autograd.grad((unit * sign).sum(), source)[0]
        found.append((gradient[0].double() ** 2).sum(0).numpy() / unit.numel())
    return np.array(found)


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Concatenated(nn.Module):
    """Branches side by side over the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def conv(channels: int, out: int, kernel: int, gain: float = 1.0, axes: int = 1, **options: int) -> nn.Module:
    """A convolution without bias that keeps the size at stride 1."""
    padding = options.get("dilation", 1) * (kernel - 1) // 2
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    layer = kind(channels, out, kernel, padding=padding, bias=False, **options)  # type: ignore[arg-type]
    layer.gain = gain  # type: ignore[assignment]
    return layer


def active(channels: int, kernel: int, axes: int = 1, **options: int) -> nn.Module:
    """A convolution of gain two and the ReLU that takes it back."""
    return nn.Sequential(conv(channels, channels, kernel, 2.0, axes, **options), nn.ReLU())


def networks(c: int) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Name -> network of ``c`` channels and input shape."""
    first = conv(c, c, 3)
    return {
        "linear stack": (nn.Sequential(*(conv(c, c, 3) for _ in range(10))), (1, c, 41)),
        "ReLU stack": (nn.Sequential(first, *(active(c, 3) for _ in range(5))), (1, c, 41)),
        "plane": (nn.Sequential(*(active(c, 3, 2) for _ in range(3))), (1, c, 11, 11)),
        "stride": (nn.Sequential(*(active(c, 3, stride=2) for _ in range(3))), (1, c, 63)),
        "dilation": (nn.Sequential(*(active(c, 3, dilation=d) for d in (1, 2, 4))), (1, c, 41)),
        "average pool": (
            nn.Sequential(active(c, 3), nn.AvgPool1d(2), active(c, 3), nn.AvgPool1d(2), conv(c, c, 3)),
            (1, c, 48),
        ),
        "max pool": (
            nn.Sequential(conv(c, c, 3), nn.MaxPool1d(2), conv(c, c, 3), nn.MaxPool1d(2), conv(c, c, 3)),
            (1, c, 48),
        ),
        "overlapping average": (nn.Sequential(conv(c, c, 3), nn.AvgPool1d(3, 1, 1), conv(c, c, 3)), (1, c, 21)),
        "upsampling": (
            nn.Sequential(conv(c, c, 3), nn.AvgPool1d(2), conv(c, c, 3), nn.Upsample(scale_factor=2), conv(c, c, 3)),
            (1, c, 32),
        ),
        "linear residual": (nn.Sequential(*(Residual(conv(c, c, 3)) for _ in range(5))), (1, c, 41)),
        "ReLU residual": (
            nn.Sequential(*(Residual(nn.ReLU(), conv(c, c, 3, 2.0)) for _ in range(5))),
            (1, c, 41),
        ),
        "concatenated": (
            nn.Sequential(
                Concatenated(active(c, 3), active(c, 3, dilation=3)),
                conv(2 * c, c, 3, 2.0),
                nn.ReLU(),
                Concatenated(conv(c, c // 2, 1), conv(c, c // 2, 5)),
            ),
            (1, c, 41),
        ),
    }


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation between two arrays as distributions."""
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)
