"""Samples per second of a model for sound, where its own configuration or its library's processor says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from foveal.ir.backend import Sampling

RATES = ("sampling_rate", "sample_rate")


def sampling(model: nn.Module, channels: int) -> Sampling | None:
    """Of a source with one axis and so many channels: a wave, or features that a processor computes every so many
    samples. None where nobody says, and where the source is neither.
    """
    for part in model.modules():  # a wrapper holds the model that knows
        config = vars(part).get("config")
        read = config if isinstance(config, Mapping) else getattr(config, "__dict__", {})
        name = type(config).__name__
        wave = channels in (1, read.get("audio_channels"))
        for said, place in ((read, name), (vars(part), type(part).__name__)):
            key = next((key for key in RATES if _number(said.get(key))), None)
            if key is not None and wave:
                return Sampling(float(said[key]), 1, f"{place}.{key}")
        for said, place in _processors(config):
            rate, hop, size = (said.get(key, 0) for key in ("sampling_rate", "hop_length", "feature_size"))
            if _number(rate) and wave and size in (0, 1):
                return Sampling(float(rate), 1, f"{place}.sampling_rate")
            if _number(rate) and _number(hop) and 1 < channels == size:
                return Sampling(float(rate), int(hop), f"{place}.sampling_rate and hop_length")
    return None


def _number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool) and item > 0


def _processors(config: Any) -> list[tuple[dict[str, Any], str]]:
    """What transformers' processor of a model holds: of its own folder, else as its class is made."""
    library, kind = sys.modules.get("transformers"), getattr(config, "model_type", None)
    if library is None or not isinstance(kind, str):
        return []
    home = Path(str(getattr(config, "_name_or_path", "") or ".")) / "preprocessor_config.json"
    if home.parent != Path() and home.is_file():
        try:
            own = json.loads(home.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            own = None
        if isinstance(own, dict):
            return [(own, home.name)]
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES

    name = FEATURE_EXTRACTOR_MAPPING_NAMES.get(kind)
    try:
        return [] if name is None else [(vars(getattr(library, name)()), f"the default {name}")]
    except Exception:  # one that cannot be made without numbers, or asks for another library
        return []
