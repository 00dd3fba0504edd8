"""``diffusers:UNet2DModel(sample_size=32)``: networks of diffusers by class."""

from __future__ import annotations

from typing import Any

import diffusers

from foveal.core.errors import SourceError
from foveal.frontends.sources.calls import read
from foveal.frontends.sources.registry import unknown


def names() -> list[str]:
    """The classes of networks, by their words."""
    words = ("UNet", "Autoencoder", "Transformer", "ControlNet", "VQModel")
    return sorted(name for name in dir(diffusers) if name[0].isupper() and any(word in name for word in words)
                  and not name.endswith(("Output", "Pipeline", "Mixin")))  # fmt: skip


def build(name: str, pretrained: bool = False) -> Any:
    """The network; what it is called with follows from its configuration."""
    if pretrained:
        raise SourceError("diffusers: weights belong to a pipeline; load it in a factory of your own")
    asked = read(name)
    if asked.name not in names():
        raise unknown("diffusers", asked.name, names())
    return getattr(diffusers, asked.name)(*asked.args, **asked.options)
