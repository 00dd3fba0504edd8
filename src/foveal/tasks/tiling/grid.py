"""Where tiles lie along one axis, from the halo and the multiple: plain arithmetic, in source positions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from foveal.core.errors import FovealError
from foveal.tasks.tiling.record import AxisPlan


def plan_axis(
    name: str, length: int, wanted: int | None, need: Sequence[int], multiple: int, stride: Fraction, unread: int = 0
) -> AxisPlan:
    """Halo, tile and starts of one axis. ``wanted`` is the longest length a tile may have (None: the whole axis).
    ``unread``: positions at the end that no unit reads.

    Raises FovealError where the tile is too small, naming the smallest.
    """
    before = -(-need[0] // multiple) * multiple
    span = length - unread
    after = need[1] + (span - need[1]) % multiple
    smallest = min(span, before + after + multiple)
    tile = length if wanted is None or wanted >= length else wanted - (wanted - span) % multiple
    if tile < smallest:
        raise FovealError(
            f"tile {wanted} along {name} is too small: the halo is {before} + {after}, starts are multiples of "
            f"{multiple}; the smallest tile is {smallest}"
        )
    return AxisPlan(name, length, tile, (need[0], need[1]), (before, after), multiple, smallest, stride, unread)
