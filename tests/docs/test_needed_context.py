"""The experiment on needed context: its task, its costs and its reaches, by hand."""

from __future__ import annotations

import json
import math

import needed_context
import pytest
import torch

from support.paths import ROOT


def test_the_answer_depends_on_the_mark_at_the_distance_and_on_nothing_else() -> None:
    lines, answers = needed_context.marks(4, 5, torch.Generator().manual_seed(0))
    assert set(lines.unique().tolist()) == {-1.0, 1.0}
    for row in range(4):
        for place in range(needed_context.LENGTH - 5):
            assert answers[row, 0, place] == float(lines[row, 0, place] == lines[row, 0, place + 5])


def test_all_networks_cost_the_same() -> None:
    counts = {sum(p.numel() for p in needed_context.network(d).parameters()) for d in needed_context.NETWORKS.values()}
    assert len(counts) == 1


@pytest.mark.parametrize(("name", "trf", "squares"), [("A", 16, 16), ("B", 20, 40), ("C", 24, 40), ("D", 24, 96)])
def test_reaches(name: str, trf: int, squares: int) -> None:
    """The TRF reaches the sum of the dilations; the variance of the energy is 2/3 of the sum of their squares."""
    found = needed_context.reaches(needed_context.NETWORKS[name])
    assert found["trf"] == trf == sum(needed_context.NETWORKS[name])
    assert found["sigma"] == pytest.approx(math.sqrt(2 / 3 * squares), rel=1e-6)
    assert found["erf"] <= trf


def test_the_horizon_ends_at_the_first_distance_that_is_not_solved() -> None:
    runs = [{"steps": 9, "distance": d, "accuracy": [a, a]} for d, a in ((2, 1.0), (4, 0.8), (6, 0.6), (8, 1.0))]
    assert needed_context.horizon(runs, 9) == 4
    assert needed_context.horizon(runs, 8) == 0


def test_the_results_in_the_documentation_are_those_of_the_script() -> None:
    results = json.loads((ROOT / "docs" / "data" / "needed-context.json").read_text(encoding="utf-8"))
    assert {entry["name"]: entry["dilations"] for entry in results["networks"]} == needed_context.NETWORKS
    page = (ROOT / "docs" / "needed-context.md").read_text(encoding="utf-8")
    for entry in results["networks"]:
        assert entry["horizon"] == needed_context.horizon(entry["runs"], results["steps"])
        row = next(line for line in page.splitlines() if line.startswith(f"| {entry['name']} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[2:6] == [
            f"{entry['trf']:.0f}", f"{entry['sigma']:.1f}", f"{entry['erf']:.0f}", str(entry["horizon"])
        ]  # fmt: skip
