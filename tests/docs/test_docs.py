"""The Python examples of the documentation run, and say what their comments say."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torchvision
import yaml

import foveal.extend
import foveal.testing
import foveal.training
from support.paths import ROOT

CITING = ("src", "tests", "benchmarks", "examples")
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
    assert "4.09 G multiply-adds" in capsys.readouterr().out + str(scope["report"])


PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_site_shows_every_page_once() -> None:
    parts = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    shown = [page for part in parts for pages in part.values() for entry in pages for page in entry.values()]
    assert sorted(shown) == sorted(path.name for path in ROOT.glob("docs/*.md"))
    assert len(parts) == 5


def test_the_reference_has_every_public_name() -> None:
    shown = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    modules = (foveal, foveal.extend, foveal.testing, foveal.training)
    assert sorted(shown) == sorted(f"{module.__name__}.{name}" for module in modules for name in module.__all__)


def test_citations_lead_to_a_section_or_a_case() -> None:
    """ "docs/methods.md 1.1, 1.7 and 4" in code and tests; every number stands in the page."""
    read = {page: (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in ("methods", "cases")}
    known = {
        "methods": set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", read["methods"], flags=re.MULTILINE)),
        "cases": set(re.findall(r"^\| (C\d+b?) \|", read["cases"], flags=re.MULTILINE)),
    }
    code = "\n".join(path.read_text(encoding="utf-8") for folder in CITING for path in (ROOT / folder).rglob("*.py"))
    cited = [
        (page, number)
        for page, one in (("methods", r"\d+(?:\.\d+)?"), ("cases", r"C\d+b?"))
        for numbers in re.findall(rf"docs/{page}\.md\s+({one}(?:(?:, | and ){one}\b)*)", code)
        for number in re.findall(one, numbers)
    ]
    assert len(cited) > 100
    assert {(page, number) for page, number in cited if number not in known[page]} == set()
