"""A report as comma-separated values: one line per layer and source, one column per quantity and source axis."""

from __future__ import annotations

import csv
import io

from foveal.core.serial import to_plain
from foveal.core.visible import cell
from foveal.report.results import LayerResult, Report

_PER_AXIS = ("size", "smallest", "clipped", "stride", "start", "period", "center", "offset", "local")


def csv_text(report: Report) -> str:
    """The table; fractions as "3/2", an empty cell where there is no number. Lines end in a newline only."""
    axes = [name for name in ("T", "D", "H", "W") if any(name in source.axis_names for source in report.sources)]
    others = [name for source in report.sources for name in source.axis_names if name not in axes]
    axes += sorted(set(others))
    names = {source.name: source.axis_names for source in report.sources}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    stopped = next(
        (f"stopped at {f.layer or '(top)'}: {f.text}" for f in report.findings if f.code == "partial"), "whole"
    )
    writer.writerow(
        ["layer", "source", "kind", "type", "shape", "status"]
        + [cell(f"{quantity}_{axis}") for quantity in _PER_AXIS for axis in axes]
        + ["covered", "parameters", "multiply_adds", "multiply_adds_status", "causes", "trace"]
    )
    for row in report.layers:
        writer.writerow([*_line(row, names[row.source], axes), stopped])
    return buffer.getvalue()


def _line(row: LayerResult, names: tuple[str, ...], axes: list[str]) -> list[object]:
    sizes = row.size.value if isinstance(row.size.value, tuple) else ()
    smallest = tuple(None if pair is None else pair[0] for pair in row.sizes)
    quantities = (
        sizes, smallest, row.clipped, row.stride, row.start, row.period, row.center, row.offset, row.local or (),
    )  # fmt: skip
    cells: list[object] = [
        cell(row.name), cell(row.source), row.kind, cell(row.type), "x".join(map(str, row.shape)), row.status,
    ]  # fmt: skip
    for quantity in quantities:
        by_axis = dict(zip(names, quantity))
        cells += [_cell(by_axis.get(axis)) for axis in axes]
    adds = row.multiply_adds
    return [*cells, _cell(row.covered), row.parameters, _cell(adds.value), adds.status, cell("; ".join(row.causes))]


def _cell(value: object) -> object:
    return "" if value is None else to_plain(value)
