"""A prefix of one's own: ``foveal analyze own:plain5`` once this package is installed."""

from torch import nn


def names() -> list[str]:
    return [f"plain{depth}" for depth in (3, 5, 7)]


def build(name: str, pretrained: bool = False) -> tuple[nn.Module, tuple[int, ...]]:
    """A model, and what to call it with; ``pretrained`` says whether its weights are wanted."""
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(int(name.removeprefix("plain")))]
    return nn.Sequential(*layers), (1, 3, 64, 64)
