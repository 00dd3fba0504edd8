"""docs/article.md is what its script computes; the essay's numbers hold; its pictures are there and small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import article
import article_numbers
import pytest
from PIL import Image

from support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("article")]  # all share one computation
IMAGES = sorted(re.findall(r"\]\((images/article/\w+\.png)\)", article.PAGE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def numbers() -> dict[str, str]:
    return article_numbers.numbers()


def test_every_number_of_the_page_is_computed(numbers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article, "numbers", lambda: numbers)
    assert article.page() == article.PAGE.read_text(encoding="utf-8"), "run: python examples/article.py"


def test_every_number_is_used(numbers: dict[str, str]) -> None:
    template = (ROOT / "examples" / "article.md.template").read_text(encoding="utf-8")
    assert {name for name in numbers if not re.search(rf"\$\{{?{name}\b", template)} == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chain_rf", "11"),
        ("chain_edges", "5 13 24 31 36 37 36 31 24 13 5"),
        ("chain_total", "75"),
        ("chain_paths", "1 5 15 30 45 51 45 30 15 5 1"),
        ("plane_corner", "5"),
        ("plane_edge", "37"),
        ("plane_center", "349"),
        ("vgg13_fc", "348"),
        ("vgg16_fc", "404"),
        ("vgg19_fc", "460"),
        ("unet_sizes", "188-204"),
    ],
)
def test_published_values(numbers: dict[str, str], name: str, value: str) -> None:
    assert numbers[name] == value


def test_depth_table_holds_the_published_counts(numbers: dict[str, str]) -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in numbers["depth_table"].splitlines()[2:]]
    assert [int(row[2]) for row in rows] == [109, 241, 517, 1021]  # docs/methods.md 2.3, the root map
    assert all(row[6] == row[7] for row in rows)


def test_hand_count_of_short_stacks() -> None:
    """docs/methods.md 1.8."""
    assert article_numbers.importance_by_hand(1, 3, 3, 0) == [1, 1, 1]
    assert article_numbers.importance_by_hand(2, 3, 5, 0) == [2, 4, 6, 4, 2]
    assert article_numbers.importance_by_hand(3, 5, 13, 0) == [3, 7, 12, 18, 25, 28, 29, 28, 25, 18, 12, 7, 3]


@pytest.mark.parametrize("path", IMAGES)
def test_pictures_are_there_small_and_say_what_they_show(path: str) -> None:
    file = ROOT / "docs" / path
    assert file.stat().st_size < 150_000
    with Image.open(file) as picture:
        assert max(picture.size) <= 1200
        said = json.loads(picture.info["Description"])
    assert said.get("fields") or said.get("growth")


def test_all_pictures_are_shown() -> None:
    assert {Path(path).name for path in IMAGES} == {path.name for path in article.IMAGES.glob("*.png")}
