"""Photos as arrays, read with care from files that others made."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveal.core.errors import SourceError

if TYPE_CHECKING:
    from PIL import Image

PIXELS = 100_000_000
"""Photos with more pixels than that are refused."""


def read_image(path: str | Path | Image.Image, shape: tuple[int, int]) -> np.ndarray:
    """The photo (a file, or open) as a float array (H, W, 3) in 0..1, scaled to cover ``shape``, cut around its middle.

    That is the usual preparation for a classifier; the shape of things is kept. Raises SourceError (one line) for a
    file that is missing or is no image.
    """
    from PIL import Image, ImageOps

    with opened(path) if isinstance(path, (str, Path)) else nullcontext(path) as picture:
        upright = eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")
        fitted = ImageOps.fit(upright, (shape[1], shape[0]), Image.Resampling.LANCZOS)
    return np.asarray(fitted, dtype=float) / 255


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
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


def eight_bits(picture: Image.Image) -> Image.Image:
    """Grey values of 16 bits brought to 8; without it all but the darkest would turn white."""
    from PIL import Image

    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
