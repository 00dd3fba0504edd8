"""Where a measured figure or file comes from: everything that is needed to make it again.

A record is plain values: the request (what was asked for, as the command line takes it) and what was met (units, image
names and hashes, versions). It stands in a PNG's text and in the JSON result, and :func:`read` takes it out of either.
"""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from foveal.core.errors import SourceError
from foveal.core.reading import read_text
from foveal.core.version import __version__
from foveal.fields.measured.images import read_bytes, sha256

SCHEMA = 1
"""Version of the record; raised whenever an entry changes its name or meaning."""
KEY = "erf"
"""Name of the record in a picture's provenance and in a JSON result."""
PACKAGES = ("numpy", "pillow", "matplotlib", "torch", "torchvision", "timm")


def versions() -> dict[str, str]:
    """Versions of what decides the numbers; a package that is not installed is left out."""
    found = {"foveal": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def file_digest(path: str) -> str:
    """SHA-256 of a file; raises SourceError where it cannot be read."""
    return sha256(read_bytes(Path(path)))


def read(path: str) -> dict[str, Any]:
    """The record in a PNG or JSON file that ``foveal erf`` wrote; raises SourceError in one line."""
    try:
        text = _png_text(path) if Path(path).suffix.lower() == ".png" else read_text(path)
        found = json.loads(text)[KEY]
        schema = found["schema"]
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or 'not a picture that can be read'}") from None
    except (KeyError, TypeError, ValueError, SyntaxError):
        raise SourceError(f"{path}: holds no record of 'foveal erf' (a PNG or JSON that it wrote)") from None
    if schema != SCHEMA:
        raise SourceError(f"{path}: record of schema {schema}; this version of foveal reads {SCHEMA}")
    record: dict[str, Any] = found
    return record


def _png_text(path: str) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return str(picture.info["Description"])


def changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two records of the same request, one line each: images, versions."""
    found = []
    old = {item["name"]: item["sha256"] for item in before.get("images", [])}
    new = {item["name"]: item["sha256"] for item in now.get("images", [])}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            what = "is missing" if name not in new else "is new" if name not in old else "has changed"
            found.append(f"image {name} {what}")
    for name, version in sorted(before.get("versions", {}).items()):
        if now["versions"].get(name) != version:
            found.append(f"{name} was {version}, is {now['versions'].get(name, 'not installed')}")
    return found
