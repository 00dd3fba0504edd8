"""One family of errors. Each says what went wrong, where, what was expected and what to do next."""

from __future__ import annotations

import difflib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foveal.core.visible import visible


class FovealError(Exception):
    """Base of all errors that foveal raises on purpose; its text is one line, and names in it are shown visibly."""

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n")


class UnknownLayerError(FovealError, KeyError):
    """A layer name that the graph does not have; names the closest three."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.0)
        hint = ", ".join(close) if close else "none: the graph has no layers"
        self.text = f"unknown layer '{name}'; closest: {hint}"
        super().__init__(self.text)

    def __str__(self) -> str:
        return visible(self.text)


class InvalidGraphError(FovealError):
    """A graph that breaks a rule of the intermediate representation; prints the neighbourhood of the fault."""


class TraceError(FovealError):
    """A model that could not be run; names the layer where it stopped and the shape there."""


class SourceError(FovealError):
    """A source (name, file, specification) that could not be read."""


class UnknownOperationError(FovealError):
    """An operation without a rule, under ``--strict``; names operation, layer and count."""


class VerificationError(FovealError):
    """A check against the real model that could not be carried out."""


@contextmanager
def reaching(path: str | Path) -> Iterator[None]:
    """Around what makes a file or folder: where the system refuses, FovealError with one line."""
    try:
        yield
    except OSError as error:
        raise FovealError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Around what writes a file: gives the place to write to, which becomes ``path`` once all is written.

    The place lies beside ``path`` and has its ending. Where writing fails, what stood at ``path`` stays as it was,
    nothing else is left, and FovealError says why in one line. What is no plain file (a pipe, ``/dev/stdout``) is
    written to as it is, and so is a file in a folder that takes no new ones.
    """
    if "\0" in str(path):
        raise FovealError(f"{path}: cannot be written: not a path")
    with reaching(path):
        target = Path(os.path.realpath(path))
        exists = target.exists()
        if exists and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if exists and not (target.is_file() and os.access(target.parent, os.W_OK)):
            yield target
            return
        beside = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
        try:
            yield beside
            if exists:
                shutil.copymode(target, beside)
            os.replace(beside, target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its name where it has none: what another error can quote."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
