"""The zoo's records as tables: counts per library and status, the causes, the models that are not exact."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from statistics import median

from rich.table import Table

from pages import Content, markdown_table, paragraph, rich_table
from zoo_model import Record

STATUSES = ("exact", "data-dependent", "bound", "partial", "failed")
SHOWN = 40
"""Models that are not exact, listed on the terminal; the page lists all."""


def tables(records: list[Record]) -> list[Table]:
    """Counts, causes and models that are not exact, for the terminal."""
    return [
        rich_table("Models", *_counts(records)),
        rich_table("Causes", *_causes(records)),
        rich_table("Not exact", *_others(records), most=SHOWN),
    ]


def markdown(records: list[Record]) -> str:
    """The same as a page."""
    parts = [
        "# Every model of torchvision and timm",
        paragraph(
            f"torchvision {version('torchvision')}, timm {version('timm')}, torch {version('torch')}. Each model is "
            "built without weights, traced at its default input size, bounded (every unit of every layer, clipped and "
            "unclipped) and reported. `make zoo` makes this page anew."
        ),
        "- **exact**: no layer is a bound or data-dependent.\n"
        "- **data-dependent**: some layers read where data says (sampling, boxes from a detector); they are marked.\n"
        "- **bound**: some layers' numbers are upper bounds, for the cause that is named.\n"
        "- **partial**: the trace ended early; what came before is reported.\n"
        "- **failed**: no report.\n"
        "- **withheld** layers: the clipped numbers are given, an unclipped one is not (padding after a layout that\n"
        "  is not regular, such as a padded convolution inside a window).",
        markdown_table(*_counts(records)),
        "## Operations that keep numbers from being exact",
        markdown_table(*_causes(records)),
        "## Models that are not exact in every layer",
        markdown_table(*_others(records)),
        "## Models with withheld unclipped numbers",
        markdown_table(*_withheld(records)),
        "## Time",
        "Seconds by the clock, with other work on the machine.",
        markdown_table(*_times(records)),
    ]
    return "\n\n".join(parts) + "\n"


def _library(record: Record) -> str:
    return record.name.split(":")[0]


def _by_library(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[_library(record)].append(record)
    return found


def _counts(records: list[Record]) -> Content:
    rows = []
    for library, own in _by_library(records).items():
        count = Counter(record.status for record in own)
        layers, exact = sum(record.layers for record in own), sum(record.exact for record in own)
        share = f"{exact:,} of {layers:,} ({exact / layers:.2%})" if layers else "0"
        withheld = f"{sum(record.withheld for record in own):,}"
        rows.append((library, str(len(own)), *(str(count[status]) for status in STATUSES), share, withheld))
    return ("library", "models", *STATUSES, "exact layers", "withheld layers"), rows


def _causes(records: list[Record]) -> Content:
    models: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for record in records:
        for operation, count in record.causes.items():
            models[operation] += 1
            places[operation] += count
    return ("operation", "models", "places"), [(op, str(n), str(places[op])) for op, n in models.most_common()]


def _others(records: list[Record]) -> Content:
    rows = []
    for record in records:
        if record.status != "exact":
            why = record.error or ", ".join(f"{op} {count}x" for op, count in record.causes.items())
            why = why or "; ".join(note for note in record.notes if note.startswith(("partial", "data-dependent")))
            rows.append((record.name, record.status, f"{record.exact} of {record.layers}", why))
    return ("model", "status", "exact layers", "cause"), rows


def _withheld(records: list[Record]) -> Content:
    rows = [(r.name, f"{r.withheld} of {r.layers}") for r in records if r.withheld and r.status == "exact"]
    return ("model", "withheld layers"), rows


def _times(records: list[Record]) -> Content:
    rows = []
    for library, own in _by_library(records).items():
        for stage in ("build", "trace", "bounds", "report"):
            times = [record.seconds[stage] for record in own if stage in record.seconds]
            if times:
                slowest = max((r for r in own if stage in r.seconds), key=lambda r: r.seconds[stage])
                worst = f"{max(times):.2f} ({slowest.name.split(':')[1]})"
                rows.append((library, stage, f"{median(times):.3f}", worst, f"{sum(times):.0f}"))
    return ("library", "stage", "median s", "longest s", "all s"), rows
