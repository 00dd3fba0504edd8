"""One door for showing: how a record looks is asked here, and answered by views, which stand above all records.

Neither side knows the other. Views keep a table ``WAYS``: type of record, as ``module:Class`` -> form ("text", "html",
"csv", "figure"; "short", "axes", "rows" and "dict" for notebooks) -> ``module:function``, loaded when it is first
called. The package says which module holds the table (``views``), so that nothing is loaded before something is shown.
A sentence that findings and errors quote is no view: it stays with its record, as ``__str__``.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import Any

from foveal.core.errors import FovealError
from foveal.core.serial import to_plain

views: str | None = None
"""Name of the module that holds the table; ``foveal/__init__.py`` sets it."""


def text(record: object, **options: Any) -> str:
    """The record as plain text; its fields where no view shows it."""
    way = _way(record, "text")
    return repr(record) if way is None else str(way(record, **options))


def html(record: object) -> str:
    """The record for a notebook; its text where no view shows it."""
    way = _way(record, "html")
    return f"<pre>{escape(text(record))}</pre>" if way is None else str(way(record))


def csv(record: object) -> str:
    """The record as comma-separated values; raises FovealError where no view shows it."""
    return str(_drawn(record, "csv"))


def figure(record: object) -> Any:
    """The record drawn, as a figure of matplotlib; raises FovealError where no view draws it."""
    return _drawn(record, "figure")


class Shown:
    """A record that is shown through this door when it is printed or stands at the end of a notebook's cell."""

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return short(self)

    def _repr_html_(self) -> str:
        return html(self)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the record into ``ax`` (default: new axes of pyplot) and return the axes of matplotlib."""
        return _drawn(self, "axes", ax, **options)

    def to_pandas(self) -> Any:
        """The record as a table of pandas, which must be installed."""
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError:
            raise FovealError("to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame(_drawn(self, "rows"))

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, ready for JSON."""
        way = _way(self, "dict")
        found: dict[str, Any] = to_plain(self) if way is None else way(self)
        return found


def short(record: object) -> str:
    """The answer in at most five lines; the record's name where no view has them."""
    way = _way(record, "short")
    return f"<{type(record).__name__}>" if way is None else str(way(record))


def _drawn(record: object, form: str, *more: Any, **options: Any) -> Any:
    way = _way(record, form)
    if way is None:
        name = type(record).__name__
        what = f"{name} has nothing to draw: print it" if form == "axes" else f"{name} cannot be shown as {form}"
        raise FovealError(what)
    return way(record, *more, **options)


def _way(record: object, form: str) -> Callable[..., Any] | None:
    """The function that shows a record of this type, or of the nearest one that it is a kind of."""
    table = {} if views is None else import_module(views).WAYS
    for kind in type(record).__mro__:
        found = table.get(f"{kind.__module__}:{kind.__qualname__}", {}).get(form)
        if found is not None:
            module, _, name = found.partition(":")
            way: Callable[..., Any] = getattr(import_module(module), name)
            return way
    return None
