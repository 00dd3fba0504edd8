"""Weights from a file into a model. Nothing in the file is executed: pickles are read with ``weights_only=True``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveal.core.errors import SourceError, first_line

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "module")
"""Names under which checkpoints keep the weights, in the order they are tried."""


SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


def load_weights(model: nn.Module, path: str) -> list[str]:
    """Put the weights of ``path`` (.pt, .pth, .ckpt, .safetensors) in the model's place of them.

    Returns the names that the model has no place for. What the model has and the file has not is an error, as is
    another shape. Raises SourceError in one line.
    """
    own = model.state_dict()
    state = _stripped(_unwrapped(_read(path), path), own)
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    if missing:
        raise SourceError(f"{path}: has no weights for {_some(missing)} of {type(model).__name__}")
    wrong = [name for name in own if name in state and state[name].shape != own[name].shape]
    if wrong:
        shapes = f"{tuple(state[wrong[0]].shape)}, the model takes {tuple(own[wrong[0]].shape)}"
        raise SourceError(f"{path}: {_some(wrong)} has another shape: {shapes}")
    kept = {name: state[name].to(own[name].dtype) for name in own if name in state}
    model.load_state_dict(kept, strict=False, assign=True)
    return [name for name in state if name not in own]


def _stripped(state: dict[str, Tensor], own: dict[str, Any]) -> dict[str, Tensor]:
    """The table without a first part that all its names share, where the model knows them without it (``model.``)."""
    parts = {name.partition(".")[0] for name in state}
    if len(parts) == 1 and not own.keys() & state.keys():
        shorter = {name.partition(".")[2]: item for name, item in state.items()}
        return shorter if own.keys() & shorter.keys() else state
    return state


def _read(path: str) -> Any:
    if not Path(path).is_file():
        raise SourceError(f"{path}: no such file")
    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        line = first_line(error)
        raise SourceError(f"{path}: not a readable file of weights ({line[:160]})") from error


def _unwrapped(state: Any, path: str) -> dict[str, Tensor]:
    """The table of tensors in a checkpoint, without the prefix of a parallel wrapper."""
    for name in NESTED:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
            break
    if not isinstance(state, dict) or not any(isinstance(item, Tensor) for item in state.values()):
        raise SourceError(f"{path}: holds no table of weights by name")
    found = {str(name): item for name, item in state.items() if isinstance(item, Tensor)}
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): item for name, item in found.items()}
    return found


def left_over(names: list[str], path: str) -> str:
    """A sentence on weights that a model has no place for."""
    return f"{path}: the network has no place for {_some(names)}"


def _some(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
