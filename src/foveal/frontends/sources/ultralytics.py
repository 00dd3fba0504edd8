"""``ultralytics:NAME``: networks from the library's own model files, ``yolo11n``, ``yolov8s-seg``, ``rtdetr-l``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ultralytics

from foveal.frontends.sources.registry import unknown

_SIZES = "nsmlx"


def names() -> list[str]:
    """The model files, with the letters of their sizes."""
    found: set[str] = set()
    for path in Path(ultralytics.__file__).parent.glob("cfg/models/**/*.yaml"):
        stem = path.stem
        if "scales:" in path.read_text(encoding="utf-8"):
            first, *rest = stem.split("-")
            found.update("-".join([f"{first}{size}", *rest]) for size in _SIZES)
        else:
            found.add(stem)
    return sorted(found)


def build(name: str, pretrained: bool = False) -> Any:
    """The module inside the library's trainer."""
    name = name.removesuffix(".yaml").removesuffix(".pt")
    if name not in names():
        raise unknown("ultralytics", name, names())
    kind = ultralytics.RTDETR if name.startswith("rtdetr") else ultralytics.YOLO
    return kind(f"{name}.pt" if pretrained else f"{name}.yaml").model
