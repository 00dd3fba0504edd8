"""The one door for showing: the table of views is right, and what no view shows falls back to its fields."""

from __future__ import annotations

import sys
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.views.show import WAYS


@dataclass(frozen=True)
class Fruit(show.Shown):
    name: str


@dataclass(frozen=True)
class Apple(Fruit):
    pass


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """An empty table in place of that of views."""
    module: Any = ModuleType("views_of_the_test")
    module.WAYS = {}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(show, "views", module.__name__)
    return module.WAYS  # type: ignore[no-any-return]


def named(part: Any) -> Any:
    module, _, name = part.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("record", WAYS)
def test_the_table_names_records_and_functions_that_are_there(record: str) -> None:
    kind = named(record)
    assert is_dataclass(kind)
    assert {"text", "html"}.isdisjoint(WAYS[record]) or issubclass(kind, show.Shown)
    assert set(WAYS[record]) <= {"text", "html", "csv", "figure", "short", "axes", "rows", "dict"}
    assert all(callable(named(way)) for way in WAYS[record].values())


def test_what_no_view_shows(table: dict[str, dict[str, str]]) -> None:
    apple = Apple("<apple>")
    assert str(apple) == repr(apple) == "Apple(name='<apple>')"
    assert apple._repr_html_() == "<pre>Apple(name=&#x27;&lt;apple&gt;&#x27;)</pre>"
    for form, way in (("csv", show.csv), ("figure", show.figure)):
        with pytest.raises(FovealError, match=f"Apple cannot be shown as {form}"):
            way(apple)


def test_a_kind_of_record_is_shown_as_the_nearest_above_it(table: dict[str, dict[str, str]]) -> None:
    table[f"{__name__}:Fruit"] = {"text": "builtins:id", "figure": "builtins:hash"}
    assert str(Apple("a")).isdecimal()
    assert show.figure(Apple("a")) == hash(Apple("a"))
    table[f"{__name__}:Apple"] = {"text": "builtins:type"}
    assert str(Apple("a")) == str(Apple)


def test_nothing_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "views", None)
    assert str(Apple("a")) == "Apple(name='a')"
