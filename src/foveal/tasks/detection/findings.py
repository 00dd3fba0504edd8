"""What is wrong with a detector's levels, anchors and objects, each with a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import NamedTuple

from foveal.tasks.detection.anchors import MATCHED, Anchors, Sizes, displaced_overlap, offset
from foveal.tasks.detection.coverage import TOO_LARGE, TOO_SMALL, Seen
from foveal.tasks.detection.dense import DenseCheck
from foveal.tasks.detection.pyramid import Level
from foveal.tasks.finding import FindingRules, Values

MISPLACED = 0.25
"""RF center and anchor center may differ by this share of the stride where the size of anchors is not known."""
FEW = 0.05
"""Share of objects without a matching anchor below which that is no warning."""
FINDINGS = FindingRules(__file__)


class Facts(NamedTuple):
    """The levels, their anchors, the objects as each is seen, and the check of a classifier's dense form."""

    levels: Sequence[Level]
    known: Anchors
    seen: Sequence[Seen]
    check: DenseCheck | None

    def because(self, reason: str) -> list[Seen]:
        """The objects that no level sees well for this reason."""
        return [one for one in self.seen if one.reason == reason]

    def sides(self) -> Iterator[tuple[Level, list[float]]]:
        """The sides of each level's anchors, where it has any."""
        for level, sizes in zip(self.levels, self.known.sizes):
            if sizes:
                yield level, [sqrt(width * height) for width, height in sizes]

    def used(self) -> Iterator[tuple[Level, list[float], float, float, float]]:
        """The same with effective side, sigma and best box side, for anchors that lie inside their level's field."""
        for level, sides in self.sides():
            inside = level.least is None or max(sides) <= min(level.least)
            if inside and level.effective_side is not None and level.sigma is not None and level.box_side is not None:
                effective, sigma, box = (sqrt(a * b) for a, b in (level.effective_side, level.sigma, level.box_side))
                yield level, sides, effective, sigma, box


@FINDINGS.rule("DET01")
def too_large(facts: Facts) -> Iterator[Values]:
    """Objects that no field holds."""
    if objects := facts.because(TOO_LARGE):
        largest = max(max(one.item.width, one.item.height) for one in objects)
        most = max(min(level.least) for level in facts.levels if level.least is not None)
        yield {"count": len(objects), "all": len(facts.seen), "largest": largest, "most": most}


@FINDINGS.rule("DET02")
def too_small(facts: Facts) -> Iterator[Values]:
    """Objects between units."""
    if objects := facts.because(TOO_SMALL):
        smallest = min(min(one.item.width, one.item.height) for one in objects)
        finest = min(max(level.stride) for level in facts.levels)
        yield {"count": len(objects), "all": len(facts.seen), "smallest": smallest, "finest": finest}


@FINDINGS.rule("DET03")
def misplaced(facts: Facts) -> Iterator[Values]:
    """Anchors beside what their unit looks at."""
    origin = facts.known.origin
    for level, sizes in zip(facts.levels, facts.known.sizes):
        apart = None if origin is None else offset(level, origin)
        if apart is None or not _misplaced(level, sizes, apart):
            continue
        moved = f"shift the anchors by {apart[0]:+.3g}, {apart[1]:+.3g} px, or change the padding before them"
        more = {"reason": "", "change": moved}
        if max(level.period) > 1:
            # After upsampling one coarse unit serves several fine ones, so a part of what they see is off by design.
            more = {
                "reason": ", on average over the phases: upsampled maps are centered on coarse units",
                "change": "interpolate linearly instead of repeating, or align the maps before they are added",
                "severity": "info",
            }
        yield {
            "layer": level.name, "rows": apart[0], "columns": apart[1], "step": level.anchor_step[0],
            "where": "cell centers" if origin == "cell" else "stride x index",
            "word": "stride" if level.step is None else "step", **more,
        }  # fmt: skip


@FINDINGS.rule("DET04")
def beyond_the_field(facts: Facts) -> Iterator[Values]:
    """Anchors larger than the field."""
    for level, sides in facts.sides():
        if level.least is not None and max(sides) > min(level.least):
            yield {"layer": level.name, "largest": max(sides), "least": min(level.least)}


@FINDINGS.rule("DET05")
def beyond_the_effective_field(facts: Facts) -> Iterator[Values]:
    """Anchors larger than what counts."""
    for level, sides, effective, _, box in facts.used():
        if max(sides) > effective:
            yield {"layer": level.name, "largest": max(sides), "effective": effective, "box": box}


@FINDINGS.rule("DET06")
def small_anchors(facts: Facts) -> Iterator[Values]:
    """Anchors much smaller than what counts."""
    for level, sides, _, sigma, box in facts.used():
        if min(sides) < sigma:
            yield {"layer": level.name, "smallest": min(sides), "sigma": sigma, "box": box}


@FINDINGS.rule("DET07")
def unmatched(facts: Facts) -> Iterator[Values]:
    """Objects without an anchor."""
    told = [one.overlap for one in facts.seen if one.overlap is not None]
    if missed := sum(overlap < MATCHED for overlap in told):
        severity = "warning" if missed > FEW * len(told) else "info"
        yield {"missed": missed, "all": len(told), "least": MATCHED, "severity": severity}


@FINDINGS.rule("DET08")
def unsure(facts: Facts) -> Iterator[Values]:
    """A level whose numbers are bounds."""
    for level in facts.levels:
        if level.status != "exact":
            why = f": {level.causes[0]}" if level.causes else ""
            yield {"layer": level.name, "status": level.status, "why": why}


@FINDINGS.rule("DET09")
def not_dense(facts: Facts) -> Iterator[Values]:
    """A classifier whose dense form says something else."""
    if (check := facts.check) is not None and not check.same:
        yield {"layer": check.layer, "difference": check.difference, "scale": check.scale}


def _misplaced(level: Level, sizes: Sizes, apart: tuple[float, float]) -> bool:
    """Whether an anchor moved to where the unit looks would no longer match itself; where sizes are not known, whether
    the distance is more than a quarter of the stride and more than a pixel.
    """
    if sizes:
        moved = (displaced_overlap(size, apart) for size in sizes)
        return min(moved) < MATCHED
    return any(abs(d) > max(1.0, MISPLACED * s) for d, s in zip(apart, level.stride))
