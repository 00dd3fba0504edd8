"""``open_clip:ViT-B-32``: an image and a text tower; an image and token ids are its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import open_clip

from foveal.frontends.sources.registry import unknown


def names() -> list[str]:
    """The model configurations that the package holds."""
    return sorted(open_clip.list_models())


def build(name: str, pretrained: bool = False) -> Any:
    """The model and its inputs by name."""
    if name not in names():
        raise unknown("open_clip", name, names())
    weights = next(iter(open_clip.list_pretrained_tags_by_model(name)), None) if pretrained else None
    model = open_clip.create_model(name, pretrained=weights, pretrained_image=False, load_weights=pretrained)
    size = model.visual.image_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    length = int(getattr(model, "context_length", 77))
    return model, {"image": (1, 3, *size), "text": np.zeros((1, length), np.int64)}
