"""What is wrong with a detector's levels, anchors and objects, each with a stable code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import sqrt

from foveal.tasks.detection.anchors import MATCHED, Anchors, Sizes, displaced_overlap, offset
from foveal.tasks.detection.coverage import TOO_LARGE, TOO_SMALL, Seen
from foveal.tasks.detection.dense import DenseCheck
from foveal.tasks.detection.pyramid import Level
from foveal.tasks.record import AuditFinding

MISPLACED = 0.25
"""RF center and anchor center may differ by this share of the stride where the size of anchors is not known."""
FEW = 0.05
"""Share of objects without a matching anchor below which that is no warning."""


def detection_findings(
    found: Sequence[Level], known: Anchors, seen: Sequence[Seen], check: DenseCheck | None
) -> Iterator[AuditFinding]:
    """All findings, in no order."""
    yield from _objects(found, seen)
    yield from _unmatched(seen)
    for level, sizes in zip(found, known.sizes):
        yield from _registration(level, sizes, known.origin)
        yield from _anchors(level, [sqrt(width * height) for width, height in sizes])
        yield from _certainty(level)
    if check is not None and not check.same:
        yield AuditFinding(
            "DET09", "warning", check.layer,
            f"window by window and as one scores differ by up to {check.difference:.3g} (largest {check.scale:.2g}): "
            "a window's own padding or context takes part",
            "remove padding, or train with the dense form", "the same score for the same region",
        )  # fmt: skip


def _objects(found: Sequence[Level], seen: Sequence[Seen]) -> Iterator[AuditFinding]:
    counts = Counter(one.reason for one in seen if one.reason)
    if counts[TOO_LARGE]:
        largest = max(max(one.item.width, one.item.height) for one in seen if one.reason == TOO_LARGE)
        most = max(min(level.least) for level in found if level.least is not None)
        yield AuditFinding(
            "DET01", "warning", "",
            f"{counts[TOO_LARGE]} of {len(seen)} objects are larger than every level's field (up to {largest:.0f} px, "
            f"fields up to {most} px): no unit sees them whole",
            "add a coarser level, enlarge the field, or feed smaller images", "a unit that sees the whole object",
        )  # fmt: skip
    if counts[TOO_SMALL]:
        smallest = min(min(one.item.width, one.item.height) for one in seen if one.reason == TOO_SMALL)
        finest = min(max(level.stride) for level in found)
        yield AuditFinding(
            "DET02", "warning", "",
            f"{counts[TOO_SMALL]} of {len(seen)} objects are smaller than the stride of each level that holds them (to "
            f"{smallest:.3g} px, finest stride {finest:g}): they can fall between units",
            "add a finer level or feed larger images", "a unit on every object",
        )  # fmt: skip


def _unmatched(seen: Sequence[Seen]) -> Iterator[AuditFinding]:
    told = [one.overlap for one in seen if one.overlap is not None]
    missed = sum(overlap < MATCHED for overlap in told)
    if missed:
        yield AuditFinding(
            "DET07", "warning" if missed > FEW * len(told) else "info", "",
            f"{missed} of {len(told)} objects overlap no anchor by {MATCHED} or more",
            "add anchors of their sizes, a finer level, or assign by receptive field distance",
            "positives for objects that now have none",
        )  # fmt: skip


def _registration(level: Level, sizes: Sizes, origin: str | None) -> Iterator[AuditFinding]:
    apart = None if origin is None else offset(level, origin)
    if apart is None or not _misplaced(level, sizes, apart):
        return
    where = "cell centers" if origin == "cell" else "stride x index"
    phased = max(level.period) > 1
    # After upsampling one coarse unit serves several fine ones, so a part of what they see is off by design.
    reason = ", on average over the phases: upsampled maps are centered on coarse units" if phased else ""
    yield AuditFinding(
        "DET03", "info" if phased else "warning", level.name,
        f"fields are centered {apart[0]:+.3g} rows, {apart[1]:+.3g} columns from the anchors (at {where}, "
        f"{'stride' if level.step is None else 'step'} {level.anchor_step[0]:g}){reason}",
        "interpolate linearly instead of repeating, or align the maps before they are added" if phased else
        f"shift the anchors by {apart[0]:+.3g}, {apart[1]:+.3g} px, or change the padding before them",
        "boxes are regressed from what the unit looks at",
    )  # fmt: skip


def _misplaced(level: Level, sizes: Sizes, apart: tuple[float, float]) -> bool:
    """Whether an anchor moved to where the unit looks would no longer match itself; where sizes are not known, whether
    the distance is more than a quarter of the stride and more than a pixel.
    """
    if sizes:
        moved = (displaced_overlap(size, apart) for size in sizes)
        return min(moved) < MATCHED
    return any(abs(d) > max(1.0, MISPLACED * s) for d, s in zip(apart, level.stride))


def _anchors(level: Level, sides: Sequence[float]) -> Iterator[AuditFinding]:
    if not sides:
        return
    least = None if level.least is None else min(level.least)
    if least is not None and max(sides) > least:
        yield AuditFinding(
            "DET04", "warning", level.name,
            f"anchors up to {max(sides):.0f} px are larger than the field of {least} px: no unit sees its whole box",
            "move them to a coarser level or enlarge the field", "evidence from the whole box",
        )  # fmt: skip
        return
    if level.erf_side is None or level.sigma is None or level.box_side is None:
        return
    effective, sigma, box = (sqrt(pair[0] * pair[1]) for pair in (level.erf_side, level.sigma, level.box_side))
    if max(sides) > effective:
        yield AuditFinding(
            "DET05", "warning", level.name,
            f"anchors up to {max(sides):.0f} px are larger than the effective field of {effective:.0f} px",
            f"use anchors of about {box:.0f} px here", "the border of the object counts",
        )  # fmt: skip
    if min(sides) < sigma:
        yield AuditFinding(
            "DET06", "info", level.name,
            f"anchors down to {min(sides):.0f} px are small against the effective field (sigma {sigma:.0f} px): most "
            "of what the unit uses lies around the object",
            f"use anchors of about {box:.0f} px here, or a finer level", "less background in the evidence",
        )  # fmt: skip


def _certainty(level: Level) -> Iterator[AuditFinding]:
    if level.status != "exact":
        why = f": {level.causes[0]}" if level.causes else ""
        yield AuditFinding("DET08", "info", level.name, f"its numbers are not exact but {level.status}{why}")
