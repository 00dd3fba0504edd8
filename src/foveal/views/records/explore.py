"""``foveal.explore``: the explorer inside a notebook's cell, the same page as the report, with the kernel behind it.

The page stands in a frame; what it asks goes through the widget to the kernel, and so any unit of any layer is answered
as ``foveal serve`` does. Without anywidget, in a saved notebook, or where no kernel answers, it is the static page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from foveal.core.errors import FovealError
from foveal.frontends.trace import network
from foveal.ir.graph import Graph
from foveal.views.page.build import PageOptions, page_data
from foveal.views.page.fields import field_answer
from foveal.views.page.render import asset, render

HEIGHT = 760
"""Of the cell, in pixels."""


def explore(
    model: Any,
    inputs: Any = None,
    *,
    image: str | Path | None = None,
    layers: Sequence[str] = (),
    language: str = "",
    height: int = HEIGHT,
    axes: Any = None,
) -> Any:
    """The explorer as a notebook shows it: put the mouse on any unit of any layer, over your own image.

    model, inputs: as for :func:`foveal.trace`, or a graph; image: a photo to draw on; layers: patterns of the layers
    whose fields the static page carries; language: "en" or "zh-CN". Live with anywidget (``foveal[notebook]``), else
    the static page.
    """
    graph = network(model, inputs, axes)
    options = PageOptions(layers=tuple(layers), image=None if image is None else str(image), language=language,
                          command=f"foveal.explore({graph.name})")  # fmt: skip
    page = render(page_data(graph, options), [asset("records/kernel.js")])
    try:
        anywidget, traitlets = import_module("anywidget"), import_module("traitlets")
    except ModuleNotFoundError:
        return Page(page, height)
    return _widget(anywidget, traitlets)(graph, page, height)


class Page:
    """The static page in a frame."""

    def __init__(self, page: str, height: int) -> None:
        self.page, self.height = page, height

    def __repr__(self) -> str:
        return f"the explorer, {len(self.page) / 1e6:.1f} MB; live with pip install 'foveal[notebook]'"

    def _repr_html_(self) -> str:
        return framed(self.page, self.height)


def framed(page: str, height: int) -> str:
    """A page inside a page, which reaches nothing outside itself."""
    style = f"width:100%;height:{height}px;border:0"
    return f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" srcdoc="{escape(page)}"></iframe>'


def answer(graph: Graph, asked: Any) -> dict[str, Any] | None:
    """What the kernel says to a message of the page; None for a message of another kind."""
    if not isinstance(asked, dict) or asked.get("foveal") != "ask":
        return None
    try:
        how = {"source": asked["source"], "at": asked["at"]}
        said = field_answer(graph, asked["layer"], asked["kind"], **how)
    except (FovealError, KeyError, TypeError) as error:
        said = {"missing": str(error)}
    return {"foveal": "answer", "id": asked.get("id"), "said": said}


def _widget(anywidget: Any, traitlets: Any) -> Any:
    """The widget's class, made where anywidget is there."""

    class Explorer(anywidget.AnyWidget):  # type: ignore[misc]
        """A frame with the page, and the kernel's answers to it."""

        _esm = asset("records/widget.js")
        page = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int().tag(sync=True)

        def __init__(self, graph: Graph, page: str, height: int) -> None:
            super().__init__(page=page, height=height)
            self.on_msg(lambda _widget, asked, _buffers: self._answer(graph, asked))

        def _answer(self, graph: Graph, asked: Any) -> None:
            said = answer(graph, asked)
            if said is not None:
                self.send(said)

        def _repr_html_(self) -> str:
            return framed(self.page, self.height)

    return Explorer
