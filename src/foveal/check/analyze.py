"""The report on a graph, the model asked first where there is a reason to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveal.check.automatic import look
from foveal.frontends.trace import network
from foveal.report.analyze import analyze as unchecked
from foveal.report.results import Report
from foveal.report.units import with_units


def analyze(
    model: Any,
    inputs: Any = None,
    layers: str | None = None,
    depth: int | None = None,
    strict: bool = False,
    axes: Any = None,
    *,
    check: bool = True,
    rate: float | None = None,
    hop: int = 1,
    spacing: float | Sequence[float] | None = None,
) -> Report:
    """As :func:`foveal.report.analyze.analyze`, of a graph, or of a model, a name or a path, which is traced.

    inputs: as for :func:`foveal.trace`; check: where the trace rests on more than the algebra, a few runs of the model
    are held against its numbers (:mod:`foveal.check.automatic`); rate, hop, spacing: what a position measures
    (:func:`foveal.report.units.with_units`).
    """
    if isinstance(inputs, str):  # of a graph, the pattern may come second
        inputs, layers = None, inputs
    graph = network(model, inputs, axes)
    if check:
        look(graph)
    return with_units(unchecked(graph, layers, depth, strict), rate, hop, spacing)
