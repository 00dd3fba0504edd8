"""The findings of a registration audit, each with what to change and what that is expected to do.

REG01 units look beside their cells; REG02 a join of branches that look at different places; REG03 resizing the map to
the image stretches it; REG04 the unit taken as the middle one does not look at the middle; REG05 two ports look at
different places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from foveal.tasks.classification.image_coverage import numbers
from foveal.tasks.path_sets import Number, plain
from foveal.tasks.record import AuditFinding
from foveal.tasks.registration.record import AxisPlaces, Places

NOTABLE = Fraction(1, 4)
"""Offsets of at least this share of the stride, and of a pixel, are findings."""


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


def registration_findings(last: Places, joins: Sequence[Join], steps: Sequence[PortStep]) -> list[AuditFinding]:
    """All findings, in the order of their codes."""
    return [*_cells(last), *_joins(joins), *_stretch(last), *_middle(last), *_ports(steps)]


def _notable(offset: Number, stride: Number) -> bool:
    return abs(Fraction(offset)) >= max(Fraction(1), NOTABLE * Fraction(stride))


def _cells(last: Places) -> list[AuditFinding]:
    shift = [_common(axis) for axis in last.axes]
    if not any(_notable(value, axis.stride) for value, axis in zip(shift, last.axes)):
        return []
    moved = numbers([-value for value in shift])
    first, stride = numbers([axis.first for axis in last.axes]), numbers([axis.stride for axis in last.axes])
    return [
        AuditFinding(
            "REG01", "warning", last.layer,
            f"its units look {numbers(shift)} px beside the middle of their cells (stride {stride} px): heat maps, "
            "boxes and labels placed by cells are off by that much",
            f"place unit i at pixel {first} + {stride} i (foveal.tasks.registration.placement.place_map), or shift "
            f"what is placed by cells by {numbers(shift)} px; in a new network let kernel minus stride be even and pad "
            "by half of it",
            f"the places of objects agree with what the units saw; no shift of {moved} px is left for a box regression "
            "to learn",
        )
    ]  # fmt: skip


def _common(axis: AxisPlaces) -> Number:
    """The offset of the middle units from their cells: what all units share; a stretch shows at the ends only."""
    offsets = axis.offsets("cell")
    return plain((Fraction(offsets[(axis.units - 1) // 2]) + Fraction(offsets[axis.units // 2])) / 2)


def _joins(joins: Sequence[Join]) -> list[AuditFinding]:
    apart = [join for join in joins if any(value >= 1 for value in join.apart)]
    if not apart:
        return []
    worst = max(apart, key=lambda join: max(join.apart))
    others = f"; so do {len(apart) - 1} other joins" if len(apart) > 1 else ""
    return [
        AuditFinding(
            "REG02", "warning", worst.layer,
            f"it joins branches that look {numbers(worst.apart)} px apart ({', '.join(worst.branches)}), at a stride "
            f"of {numbers(worst.stride)} px{others}",
            "pad both branches alike, or use the same kernel and stride in both, so that their centers agree",
            "features of one place are joined with those of the same place",
        )
    ]  # fmt: skip


def _stretch(last: Places) -> list[AuditFinding]:
    """REG03: cells grow by the padding that is missing, so that the offset grows towards the ends."""
    spread = [_spread(axis) for axis in last.axes]
    if not any(_notable(value, axis.stride) for value, axis in zip(spread, last.axes)):
        return []
    return [
        AuditFinding(
            "REG03", "warning", last.layer,
            f"resized to the image it is stretched: a cell gets "
            f"{numbers([Fraction(axis.length, axis.units) for axis in last.axes])} px for a stride of "
            f"{numbers([axis.stride for axis in last.axes])} px, and the outermost units move by "
            f"{numbers(spread)} px against the middle",
            "place units by their centers (foveal.tasks.registration.placement.place_map) instead of resizing, or use "
            "an input length that the stride divides, with padding that keeps it",
            "heat maps end where the units' fields do",
        )
    ]  # fmt: skip


def _spread(axis: AxisPlaces) -> Number:
    offsets = axis.offsets("cell")
    return plain(Fraction(abs(Fraction(offsets[-1]) - Fraction(offsets[0]))) / 2)


def _middle(last: Places) -> list[AuditFinding]:
    offsets = [axis.centers()[axis.units // 2] - Fraction(axis.length - 1, 2) for axis in last.axes]
    # Of an even number of units none need be in the middle: half a stride beside it is as good as none.
    least = [Fraction(axis.stride) / 2 if axis.units % 2 == 0 else Fraction(0) for axis in last.axes]
    beside = [min(abs(Fraction(value)), abs(value - half)) for value, half in zip(offsets, least)]
    if not any(_notable(value, axis.stride) for value, axis in zip(beside, last.axes)):
        return []
    unit = ", ".join(str(axis.units // 2) for axis in last.axes)
    where = numbers([axis.centers()[axis.units // 2] for axis in last.axes])
    return [
        AuditFinding(
            "REG04", "info", last.layer,
            f"its middle unit ({unit}) looks at pixel {where}, {numbers(offsets)} px from the middle of the image: a "
            "field measured there is not centered in the image",
            "measure distances from the RF center, not from the middle of the image",
        )
    ]  # fmt: skip


def _ports(steps: Sequence[PortStep]) -> list[AuditFinding]:
    step = next((step for step in steps if step.differs), None)
    if step is None:
        return []
    last = steps[-1]
    return [
        AuditFinding(
            "REG05", "warning", step.first.layer,
            f"here the two ports part: the same unit looks {numbers(step.apart)} px elsewhere "
            f"({step.second.layer} of the other); at {last.first.layer} it is {numbers(last.apart)} px",
            "give strided layers the same padding on each side in both ports (TensorFlow's SAME pads more at the end)",
            "weights and heat maps carry over from one port to the other without a shift",
        )
    ]  # fmt: skip
