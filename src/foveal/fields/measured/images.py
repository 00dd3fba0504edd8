"""Images for measured fields: where they come from, how they are prepared, what their bytes hash to.

An image set is a list of names, each loaded when it is needed. Files are prepared as frameworks do it: no turning by
camera notes, resize with PIL, values in 0..1, minus mean, over deviation, in float32.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError, SourceError
from foveal.ir.backend import Preparation

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
NOISE_IMAGES = 20
"""How many images of noise are drawn where nothing says how many."""


AHEAD = 2
"""Batches of files that are read before they are asked for."""
SQUASH = Preparation(fit="squash", origin="protocol")


class Layout(NamedTuple):
    """The tensor that a source takes: its shape, its counted axes."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def batched(self) -> bool:
        """Whether axis 0 holds several images."""
        several = len(self.shape) > len(self.axes) + 1 or self.axes == (1,)
        return len(self.shape) > 1 and 0 not in self.axes and several

    @property
    def one(self) -> tuple[int, ...]:
        """The shape of one image."""
        return self.shape[1:] if self.batched else self.shape


class Sample(NamedTuple):
    """One image as the network takes it (float32, without the batch axis), its name and the SHA-256 of its bytes."""

    name: str
    digest: str
    array: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """Names and how to load each; ``load(i)`` raises SourceError where an image cannot be read."""

    names: tuple[str, ...]
    loader: Callable[[int], Sample] = field(repr=False)
    origin: dict[str, Any]
    """Where they come from, as plain values."""

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Sample:
        """The image of that number."""
        return self.loader(index)

    def batches(self, numbers: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, Sample, str]]]:
        """The images of these numbers, with why one cannot be read. Files are read while the caller works on those
        before; a dataset may draw from streams that belong to the caller's thread.
        """
        if not {"folder", "files"} & self.origin.keys():
            yield from map(self._batch, numbers)
            return
        with ThreadPoolExecutor(1) as ahead:
            waiting = deque(ahead.submit(self._batch, some) for some in numbers[:AHEAD])
            for some in [*numbers[AHEAD:], *[None] * min(AHEAD, len(numbers))]:
                found = waiting.popleft().result()
                if some is not None:
                    waiting.append(ahead.submit(self._batch, some))
                yield found

    def _batch(self, numbers: Sequence[int]) -> list[tuple[int, Sample, str]]:
        found = []
        for number in numbers:
            try:
                found.append((number, self.load(number), ""))
            except SourceError as error:
                found.append((number, Sample(self.names[number], "", np.zeros(0)), str(error)))
        return found


def collect(images: Any, layout: Layout, preparation: Preparation, count: int | None = None, seed: int = 0) -> ImageSet:
    """The image set that ``images`` means.

    None: ``count`` images of seeded noise; a folder or a file; a list of files; an array or tensor (N, ...) that is
    prepared already; a dataset or list of arrays, each alone or first of a pair. ``count`` takes the first so many.
    """
    if images is None:
        return _noise(layout, NOISE_IMAGES if count is None else count, seed)
    if isinstance(images, (str, Path)):
        found = folder(Path(images))
        return _files(found[:count], Path(images), layout, preparation, {"folder": str(images)})
    if isinstance(images, Sequence) and images and all(isinstance(item, (str, Path)) for item in images):
        paths = [Path(item) for item in images][:count]
        return _files(paths, None, layout, preparation, {"files": [str(item) for item in paths]})
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise FovealError(f"images: cannot read {type(images).__name__}; give a folder, files, a tensor or a dataset")
    return _arrays(images, layout, count)


def folder(path: Path) -> list[Path]:
    """The image files below a folder, by folder, then by name, as torchvision's ImageFolder sorts them."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"{path}: no such folder of images")
    found = [
        Path(root) / name
        for root, _, names in sorted(os.walk(path, followlinks=True))
        for name in sorted(names)
        if name.lower().endswith(SUFFIXES)
    ]
    if not found:
        raise SourceError(f"{path}: holds no image ({', '.join(SUFFIXES)})")
    return found


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _files(
    paths: list[Path], root: Path | None, layout: Layout, preparation: Preparation, origin: dict[str, Any]
) -> ImageSet:
    if len(layout.axes) != 2:
        raise FovealError(f"image files need a source with two axes, this one has {len(layout.axes)}; give a tensor")
    inside = root is not None and root.is_dir()
    names = tuple(path.relative_to(root).as_posix() if inside and root else str(path) for path in paths)

    def load(index: int) -> Sample:
        data = read_bytes(paths[index])
        return Sample(names[index], sha256(data), prepared(_decode(data, paths[index], layout), layout, preparation))

    return ImageSet(names, load, origin)


def read_bytes(path: Path) -> bytes:
    """All of a file; raises SourceError in one line where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _decode(data: bytes, path: Path, layout: Layout) -> Any:
    """The picture in the mode of the source's channels."""
    from io import BytesIO

    from PIL import Image

    channels = _channels(layout)
    if channels not in (1, 3):
        raise FovealError(f"image files have 1 or 3 channels, the source takes {channels}; give a tensor")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(BytesIO(data)).convert("RGB" if channels == 3 else "L")
    except Exception as error:  # decoders raise anything on broken files
        known = type(error).__name__ == "UnidentifiedImageError"
        raise SourceError(f"{path}: {'not an image that can be read' if known else error}") from None


def _channels(layout: Layout) -> int:
    rest = [n for axis, n in enumerate(layout.shape) if axis not in layout.axes]
    rest = rest[1:] if layout.batched else rest
    return int(np.prod(rest)) if rest else 1


def prepared(picture: Any, layout: Layout, preparation: Preparation) -> np.ndarray:
    """A PIL picture as the network takes it."""
    from PIL import Image

    height, width = (layout.shape[axis] for axis in layout.axes)
    mode = Image.Resampling[preparation.interpolation.upper()]
    if preparation.fit == "squash":
        picture = picture.resize((width, height), mode)
    else:
        picture = _covered(picture, height, width, preparation.crop, mode)
    values = np.asarray(picture, np.float32) / np.float32(255)
    values = values[..., None] if values.ndim == 2 else values
    count = values.shape[-1]
    mean, deviation = (_per_channel(item, count) for item in (preparation.mean, preparation.deviation))
    values = (values - mean) / deviation
    # Channels stand where the source has its uncounted axis; colours come first unless the source says otherwise.
    shape = layout.one
    last = len(shape) == 3 and max(layout.axes) < len(layout.shape) - 1
    return np.ascontiguousarray(values if last else values.transpose(2, 0, 1)).reshape(shape)


def _per_channel(numbers: tuple[float, ...], count: int) -> np.ndarray:
    several = numbers if len(numbers) == count else (float(np.mean(numbers)),) * count
    return np.array(several, np.float32)


def _covered(picture: Any, height: int, width: int, crop: float, mode: Any) -> Any:
    """Scaled so that the source covers ``crop`` of it, then the middle."""
    tall, wide = (max(n, floor(n / crop)) for n in (height, width))
    scale = max(tall / picture.height, wide / picture.width)
    size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    picture = picture.resize(size, mode)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _noise(layout: Layout, count: int, seed: int) -> ImageSet:
    def load(index: int) -> Sample:
        array = np.random.default_rng([seed, index]).standard_normal(layout.one).astype(np.float32)
        return Sample(f"noise {index}", sha256(array.tobytes()), array)

    return ImageSet(tuple(f"noise {i}" for i in range(count)), load, {"noise": count})


def _arrays(images: Any, layout: Layout, count: int | None) -> ImageSet:
    number = len(images) if count is None else min(count, len(images))

    def load(index: int) -> Sample:
        item = images[index]
        item = item[0] if isinstance(item, (tuple, list)) else item
        array = np.asarray(item.detach().cpu().numpy() if hasattr(item, "detach") else item)
        array = array[0] if array.shape == (1, *layout.one) else array
        if array.shape != layout.one or array.dtype.kind not in "fiub":
            raise FovealError(f"image {index} has shape {array.shape}, the source takes {layout.one}")
        return Sample(f"image {index}", sha256(np.ascontiguousarray(array).tobytes()), array)

    return ImageSet(tuple(f"image {i}" for i in range(number)), load, {"arrays": number})
