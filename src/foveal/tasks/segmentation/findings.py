"""What is wrong with the fields that a segmentation network couples, each with a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from foveal.fields.receptive_field import ReceptiveField
from foveal.tasks.finding import FindingRules, Values
from foveal.tasks.segmentation.border import Border
from foveal.tasks.segmentation.coupling import Spectrum
from foveal.tasks.segmentation.gridding import Dilated, Grids
from foveal.tasks.segmentation.holes import filling_rates

ALONE = 0.99
"""Share of the energy from which one field size is all that is coupled."""
FINDINGS = FindingRules(__file__)


class Facts(NamedTuple):
    """The output's field, the sizes it couples, the dilated convolutions before it, its holes, the border."""

    rf: ReceptiveField
    spectrum: Spectrum
    dilated: Sequence[Dilated]
    holes: Grids
    edge: Border

    @property
    def gap(self) -> int:
        """The largest gap between positions that an output reads."""
        return max(self.holes.source.largest_gap, default=1)

    @property
    def rates(self) -> str:
        """The dilations in words."""
        return ", ".join(str(max(item.dilation)) for item in self.dilated)

    @property
    def plan(self) -> str:
        """Rates without gaps."""
        kernel = min((max(item.kernel) for item in self.dilated), default=3)
        plan = ", ".join(map(str, filling_rates(3, kernel)))
        return f"start with rate 1 and raise each by at most the reach so far (up to {plan}, ... for {kernel} taps)"


@FINDINGS.rule("SEG01")
def holes(facts: Facts) -> Iterator[Values]:
    """Pixels that the output never reads."""
    if facts.gap > 1:
        source = facts.holes.source
        read = " x ".join(f"{t} of {e}" for t, e in zip(source.taps, source.extent))
        because = f"rates {facts.rates}" if facts.dilated else "a stride larger than its kernel"
        plan = facts.plan if facts.dilated else "enlarge the kernel or lower the stride"
        yield {"layer": facts.rf.layer, "read": read, "gap": facts.gap, "because": because, "plan": plan}


@FINDINGS.rule("SEG02")
def gridding(facts: Facts) -> Iterator[Values]:
    """The same of the map where dilation starts."""
    entry = facts.holes.entry
    if facts.gap <= 1 and entry is not None and facts.holes.chained > 1 and max(entry.largest_gap, default=1) > 1:
        read = " x ".join(f"{t} of {e}" for t, e in zip(entry.taps, entry.extent))
        yield {
            "layer": facts.holes.entry_layer, "read": read, "gap": max(entry.largest_gap), "rates": facts.rates,
            "plan": facts.plan,
        }  # fmt: skip


@FINDINGS.rule("SEG03")
def degenerate(facts: Facts) -> Iterator[Values]:
    """Dilation that reaches beyond the map."""
    for item in facts.dilated:
        if item.degenerate:
            yield {
                "layer": item.layer, "rate": max(item.dilation), "span": "x".join(map(str, item.span)),
                "map": "x".join(map(str, item.map)), "alive": item.alive, "lone": item.lone,
                "most": max(1, (min(item.map) - 1) // max(1, max(item.kernel) - 1)),
            }  # fmt: skip


@FINDINGS.rule("SEG04")
def one_size(facts: Facts) -> Iterator[Values]:
    """A single field size."""
    size, share = max(facts.spectrum.sizes, key=lambda item: item[1], default=(None, 0.0))
    if share > ALONE and facts.spectrum.whole < 1 - ALONE:
        yield {"layer": facts.rf.layer, "size": size}


@FINDINGS.rule("SEG05")
def padded(facts: Facts) -> Iterator[Values]:
    """Padding in every field."""
    if facts.edge.complete == 0:
        yield {"layer": facts.rf.layer, "size": (facts.rf.local or facts.rf).size_text()}


@FINDINGS.rule("SEG06")
def unsure(facts: Facts) -> Iterator[Values]:
    """A bound."""
    if facts.rf.status != "exact":
        why = f": {facts.rf.causes[0]}" if facts.rf.causes else ""
        yield {"layer": facts.rf.layer, "status": facts.rf.status, "why": why}
