"""``torchaudio:wav2vec2_base``, ``torchaudio:ConvTasNet(num_sources=3)``: networks of torchaudio.models."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn
from torchaudio import models, pipelines

from foveal.core.errors import SourceError
from foveal.frontends.sources.calls import read
from foveal.frontends.sources.registry import unknown

SECOND = 16000
"""Samples of the wave that a network is called with unless the caller says."""
WAVES = {"ConvTasNet": (1, 1, SECOND), "HDemucs": (1, 2, 2 * SECOND), "Wav2Letter": (1, 1, SECOND),
         "DeepSpeech": (1, 1, 200, 0)}  # fmt: skip
"""By class; a length of 0 is the features of a frame."""


def names() -> list[str]:
    """Functions that build a network, and classes of networks."""
    return sorted(name for name, item in vars(models).items() if _builds(name, item))


def _builds(name: str, item: Any) -> bool:
    if inspect.isfunction(item):
        return not any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
                       for p in inspect.signature(item).parameters.values())  # fmt: skip
    return isinstance(item, type) and issubclass(item, nn.Module)


def build(name: str, pretrained: bool = False) -> Any:
    """The network and a wave, as its class takes it."""
    asked = read(name)
    if pretrained:
        bundle: Any = getattr(pipelines, asked.name, None)
        if not hasattr(bundle, "get_model"):
            raise SourceError("torchaudio: with --pretrained name a bundle, such as torchaudio:WAV2VEC2_BASE")
        return bundle.get_model(), (1, SECOND)
    if asked.name not in names():
        raise unknown("torchaudio", asked.name, names())
    model = getattr(models, asked.name)(*asked.args, **asked.options)
    wave = WAVES.get(type(model).__name__, (1, SECOND))
    if 0 in wave:
        wave = (*wave[:-1], asked.options.get("n_feature", *asked.args[:1]))
    return model, wave
