"""Measured fields as a table, as JSON and as a figure that knows how to be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.cells import cell_len

from foveal.core.serial import to_plain
from foveal.core.visible import visible
from foveal.fields.measured.occluded.reading import reading
from foveal.fields.measured.provenance import KEY
from foveal.fields.measured.request import record
from foveal.fields.measured.uncertainty import Interval
from foveal.views.language.translate import translated
from foveal.views.text.table import aligned

if TYPE_CHECKING:
    from foveal.fields.field import Field
    from foveal.fields.measured.measure import Measured
    from foveal.fields.measured.request import Request, Result
    from foveal.views.plots.style import Picture

COLUMNS = ("network", "weights", "layer", "unit", "images", "RF", "sigma", "effective side", "side / RF",
           "90 % side")  # fmt: skip


def erf_table(results: Sequence[Result], width: int | None = None) -> str:
    """One line a result: size of the RF, then metrics with the middle 95 % of the bootstrap in brackets; where the
    terminal is too narrow for that, one below the other.
    """
    rows = [tuple(map(translated, COLUMNS)), *(row for result in results for row in _rows(result))]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell + " " * (n - cell_len(cell)) for cell, n in zip(row, widths)).rstrip() for row in rows]
    if width is not None and max(map(cell_len, lines)) > width:
        lines = [line for row in rows[1:] for line in ("", *aligned(list(zip(COLUMNS, row)), width))][1:]
    notes = list(dict.fromkeys(note for result in results for note in _notes(result)))
    return "\n".join(map(visible, [*lines, *notes]))


def _rows(result: Result) -> list[tuple[str, ...]]:
    """Of a field of occlusion also the gradient's."""
    beside = [] if result.beside is None else [(result.beside, translated("its gradient"))]
    return [_row(result, *each) for each in ((result.measured, translated(result.measured.record["answers"])), *beside)]


def part_of(measured: Measured, more: str = "") -> str:
    """The layer, and of what the field is where that is not all of it."""
    channels = measured.record["channels"]
    told = "" if channels is None else f"[{channels[0]}..{channels[1]}]"
    return f"{measured.field.layer}{told}{', ' if more else ''}{more}"


def _row(result: Result, measured: Measured, more: str) -> tuple[str, ...]:
    field, known = measured.field, measured.intervals
    size = None if field.box is None else [b - a for a, b in field.box]
    side = known["effective_side"]
    ratio = "" if size is None or side.value is None else f"{side.value / float(np.prod(size)) ** (1 / len(size)):.3f}"
    return (
        result.source,
        Path(result.weights).name,
        part_of(measured, more),
        ",".join(map(str, field.unit)),
        str(len(measured.used)),
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
    if result.beside is not None:
        found += _compared(result.measured, result.beside)
    elif result.why:
        said = translated(f"no gradient beside it ({result.why}): occlusion alone tells what reaches the unit")
        found.append(f"{part_of(result.measured)}: {said}")
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


def grown(results: Sequence[Result]) -> list[str]:
    """For each network and layer the effective side with the first weights and with the last, and whether their
    intervals over the images lie apart.
    """
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        rows.setdefault((result.source, part_of(result.measured, result.measured.record["answers"])), []).append(result)
    found = []
    for (_, name), mine in rows.items():
        first, last = (each.measured.intervals["effective_side"] for each in (mine[0], mine[-1]))
        if len(mine) > 1 and first.value and last.value is not None:
            sides = translated(
                f"effective side {_with_interval(first, '.1f')}, at the end {_with_interval(last, '.1f')}"
            )
            found.append(
                f"{name}: {sides}: {100 * (last.value / first.value - 1):+.0f} %; {translated(_apart(first, last))}"
            )
    return found


def _apart(first: Interval, last: Interval) -> str:
    if first.low is None or first.high is None or last.low is None or last.high is None:
        return "too few images for an interval"
    if first.high < last.low or last.high < first.low:
        return "the intervals over the images lie apart"
    return "the intervals over the images meet: no change is shown"


READINGS = {
    "agree": "they agree",
    "unknown": "one image does not tell what is chance",
    "wider": "occlusion reaches further: what lies out there is needed, though a small change of it hardly moves the "
    "unit (shut gates, maxima that others win); the gradient shows what the unit notices first",
    "narrower": "the gradient reaches further: out there the unit notices small changes, but what these images hold "
    "there hardly counts; occlusion shows what it needs",
    "elsewhere": "as wide, but at other places: the weight of occlusion follows what the images hold, that of the "
    "gradient how steep the unit is there; look at both maps (-o)",
}
"""How to read an occlusion field that does not look like the gradient's."""


def _compared(occlusion: Measured, gradient: Measured) -> list[str]:
    """How much of the weight of the two lies elsewhere, and what that means."""
    found = reading(occlusion, gradient, occlusion.record["settings"]["patch"])
    apart, chance = (f"{100 * share:.0f} %" for share in (found.apart, found.chance))
    told = translated(f"occlusion and gradient: {apart} of the weight lies at other patches, {chance} by chance")
    if found.verdict == "unknown":  # of one image
        told = translated(f"occlusion and gradient: {apart} of the weight lies at other patches")
    return [f"{part_of(occlusion)}: {told}; {translated(READINGS[found.verdict])}"]


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
            **({} if result.beside is None else {"gradient": _beside_json(result.measured, result.beside)}),
        }
        for result in results
    ]
    return {KEY: record(request, results), "results": rows}


def _beside_json(occlusion: Measured, gradient: Measured) -> dict[str, Any]:
    """The gradient field beside one of occlusion: its intervals and how the two compare."""
    compared = reading(occlusion, gradient, occlusion.record["settings"]["patch"])
    return {"intervals": gradient.record["intervals"], "reading": to_plain(compared)}


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
        if result.beside is not None:
            shown.append(result.beside.field)
            titles.append(named(f"{part_of(result.beside)}\ngradient"))
        if result.energy is not None:
            shown.append(result.energy)
            titles.append(named(f"{field.layer}\npredicted"))
    protocol = f"ERF, protocol {request.protocol}, {len(results[0].measured.used)} images"
    if len(shown) == 1:
        figure = heat_map(shown[0], f"{titles[0].replace(chr(10), ', ')}: {protocol}")
    else:
        several = any(r.energy is not None or r.beside is not None for r in results)
        columns = 2 if several else min(4, len(shown))
        figure = unit_grid(shown, columns, titles, protocol)
    figure.provenance = {**figure.provenance, KEY: record(request, results)}
    return figure


def _title(result: Result, many: bool) -> str:
    where = f"{part_of(result.measured, result.measured.record['answers'])} {result.measured.field.unit}"
    return f"{result.source}, {Path(result.weights).name}\n{where}" if many else where
