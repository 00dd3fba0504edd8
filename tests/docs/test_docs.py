"""The Python examples of the documentation run, and say what their comments say."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torchvision

from support.paths import ROOT

SLOW = "foveal.verify("  # perturbs the real model hundreds of times


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    with torch.device("meta"):
        return torchvision.models.resnet50()


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_examples(page: str, model: torch.nn.Module, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    scope: dict[str, Any] = {"model": model}
    promised = 0
    for block in blocks:
        if SLOW in block:
            continue
        exec(compile(block, page, "exec"), scope)
        for expression, comment in re.findall(r"^(rf\.[^#=]+?)\s+# (\(.*'exact')$", block, flags=re.MULTILINE):
            values = eval(expression, scope)
            assert " ".join(repr(value) for value in values) == comment
            promised += 1
    assert promised == 1
    assert "4.09 G multiply-adds" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/index.md", "docs/cli.md", "docs/python.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
