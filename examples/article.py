"""Make docs/article.md and its pictures from this package alone: ``python examples/article.py``.

The text stands in article.md.template; every number in it is computed by article_numbers.py, every picture drawn by
article_pictures.py. ``--text`` leaves the pictures as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from string import Template

from article_numbers import numbers

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "article.md"
IMAGES = HERE.parent / "docs" / "images" / "article"


def page() -> str:
    """The article with its numbers filled in."""
    return Template((HERE / "article.md.template").read_text(encoding="utf-8")).substitute(numbers())


def draw(names: list[str] | None = None) -> None:
    """Write the pictures, all or those named."""
    from article_pictures import PICTURES

    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        if not names or name in names:
            make().save(IMAGES / f"{name}.png")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    if "--text" not in sys.argv:
        draw(sys.argv[1:])
