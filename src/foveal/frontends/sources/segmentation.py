"""``smp:Unet(resnet34)``: networks of segmentation_models_pytorch, an architecture and an encoder."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from foveal.frontends.sources.calls import read
from foveal.frontends.sources.registry import unknown


def names() -> list[str]:
    """The architectures; each takes an encoder, ``Unet(resnet34)``."""
    return sorted(k for k, v in vars(smp).items() if isinstance(v, type) and issubclass(v, nn.Module))


def build(name: str, pretrained: bool = False) -> Any:
    """The network; its encoder has weights only where ``pretrained``."""
    asked = read(name)
    if asked.name not in names():
        raise unknown("smp", asked.name, names())
    options = dict(asked.options)
    if not pretrained:
        options["encoder_weights"] = None
    side = 512 if asked.name == "DPT" else 224
    return getattr(smp, asked.name)(*asked.args, **options), (1, options.get("in_channels", 3), side, side)
