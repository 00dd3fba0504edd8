"""Candidates chosen by training: successive halving with a known winner, the script that trains, the command."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from foveal.app.main import app
from foveal.core.errors import FovealError
from foveal.designs import design
from foveal.designs.choice.halving import halve, load_score, rounds
from foveal.designs.spaces.space import space_from_yaml

SPACE = """
input: [1, 12, 12]
stem: {kernel: 3, width: {choose: [4, 5, 6], as: w}}
stages: [{block: plain, width: {choose: [4, 5, 6], as: w}, count: {choose: [1, 2]}}]
head: {classes: 2}
"""


def test_halving_finds_the_best_and_costs_what_was_said() -> None:
    asked: list[tuple[int, int]] = []

    def score(network: int, epochs: int) -> float:
        asked.append((network, epochs))
        return -abs(network - 5) + epochs / 100

    found = halve(range(9), score, 9)
    assert rounds(9, 9) == [(9, 1), (3, 3), (1, 9)]
    assert sum(epochs for _, epochs in asked) == 9 * 1 + 3 * 3 + 1 * 9
    assert [len(own) for own in found] == [1, 1, 1, 1, 2, 3, 2, 1, 1]
    assert found[5] == ((1, 0.01), (3, 0.03), (9, 0.09))
    assert rounds(1, 4) == [(1, 4)]


def test_trainings_that_diverge_come_last() -> None:
    scores = [float("nan"), -3.0, 1.0, float("nan")]
    found = halve(range(4), lambda network, epochs: scores[network], 9)
    assert [len(own) for own in found] == [1, 2, 3, 1]
    with pytest.raises(FovealError, match="no candidate was trained"):
        halve(range(2), lambda network, epochs: float("nan"), 9)
    with pytest.raises(FovealError, match="the function gave 'good'; expected a number"):
        halve(range(2), lambda network, epochs: "good", 9)  # type: ignore[arg-type,return-value]


@pytest.mark.needs("torch")
def test_the_recommended_design_is_the_one_that_trained_best() -> None:
    found = design(space=space_from_yaml(SPACE), evaluate=lambda net, epochs: sum(p.numel() for p in net.parameters()))
    trained = [one for one in found.designs if one.trained]
    assert found.designs[0].role == "recommended"
    assert found.designs[0].evaluation.parameters == max(one.evaluation.parameters for one in trained)
    assert f"came first of {len(trained)} candidates" in str(found)


@pytest.mark.needs("torch")
def test_the_script_trains_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = design(space=space_from_yaml(SPACE))
    found.save(tmp_path)
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 256)
    x = random.normal(0, 0.1, (256, 1, 12, 12)) + y[:, None, None, None]  # dark or bright
    np.savez(tmp_path / "data.npz", x_train=x[:192], y_train=y[:192], x_test=x[192:], y_test=y[192:])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "data.npz", "design1.py", "4"])
    runpy.run_path("train.py", run_name="__main__")
    assert Path("weights.pt").is_file()
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "train.py"]
    assert subprocess.run(ruff, check=False).returncode == 0
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    command = ["design", "--space", "space.yaml", "--evaluate", "train.py:score", "--epochs", "4"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "by successive halving" in done.stdout
    assert "after 4 epochs" in done.stdout


def test_objects_and_sizes_exclude_each_other() -> None:
    command = ["design", "--input", "1,32,32", "--sizes", "8", "--objects", "labels.json"]
    assert "exclude each other" in CliRunner().invoke(app, command).output


@pytest.mark.parametrize(
    ("given", "message"),
    [("train.py", "expected FILE.py:FUNCTION"), ("none.py:score", "expected FILE.py:FUNCTION"),
     ("here.py:score", "has no function 'score'")],
)  # fmt: skip
def test_faults_of_the_function(given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(FovealError, match=message):
        load_score(given)
