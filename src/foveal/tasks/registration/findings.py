"""The findings of a registration audit, each with what to change and what that is expected to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from foveal.tasks.classification.image_coverage import numbers
from foveal.tasks.finding import FindingRules, Values
from foveal.tasks.registration.record import AxisPlaces, Places
from foveal.tasks.shared.path_sets import Number, plain

NOTABLE = Fraction(1, 4)
"""Offsets of at least this share of the stride, and of a pixel, are findings."""
FINDINGS = FindingRules(__file__)


@dataclass(frozen=True)
class Join:
    """A join whose branches look at different places: per axis how far apart, over all units, and the stride."""

    layer: str
    branches: tuple[str, ...]
    apart: tuple[Number, ...]
    stride: tuple[Number, ...]


@dataclass(frozen=True)
class PortStep:
    """A layer of each port that go together."""

    first: Places
    second: Places

    @property
    def sides(self) -> tuple[Places, Places]:
        """Both."""
        return self.first, self.second

    @property
    def places(self) -> tuple[tuple[AxisPlaces, ...], ...]:
        """Where the units of both stand, without the layers' names."""
        return self.first.axes, self.second.axes

    @property
    def apart(self) -> tuple[Number, ...]:
        """Per axis the largest distance between the centers of the same unit, over the units that both have."""
        pairs = zip(self.first.axes, self.second.axes, strict=True)
        return tuple(_furthest_apart(a.centers(), b.centers()) for a, b in pairs)

    @property
    def differs(self) -> bool:
        """Whether any unit looks elsewhere, or there are not equally many."""
        return any(self.apart) or [a.units for a in self.first.axes] != [b.units for b in self.second.axes]


def _furthest_apart(first: Sequence[Number], second: Sequence[Number]) -> Number:
    return plain(max(abs(Fraction(p) - Fraction(q)) for p, q in zip(first, second)))


class Facts(NamedTuple):
    """The last map, joins whose branches look at different places, and the layers of two ports side by side."""

    last: Places
    joins: Sequence[Join] = ()
    steps: Sequence[PortStep] = ()

    def notable(self, offsets: Sequence[Number]) -> bool:
        """Whether an offset of the last map is worth a word along some axis."""
        least = [max(Fraction(1), NOTABLE * Fraction(axis.stride)) for axis in self.last.axes]
        return any(abs(Fraction(value)) >= limit for value, limit in zip(offsets, least))


@FINDINGS.rule("REG01")
def cells(facts: Facts) -> Iterator[Values]:
    """Units look beside their cells."""
    last, shift = facts.last, [_common(axis) for axis in facts.last.axes]
    if facts.notable(shift):
        yield {
            "layer": last.layer, "shift": numbers(shift), "moved": numbers([-value for value in shift]),
            "first": numbers([axis.first for axis in last.axes]),
            "stride": numbers([axis.stride for axis in last.axes]),
        }  # fmt: skip


def _common(axis: AxisPlaces) -> Number:
    """The offset of the middle units from their cells: what all units share; a stretch shows at the ends only."""
    offsets = axis.offsets("cell")
    return plain((Fraction(offsets[(axis.units - 1) // 2]) + Fraction(offsets[axis.units // 2])) / 2)


@FINDINGS.rule("REG02")
def joined(facts: Facts) -> Iterator[Values]:
    """A join of branches that look at different places."""
    if apart := [join for join in facts.joins if any(value >= 1 for value in join.apart)]:
        worst = max(apart, key=lambda join: max(join.apart))
        yield {
            "layer": worst.layer, "apart": numbers(worst.apart), "branches": ", ".join(worst.branches),
            "stride": numbers(worst.stride),
            "others": f"; so do {len(apart) - 1} other joins" if len(apart) > 1 else "",
        }  # fmt: skip


@FINDINGS.rule("REG03")
def stretched(facts: Facts) -> Iterator[Values]:
    """Cells grow by the padding that is missing, so that the offset grows towards the ends."""
    axes, spread = facts.last.axes, [_spread(axis) for axis in facts.last.axes]
    if facts.notable(spread):
        yield {
            "layer": facts.last.layer, "cell": numbers([Fraction(axis.length, axis.units) for axis in axes]),
            "stride": numbers([axis.stride for axis in axes]), "spread": numbers(spread),
        }  # fmt: skip


def _spread(axis: AxisPlaces) -> Number:
    offsets = axis.offsets("cell")
    return plain(Fraction(abs(Fraction(offsets[-1]) - Fraction(offsets[0]))) / 2)


@FINDINGS.rule("REG04")
def beside_the_middle(facts: Facts) -> Iterator[Values]:
    """The unit taken as the middle one does not look at the middle."""
    axes = facts.last.axes
    offsets = [axis.centers()[axis.units // 2] - Fraction(axis.length - 1, 2) for axis in axes]
    # Of an even number of units none need be in the middle: half a stride beside it is as good as none.
    least = [Fraction(axis.stride) / 2 if axis.units % 2 == 0 else Fraction(0) for axis in axes]
    if facts.notable([min(abs(Fraction(value)), abs(value - half)) for value, half in zip(offsets, least)]):
        yield {
            "layer": facts.last.layer, "unit": ", ".join(str(axis.units // 2) for axis in axes),
            "where": numbers([axis.centers()[axis.units // 2] for axis in axes]), "offsets": numbers(offsets),
        }  # fmt: skip


@FINDINGS.rule("REG05")
def parted(facts: Facts) -> Iterator[Values]:
    """Two ports look at different places."""
    step = next((step for step in facts.steps if step.differs), None)
    if step is not None:
        last = facts.steps[-1]
        yield {
            "layer": step.first.layer, "apart": numbers(step.apart), "second": step.second.layer,
            "last": last.first.layer, "at_last": numbers(last.apart),
        }  # fmt: skip
