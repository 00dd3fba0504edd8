"""What a browser may send: photos, ONNX files, specifications; with a limit on each, and never a pickle."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.requests import Request

from foveal.core.errors import FovealError

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
TOTAL = 1024 * MEGABYTE
"""Most bytes of all files, those on their way included; the oldest make room."""
AT_ONCE = 8
"""Files that are received at the same time."""
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
    """A file that was sent: number, the name it had, its kind ("image", "onnx", "text"), where it lies, its bytes."""

    id: str
    name: str
    kind: str
    path: Path
    size: int


class Uploads:
    """The files that were sent to this server, in a folder of their own that goes when the server does."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="foveal-serve-")
        self.folder = Path(self._folder.name)
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._coming: dict[str, int] = {}

    def get(self, number: str) -> Upload:
        """The file with that number; raises RefusedError."""
        if number not in self._kept:
            raise RefusedError("this file is no longer here; send it again", 404)
        return self._kept[number]

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    async def receive(self, request: Request) -> Upload:
        """The file in the body of a request with ``?name=``. Raises RefusedError: kind, size, contents, no room."""
        name = plain_name(request.query_params.get("name", ""))
        kind = kind_of(name)
        number = secrets.token_hex(8)
        # In a folder of its own: an ONNX file may name files beside it, and there must be none.
        path = self.folder / number / f"file{Path(name).suffix.lower()}"
        if len(self._coming) >= AT_ONCE:
            raise RefusedError(f"{AT_ONCE} files are being received already; try again in a few seconds", 503)
        self._coming[number] = 0
        try:
            path.parent.mkdir()
            await self._save(request, path, LIMITS[kind], name)
            _check(name, kind, path)
            upload = Upload(number, name, kind, path, self._coming[number])
        except OSError as error:
            _remove(path)
            raise RefusedError(f"'{name}': the server cannot keep it: {error.strerror or error}", 507) from None
        except BaseException:
            _remove(path)
            raise
        finally:
            del self._coming[number]
        self._kept[number] = upload
        while len(self._kept) > KEPT:
            self.drop(next(iter(self._kept)))
        return upload

    async def _save(self, request: Request, path: Path, limit: int, name: str) -> None:
        """Write the body to a file, as it comes; stop at the limits."""
        too_large = RefusedError(f"'{name}': larger than {limit / MEGABYTE:g} MB, which is the most that is taken", 413)
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said) > limit:
            raise too_large
        number = path.parent.name
        with path.open("wb") as file:
            async for part in request.stream():
                self._coming[number] += len(part)
                if self._coming[number] > limit:
                    raise too_large
                self._make_room(name)
                file.write(part)
        if self._coming[number] == 0:
            raise RefusedError(f"'{name}': the file is empty")

    def _make_room(self, name: str) -> None:
        """Forget the oldest files until all fit; raises RefusedError where those on their way alone do not."""
        coming = sum(self._coming.values())
        while self._kept and coming + sum(upload.size for upload in self._kept.values()) > TOTAL:
            self.drop(next(iter(self._kept)))
        if coming > TOTAL:
            most = f"{TOTAL / MEGABYTE:g} MB"
            raise RefusedError(f"'{name}': no room: all files that are sent have at most {most} together", 507)

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
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _check(name: str, kind: str, path: Path) -> None:
    """Look at the first bytes; photos are decoded, and texts and ONNX files read, by a worker."""
    with path.open("rb") as file:
        start = file.read(8)
    if kind == "image" and not start.startswith(_STARTS.get(path.suffix, b"")):
        raise RefusedError(f"'{name}': not an image that can be read")
    if kind == "onnx" and start.startswith(_ARCHIVES):
        raise RefusedError(f"'{name}': an archive or a pickle, not an ONNX file; export the model to .onnx", 415)
