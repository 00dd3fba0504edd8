"""The plan of a stream as the page draws it: for networks along one axis, from the graph alone."""

from __future__ import annotations

from typing import Any

from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.report.results import Report
from foveal.tasks.streaming.plan import stream
from foveal.views.language.translate import translated


def timeline(graph: Graph, report: Report, rate: float | None, hop: int) -> dict[str, Any] | None:
    """Chunk, context and waiting in positions, milliseconds a position, what prevents a plan; None where no source is
    a line, or nothing is left to stream.
    """
    if not any(len(source.axes) == 1 for source in report.sources):
        return None
    try:
        plan = stream(graph, rate=rate, hop=hop, check=False)
    except FovealError:
        return None
    causes = [text for text, _ in plan.causes] if plan.lookback is None or plan.lookahead is None else []
    return {
        "layer": plan.layer,
        "unit": plan.unit,
        "milliseconds": plan.milliseconds(1),
        "chunk": plan.chunk,
        "step": plan.step,
        "units": float(plan.chunk / plan.stride),
        "left": None if plan.lookback is None else plan.left,
        "right": None if plan.lookahead is None else plan.right,
        "causes": [{"en": text, "zh-CN": translated(text, "zh-CN")} for text in causes],
    }
