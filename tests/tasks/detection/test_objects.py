"""Annotation files: what is read, what is left out, and one line for each kind of broken file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveal.core.errors import FovealError, SourceError
from foveal.tasks.detection.objects import read_objects, scaled, typed_sizes

COCO: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 400, "height": 200}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [
        {"image_id": 7, "category_id": 3, "bbox": [10, 20, 40, 30]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 400, 200], "iscrowd": 1},
        {"image_id": 7, "category_id": 3, "bbox": [5, 5, 0, 9]},
        {"image_id": 9, "category_id": 8, "bbox": [1, 2, 3.5, 4]},
    ],
}


def written(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_coco(tmp_path: Path) -> None:
    found = read_objects(written(tmp_path / "a.json", COCO))
    first, second = found.objects
    assert (first.x, first.y, first.width, first.height) == (10, 20, 40, 30)
    assert (first.label, first.image, first.image_size) == ("cat", "a.jpg", (200, 400))
    # Columns 10..49, rows 20..49.
    assert first.center == (34.5, 29.5)
    assert first.size == pytest.approx(1200**0.5)
    assert (second.label, second.image, second.image_size) == ("8", "9", None)
    assert found.left_out == (("crowd", 1), ("empty box", 1))


def test_scaled_to_fit(tmp_path: Path) -> None:
    found = scaled(read_objects(written(tmp_path / "a.json", COCO)), (300, 200))
    first, second = found.objects
    # 400 x 200 into 200 x 300: by a half.
    assert (first.x, first.y, first.width, first.height, first.image_size) == (5, 10, 20, 15, (100, 200))
    assert (second.width, second.height) == (3.5, 4)


def test_yolo_file_and_folder(tmp_path: Path) -> None:
    written(tmp_path / "one.txt", "0 0.5 0.5 0.25 0.5\n\n2 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5\n1 0.5 0.5 0 0.1\n")
    written(tmp_path / "two.txt", "1 0.25 0.25 0.5 0.5\n")
    written(tmp_path / "classes.txt", "cat\ndog\n")
    one = read_objects(tmp_path / "one.txt", (100, 200))
    box, polygon = one.objects
    assert (box.x, box.y, box.width, box.height, box.label, box.image) == (75, 25, 50, 50, "0", "one")
    assert (polygon.x, polygon.y, polygon.width, polygon.height) == pytest.approx((20, 10, 40, 40))
    assert one.left_out == (("empty box", 1),)
    assert len(read_objects(tmp_path, (100, 200))) == 3
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "two.png")  # a picture, not a mask
    assert len(read_objects(tmp_path, (100, 200))) == 3


def test_typed_sizes() -> None:
    found = typed_sizes(["32, 40x80", "7.5"])
    assert [(o.width, o.height) for o in found.objects] == [(32, 32), (40, 80), (7.5, 7.5)]
    assert found.objects[0].center is None
    for text in ("x", "0", "3x", "-4", "4x0"):
        with pytest.raises(FovealError, match="object size"):
            typed_sizes([text])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([], "not a COCO file"),
        ({"annotations": {}}, "not a COCO file"),
        ({"annotations": [3]}, r"annotations\[0\]: expected an object"),
        ({"annotations": [{"bbox": [1, 2, 3]}]}, r"annotations\[0\]: 'bbox' must be four numbers"),
        ({"annotations": [{"bbox": [1, 2, "3", 4]}]}, "'bbox' must be four numbers"),
        ({"annotations": [{"bbox": [1, 2, float("nan"), 4]}]}, "'bbox' must be four numbers"),
        ({"annotations": [], "images": [{"id": "x"}]}, "'images' must be a list"),
        ({"annotations": []}, "holds no object with a box"),
        (COCO | {"images": [{"id": 7, "height": "9", "width": 1}]}, "positive whole numbers"),
        ({"annotations": [{"bbox": [1, 2, 0, 4]}]}, "left out: 1 empty box"),
    ],
)
def test_broken_coco(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read_objects(written(tmp_path / "a.json", data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["0 0.5", "0 a b c d", "0 12 40 8 8", "0 0.1 0.2 0.3 0.4 0.5", "0 nan 0 0 0"])
def test_broken_yolo(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceError, match="line 1: expected a class and four fractions"):
        read_objects(written(tmp_path / "a.txt", line), (10, 10))


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    for path, message in [
        ("none.json", "No such file"),
        ("b.json", "not a text file in UTF-8"),
        ("a.xml", "expected COCO annotations"),
        ("empty", "holds no YOLO label file"),
    ]:
        with pytest.raises(SourceError, match=message):
            read_objects(tmp_path / path, (10, 10))
    with pytest.raises(SourceError, match="say its size"):
        read_objects(written(tmp_path / "c.txt", "0 .5 .5 .5 .5"))


def test_sizes_are_read_from_a_table_with_a_heading(tmp_path: Path) -> None:
    found = read_objects(written(tmp_path / "sizes.csv", "width,height\n10,40\n8,8\n"))
    assert [item.size for item in found.objects] == [20, 8]
    assert [item.size for item in read_objects(written(tmp_path / "s.txt", "16\n9x4\n")).objects] == [16, 6]
    with pytest.raises(SourceError, match="line 3: expected a side, or width and height, got 'wide'"):
        read_objects(written(tmp_path / "wrong.csv", "side\n10\nwide\n"))


@pytest.mark.parametrize("colours", [False, True])
def test_pieces_of_masks_are_objects(tmp_path: Path, colours: bool) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[1:5, 1:5], mask[8:11, 2:5], mask[1:5, 5:14] = 1, 1, 2  # two of one kind apart, one of another that touches
    values = np.stack([mask, 0 * mask, 3 * mask], -1) if colours else mask
    Image.fromarray(values).save(tmp_path / "a.png")
    found = read_objects(tmp_path)
    assert sorted(item.size for item in found.objects) == pytest.approx([3, 4, 6])
    assert sorted(item.size for item in scaled(found, (40, 60)).objects) == pytest.approx([6, 8, 12])
