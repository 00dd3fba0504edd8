"""Records of a registration audit: where the units of a map stand (see ``placement``), and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from foveal.core.errors import FovealError
from foveal.tasks.shared.path_sets import Number, plain

CONVENTIONS = ("cell", "corners", "grid", "edge")
"""Rules that place units without knowing their receptive fields."""


@dataclass(frozen=True)
class AxisPlaces:
    """The units along one source axis: how many, stride and center of unit 0 in pixels, and the axis's length."""

    units: int
    stride: Number
    first: Number
    length: int

    def centers(self) -> tuple[Number, ...]:
        """RF centers of all units."""
        return tuple(plain(self.first + i * Fraction(self.stride)) for i in range(self.units))

    def placed(self, convention: str) -> tuple[Number, ...]:
        """Where ``convention`` puts the units; raises FovealError for a name that is none."""
        if convention not in CONVENTIONS:
            raise FovealError(f"unknown convention '{convention}'; expected one of {', '.join(CONVENTIONS)}")
        half = Fraction(1, 2)
        if convention == "corners":
            step = Fraction(self.length - 1, self.units - 1) if self.units > 1 else Fraction(0)
            return tuple(plain(i * step) for i in range(self.units))
        step = Fraction(self.length, self.units) if convention == "cell" else Fraction(self.stride)
        shift = Fraction(0) if convention == "edge" else half
        return tuple(plain((i + shift) * step - half) for i in range(self.units))

    def offsets(self, convention: str) -> tuple[Number, ...]:
        """RF center minus the convention's place, per unit: positive where the unit looks further on."""
        return tuple(plain(a - b) for a, b in zip(self.centers(), self.placed(convention), strict=True))

    def nearest(self, position: float) -> int:
        """The unit whose RF center is nearest to a pixel; the first of two that are equally near."""
        return min(range(self.units), key=lambda i: abs(float(self.first) + i * float(self.stride) - position))


@dataclass(frozen=True)
class Places:
    """The units of one layer on its source, one entry per source axis."""

    layer: str
    axes: tuple[AxisPlaces, ...]

    def worst(self, convention: str) -> tuple[Number, ...]:
        """Per axis the offset that is largest in absolute value, over all units."""
        return tuple(furthest(axis.offsets(convention)) for axis in self.axes)

    def nearest(self, position: Sequence[float]) -> tuple[int, ...]:
        """The unit that looks most nearly at a source position: the inverse map."""
        return tuple(axis.nearest(value) for axis, value in zip(self.axes, position, strict=True))


@dataclass(frozen=True)
class UnitPlaces:
    """To be drawn: the units of a map over a plane, where they look and where they are put."""

    network: str
    last: Places


@dataclass(frozen=True)
class OffsetCurves:
    """To be drawn: what each unit of a map is off by, by each convention."""

    network: str
    last: Places


def furthest(values: Sequence[Number]) -> Number:
    """The value that is largest in absolute value, the positive one of equals."""
    low, high = min(values), max(values)
    return low if -low > high else high
