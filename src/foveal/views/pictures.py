"""Images as arrays: a photo read from a file and fitted to a source, and a built-in test chart."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveal.core.errors import SourceError

if TYPE_CHECKING:
    from PIL import Image

LETTER = ("11111", "10000", "11111", "10000", "11111")
"""The optometrist's tumbling E, five strokes high and wide."""

COLOURS = ((0.11, 0.20, 0.42), (0.58, 0.20, 0.12), (0.06, 0.36, 0.24), (0.35, 0.16, 0.42))
"""Dark inks of the chart, by row."""

PIXELS = 100_000_000
"""Photos with more pixels than that are refused."""


def read_image(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """The photo as a float array (H, W, 3) in 0..1, scaled to cover ``shape`` and cut around its middle.

    That is the usual preparation for a classifier; the shape of things is kept. Raises SourceError (one line) for a
    file that is missing or is no image.
    """
    from PIL import Image, ImageOps

    with _reading(path) as picture:
        upright = _eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")
        fitted = ImageOps.fit(upright, (shape[1], shape[0]), Image.Resampling.LANCZOS)
    return np.asarray(fitted, dtype=float) / 255


@contextmanager
def _reading(path: str | Path) -> Iterator[Image.Image]:
    """The open picture; what goes wrong with it becomes one line."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                if picture.width * picture.height > PIXELS:
                    raise SourceError(f"{path}: {picture.width}x{picture.height} pixels are more than {PIXELS}")
                yield picture
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "not an image that can be read" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise SourceError(f"{path}: {reason}") from None


def fitted_image(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """The photo as a float array (H, W, 3) in 0..1, scaled to fit ``shape`` whole, at the top left on grey ground.

    That is how detectors prepare images: boxes of objects are scaled by the same factor. Errors as :func:`read_image`.
    """
    from PIL import Image, ImageOps

    with _reading(path) as picture:
        upright = _eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")
        factor = min(shape[0] / upright.height, shape[1] / upright.width)
        size = (max(1, round(upright.width * factor)), max(1, round(upright.height * factor)))
        values = np.asarray(upright.resize(size, Image.Resampling.LANCZOS), dtype=float) / 255
    ground = np.full((*shape, 3), 0.5)
    ground[: values.shape[0], : values.shape[1]] = values[: shape[0], : shape[1]]
    return ground


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey values of 16 bits brought to 8; without it all but the darkest would turn white."""
    from PIL import Image

    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))


def eye_chart(shape: tuple[int, int]) -> np.ndarray:
    """An eye chart that fills (H, W, 3): letters E of three sizes, turned in four ways, in four dark colours on cream.

    It has detail of every size everywhere, so that what a unit loses shows at any distance from the center. Needs no
    file and is the same on every machine.
    """
    picture = np.ones((*shape, 3)) * (0.97, 0.94, 0.86)
    letter = np.array([[int(c) for c in row] for row in LETTER], dtype=bool)
    top, line = 2, 0
    while top < shape[0]:
        stroke = (1, 2, 3, 2)[line % 4] * max(1, min(shape) // 200)
        for count, left in enumerate(range(2, shape[1], 7 * stroke)):
            glyph = np.kron(np.rot90(letter, (count + 3 * line) % 4), np.ones((stroke, stroke), dtype=bool))
            block = picture[top : top + 5 * stroke, left : left + 5 * stroke]
            block[glyph[: block.shape[0], : block.shape[1]]] = COLOURS[(count // 2 + line) % 4]
        top, line = top + 7 * stroke, line + 1
    return picture
