"""The report on a graph, the model asked first where there is a reason to."""

from __future__ import annotations

from foveal.check.automatic import look
from foveal.ir.graph import Graph
from foveal.report.analyze import analyze as unchecked
from foveal.report.results import Report


def analyze(
    graph: Graph, layers: str | None = None, depth: int | None = None, strict: bool = False, *, check: bool = True
) -> Report:
    """As :func:`foveal.report.analyze.analyze`. check: where the trace rests on more than the algebra, a few runs of
    the model are held against its numbers (:mod:`foveal.check.automatic`).
    """
    if check:
        look(graph)
    return unchecked(graph, layers, depth, strict)
