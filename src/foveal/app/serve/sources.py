"""Which networks a browser may name: nothing that runs code of its own, nothing outside the server's folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from foveal.app.serve.uploads import PICKLES, RefusedError
from foveal.core.reading import read_text
from foveal.frontends.backends import PASTED

BUILDERS = ("gallery", "torchvision", "timm", "keras")
_NAMED = re.compile(rf"(?:{'|'.join(BUILDERS)}):[\w.\-]{{1,100}}")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_FILES = (".onnx", ".yaml", ".yml")
LONGEST = 100_000
"""Most characters of a specification."""


class Asked(NamedTuple):
    """sort: "text" for a specification, "source" for what ``foveal.trace`` reads; name: what to show."""

    sort: str
    source: str
    name: str


def asked(text: str, folder: Path) -> Asked:
    """What a browser's words mean, a specification unread; raises RefusedError in one line."""
    words = text.strip()
    if not words:
        raise RefusedError("no network given: a name such as gallery:vgg13, a file, or a specification")
    if len(words) > LONGEST:
        raise RefusedError(f"a specification has at most {LONGEST} characters, this text has {len(words)}")
    if _NAMED.fullmatch(words):
        return Asked("source", words, words)
    if PASTED.match(words):
        return Asked("source", words, "Sequential")
    if "\n" not in words and _looks_like_a_path(words):
        path = inside(words, folder)
        if path.suffix.lower() == ".onnx":
            return Asked("source", str(path), path.name)
        return Asked("text", _read(path), path.name)
    if _FACTORY.fullmatch(words):
        raise RefusedError(f"'{words}' would run a program; name it on the command line: foveal serve {words}", 403)
    return Asked("text", words, "specification")


def inside(words: str, folder: Path) -> Path:
    """The file of that name inside the folder; links are followed before it is judged. Raises RefusedError."""
    if Path(words).suffix.lower() in PICKLES:
        raise RefusedError(f"'{words}': files that can run code when they are opened are never read; use .onnx", 415)
    if Path(words).suffix.lower() not in _FILES:
        raise RefusedError(f"'{words}': expected one of {', '.join(_FILES)}", 415)
    root = folder.resolve()
    try:
        path = (root / words).resolve()
    except (OSError, ValueError, RuntimeError):
        raise RefusedError(f"'{words}': not a path") from None
    if not path.is_relative_to(root):
        raise RefusedError(f"'{words}' lies outside the folder that this server reads", 403)
    if not path.is_file():
        raise RefusedError(f"'{words}': no such file in the folder that this server reads", 404)
    return path


def shape_of(text: str) -> list[int] | None:
    """``1,3,224,224`` or ``1x3x224x224`` as numbers; None for nothing. Raises RefusedError."""
    if not text.strip():
        return None
    parts = [part.strip() for part in text.replace("x", ",").split(",")]
    if not all(re.fullmatch(r"[0-9]{1,7}", part) and int(part) for part in parts) or len(parts) > 6:
        raise RefusedError(f"input '{text[:40]}': expected positive lengths such as 1,3,224,224")
    return [int(part) for part in parts]


def _looks_like_a_path(words: str) -> bool:
    return (
        Path(words).suffix.lower() in (*_FILES, *PICKLES)
        or re.fullmatch(r"[^\s()\[\]{}<>|]*/[^\s]*", words) is not None
    )


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise RefusedError(f"'{path.name}': {getattr(error, 'strerror', None) or error}") from None
