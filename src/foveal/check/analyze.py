"""The report on a graph, the model asked first where there is a reason to."""

from __future__ import annotations

from typing import Any

from foveal.check.automatic import look
from foveal.ir.graph import Graph
from foveal.ir.layout import laid_out
from foveal.report.analyze import analyze as unchecked
from foveal.report.results import Report


def analyze(
    graph: Graph,
    layers: str | None = None,
    depth: int | None = None,
    strict: bool = False,
    axes: Any = None,
    *,
    check: bool = True,
) -> Report:
    """As :func:`foveal.report.analyze.analyze`. check: where the trace rests on more than the algebra, a few runs of
    the model are held against its numbers (:mod:`foveal.check.automatic`).
    """
    graph = laid_out(graph, axes)
    if check:
        look(graph)
    return unchecked(graph, layers, depth, strict)
