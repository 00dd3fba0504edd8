"""What a module is called with unless the caller says: from its own example, its configuration, or its first layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

IDS, FRAMES, SECOND = 64, 16, 16000
"""Token ids of a text, frames of a video, samples of a sound."""
SIDES = {1: (4096,), 2: (224, 224), 3: (64, 64, 64)}
"""Positions of a first convolution whose model says nothing."""


def default_inputs(model: Any) -> Any:
    """Shapes or examples for a call of ``model`` that it tells itself; None where it does not."""
    example = _plain(model, "example_input_array")
    if example is not None:
        return example
    config = _plain(model, "config")
    if hasattr(config, "model_type") or hasattr(config, "_class_name") or isinstance(config, Mapping):
        found = from_config(model, config)
        if found:
            return found
    for name in ("pretrained_cfg", "default_cfg"):
        size = (_plain(model, name) or {}).get("input_size") if isinstance(_plain(model, name), dict) else None
        if size:
            return (1, *size)
    yaml = _plain(model, "yaml")
    if isinstance(yaml, dict) and "backbone" in yaml:  # ultralytics
        settings = _plain(model, "args")
        side = int(settings.get("imgsz") or 640) if isinstance(settings, dict) else 640
        side = 224 if "classif" in type(model).__name__.lower() else side
        return (1, int(yaml.get("channels") or yaml.get("ch") or 3), side, side)
    first = first_layer(model)
    places = [model, *(held for name in ("config", "cfg", "hparams") if (held := _plain(model, name)) is not None)]
    for place in places:
        for name in ("image_size", "img_size", "input_size"):
            size = _lengths(place.get(name) if isinstance(place, Mapping) else _plain(place, name))
            if size and first is not None and _rank(first[1]) == len(size) + 2 and len(_required(model)) <= 1:
                return (1, channels(first[1]), *size)
    return None


def from_first_layer(model: nn.Module) -> Any:
    """A call that the first layer can take; None where it says nothing of its input."""
    found = first_layer(model)
    if found is None or len(_required(model)) > 1:
        return None
    layer = found[1]
    if isinstance(layer, nn.Embedding):
        return torch.zeros(1, IDS, dtype=torch.int64)
    if isinstance(layer, nn.Linear):
        return None
    return (1, channels(layer), *SIDES[_rank(layer) - 2])


def first_layer(model: nn.Module) -> tuple[str, nn.Module] | None:
    """The first module, as they were made, that asks for a certain shape: path and module."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear, nn.Embedding)
    return next(((name, part) for name, part in model.named_modules() if isinstance(part, kinds)), None)


def channels(layer: Any) -> int:
    """Channels that a first layer reads."""
    return int(getattr(layer, "in_channels", 0) or getattr(layer, "in_features", 0) or 3)


def _rank(layer: Any) -> int:
    return len(layer.kernel_size) + 2 if isinstance(layer, nn.modules.conv._ConvNd) else 2


def wanted(model: nn.Module, inputs: Any, error: str) -> str:
    """What a failed call may have missed: the inputs that forward takes, the shape that the first layer needs; with
    words for the command line. "" where nothing of it explains the failure. error: what the model said.
    """
    parts = []
    names, needed = _names(model), _required(model)
    given = len(inputs) if isinstance(inputs, Mapping) or _several(inputs) else 1
    suggestion = default_inputs(model)
    if len(names) > 1 and (len(needed) != given or isinstance(suggestion, Mapping)):
        shown = [name if name in needed else f"{name}=..." for name in names]
        more = ", ..." if len(shown) > 8 else ""
        parts.append(f"forward takes {', '.join(shown[:8])}{more}")
    if isinstance(suggestion, Mapping):
        parts.append(f"for example {' '.join(f'--input {name}={_word(item)}' for name, item in suggestion.items())}")
    found = first_layer(model)
    if found is not None and not isinstance(inputs, Mapping) and not _several(inputs):
        name, layer = found
        shape = tuple(getattr(inputs, "shape", inputs))
        rank = _rank(layer)
        if isinstance(layer, nn.modules.conv._ConvNd) and len(shape) != rank:
            example = ",".join(map(str, (1, channels(layer), *SIDES[rank - 2])))
            parts.append(
                f"its first layer '{name}' ({type(layer).__name__} of {channels(layer)} channels) needs {rank} "
                f"dimensions, such as {example}"
            )
        elif "must match" in error and isinstance(layer, nn.modules.conv._ConvNd) and any(n % 32 for n in shape[2:]):
            larger = ",".join(map(str, (*shape[:2], *(-(-n // 32) * 32 for n in shape[2:]))))
            parts.append(f"networks that halve maps and join them again take lengths such as {larger}")
        if (
            isinstance(layer, nn.modules.conv._ConvNd)
            and shape[-1:] == (channels(layer),) != shape[-rank + 1 : -rank + 2]
        ):
            parts.append(
                f"channels come before positions: ({channels(layer)}, {', '.join(map(str, shape[-rank + 1 : -1]))})"
            )
    return "; ".join(parts)


def _several(inputs: Any) -> bool:
    return isinstance(inputs, (tuple, list)) and not all(isinstance(item, int) for item in inputs)


def _word(item: Any) -> str:
    """An input as the command line takes it."""
    if isinstance(item, torch.Tensor):
        return ("" if item.dtype.is_floating_point else "int:") + ",".join(map(str, item.shape))
    return ",".join(map(str, item)) if isinstance(item, tuple) else f"const:{item}"


def _parameters(model: nn.Module) -> Iterator[inspect.Parameter]:
    try:
        found = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return
    yield from (p for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))


def _names(model: nn.Module) -> list[str]:
    return [parameter.name for parameter in _parameters(model)]


def _required(model: nn.Module) -> list[str]:
    return [parameter.name for parameter in _parameters(model) if parameter.default is parameter.empty]


def _plain(model: Any, name: str) -> Any:
    """An attribute that a model may have; one that fails is none."""
    try:
        return getattr(model, name, None)
    except Exception:
        return None


def _lengths(size: Any) -> tuple[int, ...]:
    if isinstance(size, int) and not isinstance(size, bool):
        return (size, size)
    if isinstance(size, Sequence) and not isinstance(size, str) and size and all(isinstance(n, int) for n in size):
        return tuple(size)[-2:] if len(size) > 3 else tuple(size)
    if isinstance(size, Mapping) and {"height", "width"} <= set(size):
        return (size["height"], size["width"])
    return ()


def from_config(model: Any, config: Any) -> Any:
    """The inputs that forward asks for, with the lengths of a configuration of transformers or diffusers."""
    say = _Said(config)
    names = _names(model)
    if names[:2] == ["sample", "timestep"] or names[:1] == ["sample"]:
        return _diffusion(say, names)
    found: dict[str, Any] = {}
    for name in names:
        made = _INPUTS[name](say) if name in _INPUTS else None
        if made is not None and not (name in _SPARE and found):
            found[name] = made
    if "decoder_input_ids" in names and say("is_encoder_decoder") and "decoder_input_ids" not in found:
        found["decoder_input_ids"] = torch.zeros(1, FRAMES, dtype=torch.int64)
    return found or None


class _Said:
    """A configuration and its parts, asked for the first of some names that has a number."""

    def __init__(self, config: Any) -> None:
        read = config if isinstance(config, Mapping) else vars(config)
        parts = [part for key, part in read.items() if key.endswith("_config") and hasattr(part, "__dict__")]
        self.places = [read, *(vars(part) for part in parts)]

    def __call__(self, *names: str) -> Any:
        for place in self.places:
            for name in names:
                if place.get(name) is not None:
                    return place[name]
        return None


def _ids(say: _Said) -> Any:
    most = say("max_position_embeddings", "n_positions", "max_seq_len", "max_source_positions")
    return torch.zeros(1, min(IDS, most) if isinstance(most, int) and most > 0 else IDS, dtype=torch.int64)


def _image(say: _Said) -> Any:
    size = _lengths(say("image_size", "img_size")) or SIDES[2]
    channels = say("num_channels", "in_channels", "in_chans", "num_input_channels")
    frames = say("num_frames")
    image = (channels if isinstance(channels, int) else 3, *size[:2])
    return (1, frames, *image) if isinstance(frames, int) and say("tubelet_size", "num_frames") else (1, *image)


def _wave(say: _Said) -> Any:
    bins, longest = say("num_mel_bins"), say("max_length")
    if bins and longest:  # the audio spectrogram transformer
        return (1, longest, bins)
    count = say("audio_channels")
    return (1, SECOND) if count is None else (1, count, SECOND)


def _spectrum(say: _Said) -> Any:
    bins = say("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "input_dim", "num_mels")
    if not isinstance(bins, int):
        return None
    most = say("max_source_positions")
    whisper = say("input_feat_per_channel", "feature_projection_input_dim", "input_dim", "num_mels") is None
    return (1, bins, 2 * most) if whisper and isinstance(most, int) else (1, 200, bins)


def _video(say: _Said) -> Any:
    size = _lengths(say("image_size", "crop_size")) or SIDES[2]
    return (1, say("num_frames", "frames_per_clip") or FRAMES, 3, *size)


def _series(say: _Said) -> Any:
    return (1, say("context_length", "seq_length") or IDS, say("num_input_channels", "input_size") or 1)


_INPUTS: dict[str, Callable[[_Said], Any]] = {
    "pixel_values": _image,
    "pixel_values_videos": _video,
    "input_ids": _ids,
    "input_values": _wave,
    "input_features": _spectrum,
    "past_values": _series,
}
_SPARE = {"pixel_values_videos"}
"""Asked for only where nothing else is."""


def _diffusion(say: _Said, names: list[str]) -> Any:
    size = say("sample_size", "input_size")
    count = say("in_channels") or 3
    space = _lengths(size) or (64, 64)
    found: dict[str, Any] = {"sample": (1, count, *space)}
    if "timestep" in names:
        found["timestep"] = 1
    if "encoder_hidden_states" in names and isinstance(say("cross_attention_dim"), int):
        found["encoder_hidden_states"] = (1, 77, say("cross_attention_dim"))
    return found
