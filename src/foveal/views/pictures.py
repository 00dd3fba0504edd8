"""Images as arrays: a photo fitted whole into a source, and a built-in test chart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foveal.core.pictures import eight_bits, opened

LETTER = ("11111", "10000", "11111", "10000", "11111")
"""The optometrist's tumbling E, five strokes high and wide."""

COLOURS = ((0.11, 0.20, 0.42), (0.58, 0.20, 0.12), (0.06, 0.36, 0.24), (0.35, 0.16, 0.42))
"""Dark inks of the chart, by row."""


def fitted_image(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """The photo as a float array (H, W, 3) in 0..1, scaled to fit ``shape`` whole, at the top left on grey ground.

    That is how detectors prepare images: boxes of objects are scaled by the same factor.
    Errors as :func:`foveal.core.pictures.read_image`.
    """
    from PIL import Image, ImageOps

    with opened(path) as picture:
        upright = eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")
        factor = min(shape[0] / upright.height, shape[1] / upright.width)
        size = (max(1, round(upright.width * factor)), max(1, round(upright.height * factor)))
        values = np.asarray(upright.resize(size, Image.Resampling.LANCZOS), dtype=float) / 255
    ground = np.full((*shape, 3), 0.5)
    ground[: values.shape[0], : values.shape[1]] = values[: shape[0], : shape[1]]
    return ground


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
