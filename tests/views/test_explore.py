"""``foveal.explore``: the page in a frame, and the kernel's answers to what it asks."""

from __future__ import annotations

import pytest

import foveal
from foveal.views.records.explore import Page, answer, framed

LINE = "input=3x32x32 conv3x8 pool2 conv3x8"


def test_the_kernel_answers_for_any_unit() -> None:
    graph = foveal.trace(LINE)
    asked = {"foveal": "ask", "id": 3, "layer": "conv2", "source": "input", "kind": "energy", "at": [2, 5]}
    found = answer(graph, asked)
    assert found is not None
    assert (found["id"], found["said"]["field"]["unit"]) == (3, [2, 5])
    # conv2 sees 3 + 1 + 2 * 2 = 8 positions; unit 2 begins at 2 * 2 - 3 = 1, unit 5 at 7
    assert found["said"]["field"]["hull"] == [[1, 9], [7, 15]]
    assert "unknown layer" in answer(graph, asked | {"layer": "nothing"})["said"]["missing"]  # type: ignore[index]
    assert answer(graph, {"other": 1}) is None


def test_without_the_widget_it_is_the_static_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    page = foveal.explore(LINE, height=400)
    assert isinstance(page, Page)
    assert len(repr(page)) < 120
    html = page._repr_html_()
    assert html.startswith('<iframe sandbox="allow-scripts')
    assert framed("<b>&", 1).endswith('srcdoc="&lt;b&gt;&amp;"></iframe>')


def test_the_widget_answers_messages() -> None:
    pytest.importorskip("anywidget")
    sent: list[dict] = []
    widget = foveal.explore(LINE)
    widget.send = lambda content, buffers=None: sent.append(content)
    asked = {"foveal": "ask", "id": 1, "layer": "conv1", "source": "input", "kind": "paths", "at": [0, 0]}
    widget._handle_custom_msg(asked, [])
    assert sent[0]["said"]["field"]["hull"] == [[0, 2], [0, 2]]
    assert "<iframe" in widget._repr_html_()
