"""The plan of a stream as a timeline: what each chunk reads, what of it is new, and the units that come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foveal.views.plots.style import BLUE, ORANGE, PALE, Picture, named, panel, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from foveal.tasks.streaming.record import StreamPlan

CHUNKS = 5
"""So many chunks are drawn."""


@styled()
def timeline(plan: StreamPlan, title: str = "") -> Picture:
    """Chunks with context, one a row: context read again (pale), the chunk (blue), when its units are out (orange)."""
    figure, axes = panel(8.0, 3.4, {"stream": {"network": plan.network, "layer": plan.layer}})
    draw_timeline(axes, plan)
    axes.set_title(title or f"{named(plan.network)}: {named(plan.layer)} in chunks of {plan.chunk}")
    return figure


def draw_timeline(axes: Axes, plan: StreamPlan) -> None:
    """The same into axes."""
    scale = 1.0 if plan.rate is None else plan.hop / plan.rate * 1000.0
    for row in range(CHUNKS):
        start = row * plan.chunk
        first = max(0, start - plan.left)
        axes.barh(row, (start + plan.chunk + plan.right - first) * scale, left=first * scale, height=0.62, color=PALE,
                  alpha=0.6, label="context, read again" if row == 0 else None)  # fmt: skip
        axes.barh(row, plan.chunk * scale, left=start * scale, height=0.62, color=BLUE,
                  label="chunk: its units are kept" if row == 0 else None)  # fmt: skip
        axes.plot([(start + plan.chunk + plan.right) * scale], [row], color=ORANGE, marker="D", linestyle="none",
                  label="its units are out" if row == 0 else None)  # fmt: skip
    axes.set_yticks(range(CHUNKS), [f"chunk {row}" for row in range(CHUNKS)])
    axes.invert_yaxis()
    axes.set_xlabel("positions" if plan.rate is None else "milliseconds")
    axes.margins(y=0.12)
    axes.legend(loc="upper right", frameon=False)
