"""Where tiles lie along one axis, from the halo and the multiple: plain arithmetic, in source positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from foveal.core.errors import FovealError


@dataclass(frozen=True)
class AxisPlan:
    """One source axis. need: what the units of a tile see beyond it (before, after); halo: the same, rounded so that
    starts stay multiples of ``multiple`` and all tiles have the source's remainder; tile: length fed to the network,
    halos included; smallest: the smallest such length; stride: source positions per unit.
    """

    name: str
    length: int
    tile: int
    need: tuple[int, int]
    halo: tuple[int, int]
    multiple: int
    smallest: int
    stride: Fraction

    @property
    def starts(self) -> tuple[int, ...]:
        """First source position of each tile; one tile where it is the whole axis."""
        if self.tile >= self.length:
            return (0,)
        step = self.tile - sum(self.halo)
        last = self.length - self.tile
        return (*range(0, last, step), last)

    @property
    def cores(self) -> tuple[int, ...]:
        """Where the part of each tile that is kept begins: from there to the next one's (the last: to the end)."""
        starts = self.starts
        return (0, *(start + self.tile - self.halo[1] for start in starts[:-1]))

    def units(self, number: int) -> tuple[int, int, int | None]:
        """Of a tile: the whole's index of its first unit, and the units (of the whole) that it contributes.

        The end is None for the last tile: all the rest.
        """
        cores = self.cores
        first = _whole(Fraction(self.starts[number]) / self.stride)
        begin = _whole(Fraction(cores[number]) / self.stride)
        end = _whole(Fraction(cores[number + 1]) / self.stride) if number + 1 < len(cores) else None
        return first, begin, end


def plan_axis(
    name: str,
    length: int,
    wanted: int | None,
    need: Sequence[int],
    multiple: int,
    stride: Fraction,
) -> AxisPlan:
    """Halo, tile and starts of one axis. ``wanted`` is the longest length a tile may have (None: the whole axis).

    Raises FovealError where the tile is too small, naming the smallest.
    """
    before = -(-need[0] // multiple) * multiple
    after = need[1] + (length - need[1]) % multiple
    smallest = min(length, before + after + multiple)
    tile = length if wanted is None or wanted >= length else wanted - (wanted - length) % multiple
    if tile < smallest:
        raise FovealError(
            f"tile {wanted} along {name} is too small: the halo is {before} + {after}, starts are multiples of "
            f"{multiple}; the smallest tile is {smallest}"
        )
    return AxisPlan(name, length, tile, (need[0], need[1]), (before, after), multiple, smallest, stride)


def _whole(number: Fraction) -> int:
    assert number.denominator == 1, "starts are multiples of every stride"
    return number.numerator
