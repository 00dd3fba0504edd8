"""What a text specification may ask for at most, so that no text takes the machine with it, and how it is quoted."""

from __future__ import annotations

from typing import Any

MAX_TEXT = 250_000
"""Characters of a text, YAML aliases written out."""
MAX_TOKEN = 200
"""Characters of one token."""
MAX_DEPTH = 40
"""Groups inside each other."""
MAX_PARTS = 100_000
"""Parts of a YAML document, aliases written out."""
MAX_KEYS = 64
"""Keys of one YAML mapping, those merged into it included."""
MAX_STEPS = 10_000
"""Layers and groups, repeats counted."""
MAX_NUMBER = 1 << 24
"""Any number: channels, repeats, outputs."""
MAX_LENGTH = 1 << 22
"""A spatial length, a kernel, a stride, a dilation, a padding."""
MAX_AXES = 6
"""Spatial axes."""
MAX_GRID = 1 << 26
"""Positions of one map."""
MAX_ELEMENTS = 1 << 40
"""Elements of one map, all channels."""
MAX_TAPS = 1 << 24
"""Taps of all windows along one axis."""
MAX_FLAT = 1 << 22
"""Elements of a map that ``fc`` flattens."""
MAX_POSITIONS = 1 << 25
"""Sum of the spatial lengths of all maps."""
MAX_AREA = 1 << 28
"""Sum of the positions of all maps."""

_QUOTED = 60


def shown(value: Any) -> str:
    """A value as it can stand in a one-line message: printable, and cut where it is long."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python writes out no integer of more than 4300 digits
        return "a number of thousands of digits"
    cut = text[:_QUOTED] + ("..." if len(text) > _QUOTED else "")
    return cut if cut.isprintable() else repr(cut)[1:-1]
