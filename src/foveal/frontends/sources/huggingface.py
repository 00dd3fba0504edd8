"""``hf:NAME``: models of transformers by model type, by a local folder, or by a name whose configuration is cached.

``hf:vit?num_hidden_layers=4&image_size=64`` takes the default configuration of that type with these numbers changed;
``vision_config.image_size=64`` reaches into a part; ``class=ViTForImageClassification`` chooses the class. Nothing is
downloaded and no code of a repository is run; with ``pretrained`` the library fetches what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from foveal.core.errors import SourceError, first_line
from foveal.frontends.sources.calls import read
from foveal.frontends.sources.registry import unknown

_AUTO = ("AutoModel", "AutoModelForPreTraining", "AutoModelForCausalLM", "AutoModelForMaskedLM",
         "AutoModelForSeq2SeqLM", "AutoModelForImageClassification", "AutoModelForObjectDetection",
         "AutoModelForUniversalSegmentation", "AutoModelForImageTextToText", "AutoModelForAudioClassification",
         "AutoModelForTextToWaveform", "AutoModelForKeypointMatching")  # fmt: skip


def names() -> list[str]:
    """All model types."""
    return sorted(CONFIG_MAPPING_NAMES)


def build(name: str, pretrained: bool = False) -> Any:
    """A model from its configuration; its weights are free unless ``pretrained``."""
    asked = read(name)
    options = dict(asked.options)
    kind = options.pop("class", None)
    if pretrained:
        return _class(kind, None).from_pretrained(asked.name, **options)
    config = _config(asked.name)
    for key, value in options.items():
        _set(config, key, value, asked.name)
    if options:  # lengths that follow from others are made anew
        config = type(config)(**{k: v for k, v in config.to_dict().items() if k != "transformers_version"})
    return _model(config, kind, asked.name)


def token_ids(name: str, text: str) -> list[int]:
    """The tokens of a text by a tokenizer in a folder or in the cache; raises SourceError where there is none."""
    try:
        found = transformers.AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise SourceError(
            f"tokenizer {name}: not in the cache, and no folder of one ({first_line(error)[:120]})"
        ) from error
    return [int(number) for number in found(text)["input_ids"]]


def _config(name: str) -> Any:
    if Path(name).is_dir() or name.endswith(".json"):
        return _read(name)
    if name in CONFIG_MAPPING_NAMES:
        return transformers.AutoConfig.for_model(name)
    if "/" not in name:
        raise unknown("hf", name, names())
    return _read(name)


def _read(name: str) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(name, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            raise SourceError(f"hf:{name}: refused: its model is code of its own, which is not run") from error
        if Path(name).exists():
            raise SourceError(f"hf:{name}: no readable configuration ({first_line(error)[:160]})") from error
        raise SourceError(
            f"hf:{name}: its configuration is not in the cache: fetch it once (hf download {name} config.json), or "
            "name a folder that holds config.json, or a model type such as hf:vit?num_hidden_layers=4"
        ) from error


def _set(config: Any, key: str, value: Any, name: str) -> None:
    *path, last = key.split(".")
    part = config
    for step in path:
        part = getattr(part, step, None)
    if part is None or not hasattr(part, last):
        known = [word for word in (part or config).to_dict() if not word.startswith("_")]
        raise unknown(f"hf:{name}", key, known, "setting")
    setattr(part, last, value)


def _class(kind: str | None, config: Any) -> Any:
    wanted = kind or next(iter(getattr(config, "architectures", None) or []), None) or "AutoModel"
    found = getattr(transformers, wanted, None)
    if found is None or not hasattr(found, "from_pretrained"):
        raise SourceError(f"transformers has no class '{wanted}'")
    return found


def _model(config: Any, kind: str | None, name: str) -> Any:
    chosen = _class(kind, config)
    if kind is not None or getattr(config, "architectures", None):
        return chosen.from_config(config) if chosen.__name__.startswith("Auto") else chosen(config)
    for word in _AUTO:
        automatic = getattr(transformers, word, None)
        if automatic is not None and type(config) in automatic._model_mapping:
            return automatic.from_config(config)
    raise SourceError(f"hf:{name}: transformers names no model for it; give class=, such as hf:{name}?class=NAME")
