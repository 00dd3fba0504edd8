"""Texts that others wrote, read with care: their encoding, and YAML that is small once its aliases are written out."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from foveal.core.errors import FovealError

PARTS = 100_000
"""Most parts of a YAML document, aliases written out."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
"""How texts in other encodings begin; the longer ones first."""


def decoded(data: bytes) -> str:
    """UTF-8, with a byte order mark or without, as text; raises ValueError, in words for a sentence, for all else."""
    other = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if other is not None:
        raise ValueError(f"not text in UTF-8 but in {other}; save it as UTF-8")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not text in UTF-8: byte 0x{data[error.start]:02x} at position {error.start}") from None


def read_text(path: str | Path) -> str:
    """The text of a file; line ends become ``\\n``. Raises OSError, and ValueError as :func:`decoded` does."""
    return decoded(Path(path).read_bytes()).replace("\r\n", "\n").replace("\r", "\n")


def read_yaml(text: str, place: str) -> Any:
    """A YAML text as plain values; raises FovealError, one line, for what is none or is too large to go through."""
    import yaml

    try:
        document = yaml.safe_load(text.removeprefix("\ufeff"))
    # The package's own errors, and whatever its constructors of numbers, words and dates meet.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise FovealError(f"{place}: not valid YAML: {why}") from None
    waiting, parts = [document], 0
    while waiting:
        part = waiting.pop()
        parts += 1
        if parts > PARTS:
            raise FovealError(f"{place}: more than {PARTS} parts, aliases counted")
        waiting.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    return document
