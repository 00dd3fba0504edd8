"""Texts from elsewhere (names in files, above all) as they may be shown: with nothing in them that acts or hides.

A name may hold what a terminal obeys (ESC, BEL, C1), what turns the reading direction around, what nobody sees, line
feeds, or a formula for a spreadsheet. Every way out passes it through here: the records keep names as they are, and
JSON brings them back bit by bit; what people see is written as ``\\x1b``.
"""

from __future__ import annotations

import re

_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""What Unicode counts as printable and no font draws: fillers, joiners, variation selectors."""
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def visible(text: str, keep: str = "") -> str:
    """The text with every character that acts or cannot be seen written as Python writes it, such as ``\\u202e``.

    keep: characters that stay as they are, such as the line feeds of a text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or (c.isprintable() and not _BLANK.match(c)) else ascii(c)[1:-1] for c in text)


def cell(text: str) -> str:
    """The text for a cell of a table that a spreadsheet may open: visible, and never a formula."""
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown
