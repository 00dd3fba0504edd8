"""What a browser may send: photos, ONNX files, specifications; with a limit on each, and never a pickle."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.requests import Request

from foveal.core.errors import FovealError
from foveal.frontends.text.trace import parse_spec

MEGABYTE = 1 << 20
LIMITS = {"image": 25 * MEGABYTE, "onnx": 512 * MEGABYTE, "text": MEGABYTE // 4}
"""Most bytes of each kind."""
SUFFIXES = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"), "image"),
    ".onnx": "onnx",
    **dict.fromkeys((".yaml", ".yml", ".txt"), "text"),
}
PICKLES = (
    ".pt", ".pth", ".pt2", ".pkl", ".pickle", ".ckpt", ".bin", ".ts", ".jit", ".h5", ".keras", ".joblib",
    ".npy", ".npz",
)  # fmt: skip
KEPT = 24
"""Files that are kept; the oldest goes first."""
_STARTS = {".png": b"\x89PNG", ".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8", ".gif": b"GIF8", ".bmp": b"BM"}
_ARCHIVES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x1f\x8b")
"""How zip and gzip files and pickles begin."""


class RefusedError(FovealError):
    """Something that is not taken; ``status`` is the HTTP status that says so."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Upload:
    """A file that was sent: its number, the name it had, its kind ("image", "onnx", "text"), where it lies."""

    id: str
    name: str
    kind: str
    path: Path


class Uploads:
    """The files that were sent to this server, in a folder of their own that goes when the server does."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="foveal-serve-")
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def get(self, number: str) -> Upload:
        """The file with that number; raises RefusedError."""
        if number not in self._kept:
            raise RefusedError("this file is no longer here; send it again", 404)
        return self._kept[number]

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    async def receive(self, request: Request) -> Upload:
        """The file in the body of a request with ``?name=``. Raises RefusedError: kind, size, contents."""
        name = plain_name(request.query_params.get("name", ""))
        kind = kind_of(name)
        number = secrets.token_hex(8)
        # In a folder of its own: an ONNX file may name files beside it, and there must be none.
        path = Path(self._folder.name) / number / f"file{Path(name).suffix.lower()}"
        path.parent.mkdir()
        try:
            await _save(request, path, LIMITS[kind], name)
            _check(name, kind, path)
        except BaseException:
            _remove(path)
            raise
        upload = Upload(number, name, kind, path)
        self._kept[number] = upload
        while len(self._kept) > KEPT:
            self.drop(next(iter(self._kept)))
        return upload

    def drop(self, number: str) -> None:
        """Forget a file."""
        upload = self._kept.pop(number, None)
        if upload is not None:
            _remove(upload.path)


def plain_name(name: str) -> str:
    """The last part of a name, without control characters, at most 120 characters."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable())[-120:]


def kind_of(name: str) -> str:
    """ "image", "onnx" or "text", by the name's ending; raises RefusedError for all others."""
    suffix = Path(name).suffix.lower()
    if suffix in PICKLES:
        raise RefusedError(
            f"'{name}': files that can run code when they are opened ({suffix}) are never taken; use .onnx",
            415,
        )
    if suffix not in SUFFIXES:
        raise RefusedError(f"'{name}': expected a photo, an ONNX file or a specification: {', '.join(SUFFIXES)}", 415)
    return SUFFIXES[suffix]


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


async def _save(request: Request, path: Path, limit: int, name: str) -> None:
    """Write the body to a file, as it comes; stop at the limit."""
    too_large = RefusedError(f"'{name}': larger than {limit / MEGABYTE:g} MB, which is the most that is taken", 413)
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit:
        raise too_large
    size = 0
    with path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise too_large
            file.write(part)
    if size == 0:
        raise RefusedError(f"'{name}': the file is empty")


def _check(name: str, kind: str, path: Path) -> None:
    """Look at the first bytes, and read a text; photos are decoded, and ONNX files read, by a worker."""
    with path.open("rb") as file:
        start = file.read(8)
    if kind == "image" and not start.startswith(_STARTS.get(path.suffix, b"")):
        raise RefusedError(f"'{name}': not an image that can be read")
    if kind == "onnx" and start.startswith(_ARCHIVES):
        raise RefusedError(f"'{name}': an archive or a pickle, not an ONNX file; export the model to .onnx", 415)
    if kind == "text":
        try:
            parse_spec(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise RefusedError(f"'{name}': not text in UTF-8") from None
        except (FovealError, RecursionError) as error:
            raise RefusedError(f"'{name}': {' '.join(str(error).split())}") from None
