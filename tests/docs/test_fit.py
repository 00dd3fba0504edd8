"""The experiment on fields that fit objects: sizes of its scenes, equal costs of its networks, its reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import experiments_common as common
import experiments_fit as fit
import fit_page
import numpy as np
import pytest
import scenes


@pytest.mark.parametrize("size", scenes.SIZES)
def test_a_relation_is_as_long_as_its_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise the drawn part is ``size`` by 3 cells, with a ring's and a cross's cells: 8 and 5 of 9 each."""
    monkeypatch.setitem(scenes.NOISE, "relation", 0.0)
    images, labels, *_ = scenes.scenes("relation", size, 24, 1)
    cell = size // 6
    for image, label in zip(images.numpy()[:, 0], labels.tolist()):
        drawn = np.argwhere(image > 0)
        spans = drawn.max(0) - drawn.min(0) + 1
        assert sorted(spans) == [3 * cell, size]
        assert (spans[1] == size) == (label in (0, 2))
        assert len(drawn) == (8 + 5) * cell * cell
        first = image[tuple(slice(low, low + 3 * cell) for low in drawn.min(0))]
        assert first.sum() == (8 if label in (0, 1) else 5) * cell * cell


@pytest.mark.parametrize("size", scenes.SIZES)
def test_stripes_fill_a_square_of_their_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise: +1 and -1 in a square, the same one step along the stripes, the opposite two cells across."""
    monkeypatch.setitem(scenes.NOISE, "texture", 0.0)
    images, labels, *_ = scenes.scenes("texture", size, 24, 1)
    cell = size // 6
    for image, label in zip(images.numpy()[:, 0], labels.tolist()):
        drawn = np.argwhere(image)
        top, left = drawn.min(0)
        cells = image[top : top + size : cell, left : left + size : cell]
        assert len(drawn) == size**2
        assert cells.shape == (6, 6)
        assert set(np.unique(cells)) == {-1, 1}
        down, right = ((1, 0), (1, -1), (0, 1), (1, 1))[label]
        moved = np.roll(cells, (-down, -right), (0, 1))[: 6 - down, max(0, -right) : 6 - max(0, right)]
        assert (moved == cells[: 6 - down, max(0, -right) : 6 - max(0, right)]).all()
        across = cells if label != 2 else cells.T
        assert (across[:, 2:] == -across[:, :-2]).all()


def test_digits_that_are_tested_are_not_learned_from() -> None:
    (learned, _), (tested, _) = scenes._digits(0), scenes._digits(1)
    assert (len(learned), len(tested)) == (1297, 500)
    assert not {image.tobytes() for image in learned} & {image.tobytes() for image in tested}


def test_a_digit_has_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full square in place of the digits: the drawn part holds it, 6 x 6 cells, and two pieces of 3 x 3."""
    monkeypatch.setitem(scenes.NOISE, "digits", 0.0)
    monkeypatch.setattr(scenes, "_digits", lambda part: (np.ones((4, 6, 6), np.float32), np.arange(4)))
    for size in scenes.SIZES:
        image = scenes.scenes("digits", size, 1, 1)[0][0, 0]
        assert float(image.sum()) == size**2 + 2 * (size // 2) ** 2


def test_networks_cost_the_same_and_see_unlike_much() -> None:
    kept = common.lines(fit.LINES)
    rows = [kept[name] for name in fit.NETWORKS]
    assert {row["parameters"] for row in rows} == {3676}
    assert {row["rf"] for row in rows} == {35}
    costs = [row["multiply_adds"] for row in rows]
    assert max(costs) - min(costs) <= 0.03 * max(costs)
    sides = [row["effective"] for row in rows]
    assert max(sides) > 3 * min(sides)
    # By hand: stem 9 x 8, six layers of 9 x 64, seven norms of 2 x 8, 8 x 4 + 4 for the classes.
    assert 72 + 6 * 576 + 7 * 16 + 36 == 3676
    # Stem, layers on 12 x 12, classes; "strides late" has one layer on 24 x 24, one on 12 x 12, three on 6 x 6, a last.
    assert costs[0] == 144 * (72 + 6 * 576) + 32
    assert kept["strides late"]["multiply_adds"] == 576 * 72 + 576 * (576 + 144 + 3 * 36 + 9) + 32


def test_kept_networks_are_those_of_today() -> None:
    name = "shortcuts, layers halved"
    assert fit.known(fit.NETWORKS[name]) == pytest.approx({k: v for k, v in common.lines(fit.LINES)[name].items()
                                                            if k != "name"})  # fmt: skip


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    path, made = tmp_path / "lines.jsonl", []
    path.write_text(json.dumps({"name": "a", "value": 1}) + "\n" + '{"name": "b", "val' + "\n")

    def run(name: str) -> dict:
        made.append(name)
        return {"value": 2}

    found = common.resumed(path, ["a", "b", "c"], run)
    assert made == ["b", "c"]
    assert {name: record["value"] for name, record in found.items()} == {"a": 1, "b": 2, "c": 2}
    assert common.resumed(path, ["c"], run) == found
    assert made == ["b", "c"]


def test_flat() -> None:
    """Mean losses of 50 steps: not before the least, not while they fall by 2 %, at once where nothing is left, never
    near chance.
    """
    falling = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    resting = [1.0, 0.9, 0.8, 0.7, 0.69, 0.7, 0.71]
    assert not common.flat(falling, 300, 2.0)
    assert common.flat(resting, 300, 2.0)
    assert not common.flat(resting, 400, 2.0)
    assert not common.flat(resting, 300, 0.74)
    assert common.flat([0.01], 300, 2.0)
    assert not common.flat([], 0, 2.0)


def scored(accuracy: Callable[[float], float]) -> list[dict]:
    """Five networks at three sizes, with that accuracy by the side over the size."""
    return [
        {"network": str(side), "task": "digits", "size": size, "effective": side, "trained_side": side,
         "accuracy": accuracy(side / size)}
        for side in (10, 15, 20, 30, 40) for size in scenes.SIZES
    ]  # fmt: skip


def test_one_curve_over_the_ratio_has_no_gap() -> None:
    """2 points less by octave: none between sizes at the same ratio; at the same side 2, 3.2 and 1.2 points."""
    rows = scored(lambda ratio: 0.9 - 0.02 * np.log2(ratio))
    assert fit_page.gap(rows, "digits", "effective side / object").lstrip("+-").startswith("0 ")
    assert fit_page.gap(rows, "digits", "effective side").startswith("+2 ")
    assert fit_page.ranks(rows, "digits", 6) == "-1.00 (-1.00 to -1.00)"


def test_a_best_ratio_turns_the_ranks() -> None:
    """Best at a ratio of 2.2: 6 px have it at 13, 18 px at 40, so that ranks go from nearly -1 to 1."""
    rows = scored(lambda ratio: 0.9 - 0.02 * np.log2(ratio / 2.2) ** 2)
    assert fit_page.ranks(rows, "digits", 18).startswith("+1.00")
    assert fit_page.turn(rows, "digits").startswith("+1.90")


def test_the_page_holds_the_kept_scores() -> None:
    page = (common.DOCS / "experiments.md").read_text(encoding="utf-8")
    rows = fit.rows()
    assert fit_page.accuracies(rows) in page
    assert fit_page.state(rows) in page
    assert f"| rank correlation with accuracy, 6 px | {fit_page.ranks(rows, 'digits', 6)} |" in page
