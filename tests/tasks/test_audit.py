"""The audit record, its views, its registry and its command."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core import show
from foveal.core.errors import FovealError
from foveal.core.serial import FormatError
from foveal.tasks.audit import TASKS, audit, find_task
from foveal.tasks.record import Audit, AuditFinding, AuditTable, Later, gravest_first
from foveal.tasks.task import Option, Task
from foveal.views.text.audit import audit_html, audit_renderable, cell_text

NET = "input=3x32x32 conv3x8 pool2 conv3x8 gap fc10"


def record(**changes: Any) -> Audit:
    """A hand-made audit."""
    fields: dict[str, Any] = {
        "task": "tasting",
        "network": "net <b>",
        "source": "input",
        "source_shape": (32, 48),
        "summary": ("all is well",),
        "tables": (AuditTable("sizes", ("layer", "px", "share"), (("a", 7, 0.25), ("b", None, None)), "in pixels"),),
        "findings": (AuditFinding("TST01", "warning", "a", "it is small", "make it larger", "it sees more"),),
        "method": "by hand",
    }
    return Audit(**(fields | changes))


def test_json_goes_both_ways_without_loss_but_for_figures() -> None:
    first = record(figures={"one": "first"})
    second = Audit.from_json(first.to_json())
    assert second == first
    assert second.to_json() == first.to_json()
    assert isinstance(second.findings[0], AuditFinding)
    assert "figures" not in json.loads(first.to_json())
    with pytest.raises(FovealError, match="figures do not travel as JSON"):
        second.figure()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "audit: not JSON"),
        ('{"schema": 99}', "unknown schema version 99"),
        ('{"schema": 1}', "audit: missing field 'task'"),
        ("[NaN]", "NaN is not a JSON number"),
        (record().to_json().replace('"px"', "3"), r"audit.tables\[0\].columns\[1\]: expected a string"),
        (record().to_json().replace('"warning"', '"fatal"'), "severity 'fatal' is none of"),
    ],
)
def test_what_is_no_audit_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        Audit.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_table_refuses_a_row_of_another_length() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under 2 headings"):
        AuditTable("t", ("a", "b"), ((1,),))


def test_tables_and_columns_by_name() -> None:
    table = record().table("sizes")
    assert table.column("px") == (7, None)
    with pytest.raises(FovealError, match="no column 'kg'; it has layer, px, share"):
        table.column("kg")
    with pytest.raises(FovealError, match="no table 'x'; this audit has sizes"):
        record().table("x")


def test_figures_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "figure", lambda shown: f"{shown} drawn")
    drawn = record(figures={"one": "first", "two": Later(lambda: "second")})
    assert (drawn.figure(), drawn.figure("two")) == ("first drawn", "second drawn")
    with pytest.raises(FovealError, match="no figure 'three'; this tasting audit has one, two"):
        drawn.figure("three")


@pytest.mark.parametrize(("level", "reached"), [("info", True), ("warning", True), ("error", False)])
def test_reaches(level: str, reached: bool) -> None:
    assert record().reaches(level) is reached
    assert not record(findings=()).reaches(level)


def test_findings_the_gravest_first_and_each_once() -> None:
    made = [AuditFinding(code, severity, "", "t") for code, severity in (("B", "info"), ("C", "error"), ("A", "info"))]
    assert [f.code for f in gravest_first([*made, made[0]])] == ["C", "A", "B"]


def test_audit_text(golden: Callable[[str], None]) -> None:
    golden(str(record()))


def test_html_escapes_names() -> None:
    text = audit_html(record())
    assert "<b>net" not in text
    assert "net &lt;b&gt;" in text
    assert "make it larger" in text
    assert record()._repr_html_() == text


@pytest.mark.parametrize(
    ("cell", "text"), [(None, ""), (7, "7"), (0.123456, "0.1235"), (25_600_000, "25.6 M"), ("word", "word")]
)
def test_cells(cell: Any, text: str) -> None:
    assert cell_text(cell) == text


@pytest.mark.parametrize("name", TASKS)
def test_every_task_declares_itself(name: str) -> None:
    task = find_task(name)
    assert task.name == name
    assert task.summary
    assert len({option.name for option in task.options}) == len(task.options)
    assert not {option.name for option in task.options} & {"source", "input", "json", "picture", "figure"}


def test_unknown_task_and_options() -> None:
    graph = foveal.trace(NET)
    with pytest.raises(FovealError, match="unknown task 'cooking'; expected one of classification"):
        audit(graph, "cooking")
    with pytest.raises(FovealError, match="audit classification: unknown option 'salt'; its options are: layer, erf"):
        audit(graph, "classification", salt=1)
    with pytest.raises(FovealError, match="--erf 'guess': expected one of energy, weights, measured"):
        audit(graph, "classification", erf="guess")
    with pytest.raises(FovealError, match="--count takes a value of type int, got 'all'"):
        audit(graph, "classification", count="all")


def test_options_get_defaults_and_tuples() -> None:
    task = Task("t", "s", lambda graph: record(), (Option("a", float, "", 1.5), Option("many", str, "", repeated=True)))
    assert task.checked({}) == {"a": 1.5, "many": ()}
    assert task.checked({"a": 2, "many": "x"}) == {"a": 2.0, "many": ("x",)}
    assert task.checked({"many": ["x", "y"]})["many"] == ("x", "y")


def run(*words: str) -> Any:
    """The command with these words."""
    return CliRunner().invoke(app, ["audit", *words], env={"COLUMNS": None})


def test_the_command_prints_what_the_function_gives() -> None:
    done = run("classification", NET)
    assert done.exit_code == 0
    assert done.output.rstrip("\n") == str(audit(foveal.trace(NET), "classification"))


def test_json_and_exit_codes() -> None:
    done = run("classification", NET, "--json", "--fail-on", "warning")
    found = Audit.from_json(done.stdout)
    assert found.reaches("warning")
    assert done.exit_code == 1
    assert run("classification", NET, "--fail-on", "error").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cooking", NET), "unknown task 'cooking'"),
        (("classification", NET, "--erf", "guess"), "'guess' is not one of"),
        (("classification", NET, "--picture", "x.gif"), "must end in one of .png, .svg, .pdf"),
        (("classification", NET, "--figure", "depth"), "give --picture"),
        (("classification", NET, "--picture", "x.png", "--figure", "nothing"), "no figure 'nothing'"),
        (("classification", NET, "--layer", "conv9"), "unknown layer 'conv9'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_picture(tmp_path: Path) -> None:
    done = run("classification", NET, "--picture", str(tmp_path / "a.png"), "--figure", "layers")
    assert done.exit_code == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_help_shows_a_tasks_own_options() -> None:
    done = run("classification", "--help")
    assert done.exit_code == 0
    assert "--erf" in done.stdout
    assert "--fail-on" in done.stdout


def test_narrow_tables_keep_their_numbers_and_headings() -> None:
    table = AuditTable("t", ("a rather long heading", "count"), (("word", 12345678), ("x" * 40, 1)))
    made = Console(width=30, file=io.StringIO(), color_system=None)
    made.print(
        audit_renderable(
            Audit(task="t", network="n", source="s", source_shape=(1,), summary=(), tables=(table,), findings=())
        )
    )
    assert isinstance(made.file, io.StringIO)
    text = made.file.getvalue()
    assert "12.3 M" in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert text.count("x") == 40
