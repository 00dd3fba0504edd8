"""Error texts without the paths of this machine: a browser may see names of files, not where they lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PATH = re.compile(r"(?<![\w./\\])(?:(/[\w.+@~-]+)(?:/[^\s'\"`:;,()<>\[\]{}]*)+|[A-Za-z]:\\[^\s'\"`:;,()<>\[\]{}]+)")
"""A path from the root with at least two parts; the first part decides whether it is one or a layer such as /a/Conv."""


def scrubbed(text: str, folders: Iterable[Path] = ()) -> str:
    """The text with every file of this machine named by its last part. folders: those known, blanks in them or not."""
    for folder in folders:
        for known in {str(folder), str(folder.absolute()), str(folder.resolve())} - {".", "/"}:
            text = re.sub(rf"{re.escape(known)}(?:/(?:[^\s'\"`:;,]*/)?|(?![\w.-]))", "", text)
    return _PATH.sub(_last, text)


def _last(found: re.Match[str]) -> str:
    if found[1] is not None and not _is_root(found[1]):
        return found[0]
    return re.split(r"[/\\]", found[0].rstrip("/\\"))[-1]


@cache
def _is_root(first: str) -> bool:
    try:
        return Path(first).exists()
    except OSError:
        return False
