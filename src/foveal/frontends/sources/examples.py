"""Inputs that stand in files: a photo, a sound, a text, arrays of NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from foveal.core.errors import SourceError, first_line
from foveal.core.pictures import read_image
from foveal.core.reading import read_text

PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SUFFIXES = (*PHOTOS, ".wav", ".txt", ".npy", ".npz")
SIDE, LONGEST = 224, 512
"""Of a photo whose network says no size; token ids of a text."""


def is_file(item: object) -> bool:
    """Whether an input is named by a file, or is a picture of PIL."""
    return (isinstance(item, (str, Path)) and Path(item).suffix.lower() in SUFFIXES) or _is_picture(item)


def _is_picture(item: object) -> bool:
    return hasattr(item, "convert") and hasattr(item, "getexif")


def read(inputs: Any, expected: Any = None) -> Any:
    """The inputs with arrays in place of files; ``expected``: what the network would be called with by default.

    A photo is scaled to cover the height and width of the network's input, or 224 by 224, in 0..1, channels first; a
    sound is (1, samples), or (1, channels, samples) where the network takes three axes, in -1..1; a text is its bytes
    as token ids; an ``.npz`` holds inputs by name. Raises SourceError in one line.
    """
    if is_file(inputs):
        return _file(inputs, expected)
    if isinstance(inputs, Mapping):
        known = expected if isinstance(expected, Mapping) else {}
        return {name: _file(item, known.get(name)) if is_file(item) else item for name, item in inputs.items()}
    if isinstance(inputs, (tuple, list)) and any(map(is_file, inputs)):
        return type(inputs)([_file(item, None) if is_file(item) else item for item in inputs])
    return inputs


def _file(item: Any, expected: Any) -> Any:
    if _is_picture(item):
        return _photo(item, tuple(getattr(expected, "shape", expected if isinstance(expected, tuple) else ())))
    path = Path(item)
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    if isinstance(expected, Mapping) and path.suffix.lower() != ".npz":  # the one of several that takes it
        fits = {name: item for name, item in expected.items() if _takes(path, item)}
        if not fits:
            raise SourceError(f"{path}: say which input it is: {', '.join(f'{name}={path}' for name in expected)}")
        name = next(iter(fits))
        return {**expected, name: _file(path, fits[name])}
    shape = tuple(getattr(expected, "shape", expected if isinstance(expected, tuple) else ()))
    suffix = path.suffix.lower()
    try:
        if suffix in PHOTOS:
            return _photo(path, shape)
        if suffix == ".wav":
            return _sound(path, shape)
        if suffix == ".txt":
            length = shape[1] if len(shape) == 2 else LONGEST
            return np.frombuffer(read_text(path).encode()[:length], np.uint8).astype(np.int64)[None]
        found: Any = np.load(path, allow_pickle=False)
        return found if suffix == ".npy" else {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError) as error:
        raise SourceError(f"{path}: {first_line(error)[:200]}") from error


def _takes(path: Path, item: Any) -> bool:
    """Whether an input may be a photo, a sound or a text."""
    rank = len(getattr(item, "shape", item if isinstance(item, tuple) else ()))
    whole = "int" in str(getattr(item, "dtype", ""))
    suffix = path.suffix.lower()
    return whole if suffix == ".txt" else not whole and rank == 4 if suffix in PHOTOS else not whole and rank in (2, 3)


def _photo(picture: Any, shape: tuple[int, ...]) -> np.ndarray:
    size = shape[-2:] if len(shape) >= 3 else (SIDE, SIDE)
    pixels = read_image(picture, (size[0], size[1])).astype(np.float32)
    if len(shape) >= 3 and shape[-3] == 1:
        pixels = pixels.mean(-1, keepdims=True)
    found = np.moveaxis(pixels, -1, 0)[None]
    return found[:, None] if len(shape) == 5 else found


def _sound(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    from scipy.io import wavfile

    _, samples = wavfile.read(path)
    if samples.dtype.kind in "iu":
        limit = np.iinfo(samples.dtype)
        middle = (limit.max + limit.min + 1) / 2
        samples = (samples - middle) / (limit.max - middle + 1)
    channels: np.ndarray = np.atleast_2d(samples.T).astype(np.float32)
    if len(shape) != 3:
        return np.asarray(channels.mean(0)[None])
    fitting = channels if len(channels) == shape[1] else channels.mean(0)
    found: np.ndarray = np.broadcast_to(fitting, (1, shape[1], channels.shape[1])).copy()
    return found
