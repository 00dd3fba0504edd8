"""Draw the table at the top of README.md as a terminal shows it: ``python examples/terminal_picture.py``."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

import foveal
from foveal.views.text.report import rich_table
from foveal.views.text.table import table

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDTH = 108


def terminal(path: Path, source: str, title: str, **selection: int | str) -> None:
    """The table of ``source`` as a terminal of ``WIDTH`` columns shows it."""
    report = foveal.analyze(foveal.trace(source), **selection)  # type: ignore[arg-type]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(rich_table(table(report), WIDTH))
    text = console.export_svg(title=title, unique_id="foveal")
    # The standard template loads fonts from the network; a picture in a repository should not.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    terminal(IMAGES / "resnet50.svg", "torchvision:resnet50", "foveal analyze torchvision:resnet50 --depth 2", depth=2)
