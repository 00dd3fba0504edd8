"""Reports that were worked out before, on disk: the second ``foveal analyze`` of a network imports no framework.

A report is kept where its key holds all that it follows from: the source (a name in torchvision or timm, or a file by
what is in it), the options, and the versions and places of foveal, Python and the packages. A factory of one's own is
never kept, nor what may read other files. What is read back is JSON that must make a report; anything else counts as
missing. ``FOVEAL_CACHE_DIR`` names another folder, and none where it is empty.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from foveal.core.errors import FovealError, writing
from foveal.core.version import __version__
from foveal.report.results import Report

LIBRARIES = ("torchvision", "timm")
FILES = {".onnx": ("onnx",), ".pt2": ("torch",), ".pt": ("torch",), ".ts": ("torch",), ".jit": ("torch",)}
LARGEST_FILE = 1 << 28
"""Bytes of a file that is read to know it again."""
LARGEST = 1 << 23
"""Bytes of a report that is kept."""
TOTAL, MOST = 1 << 26, 512
"""Bytes and reports in the folder; the ones unused for longest go first."""
GROUP = "foveal.rules"


class Place(NamedTuple):
    """Where one report is kept, and all that it follows from."""

    path: Path
    key: str

    def read(self) -> Report | None:
        """The report; None where there is none that fits."""
        try:
            if self.path.stat().st_size > LARGEST:
                return None
            key, _, text = self.path.read_text(encoding="utf-8").partition("\n")
            if key != self.key:
                return None
            report = Report.from_json(text)
            os.utime(self.path)
        except (OSError, ValueError, FovealError):
            return None
        return report

    def write(self, report: Report) -> None:
        """Keep the report; where that is not possible, nothing happens."""
        text = f"{self.key}\n{report.to_json()}"
        if len(text) > LARGEST:
            return
        with suppress(OSError, FovealError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with writing(self.path) as beside:
                beside.write_text(text, encoding="utf-8")
            _tidy(self.path.parent)


def place(source: str, options: dict[str, Any]) -> Place | None:
    """Where the report on ``source`` under ``options`` is kept; None where it must not be."""
    home = folder()
    if home is None:
        return None
    try:
        known = _known(source.strip())
        if known is None or metadata.entry_points(group=GROUP):
            return None
        named, packages = known
        parts = {"foveal": _package("foveal"), "python": sys.version, "source": named, "options": options}
        parts |= {name: _package(name) for name in (*packages, "numpy")}
    except (OSError, ValueError, ImportError):
        return None
    if None in parts.values():
        return None
    key = json.dumps(parts, sort_keys=True, default=str)
    return Place(home / f"{hashlib.sha256(key.encode()).hexdigest()}.json", key)


def folder() -> Path | None:
    """The folder of the reports; None where the user wants none, or where it is another user's."""
    given = os.environ.get("FOVEAL_CACHE_DIR")
    if given is not None:
        found = Path(given) if given else None
    elif sys.platform == "win32":
        found = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "foveal" / "Cache"
    elif sys.platform == "darwin":
        found = Path.home() / "Library" / "Caches" / "foveal"
    else:
        found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foveal"
    if found is not None and hasattr(os, "getuid") and found.exists() and found.stat().st_uid != os.getuid():
        return None
    return found


def _known(source: str) -> tuple[Any, tuple[str, ...]] | None:
    """What stands for the source in the key, and the packages that make its network of it."""
    library, _, name = source.partition(":")
    if library in LIBRARIES and name:
        return source, ("torch", "torchvision", library)
    path = Path(source)
    packages = FILES.get(path.suffix.lower())
    if packages is None or not path.is_file() or path.stat().st_size > LARGEST_FILE:
        return None
    data = path.read_bytes()
    if packages == ("onnx",) and b"location" in data:  # weights in files beside it
        return None
    return [path.name, hashlib.sha256(data).hexdigest()], packages


def _package(name: str) -> Any:
    """Version, place and age of an installed package; None where it may change without a new version."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return "missing"
    if name == "foveal":
        files = [item.stat() for item in Path(spec.origin).parent.rglob("*.[pyj][yas]*")]
        return [__version__, spec.origin, len(files), sum(f.st_size for f in files), max(f.st_mtime_ns for f in files)]
    found = metadata.distribution(name)
    if '"editable": true' in (found.read_text("direct_url.json") or ""):
        return None
    return [found.version, spec.origin, os.stat(spec.origin).st_mtime_ns]


def _tidy(home: Path) -> None:
    """Remove what was unused for longest, until the rest fits."""
    kept = sorted(_files(home), key=lambda item: item[1].st_mtime_ns, reverse=True)
    total = 0
    for number, (path, size) in enumerate(kept):
        total += size.st_size
        if number >= MOST or total > TOTAL:
            path.unlink(missing_ok=True)


def _files(home: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in home.glob("*.json"):
        with suppress(OSError):
            yield path, path.stat()
