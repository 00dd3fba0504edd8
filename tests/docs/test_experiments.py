"""The experiments' data are what they say, and the kept results fit the networks of today."""

from __future__ import annotations

import json
import re

import experiments_common as common
import growth_in_training
import numpy as np
import pytest
import torch

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import from_yaml
from support.paths import ROOT

KEPT = sorted((ROOT / "docs" / "data" / "experiments").glob("*.json"))


def kept_rows() -> list[dict]:
    """All rows of all kept results."""
    return [row for path in KEPT for part in json.loads(path.read_text(encoding="utf-8")).values()
            if isinstance(part, list) for row in part]  # fmt: skip


def test_results_are_kept() -> None:
    assert [path.stem for path in KEPT] == ["article", "context", "resnet32"]
    assert len(kept_rows()) >= 20


def test_numbers_known_before_training_are_those_of_today() -> None:
    for row in kept_rows():
        found = evaluate(from_yaml(row["network"]))
        said = (row["multiply_adds"], row["parameters"], row["rf"], row["unproductive"])
        assert said == (found.multiply_adds, found.parameters, found.widest.size, len(found.unproductive)), row["name"]
        assert row["effective"] == pytest.approx(found.widest.effective, abs=0.01)


def test_means_and_intervals_follow_from_the_scores() -> None:
    # Student's t for 95 % with 4 and 2 degrees of freedom, from tables.
    factors = {5: 2.776, 3: 4.303}
    for row in kept_rows():
        scores = np.array(row["scores"])
        assert row["accuracy"] == pytest.approx(scores.mean())
        spread = scores.std(ddof=1) / np.sqrt(len(scores))
        assert row["half"] == pytest.approx(factors[len(scores)] * spread, rel=1e-3, abs=1e-9)


def test_the_page_holds_the_kept_numbers() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    for row in kept_rows():
        assert f"{100 * row['accuracy']:.1f} ± {100 * row['half']:.1f}" in page, row["name"]
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (ROOT / "docs" / target).exists(), target


def test_pairs_lie_as_far_apart_as_they_say() -> None:
    images, labels, *_ = common.pairs(side=24, distance=12, count=1100)
    assert images.shape[0] == 1100 - 1024
    for image, label in zip(images.numpy()[:40, 0], labels.numpy()):
        bright = np.argwhere(image > 1.2)
        rows, columns = bright[:, 0], bright[:, 1]
        assert rows.max() - rows.min() <= 2
        assert columns.max() - columns.min() + 1 <= 15
        left, right = (bright[columns < columns.min() + 3], bright[columns >= columns.max() - 2])
        kinds = [len(set(part[:, 1])) == 1 for part in (left, right)]
        assert (kinds[0] == kinds[1]) == bool(label)


def test_intervals_of_one_seed_have_no_width() -> None:
    assert common.interval([0.5]) == (0.5, 0.0)


def test_growth_in_training_is_what_the_lines_say() -> None:
    """Twenty runs of twenty-one measurements; the page's mean and interval of plain networks on bars by hand."""
    runs = [json.loads(line) for line in growth_in_training.LINES.read_text(encoding="utf-8").splitlines()]
    assert len(runs) == 20
    assert {len(run["epochs"]) for run in runs} == {21}
    mine = [run["epochs"] for run in runs if (run["task"], run["kind"]) == ("bars", "plain")]
    changes = np.array([100 * (e[-1]["room"]["side_90"][0] / e[0]["room"]["side_90"][0] - 1) for e in mine])
    half = 2.776 * changes.std(ddof=1) / np.sqrt(5)
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert f"{changes.mean():+.1f} ± {half:.1f}" in page
    assert growth_in_training.table() in page


def test_mosaics_are_nine_images() -> None:
    images = torch.arange(18.0).reshape(18, 1, 1, 1).expand(18, 1, 2, 2)
    made = growth_in_training.mosaics(images, 2)
    assert made.shape == (2, 1, 6, 6)
    assert made[1, 0, ::2, ::2].flatten().tolist() == list(range(9, 18))
