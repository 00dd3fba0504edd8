"""Measured fields as a table, as JSON and as a figure that knows how to be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveal.core.visible import visible
from foveal.fields.measured.provenance import KEY
from foveal.fields.measured.request import record
from foveal.fields.measured.uncertainty import Interval

if TYPE_CHECKING:
    from foveal.fields.field import Field
    from foveal.fields.measured.request import Request, Result
    from foveal.views.plots.style import Picture

COLUMNS = ("network", "weights", "layer", "unit", "images", "RF", "sigma", "effective side", "side / RF",
           "90 % side")  # fmt: skip


def erf_table(results: Sequence[Result]) -> str:
    """One line a result: size of the RF, then metrics with the middle 95 % of the bootstrap in brackets."""
    rows = [COLUMNS, *(_row(result) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    notes = list(dict.fromkeys(note for result in results for note in _notes(result)))
    return "\n".join(map(visible, [*lines, *notes]))


def _row(result: Result) -> tuple[str, ...]:
    field, known = result.measured.field, result.measured.intervals
    size = None if field.box is None else [b - a for a, b in field.box]
    side = known["effective_side"]
    ratio = "" if size is None or side.value is None else f"{side.value / float(np.prod(size)) ** (1 / len(size)):.3f}"
    return (
        result.source,
        Path(result.weights).name,
        field.layer,
        ",".join(map(str, field.unit)),
        str(len(result.measured.used)),
        "withheld" if size is None else "x".join(map(str, size)),
        _with_interval(known["sigma"], ".2f"),
        _with_interval(side, ".1f"),
        ratio,
        _with_interval(known.get("side_90", Interval(None, None, None)), ".0f"),
    )


def _with_interval(item: Interval, form: str) -> str:
    if item.value is None:
        return "none"
    if item.low is None or item.high is None:
        return f"{item.value:{form}}"
    return f"{item.value:{form}} [{item.low:{form}}, {item.high:{form}}]"


def _notes(result: Result) -> list[str]:
    field, skipped = result.measured.field, result.measured.skipped
    found = [f"left out: {name}: {reason}" for name, reason in skipped]
    found += [f"{field.layer}: {part}" for part in field.method.split("; ") if part.startswith("may miss")]
    if result.energy is not None:
        predicted = result.energy.metrics()
        if predicted.sigmas is not None and predicted.effective is not None:
            rms = float(np.sqrt(np.mean(np.square(predicted.sigmas))))
            text = f"predicted effective side {predicted.effective.side:.1f}, sigma {rms:.2f}"
            found.append(f"{result.source}, {field.layer}: {text} ({result.energy.method})")
    if "log_ratio_20" in result.measured.intervals:
        areas = ", ".join(
            f"{share} %: {100 * value:.2f} %" if value is not None else f"{share} %: none"
            for share in (20, 30, 50, 99)
            for value in [result.measured.intervals[f"log_ratio_{share}"].value]
        )
        found.append(f"{field.layer}: areas of log10(1 + map), which depend on the gradients' scale: {areas}")
    return found


def erf_json(request: Request, results: Sequence[Result]) -> dict[str, Any]:
    """The record and, for each result, its field's metrics and intervals."""
    rows = [
        {
            "source": result.source,
            "weights": result.weights,
            **result.measured.record,
            "status": result.measured.field.status,
            "method": result.measured.field.method,
            "metrics": result.measured.field.metrics().to_dict(),
        }
        for result in results
    ]
    return {KEY: record(request, results), "results": rows}


def erf_picture(request: Request, results: Sequence[Result]) -> Picture:
    """Heat maps of all results, predictions beside them; the record stands in the file's metadata."""
    from foveal.views.plots.field import heat_map
    from foveal.views.plots.panels import unit_grid
    from foveal.views.plots.style import named

    shown: list[Field] = []
    titles: list[str] = []
    for result in results:
        field = result.measured.field
        log10 = result.measured.record["protocol"]["display"] == "log10"
        shown.append(replace(field, values=np.log10(1 + field.values)) if log10 else field)
        titles.append(named(_title(result, len(request.models) > 1)))
        if result.energy is not None:
            shown.append(result.energy)
            titles.append(named(f"{field.layer}\npredicted"))
    protocol = f"ERF, protocol {request.protocol}, {len(results[0].measured.used)} images"
    if len(shown) == 1:
        figure = heat_map(shown[0], f"{titles[0].replace(chr(10), ', ')}: {protocol}")
    else:
        columns = 2 if any(r.energy is not None for r in results) else min(4, len(shown))
        figure = unit_grid(shown, columns, titles, protocol)
    figure.provenance = {**figure.provenance, KEY: record(request, results)}
    return figure


def _title(result: Result, many: bool) -> str:
    where = f"{result.measured.field.layer} {result.measured.field.unit}"
    return f"{result.source}, {Path(result.weights).name}\n{where}" if many else where
