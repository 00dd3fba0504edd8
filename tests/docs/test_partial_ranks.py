"""Partial rank correlations and intervals over families, by hand; the page on classifiers says what they give."""

from __future__ import annotations

import json

import numpy as np
import pytest
from partial_ranks import family, partial, resampled, told
from scipy.stats import spearmanr

from support.paths import ROOT


def test_one_given_quantity_follows_the_formula() -> None:
    """(r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)), of ranks."""
    x, y, z = np.random.default_rng(0).normal(size=(3, 40))
    y, x = y + z, x + 2 * z
    xy, xz, yz = (spearmanr(a, b).statistic for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial(x, y, [z]) == pytest.approx(expected)
    assert partial(x, y) == pytest.approx(xy)
    assert np.isnan(partial(x, y, [x]))


def test_whole_families_are_drawn() -> None:
    """Two families of one and three members: draws have 2, 4 or 6, and the mean of sizes lies between."""
    seen = []
    found = resampled(lambda drawn: float(seen.append(len(drawn)) or len(drawn)), ["a", "b", "b", "b"])
    assert set(seen) == {2, 4, 6}
    assert found == (4.0, 2.0, 6.0)
    assert told(found) == "+4.00 (+2.00 to +6.00)"


def test_families_of_the_classifiers() -> None:
    rows = json.loads((ROOT / "docs" / "data" / "classifiers.json").read_text(encoding="utf-8"))["rows"]
    assert len({family(row["name"]) for row in rows}) == 16
    assert family("wide_resnet50_2") == family("resnet18") == "resnet"
    assert family("efficientnet_v2_s") != family("efficientnet_b0") == "efficientnet"
    assert family("regnet_y_8gf") == family("regnet_x_8gf")


def test_the_page_tells_both_fields_given_cost() -> None:
    rows = json.loads((ROOT / "docs" / "data" / "classifiers.json").read_text(encoding="utf-8"))["rows"]
    page = (ROOT / "docs" / "tasks-classification.md").read_text(encoding="utf-8")
    top, macs, parameters = (np.array([row[k] for row in rows]) for k in ("accuracy", "multiply_adds", "parameters"))
    for name, values in (("TRF / image", [r["trf"] / r["image"] for r in rows]),
                         ("ERF, share of the image", [r["erf_share"] for r in rows])):  # fmt: skip
        line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        given = partial(np.array(values), top, [macs, parameters])
        assert [cell[:6].strip() for cell in line.split("|")[2:4]] == [
            f"{spearmanr(values, top).statistic:+.2f}", f"{given:+.2f}"
        ]  # fmt: skip
