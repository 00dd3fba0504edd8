"""The table of a report as text cells: one tree that the terminal and the HTML view both draw.

A tuple whose entries are equal is written once ("427"); otherwise the entries stand in source-axis order ("7x1").
A cell with two ends ("140-168") says that the units of one layer differ.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat

from rich.cells import cell_len

from foveal.core.visible import visible
from foveal.report.results import LayerResult, Measure, Report, SourceInfo
from foveal.views.language.translate import translated

UNKNOWN = "?"
_MARKS = {"exact": "", "bound": "\u2264", "data-dependent": "~", "unavailable": "", "contradicted": ""}


@dataclass(frozen=True)
class Column:
    """A column: its heading, its alignment, and its rank (the highest rank is the first to go where space is short)."""

    heading: str
    right: bool
    rank: int


@dataclass(frozen=True)
class Row:
    """The cells of one layer. ``dim`` for containers, ``status`` for its colour."""

    cells: tuple[str, ...]
    dim: bool
    status: str


@dataclass(frozen=True)
class Table:
    """Everything a view draws: title, columns, rows, totals, findings and the legend."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    totals: str
    findings: tuple[tuple[str, str], ...]
    legend: tuple[str, ...]
    verdict: tuple[str, ...] = ()
    hint: str = ""


def table(report: Report) -> Table:
    """The table of a report; columns in which no layer has anything to say are left out."""
    rows = report.layers
    choices = [
        (Column("layer", False, 0), [row.name for row in rows]),
        (Column("source", False, 3), [row.source for row in rows] if len(report.sources) > 1 else []),
        (Column("type", False, 9), [row.type for row in rows]),
        (Column("output", False, 5), [shape_text(row.shape) for row in rows]),
        (Column("RF", True, 1), [size_text(row) for row in rows]),
        *measures(report),
        (Column("local RF", True, 3), [axes_text(row.local or ()) for row in rows]),
        (Column("stride", True, 2), [axes_text(row.stride) for row in rows]),
        (Column("start", True, 4), [axes_text(row.start) for row in rows]),
        (Column("offset", True, 8), [axes_text(row.offset, signed=True) for row in rows]),
        (Column("phases", True, 7), [_phases(row) for row in rows]),
        (Column("covered", True, 7), [percent(row.covered) for row in rows]),
        (Column("params", True, 6), [_or_blank(row.parameters) for row in rows]),
        (Column("mult-adds", True, 6), [measure_text(row.multiply_adds) for row in rows]),
        (Column("status", False, 2), [row.status for row in rows]),
    ]
    used = [(column, cells) for column, cells in choices if any(cells)]
    lines = zip(*(cells for _, cells in used))
    return Table(
        title=_title(report),
        columns=tuple(column for column, _ in used),
        rows=tuple(Row(tuple(map(visible, cells)), not row.leaf, row.status) for cells, row in zip(lines, rows)),
        totals=totals(report),
        findings=tuple((finding.severity, _finding(finding.layer, finding.text)) for finding in report.findings),
        legend=_legend(report, {column.heading for column, _ in used}),
    )


def measures(report: Report) -> list[tuple[Column, list[str]]]:
    """The size in milliseconds or millimetres, where a source says what a position measures."""
    sources = {source.name: source for source in report.sources}
    found = []
    for measure in dict.fromkeys(source.measure for source in report.sources if source.step):
        rows = [(sources[row.source], row) for row in report.layers]
        cells = [
            measured_text(source, row.size.value)
            if isinstance(row.size.value, tuple) and source.measure == measure
            else ""
            for source, row in rows
        ]
        found.append((Column(f"RF {measure}", True, 2), cells))
    return found


def measured_text(source: SourceInfo, values: Sequence[float | Fraction | None]) -> str:
    """Lengths in the source's measure, without its name: "192", "30x30x90"; "" where none is known."""
    if not source.step or len(values) != len(source.step) or None in values:
        return ""
    cells = [f"{float(value) * step:.5g}" for value, step in zip(values, source.step) if value is not None]
    return cells[0] if len(set(cells)) == 1 else "x".join(cells)


def aligned(rows: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """A line for each name and value, the values one below the other; width: of the terminal, at which they go on."""
    said = [(translated(name), translated(value)) for name, value in rows]
    names = max(cell_len(name) for name, _ in said)
    room = None if width is None else max(20, width - names - 2)
    return [
        visible(f"{name}{' ' * (names - cell_len(name))}  {part}".rstrip())
        for first, value in said
        for name, part in zip(chain([first], repeat("")), [value] if room is None else _lines(value, room))
    ]


def _lines(text: str, room: int) -> list[str]:
    """The text in lines of so many cells, cut between words; numbers are never cut, Chinese is cut anywhere."""
    lines = [""]
    for word in re.findall(r"[\u3000-\uffef]|[^\s\u3000-\uffef]+|\s+", text):
        if cell_len(lines[-1] + word) > room and lines[-1].strip():
            lines.append("")
        lines[-1] += word if lines[-1] or not word.isspace() else ""
    return [line.rstrip() for line in lines]


def axes_text(values: Sequence[int | Fraction | None], signed: bool = False) -> str:
    """One entry per axis, written once where all are equal: "32", "7x1", "-3,0"; "" where there is none."""
    cells = [number_text(value) for value in values]
    if all(value is None for value in values):
        return ""
    if len(set(cells)) == 1:
        return f"+{cells[0]}" if signed and (values[0] or 0) > 0 else cells[0]
    return ("," if any(cell.startswith("-") for cell in cells) else "x").join(cells)


def number_text(value: int | Fraction | None) -> str:
    """An integer, a short decimal where it is one ("15.5"), else the fraction ("8/3"); "?" for None."""
    if value is None:
        return UNKNOWN
    exact = Fraction(value)
    if exact.denominator in (1, 2, 4, 8):
        return f"{float(exact):g}" if exact.denominator > 1 else str(exact.numerator)
    return f"{exact.numerator}/{exact.denominator}"


def size_text(row: LayerResult) -> str:
    """The size with the mark of its status, as a range where the units differ: "427", "<=427", "140-168"; "[64]",
    clipped to the source, where it is withheld.
    """
    if row.size.status == "unavailable" and any(row.clipped):
        return f"[{axes_text(row.clipped)}]"
    if not isinstance(row.size.value, tuple):
        return UNKNOWN
    largest = row.size.value
    cells = [_range(pair, value) for pair, value in zip(row.sizes, largest)]
    return _MARKS[row.size.status] + (cells[0] if len(set(cells)) == 1 else "x".join(cells))


def quantity_text(value: int) -> str:
    """Three digits and a magnitude: "512", "25.6 M", "4.09 G"."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        # 999.5 of a unit would round to the four digits of the next one.
        if abs(value) >= 0.9995 * 10**power:
            scaled = value / 10**power
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f} {unit}"
    return str(value)


def measure_text(measure: Measure) -> str:
    """A count with the mark of its status; "" for zero, "?" where it is unavailable."""
    if not isinstance(measure.value, int):
        return UNKNOWN
    return _or_blank(measure.value) and ("\u2265" if measure.status == "bound" else "") + quantity_text(measure.value)


def shape_text(shape: Sequence[int]) -> str:
    """ "1x64x112x112"; "scalar" for no axis."""
    return "x".join(str(length) for length in shape) or "scalar"


def percent(share: float | None) -> str:
    """Share of the source: "100 %", "3.2 %", "<0.1 %"; "" for None."""
    if share is None:
        return ""
    if 0 < share < 0.001:
        return "<0.1 %"
    # What is not the whole must not read as the whole.
    return f"{100 * share:.0f} %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _range(pair: tuple[int, int] | None, largest: int | None) -> str:
    if pair is None or largest is None:
        return UNKNOWN
    return f"{pair[0]}-{pair[1]}" if pair[0] != pair[1] else str(pair[1])


def _phases(row: LayerResult) -> str:
    return "" if all(period in (1, None) for period in row.period) else axes_text(row.period)


def _or_blank(value: int) -> str:
    return quantity_text(value) if value else ""


def _title(report: Report) -> str:
    sources = ", ".join(f"{source.name} {shape_text(source.shape)}" for source in report.sources)
    return visible(f"{report.name}: {sources}")


def totals(report: Report) -> str:
    """Layers, parameters and multiply-adds of the whole network."""
    whole = report.totals
    shown = len({row.name for row in report.layers})
    some = f"{shown} of {whole.layers}" if shown != whole.layers else str(whole.layers)
    adds = whole.multiply_adds
    count = quantity_text(adds.value) if isinstance(adds.value, int) else UNKNOWN
    mark = "at least " if adds.status == "bound" else ""
    layers = "layer" if some == "1" else "layers"
    return f"{some} {layers}, {quantity_text(whole.parameters)} parameters, {mark}{count} multiply-adds"


def _finding(layer: str, text: str) -> str:
    return visible(f"{layer}: {text}" if layer else text)


def _legend(report: Report, headings: set[str]) -> tuple[str, ...]:
    names = sorted({" ".join(source.axis_names) for source in report.sources if source.axes})
    axes = f"one number: the same along {' or '.join(names)}" if names and "H" in names[0] else ""
    units = {source.unit.replace("px", "pixels") for source in report.sources if source.axes}
    unit = units.pop() if len(units) == 1 else "positions"
    lines = {
        "RF": f"RF: size in {unit}, unclipped" + (f" ({axes})" if axes else ""),
        "RF ms": "RF ms: the same in milliseconds",
        "RF mm": "RF mm: the same in millimetres",
        "local RF": "local RF: without global context (gates, global pooling, norms over space, attention)",
        "stride": f"stride: {unit} per unit",
        "start": f"start: first {unit.removesuffix('s')} of unit 0",
        "offset": "offset: RF center minus cell center of unit 0",
        "phases": "phases: size and start repeat with this period of units",
        "covered": "covered: share of the source inside the middle unit's RF",
    }
    if any(size_text(row).startswith("[") for row in report.layers):
        lines["RF"] += "; [n]: withheld, n is clipped to the source"
    statuses = {row.status for row in report.layers}
    marks = {
        "bound": "\u2264 bound: the RF is not larger than this",
        "data-dependent": "~ data-dependent: data decides; holds for the branches, indices and lengths of this input",
        "unavailable": f"{UNKNOWN} unavailable",
        "contradicted": f"{UNKNOWN} contradicted: a run of the model showed the number to be wrong",
    }
    return tuple(text for heading, text in lines.items() if heading in headings) + tuple(
        text for status, text in marks.items() if status in statuses
    )
