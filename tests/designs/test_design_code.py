"""Emitted PyTorch code: it runs, costs what was stated, sees what was stated, and is formatted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveal.designs.network import Head, Network, Stage, Stem
from foveal.designs.text import code
from support.designs.design_code import faults
from support.drawn.random_designs import random_network


@pytest.mark.slow
def test_emitted_code_does_what_was_stated() -> None:
    random = np.random.default_rng(11)
    for _ in range(40):
        network = random_network(random, largest=40)
        assert faults(network) == [], network


def test_emitted_code_passes_ruff(tmp_path: Path) -> None:
    random = np.random.default_rng(12)
    for number in range(40):
        (tmp_path / f"net{number}.py").write_text(code(random_network(random, largest=40)), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--isolated", "--no-cache"], ["format", "--check", "--isolated", "--no-cache"]):
        done = subprocess.run([*ruff, *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_emitted_code_needs_torch_alone() -> None:
    text = code(Network((3, 32, 32), Stem(3, 1, 8), (Stage("residual", 8, 1),), head=Head("classification", 4)))
    imports = [line for line in text.splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import torch", "from torch import Tensor, nn"]
    assert "foveal" not in text


def test_a_wrong_statement_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from support.designs import design_code

    network = Network((3, 16, 16), Stem(3, 1, 8), (Stage("plain", 8, 1),), head=Head("classification", 4))
    wrong = code(network).replace("outputs, 3, padding=1", "outputs, 5, padding=2")
    monkeypatch.setattr(design_code, "code", lambda _: wrong)
    assert len(faults(network)) >= 3
