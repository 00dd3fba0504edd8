"""Receptive fields of one value along an axis, as periodic tables and bit patterns: exact supports in closed form.

All axes behave alike, so a field is a union of boxes whose sides are the same set along each axis. A ``Side`` is such a
set for each phase: (first, last, bits), bits None where nothing is missing between first and last. The value of index
i = q T + phase sees phase's set moved by q times the shift D. Positions are source positions, unclipped.
"""

from __future__ import annotations

from itertools import combinations
from math import lcm, prod
from typing import NamedTuple

Part = tuple[int, int, int | None]
Side = tuple[Part, ...]
MANY = 8
"""Unions of more boxes than this are not counted: 2 to that power intersections."""


class Reach(NamedTuple):
    """period T, shift D, and the sides of the boxes whose union is the field (none holds another one)."""

    period: int
    shift: int
    sides: tuple[Side, ...]

    @property
    def hulls(self) -> list[tuple[int, int]]:
        """(first, last) of each phase."""
        return [
            (min(side[i][0] for side in self.sides), max(side[i][1] for side in self.sides)) for i in range(self.period)
        ]


SOURCE = Reach(1, 1, (((0, 0, None),),))


def window(reach: Reach, kernel: int, stride: int, before: int, dilation: int) -> Reach:
    """What a window reads: output o takes inputs o * stride - before + t * dilation."""
    period, shift = reach.period, reach.shift
    if period == 1:
        move = -before * shift
        sides = tuple([(_spread(side[0], kernel, dilation * shift, move),) for side in reach.sides])
        return Reach(1, shift * stride, sides if len(sides) == 1 else pruned(sides))
    outer = lcm(period, stride) // stride
    made = []
    for side in reach.sides:
        parts = []
        for phase in range(outer):
            first = phase * stride - before
            places = [divmod(first + t * dilation, period) for t in range(kernel)]
            parts.append(_union([_moved(side[rest], turn * shift) for turn, rest in places]))
        made.append(tuple(parts))
    return Reach(outer, shift * (outer * stride // period), pruned(tuple(made)))


def repeated(reach: Reach, factor: int) -> Reach:
    """Nearest-neighbour upsampling: output o reads input o // factor."""
    if factor == 1:
        return reach
    sides = tuple([tuple([part for part in side for _ in range(factor)]) for side in reach.sides])
    return Reach(reach.period * factor, reach.shift, sides)


def joined(reaches: list[Reach]) -> Reach:
    """Sum or concatenation: the union. All must advance alike; a wrong rate cannot come from a layout."""
    period = lcm(*[reach.period for reach in reaches])
    sides = tuple([side for reach in reaches for side in _longer(reach, period)])
    return Reach(period, reaches[0].shift * (period // reaches[0].period), pruned(sides))


def share(reach: Reach, phases: tuple[int, ...]) -> float | None:
    """Share of the hull's positions that the unit of these phases (one per axis) sees; None for too many boxes."""
    hull = prod(last - first + 1 for first, last in (reach.hulls[phase] for phase in phases))
    if len(reach.sides) > MANY:
        return None
    count = 0
    for number in range(1, len(reach.sides) + 1):
        for chosen in combinations(reach.sides, number):
            inside = prod(_common([side[phase] for side in chosen]) for phase in phases)
            count += inside if number % 2 else -inside
    return count / hull


def pruned(sides: tuple[Side, ...]) -> tuple[Side, ...]:
    """The sides without those that another one holds in every phase."""
    kept: list[Side] = []
    for side in sides:
        if any(_holds(other, side) for other in kept):
            continue
        kept = [other for other in kept if not _holds(side, other)]
        kept.append(side)
    return tuple(kept)


def _longer(reach: Reach, period: int) -> tuple[Side, ...]:
    times = period // reach.period
    if times == 1:
        return reach.sides
    return tuple(
        tuple(_moved(part, turn * reach.shift) for turn in range(times) for part in side) for side in reach.sides
    )


def _spread(part: Part, kernel: int, step: int, move: int) -> Part:
    first, last, bits = part
    if kernel == 1:
        return first + move, last + move, bits
    end = last + (kernel - 1) * step + move
    if bits is None and last - first + 1 >= step:
        return first + move, end, None
    own = bits if bits is not None else (1 << (last - first + 1)) - 1
    made = own
    for tap in range(1, kernel):
        made |= own << (tap * step)
    return first + move, end, _compact(made)


def _compact(bits: int) -> int | None:
    return None if bits & (bits + 1) == 0 else bits


def _moved(part: Part, move: int) -> Part:
    return (part[0] + move, part[1] + move, part[2]) if move else part


def _bits(part: Part) -> int:
    return (1 << (part[1] - part[0] + 1)) - 1 if part[2] is None else part[2]


def _union(parts: list[Part]) -> Part:
    first, last, bits = parts[0]
    for part in parts[1:]:
        low, high = min(first, part[0]), max(last, part[1])
        if bits is None and part[2] is None and part[0] <= last + 1 and first <= part[1] + 1:
            first, last = low, high
            continue
        made = (_bits((first, last, bits)) << (first - low)) | (_bits(part) << (part[0] - low))
        first, last, bits = low, high, _compact(made)
    return first, last, bits


def _holds(outer: Side, inner: Side) -> bool:
    for a, b in zip(outer, inner):
        if a[0] > b[0] or a[1] < b[1]:
            return False
        if a[2] is not None and (_bits(b) << (b[0] - a[0])) & ~a[2]:
            return False
    return True


def _common(parts: list[Part]) -> int:
    first, last = max(part[0] for part in parts), min(part[1] for part in parts)
    if first > last:
        return 0
    bits = (1 << (last - first + 1)) - 1
    for part in parts:
        if part[2] is not None:
            bits &= part[2] >> (first - part[0])
    return bits.bit_count()
