"""The plan of a stream as the page draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foveal.views.language.translate import translated

if TYPE_CHECKING:
    from foveal.tasks.streaming.record import StreamPlan


def timeline(plan: StreamPlan) -> dict[str, Any]:
    """Chunk, context and waiting in positions, milliseconds a position, and what prevents a plan."""
    causes = [text for text, _ in plan.causes] if plan.lookback is None or plan.lookahead is None else []
    return {
        "layer": plan.layer,
        "unit": plan.unit,
        "milliseconds": plan.milliseconds(1),
        "chunk": plan.chunk,
        "step": plan.step,
        "left": None if plan.lookback is None else plan.left,
        "right": None if plan.lookahead is None else plan.right,
        "causes": [{"en": text, "zh-CN": translated(text, "zh-CN")} for text in causes],
    }
