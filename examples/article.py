"""Make docs/article.md and its pictures from this package alone: ``python examples/article.py``.

The text stands in article.md.template; every number in it is computed by article_numbers.py, every picture drawn by
article_pictures.py. ``--text`` leaves the pictures as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from string import Template

from article_numbers import numbers
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "article.md"
IMAGES = HERE.parent / "docs" / "images" / "article"

LARGE = 130_000
"""Pictures of more bytes are reduced to a palette of ``COLOURS``."""

COLOURS = 256


def page() -> str:
    """The article with its numbers filled in."""
    return Template((HERE / "article.md.template").read_text(encoding="utf-8")).substitute(numbers())


def draw(names: list[str] | None = None) -> None:
    """Write the pictures, all or those named."""
    from article_pictures import PICTURES

    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        if not names or name in names:
            path = IMAGES / f"{name}.png"
            make().save(path)
            if path.stat().st_size > LARGE:
                shrink(path)


def shrink(path: Path) -> None:
    """Reduce a picture to a palette; what it says about itself stays in it."""
    with Image.open(path) as picture:
        said = PngInfo()
        for key, text in picture.info.items():
            if isinstance(text, str):
                said.add_text(key, text)
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True, pnginfo=said, dpi=(100, 100))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    if "--text" not in sys.argv:
        draw(sys.argv[1:])
