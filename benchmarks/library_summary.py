"""The records of ``make libraries`` as a page."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pages import markdown_table, paragraph

if TYPE_CHECKING:
    from libraries import Record

PACKAGES = {"smp": "segmentation-models-pytorch", "open_clip": "open_clip_torch"}


def markdown(records: list[Record]) -> str:
    """Counts per library, causes, and the models that are not wholly exact, that failed or that were not built."""
    built = [record for record in records if record.status != "unbuilt"]
    small = [(record.name, where) for record in records for where in record.small]
    parts = [
        "# Small networks of other libraries",
        paragraph(
            f"{', '.join(_versions(records))}. Each model is built small and without weights, traced, and asked "
            "itself: of up to eight layers three units each, all features added up with random signs and one feature "
            "alone, differentiated in float64, or each token changed. `make libraries` goes through all models of what "
            f"is installed; this page has the {len(built)} that were run last, a sample. The words are those of "
            '[the zoo](zoo.md); "wholly exact": every layer is exact and its unclipped size given.'
        ),
        markdown_table(*_counts(records)),
        paragraph(
            f"Units compared: {sum(record.units for record in built):,}; supports that were too small: {len(small)}; "
            f"exact hulls whose edge nothing reached: {sum(len(record.unfilled) for record in built)}, "
            f"in {sum(bool(record.unfilled) for record in built)} models (shut ReLUs, lost maxima, whole numbers). "
            f"Single features: {sum(record.features for record in built):,} compared, "
            f"{sum(record.unfilled_features for record in built)} not filled."
        ),
        "## Operations that keep numbers from being exact",
        paragraph(
            f"Of the {sum(not _whole(record) for record in built)} models that are not wholly exact, each operation is "
            "a cause in so many; a model may have several. Sampling, sorting by scores and the choice of experts or "
            "boxes read where data says, and stay so."
        ),
        markdown_table(("operation", "models", "share of those not wholly exact"), _causes(built)),
        "## Models that are not wholly exact",
        markdown_table(("model", "status", "exact layers", "withheld", "cause"), _others(built)),
        "## Models of which no small form ran in their own library",
        markdown_table(("model", "why"), [(r.name, r.error[:100]) for r in records if r.status == "unbuilt"]),
    ]
    if small:
        parts += ["## Supports that were too small", markdown_table(("model", "unit"), small)]
    return "\n\n".join(parts) + "\n"


def _versions(records: list[Record]) -> list[str]:
    found = []
    for library in dict.fromkeys(record.name.partition(":")[0] for record in records):
        try:
            found.append(f"{library} {version(PACKAGES.get(library, library))}")
        except PackageNotFoundError:
            found.append(library)
    return [*found, f"torch {version('torch')}"]


def _whole(record: Record) -> bool:
    return record.status == "exact" and record.exact == record.layers


def _counts(records: list[Record]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for library in dict.fromkeys(record.name.partition(":")[0] for record in records):
        own = [record for record in records if record.name.startswith(f"{library}:")]
        built = [record for record in own if record.status != "unbuilt"]
        seconds = sorted(sum(record.seconds.get(stage, 0) for stage in ("trace", "report")) for record in built)
        states = Counter(record.status for record in own)
        rows.append((
            library, str(len(built)), str(sum(map(_whole, built))), *(str(states[s]) for s in STATUSES),
            f"{sum(r.exact for r in built)} of {sum(r.layers for r in built)}",
            f"{seconds[len(seconds) // 2]:.1f}" if seconds else "",
        ))  # fmt: skip
    head = ("library", "models", "wholly exact", *STATUSES, "exact layers", "median s, with other work on the machine")
    return head, rows


STATUSES = ("data-dependent", "bound", "partial", "failed", "unbuilt")


def _causes(records: list[Record]) -> list[tuple[str, ...]]:
    others = [record for record in records if not _whole(record)]
    count = Counter(
        cause for record in others for cause in record.causes or [record.error or "an unclipped size is withheld"]
    )
    return [(cause, str(models), f"{models / len(others):.0%}") for cause, models in count.most_common(25)]


def _others(records: list[Record]) -> list[tuple[str, ...]]:
    return [
        (r.name, r.status, f"{r.exact} of {r.layers}", str(r.withheld), r.error[:100] or ", ".join(list(r.causes)[:4]))
        for r in records
        if not _whole(r)
    ]
