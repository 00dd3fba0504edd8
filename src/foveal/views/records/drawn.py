"""Records on one pair of axes, given or new: ``.plot()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from foveal.core.errors import FovealError
from foveal.report.analyze import analyze
from foveal.report.growth import growth
from foveal.report.results import Comparison, Growth, Report, unit_of
from foveal.report.summary import stage_names
from foveal.views.plots.axes import draw_line, draw_plane, shares
from foveal.views.plots.growth import draw_growth
from foveal.views.plots.pareto import draw_pareto
from foveal.views.plots.streaming import draw_timeline
from foveal.views.plots.style import BLUE, ORANGE, PALE, named, title_of

if TYPE_CHECKING:
    from foveal.designs.record import Designs
    from foveal.fields.field import Field
    from foveal.fields.receptive_field import ReceptiveField
    from foveal.fields.usage import Usage
    from foveal.ir.graph import Graph
    from foveal.tasks.record import Audit
    from foveal.tasks.streaming.record import StreamPlan
    from foveal.tasks.tiling.record import TilePlan


def axes_for(ax: Axes | None) -> Axes:
    """The axes given, or new ones of pyplot, which a notebook shows."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def field_axes(field: Field, ax: Axes | None = None, outline: bool = True) -> Axes:
    """Bars or a curve over a line, a heat map over a plane, the slice through the peak of a volume."""
    if field.values.ndim > 3:
        raise FovealError(f"{field.layer}: a field over {field.values.ndim} axes cannot be drawn")
    ax = axes_for(ax)
    if field.values.ndim == 1:
        draw_line(ax, field)
    elif field.values.ndim == 2:
        draw_plane(ax, field, outline=outline and field.kind != "usage")
    else:
        weights = shares(field)
        peak = int(np.unravel_index(int(weights.argmax()), weights.shape)[0])
        ax.imshow(weights[peak], cmap="cividis", vmin=0, vmax=1)
        ax.set_xlabel("W (voxels)")
        ax.set_ylabel("H (voxels)")
    ax.set_title(title_of(field))
    return ax


def box_axes(rf: ReceptiveField, ax: Axes | None = None, unit: Any = None) -> Axes:
    """The source, and on it the box of one unit (default: the middle one), unclipped."""
    ax, at = axes_for(ax), rf.middle if unit is None else rf.unit(unit)
    box = rf.box(at, clip=not all(rf.known) or rf.withheld(at))[-2:]
    lengths = rf.source_shape[-2:]
    if len(box) == 1:
        box, lengths = ((0, 1), *box), (1, *lengths)
    (top, bottom), (left, right) = box
    ax.add_patch(Rectangle((-0.5, -0.5), lengths[1], lengths[0], facecolor="#e8e8e8", edgecolor=PALE, label=rf.source))
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, facecolor=BLUE, alpha=0.35))
    ax.add_patch(
        Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=BLUE, label="RF box")
    )
    ax.plot((left + right - 1) / 2, (top + bottom - 1) / 2, "+", color=ORANGE, label="RF center")
    margin = 0.04 * max(right - left, bottom - top, *lengths)
    ax.set_xlim(min(left, 0) - margin, max(right, lengths[1]) + margin)
    ax.set_ylim(
        max(bottom, lengths[0]) + (margin if lengths[0] > 1 else 1), min(top, 0) - (margin if lengths[0] > 1 else 1)
    )
    if lengths[0] > 1:
        ax.set_aspect("equal")
        ax.set_ylabel(f"row ({unit_of(len(rf.source_shape))})")
    else:
        ax.set_yticks([])
    ax.set_xlabel(f"column ({unit_of(len(rf.source_shape))})" if lengths[0] > 1 else "position (samples)")
    ax.set_title(named(f"{rf.layer}, unit {at}: {rf.size_text()} ({rf.status})"))
    ax.legend(loc="upper right", fontsize=7)
    return ax


def stream_axes(plan: StreamPlan, ax: Axes | None = None) -> Axes:
    """Chunks as a timeline."""
    ax = axes_for(ax)
    draw_timeline(ax, plan)
    ax.set_title(named(f"{plan.network}: {plan.layer} in chunks of {plan.chunk}"))
    return ax


def graph_axes(graph: Graph, ax: Axes | None = None) -> Axes:
    """The growth over its stages."""
    names = stage_names(analyze(graph))
    return growth_axes(growth(graph, names), ax)


def growth_axes(found: Growth, ax: Axes | None = None) -> Axes:
    """Theoretical and effective side, layer by layer."""
    ax = axes_for(ax)
    draw_growth(ax, found)
    return ax


def report_axes(report: Report, ax: Axes | None = None) -> Axes:
    """Side of the receptive field, stage by stage, as far as the report has rows."""
    ax, source = axes_for(ax), report.sources[0]
    rows = [row for row in report.layers if row.source == source.name and isinstance(row.size.value, tuple)]
    names = stage_names(report)
    sides = {row.name: row.size.value[-1] for row in rows if isinstance(row.size.value, tuple)}
    shown = [(name, side) for name in names if (side := sides.get(name)) is not None]
    if not shown:
        raise FovealError(f"{report.name}: no layer has a known size to draw")
    ax.plot(range(len(shown)), [side for _, side in shown], "o-", color=BLUE, markersize=3.5, label="receptive field")
    ax.axhline(source.lengths[-1], color=PALE, linewidth=0.8, linestyle=":", label=f"the input, {source.lengths[-1]}")
    if report.verdict is not None and report.verdict.effective is not None:
        places = [place for place, (name, _) in enumerate(shown) if name == report.verdict.layer]
        if places:
            ax.plot(places, [report.verdict.effective], "s", color=ORANGE, label="effective side")
    ax.set_xticks(
        range(len(shown)), [named(name) for name, _ in shown], rotation=60, ha="right", rotation_mode="anchor"
    )
    ax.set_ylabel(f"side ({source.unit})")
    ax.set_ylim(0, 1.2 * max(side for _, side in shown))
    ax.set_title(named(f"{report.name}: growth of the receptive field"))
    ax.legend(frameon=False, loc="upper left")
    return ax


def usage_axes(usage: Usage, ax: Axes | None = None) -> Axes:
    """How many units read each position."""
    return field_axes(usage.as_field(), ax)


def audit_axes(audit: Audit, ax: Axes | None = None, figure: str | None = None) -> Axes:
    """The first axes of a figure of the audit (default: the first figure), which has a size and places of its own."""
    if ax is not None:
        raise FovealError(f"an audit draws figures of its own, without ax: figure= one of {', '.join(audit.figures)}")
    return audit.figure(figure).axes[0]


def designs_axes(designs: Designs, ax: Axes | None = None) -> Axes:
    """Misfit of the field against cost, with known networks."""
    ax = axes_for(ax)
    draw_pareto(ax, designs)
    return ax


def comparison_axes(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Side of the receptive field of both networks over the aligned layers, with the place where they part."""
    ax = axes_for(ax)
    for name, colour, side in ((comparison.first, BLUE, "first"), (comparison.second, ORANGE, "second")):
        grown = [(place, getattr(step, side)) for place, step in enumerate(comparison.steps)]
        points = [(p, g.size.value[-1]) for p, g in grown if g is not None and isinstance(g.size.value, tuple)]
        ax.plot([p for p, _ in points], [size for _, size in points], color=colour, label=named(name))
    if comparison.parting is not None:
        ax.axvline(comparison.parting, color=PALE, linestyle=":", label="they part")
    ax.set_xlabel("layer, aligned")
    ax.set_ylabel("side of the receptive field")
    ax.legend(frameon=False)
    return ax


def plan_axes(plan: TilePlan, ax: Axes | None = None) -> Axes:
    """The tiles over the last two axes of the source, halos overlapping."""
    ax = axes_for(ax)
    axes = plan.axes[-2:]
    rows, columns = axes if len(axes) == 2 else (None, axes[0])
    for top in rows.starts if rows else (0,):
        for left in columns.starts:
            height = min(rows.tile, rows.length) if rows else 1
            place = ((left, top), min(columns.tile, columns.length), height)
            ax.add_patch(Rectangle(*place, facecolor=BLUE, alpha=0.15))
            ax.add_patch(Rectangle(*place, fill=False, edgecolor=BLUE, linewidth=0.8))
    ax.set_xlim(0, columns.length)
    ax.set_ylim(rows.length if rows else 1, 0)
    if rows:
        ax.set_aspect("equal")
    ax.set_title(named(f"{plan.network}: {plan.count} tiles of {'x'.join(str(axis.tile) for axis in plan.axes)}"))
    return ax
