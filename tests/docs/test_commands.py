"""The commands of README and documents: all are parsed, nearly all run, what is shown compared; the notebook runs."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import typer
from typer.testing import CliRunner

from foveal.app.main import app
from support.paths import ROOT
from support.workshop import furnish

PAGES = ["README.md", "README.zh-CN.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


def commands(page: str) -> list[tuple[list[str], list[str]]]:
    """(arguments of foveal, lines shown below) of each command of a page."""
    found: list[tuple[list[str], list[str]]] = []
    text = (ROOT / page).read_text(encoding="utf-8")
    for console, block in re.findall(r"```(console|)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ " if console else "foveal "):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                found.append((words[1:] if words[0].endswith("foveal") else [], []))
            elif found and console:
                found[-1][1].append(line)
    return [(arguments, shown) for arguments, shown in found if arguments]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_every_command_is_one(page: str) -> None:
    group: Any = typer.main.get_command(app)
    for arguments, _ in commands(page):
        context = group.make_context("foveal", list(arguments))
        words = list(arguments)
        command = group.get_command(context, words.pop(0))
        assert command is not None, arguments
        if hasattr(command, "list_commands"):
            command = command.get_command(context, words.pop(0))
        command.make_context("foveal", words, parent=context)


@pytest.mark.parametrize(("arguments", "shown"), [pair for pair in commands("README.md") if pair[1]])
def test_output_shown_is_what_is_printed(arguments: list[str], shown: list[str]) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": None}, catch_exceptions=False)
    assert result.exit_code == 0
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    assert [line for line in shown if line.rstrip() not in printed] == []


NOT_RUN = {
    "serve": "waits for a browser", "--pretrained": "downloads weights", "--again": "needs that picture",
    "--tokenizer": "needs a tokenizer's files", "design --task": "five seconds each; tests/designs searches",
    "convnext_tiny": "a minute each", "hf:mistral": "a minute",
}  # fmt: skip
"""Parts of commands that are parsed only, and why."""


def test_every_command_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where photo.jpg, boxes.json, net.onnx and package.module lie in the folder."""
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = {shlex.join(words): words for page in PAGES for words, _ in commands(page)}
    run = {line: words for line, words in lines.items() if not any(part in line for part in NOT_RUN)}
    assert len(run) >= 40
    runner, wrong = CliRunner(), {}
    for line, words in run.items():
        result = runner.invoke(app, words)
        if result.exit_code:
            wrong[line] = result.output[-300:] or repr(result.exception)
    for name in ("package", "package.module", "mypackage", "small_unet"):
        monkeypatch.delitem(sys.modules, name)
    assert wrong == {}


def test_both_readmes_show_the_same_commands() -> None:
    assert commands("README.md") == commands("README.zh-CN.md")


def test_the_gallery_has_ten_pictures_and_the_commands_that_make_them() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\(images/gallery/(\w+\.png)\)", page)
    assert len(pictures) == len(set(pictures)) == 10
    assert [arguments[-1] for arguments, _ in commands("docs/gallery.md")] == pictures
    assert all((ROOT / "docs" / "images" / "gallery" / name).stat().st_size < 150_000 for name in pictures)


def test_the_notebook_runs() -> None:
    matplotlib.use("Agg")
    book = json.loads((ROOT / "examples" / "first_minute.ipynb").read_text(encoding="utf-8"))
    assert len(book["cells"]) == 10
    scope: dict[str, Any] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            *lines, last = "".join(cell["source"]).splitlines()
            exec("\n".join(lines), scope)
            result = eval(last, scope) if not last.startswith("rf = ") else None
            assert result is None or repr(result)
