"""What is wrong with the fields that a segmentation network couples, each with a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from foveal.fields.receptive_field import ReceptiveField
from foveal.tasks.record import AuditFinding
from foveal.tasks.segmentation.border import Border
from foveal.tasks.segmentation.coupling import Spectrum
from foveal.tasks.segmentation.gridding import Dilated, Grids
from foveal.tasks.segmentation.holes import filling_rates

ALONE = 0.99
"""Share of the energy from which one field size is all that is coupled."""


def segmentation_findings(
    rf: ReceptiveField, found: Spectrum, dilated: Sequence[Dilated], holes: Grids, edge: Border
) -> Iterator[AuditFinding]:
    """All findings, in no order."""
    yield from _gridding(rf, dilated, holes)
    for item in dilated:
        yield from _degenerate(item)
    largest = max((share for _, share in found.sizes), default=0.0)
    if largest > ALONE and found.whole < 1 - ALONE:
        yield AuditFinding(
            "SEG04", "info", rf.layer,
            f"it couples one field size only: {max(found.sizes, key=lambda item: item[1])[0]} px",
            "join branches of several rates, pyramid pooling or a decoder with skips",
            "context for large objects without losing small ones",
        )  # fmt: skip
    if edge.complete == 0:
        yield AuditFinding(
            "SEG05", "info", rf.layer,
            f"no output has its whole field inside the image ({(rf.local or rf).size_text()} px): padding takes part "
            "everywhere",
            "train and test at one size, or use larger images", "outputs that do not depend on their place",
        )  # fmt: skip
    if rf.status != "exact":
        why = f": {rf.causes[0]}" if rf.causes else ""
        yield AuditFinding("SEG06", "info", rf.layer, f"its field is not exact but {rf.status}{why}")


def _gridding(rf: ReceptiveField, dilated: Sequence[Dilated], holes: Grids) -> Iterator[AuditFinding]:
    gap = max(holes.source.largest_gap, default=1)
    rates = ", ".join(str(max(item.dilation)) for item in dilated)
    if gap > 1:
        read = " x ".join(f"{t} of {e}" for t, e in zip(holes.source.taps, holes.source.extent))
        yield AuditFinding(
            "SEG01", "warning", rf.layer,
            f"an output reads only {read} positions of its field, with gaps of {gap}"
            + (f" (rates {rates})" if dilated else " (a stride larger than its kernel)"),
            _plan(dilated) if dilated else "enlarge the kernel or lower the stride", "every pixel of the field is used",
        )  # fmt: skip
        return
    entry = holes.entry
    if entry is not None and holes.chained > 1 and max(entry.largest_gap, default=1) > 1:
        read = " x ".join(f"{t} of {e}" for t, e in zip(entry.taps, entry.extent))
        yield AuditFinding(
            "SEG02", "warning", holes.entry_layer,
            f"of the map it reads, where dilation starts, an output uses {read} positions, with gaps of "
            f"{max(entry.largest_gap)} (rates {rates}): neighbours look at different lattices",
            _plan(dilated), "every position of the map is used",
        )  # fmt: skip


def _plan(dilated: Sequence[Dilated]) -> str:
    kernel = min((max(item.kernel) for item in dilated), default=3)
    plan = ", ".join(map(str, filling_rates(3, kernel)))
    return f"start with rate 1 and raise each by at most the reach so far (up to {plan}, ... for {kernel} taps)"


def _degenerate(item: Dilated) -> Iterator[AuditFinding]:
    if not item.degenerate:
        return
    shape, span = "x".join(map(str, item.map)), "x".join(map(str, item.span))
    yield AuditFinding(
        "SEG03", "warning", item.layer,
        f"rate {max(item.dilation)} spans {span} positions on a {shape} map: {item.alive:.0%} of its taps meet the map "
        f"and {item.lone:.0%} of its units have one tap left",
        f"use rates up to {max(1, (min(item.map) - 1) // max(1, max(item.kernel) - 1))} here or larger images",
        "taps that carry context",
    )  # fmt: skip
