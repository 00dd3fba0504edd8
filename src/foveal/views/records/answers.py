"""Each record in at most five lines, the answer first: what ``repr`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foveal.core.visible import visible
from foveal.report.results import Comparison, Growth, Report, unit_of
from foveal.views.records.verdict import verdict_lines
from foveal.views.text.table import axes_text, quantity_text, shape_text

if TYPE_CHECKING:
    from foveal.designs.record import Designs
    from foveal.fields.field import Field
    from foveal.fields.receptive_field import ReceptiveField
    from foveal.ir.graph import Graph
    from foveal.tasks.record import Audit
    from foveal.tasks.streaming.record import StreamPlan
    from foveal.tasks.tiling.record import TilePlan

LINES, WIDTH = 5, 160


def graph_short(graph: Graph) -> str:
    """Name, inputs, size, and what to do next."""
    sources = ", ".join(f"{s.name} {shape_text(graph.values[s.value].shape)}" for s in graph.sources)
    last = graph.layers[-1] if graph.layers else "none"
    lines = [
        f"{graph.name}: {sources}",
        f"{len(graph.layers)} layers, the last is '{last}'; {len(graph.nodes)} operations, "
        f"{quantity_text(graph.parameters)} parameters",
    ]
    return _lines(
        [*lines, graph.stopped, "foveal.analyze(graph) tells what its layers see; graph.layers has their names"]
    )


def field_of_view(rf: ReceptiveField) -> str:
    """Size, stride, start and status, grid, and what is not exact."""
    unit = _unit(rf.source_shape)
    lines = [
        f"{rf.layer} sees {rf.size_text()} {unit} of {rf.source} {shape_text(rf.source_shape)} ({rf.status})",
        f"stride {axes_text(rf.stride) or 'none'}, start {axes_text(rf.start) or 'none'}, "
        f"clipped to the source {axes_text(rf.clipped_size)}; {shape_text(rf.grid)} units",
    ]
    if rf.local is not None:
        lines.append(f"without global context {rf.local.size_text()} {unit}")
    return _lines([*lines, "; ".join(rf.causes), rf.stopped])


def _unit(lengths: Sequence[int]) -> str:
    """A field does not know whether a position of one axis is a sample or a token."""
    return "positions" if len(lengths) == 1 else unit_of(len(lengths))


def field_short(field: Field) -> str:
    """What, where, how wide."""
    unit = _unit(field.source_shape)
    where = f"{field.layer or 'an array'}, unit {field.unit}" if field.unit else field.layer or "an array"
    lines = [f"{field.kind} of {where} over {field.source} {shape_text(field.source_shape)} ({field.status})"]
    if field.box is not None:
        lines.append(f"receptive field {shape_text([b - a for a, b in field.box])} {unit}")
    if (found := field.effective()) is not None:
        ninety = "" if found.side_90 is None else f", 90 % side {found.side_90}"
        lines.append(f"effective side {found.side:.4g} {unit}{ninety}")
    return _lines(lines)


def report_short(report: Report) -> str:
    """The verdict, and how much else there is."""
    names = len({row.name for row in report.layers})
    unsure = sum(row.status != "exact" for row in report.layers)
    sure = f"{unsure} of {len(report.layers)} rows not exact" if unsure else "all exact"
    sources = ", ".join(f"{source.name} {shape_text(source.shape)}" for source in report.sources)
    head = f"{report.name}: {sources}; {names} layers, {sure}, {len(report.findings)} findings"
    return _lines([head, *verdict_lines(report), "print(report) shows the table, report.to_text(every=True) all rows"])


def comparison_short(comparison: Comparison) -> str:
    """The sentence."""
    from foveal.views.text.comparison import verdict

    return _lines([verdict(comparison), *comparison.notes])


def growth_short(growth: Growth) -> str:
    """First and last layer."""
    head = f"growth of {growth.network} over {len(growth.layers)} layers ({growth.kind})"
    if not growth.layers:
        return head
    ends = [f"{growth.layers[i]}: {growth.trf[i]}, effective side {growth.erf[i]:.4g}" for i in (0, -1)]
    return _lines([head, *ends])


def text_short(record: Any) -> str:
    """The first lines of its text."""
    return _lines(str(record).splitlines())


def audit_short(audit: Audit) -> str:
    """The summary, and the findings by code."""
    codes = ", ".join(dict.fromkeys(f"{finding.code} ({finding.severity})" for finding in audit.findings))
    head = f"{audit.task}: {audit.network}, {audit.source} {shape_text(audit.source_shape)}"
    return _lines([head, *audit.summary[: LINES - 2], f"findings: {codes or 'none'}"])


def plan_short(plan: TilePlan) -> str:
    """Status, halo, tiles."""
    from foveal.views.text.plans import plan_rows

    kept = ("tiling", "tile, halo included", "halo (before + after)", "tiles")
    rows = [f"{name}: {text}" for name, text in plan_rows(plan) if name in kept]
    return _lines([f"{plan.network}: {plan.layer} in tiles of {shape_text(plan.source.lengths)}", *rows])


def stream_short(plan: StreamPlan) -> str:
    """What it needs, and what equals the whole."""
    from foveal.views.text.plans import stream_rows

    kept = ("look-back, look-ahead", "chunk", "overlap: context", "equals the whole")
    rows = [f"{name}: {text}" for name, text in stream_rows(plan) if name in kept]
    return _lines([f"{plan.network}: {plan.layer} as a stream", *rows])


def designs_short(designs: Designs) -> str:
    """How many, and the cheapest."""
    lines = [f"{len(designs.designs)} designs for {designs.target.task or 'the question'}, of {designs.scored} scored"]
    for one in designs.designs[:2]:
        lines.append(f"{one.role}: cost {one.cost:.4g}, misfit {one.misfit:.3g}")
    return _lines([*lines, "print(designs) shows all; .designs[0].code() is PyTorch"])


def _lines(lines: Sequence[str]) -> str:
    """The first lines that say something, none too long."""
    kept = [visible(line) for line in lines if line][:LINES]
    return "\n".join(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}\u2026" for line in kept)
