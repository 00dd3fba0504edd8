"""Boxes of objects: from a COCO file, YOLO text files, masks, a list of sizes, or typed in. Nothing in a file is
executed.

Positions are pixels of the annotated image: an object from column 10 to column 19 has x 10 and width 10, as COCO has
it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from foveal.core.errors import FovealError, SourceError
from foveal.core.pictures import opened
from foveal.core.reading import read_text

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:[xX×]\s*(\d+(?:\.\d+)?))?\s*")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")
LARGEST = 1 << 29
"""Annotation files above this many bytes are refused (COCO's own largest is below it)."""


@dataclass(frozen=True)
class Object:
    """One object. x, y: left and top edge, None where only the size is known; width, height: in pixels; label: its
    class; image: where it stands; image_size: (height, width) of that image, None where unknown.
    """

    width: float
    height: float
    x: float | None = None
    y: float | None = None
    label: str = ""
    image: str = ""
    image_size: tuple[int, int] | None = None

    @property
    def size(self) -> float:
        """Square root of the area, in pixels."""
        return math.sqrt(self.width * self.height)

    @property
    def center(self) -> tuple[float, float] | None:
        """(row, column) of the middle in pixel indices; None where only the size is known."""
        if self.x is None or self.y is None:
            return None
        return self.y + (self.height - 1) / 2, self.x + (self.width - 1) / 2


@dataclass(frozen=True)
class ObjectSet:
    """Objects, where they come from, and how many entries were left out, with the reason (crowds, empty boxes)."""

    objects: tuple[Object, ...]
    origin: str
    left_out: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.objects)


def typed_sizes(texts: Iterable[str]) -> ObjectSet:
    """Objects from sizes such as ``32`` or ``40x80`` (width x height, pixels); raises FovealError for anything else."""
    found = []
    for text in texts:
        for part in text.split(","):
            sides = read_sides(part)
            if sides is None:
                raise FovealError(
                    f"object size '{part.strip()}': expected a side such as 32, or width x height as 40x80"
                )
            found.append(Object(*sides))
    return ObjectSet(tuple(found), "sizes typed in")


def read_sides(text: str) -> tuple[float, float] | None:
    """(width, height) of a side such as ``32`` or of ``40x80``; None for anything else."""
    match = _SIZE.fullmatch(text)
    width, height = (float(side or match[1]) for side in match.groups()) if match else (0.0, 0.0)
    return (width, height) if min(width, height) > 0 else None


def read_objects(path: str | Path, image_size: tuple[int, int] | None = None) -> ObjectSet:
    """Objects of an annotation file: COCO (``.json``), YOLO (``.txt``, or a folder of them), sizes (``.csv``, or a
    ``.txt`` with one a line), or a folder of masks (each connected piece of one value other than 0 is an object).

    ``image_size`` (height, width) is what YOLO's fractions are multiplied with. Raises SourceError in one line for a
    file that is missing, too large, not of its format, or that holds no object.
    """
    place = Path(path)
    if place.suffix.lower() == ".json":
        found = _coco(place)
    elif place.suffix.lower() == ".csv" or (place.suffix.lower() == ".txt" and _lists_sizes(place)):
        found = _sizes(place)
    elif masks := _masks_of(place):
        found = ObjectSet(tuple(item for mask in masks for item in _pieces(mask)), place.name)
    elif place.is_dir() or place.suffix.lower() == ".txt":
        found = _yolo(place, image_size)
    else:
        raise SourceError(
            f"{place}: expected COCO annotations (.json), YOLO labels (.txt, or a folder of them), a folder of masks, "
            "or sizes (.csv or .txt)"
        )
    if not found.objects:
        raise SourceError(f"{place}: holds no object with a box" + _left_out(found))
    return found


def _lists_sizes(path: Path) -> bool:
    return path.is_file() and all(read_sides(_joined(line)) for line in _text(path).splitlines() if line.strip())


def _joined(line: str) -> str:
    """A line of one or two columns, as ``40x80``."""
    return "x".join(part for part in re.split(r"[,;\s]+", line.strip()) if part)


def _sizes(path: Path) -> ObjectSet:
    """A side, or width and height, in each line; the first line may be a heading."""
    found = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        sides = read_sides(_joined(line))
        if sides is not None:
            found.append(Object(*sides))
        elif line.strip() and number > 1:
            raise SourceError(f"{path}: line {number}: expected a side, or width and height, got '{line[:60]}'")
    return ObjectSet(tuple(found), path.name)


def _masks_of(path: Path) -> list[Path]:
    """None of a folder that holds YOLO labels beside the pictures that they are of."""
    masks = sorted(file for file in path.iterdir() if file.suffix.lower() in MASKS) if path.is_dir() else []
    return [] if any(file.with_suffix(".txt").is_file() for file in masks) else masks


def _pieces(path: Path) -> list[Object]:
    """Their width and height are those of a square of the piece's area, which is what its size is taken from."""
    with opened(path) as picture:
        values = np.asarray(picture).astype(np.int64)
    if values.ndim == 3:
        # A colour is one number; an alpha channel says nothing of the kind of object.
        values = values[..., :3] @ (1 << 8 * np.arange(min(3, values.shape[2])))
    found = []
    for value in np.unique(values[values != 0]):
        pieces, number = ndimage.label(values == value)
        for area in np.bincount(pieces.ravel(), minlength=number + 1)[1:]:
            found.append(Object(math.sqrt(area), math.sqrt(area), image=path.name, image_size=values.shape))
    return found


def scaled(objects: ObjectSet, shape: tuple[int, int]) -> ObjectSet:
    """The objects as they appear when each image is scaled, keeping its shape, to fit ``shape`` (height, width).

    Objects of images whose size is unknown stay as they are.
    """
    return ObjectSet(tuple(_scaled(item, shape) for item in objects.objects), objects.origin, objects.left_out)


def _scaled(item: Object, shape: tuple[int, int]) -> Object:
    if item.image_size is None:
        return item
    factor = min(shape[0] / item.image_size[0], shape[1] / item.image_size[1])
    x, y = (None if edge is None else edge * factor for edge in (item.x, item.y))
    size = (max(1, round(item.image_size[0] * factor)), max(1, round(item.image_size[1] * factor)))
    return Object(item.width * factor, item.height * factor, x, y, item.label, item.image, size)


def _coco(path: Path) -> ObjectSet:
    data = _json(path)
    if not isinstance(data, dict) or not isinstance(data.get("annotations"), list):
        raise SourceError(f"{path}: not a COCO file: expected an object with a list 'annotations'")
    images = {entry["id"]: entry for entry in _entries(path, data, "images")}
    names = {entry["id"]: str(entry.get("name", entry["id"])) for entry in _entries(path, data, "categories")}
    found, crowds, empty = [], 0, 0
    for number, entry in enumerate(data["annotations"]):
        where = f"{path}: annotations[{number}]"
        if not isinstance(entry, dict):
            raise SourceError(f"{where}: expected an object, got {type(entry).__name__}")
        if entry.get("iscrowd"):
            crowds += 1
            continue
        x, y, width, height = _numbers(where, entry.get("bbox"))
        if width <= 0 or height <= 0:
            empty += 1
            continue
        image, label = images.get(_id(entry.get("image_id")), {}), _id(entry.get("category_id"))
        name = str(image.get("file_name", entry.get("image_id", "")))
        found.append(Object(width, height, x, y, names.get(label, str(label)), name, _size(where, image)))
    reasons = tuple((reason, count) for reason, count in (("crowd", crowds), ("empty box", empty)) if count)
    return ObjectSet(tuple(found), path.name, reasons)


def _json(path: Path) -> Any:
    text = _text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not JSON: {error}") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise SourceError(f"{path}: larger than {LARGEST >> 20} MiB; give a part of the annotations")
        return read_text(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise SourceError(f"{path}: not a text file in UTF-8") from None


def _entries(path: Path, data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = data.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), int) for e in entries):
        raise SourceError(f"{path}: '{name}' must be a list of objects with a whole number 'id'")
    return entries


def _id(given: Any) -> int | None:
    return given if isinstance(given, int) else None


def _numbers(where: str, given: Any) -> list[float]:
    plain = isinstance(given, list) and len(given) == 4
    if not plain or not all(type(n) in (int, float) and math.isfinite(n) for n in given):
        raise SourceError(f"{where}: 'bbox' must be four numbers x, y, width, height, got {str(given)[:60]}")
    return [float(number) for number in given]


def _size(where: str, image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if height is None or width is None:
        return None
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise SourceError(
            f"{where}: its image has height {height!r} and width {width!r}; expected positive whole numbers"
        )
    return height, width


def _yolo(path: Path, image_size: tuple[int, int] | None) -> ObjectSet:
    if image_size is None:
        raise SourceError(f"{path}: YOLO labels are fractions of the image; say its size (height, width)")
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    files = [file for file in files if file.name != "classes.txt"]
    if not files:
        raise SourceError(f"{path}: holds no YOLO label file (.txt)")
    found, empty = [], 0
    for file in files:
        for number, line in enumerate(_text(file).splitlines(), 1):
            if not line.strip():
                continue
            item = _line(f"{file}: line {number}", line, image_size, file.stem)
            empty += item is None
            found += [] if item is None else [item]
    return ObjectSet(tuple(found), path.name, (("empty box", empty),) if empty else ())


def _line(where: str, line: str, shape: tuple[int, int], image: str) -> Object | None:
    """A label line: class, center x, center y, width, height as fractions; or class and a polygon's points."""
    parts = line.split()
    try:
        values = [float(part) for part in parts[1:]]
    except ValueError:
        values = []
    polygon = len(values) >= 6 and len(values) % 2 == 0
    if not (len(values) == 4 or polygon) or not all(-0.01 <= value <= 1.01 for value in values):
        raise SourceError(
            f"{where}: expected a class and four fractions in 0..1 (x, y, width, height), got '{line[:60]}'"
        )
    if polygon:
        xs, ys = values[0::2], values[1::2]
        left, top, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    else:
        width, height = values[2:]
        left, top = values[0] - width / 2, values[1] - height / 2
    if width <= 0 or height <= 0:
        return None
    tall, wide = shape
    return Object(width * wide, height * tall, left * wide, top * tall, parts[0], image, shape)


def _left_out(found: ObjectSet) -> str:
    return "".join(f"; left out: {count} {reason}" for reason, count in found.left_out)
