"""Names that act or hide: escaped on every way out, and read back bit by bit."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import foveal
from foveal.core.errors import FovealError, UnknownLayerError
from foveal.core.visible import cell, visible

HOSTILE = "a\x1b[31mred\u202e\x07\n\x9b\u200b[link=http://e]$\\frac$"
SHOWN = "a\\x1b[31mred\\u202e\\x07\\n\\x9b\\u200b[link=http://e]$\\frac$"
NAMES = (HOSTILE, '=HYPERLINK("http://x")', "@SUM(1)", "[/red]-1+1\r", "\u2066$x^$\udc80")
"""The last holds a byte that is no UTF-8, as a file name may."""
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""All but the line feeds that texts of several lines have of their own."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("layer4.0.conv1", "layer4.0.conv1"),
        ("卷积层 ü", "卷积层 ü"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\r\n\t\x07\x00", "\\r\\n\\t\\x07\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u200bb\ufeff\u00ad", "a\\u200bb\\ufeff\\xad"),
        ("\u2028\u2029\u00a0", "\\u2028\\u2029\\xa0"),
        ("\ufe0f\u3164\U000e0041\U000e0101", "\\ufe0f\\u3164\\U000e0041\\U000e0101"),
        ("\udce9", "\\udce9"),
    ],
)
def test_what_acts_or_hides_is_written(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text, keep=text) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\uff1d", "\u3000="])
def test_no_cell_is_a_formula(start: str) -> None:
    assert not cell(f"{start}cmd|' /C calc'!A0").startswith(start)


def test_a_tab_or_a_return_before_a_formula() -> None:
    assert (cell("\t=1"), cell("\r=1"), cell("\n-1")) == ("\\t=1", "\\r=1", "\\n-1")
    assert cell("conv-1") == "conv-1"


def test_errors_show_names_visibly() -> None:
    assert str(FovealError(f"{HOSTILE}: wrong")) == f"{SHOWN}: wrong".replace("\\n", "\n")
    assert str(UnknownLayerError(HOSTILE, ["\x1b"])) == f"unknown layer '{SHOWN}'; closest: \\x1b"


@pytest.fixture(scope="module")
def graph() -> Any:
    nn = pytest.importorskip("torch").nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for number, name in enumerate(NAMES):
                self._modules[name] = nn.Conv2d(3 if number == 0 else 4, 4, 3)

        def forward(self, x: Any) -> Any:
            for name in NAMES:
                x = self._modules[name](x)
            return x

    found = foveal.trace(Net(), (1, 3, 24, 24))
    found.name = HOSTILE
    assert set(found.layers) >= set(NAMES)
    return found


def test_every_text_is_clean(graph: Any) -> None:
    report = foveal.analyze(graph)
    audits = [foveal.audit(graph, task) for task in ("segmentation", "streaming", "registration", "classification")]
    texts = [str(report), report._repr_html_(), str(foveal.compare(graph, graph)), str(foveal.tile(graph))]
    texts += [text for audit in audits for text in (str(audit), audit._repr_html_())]
    texts += [foveal.tile(graph)._repr_html_(), str(foveal.verify(graph))]
    for text in texts:
        assert ACTS.search(text) is None, ascii(text)
    assert SHOWN in texts[0]


def test_json_brings_names_back(graph: Any) -> None:
    report = foveal.analyze(graph)
    text = report.to_json()
    assert text.isascii()
    again = type(report).from_json(text)
    assert again == report
    assert {row.name for row in again.layers} >= set(NAMES)
    audit = foveal.audit(graph, "segmentation")
    assert type(audit).from_json(audit.to_json()) == audit
    assert audit.to_json().isascii()
    field = foveal.field(graph, HOSTILE)
    assert type(field).from_json(field.to_json()).layer == HOSTILE


def test_csv_has_no_formula(graph: Any) -> None:
    text = foveal.analyze(graph).to_csv()
    assert ACTS.search(text) is None
    rows = list(csv.reader(io.StringIO(text)))
    assert {row[0] for row in rows[1:]} >= {SHOWN, '\'=HYPERLINK("http://x")', "'@SUM(1)", "[/red]-1+1\\r"}
    assert all(not name.startswith(("=", "+", "-", "@")) for row in rows for name in row[:5])


def test_pictures_hold_names_and_no_formulas(graph: Any, tmp_path: Path) -> None:
    from foveal.report.growth import growth
    from foveal.views import plots
    from foveal.views.explain import explain
    from foveal.views.plots.explain import explanation_page

    field = foveal.field(graph, NAMES[-1])
    grown = growth(graph, list(NAMES))
    made = {
        "map": plots.heat_map(field), "growth": plots.growth_curves(grown), "both": plots.growth_curves([grown, grown]),
        "grid": plots.unit_grid([field, field]), "two": plots.side_by_side(field, field, (HOSTILE, NAMES[-1])),
        "page": explanation_page(explain(graph, NAMES[-1])),
        "audit": foveal.audit(graph, "classification").figure(), "places": foveal.audit(graph, "registration").figure(),
    }  # fmt: skip
    for name, picture in made.items():
        picture.save(tmp_path / f"{name}.svg")
        text = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert ACTS.search(text) is None, name
        picture.save(tmp_path / f"{name}.png")


def test_pages_hold_them_as_data_only(graph: Any) -> None:
    from foveal.views.page.build import report_page
    from foveal.views.page.render import embedded

    page = report_page(graph)
    assert ACTS.search(page) is None
    assert f"<title>{SHOWN} " in page
    page.encode()
    import json

    assert json.loads(embedded([*NAMES, "卷积 \u00a0 é"])) == [*NAMES, "卷积 \u00a0 é"]


def test_the_command_line(tmp_path: Path) -> None:
    """Also through a name on the command line that is no UTF-8."""
    for words in (["analyze", HOSTILE], ["analyze", b"caf\xe9\x1b.onnx"], ["report", "conv3x8", "-o", b"\xff/x.html"]):
        done = subprocess.run([sys.executable, "-m", "foveal", *words], capture_output=True, cwd=tmp_path)
        told = done.stderr.decode()
        assert done.returncode == 2
        assert told.startswith("error: ")
        assert ACTS.search(told) is None
        assert told.count("\n") == 1


def test_progress_reads_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from foveal.core import progress

    file = io.StringIO()
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=file, force_terminal=True, width=200))
    import time

    with progress.progress(f"tracing [/red]{HOSTILE}"):
        time.sleep(0.3)
    assert f"tracing [/red]{SHOWN}" in re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())


def test_work_that_is_counted_shows_how_much_is_left_and_nothing_goes_to_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import time

    from rich.console import Console

    from foveal.core import progress

    file = io.StringIO()
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=file, force_terminal=True, width=100))
    with progress.progress("fields"), progress.progress("inner"):
        for _ in progress.counted(range(4), 4):
            time.sleep(0.12)
    told = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())
    assert re.search(r"fields .*3/4 .*\d:\d\d", told)
    assert "inner" not in told
    silent = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=silent))
    with progress.progress("fields"):
        assert list(progress.counted("ab", 2)) == ["a", "b"]
    assert silent.getvalue() == ""
