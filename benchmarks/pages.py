"""Rows of text as a table: for the terminal and for a page."""

from __future__ import annotations

import textwrap

from rich.table import Table

Content = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows."""


def rich_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]], most: int | None = None) -> Table:
    """A table for the terminal; at most ``most`` rows are shown, and the rest counted."""
    table = Table(*head, title=title)
    for row in rows[:most]:
        table.add_row(*row)
    if most is not None and len(rows) > most:
        table.caption = f"and {len(rows) - most} more"
    return table


def paragraph(text: str) -> str:
    """Running text in lines of at most 120 characters."""
    return textwrap.fill(text, 120)


def markdown_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """The same as Markdown; "None." where there is nothing."""
    if not rows:
        return "None."
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
