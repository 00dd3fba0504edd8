"""The experiment on needed context: its task, its costs and its reaches, by hand; the page and its kept numbers."""

from __future__ import annotations

import math

import needed_context
import pytest
import torch
from experiments_common import DOCS, lines

ENDS = {
    "alike": (1 / 2 / 9) ** 4,
    "two large": (1 / 2 / 9) ** 4,
    "alike, blocks halved": (1 / 5 / 9) ** 4,
    "alike, blocks quartered": (1 / 17 / 9) ** 4,
    "one large, plain": (1 / 9) ** 4,
}
"""Share of energy at the end of the field: a third of each layer's, two layers in a block, four blocks; of a block with
a shortcut a half, and with its layers times b the share b^2 / (1 + b^2).
"""


def test_the_answer_depends_on_the_mark_at_the_distance_and_on_nothing_else() -> None:
    seen, answers = needed_context.marks(4, 5, 0.0, torch.Generator().manual_seed(0))
    assert set(seen.unique().tolist()) == {-1.0, 1.0}
    for row in range(4):
        for place in range(needed_context.LENGTH - 5):
            assert answers[row, 0, place] == float(seen[row, 0, place] == seen[row, 0, place + 5])


def test_noise_is_added_and_does_not_change_what_is_right() -> None:
    """Signs of noisy marks are compared rightly as often as the best there is: with noise of 0.7 in 85.86 %."""
    seen, answers = needed_context.marks(400, 5, 0.7, torch.Generator().manual_seed(0))
    assert float(seen.var()) == pytest.approx(1 + 0.7**2, rel=0.02)
    right = ((seen[..., :-5] > 0) == (seen[..., 5:] > 0)) == (answers > 0)
    assert float(right.float().mean()) == pytest.approx(0.8586, abs=0.01)
    assert needed_context.best(0.7) == pytest.approx(0.8586, abs=1e-4)
    assert needed_context.best(0.0) == 1


def test_all_networks_cost_the_same_and_reach_as_far() -> None:
    plans = needed_context.NETWORKS.values()
    # A 1-wide layer of 16 + 16, eight of 3 x 16 x 16 with norms of 32, a 1-wide one of 16 + 1.
    assert {sum(p.numel() for p in needed_context.network(plan).parameters()) for plan in plans} == {6449}
    assert 32 + 8 * (768 + 32) + 17 == 6449
    assert {sum(plan.dilations) for plan in plans} == {16}
    assert {row["trf"] for row in lines(needed_context.LINES).values() if "trf" in row} == {16}


@pytest.mark.parametrize("name", ENDS)
def test_energy_at_the_end_of_the_field(name: str) -> None:
    found = needed_context.reaches(needed_context.NETWORKS[name])
    assert found["shares"]["16"] == pytest.approx(ENDS[name])
    assert found["trf"] == 16 >= found["erf"]
    assert found | {"name": name} == lines(needed_context.LINES)[name]


def test_spread_of_plain_layers() -> None:
    """Two thirds of the sum of the squares of the dilations: 2 x 1, 4 x 4, 2 x 9."""
    found = needed_context.reaches(needed_context.NETWORKS["alike, plain"])
    assert found["sigma"] == pytest.approx(math.sqrt(2 / 3 * 36))


def test_the_page_holds_the_kept_scores() -> None:
    page, found = (DOCS / "needed-context.md").read_text(encoding="utf-8"), needed_context.rows()
    assert needed_context.table(found) in page
    assert needed_context.answers(found) in page
