"""How much area holds how much of the mass: squares, disks and what lies above a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import floor, prod

import numpy as np

SHARES = (0.2, 0.3, 0.5, 0.9, 0.99)
"""Shares of the mass that :func:`squares` looks for by default."""

RADII = (5, 10, 20, 30, 40, 60, 80)
"""Radii in positions for :func:`mass_within` (Kim et al. 2023; docs/methods.md 3.5)."""

SLACK = 1e-10
"""Relative: sums that differ by less are equal up to rounding, so that a tie stays a tie whatever the scale."""


@dataclass(frozen=True)
class Square:
    """The smallest centered square (cube, interval) that holds more than ``share`` of the mass.

    side: odd length in positions, None where no square holds that much; ratio: the square's positions inside the source
    over all positions of the source.
    """

    share: float
    side: int | None
    ratio: float | None


@dataclass(frozen=True)
class Region:
    """The positions above a level. count: how many; side: count ** (1 / axes), the side of a cube of that volume."""

    count: int
    side: float


def nearest_position(center: Sequence[float], source_shape: Sequence[int]) -> tuple[int, ...]:
    """The source position nearest to ``center``; halves go up, as ``n // 2`` does; outside, the position at the
    border.
    """
    return tuple(min(max(floor(c + 0.5), 0), n - 1) for c, n in zip(center, source_shape))


def region_above(values: np.ndarray, level: float) -> Region:
    """Positions with a value strictly above ``level``.

    Of exp(-d^2 / 2 sigma^2) those above 0.0455 reach 2.486 sigma, not two (docs/methods.md 2.2).
    """
    count = int(np.count_nonzero(values > level))
    return Region(count, float(count ** (1 / values.ndim)))


def squares(
    values: np.ndarray,
    origin: tuple[int, ...],
    source_shape: tuple[int, ...],
    at: tuple[int, ...],
    shares: Sequence[float] = SHARES,
    least: int = 1,
) -> tuple[Square, ...]:
    """High-contribution areas about the position ``at``, free of scale: a constant factor changes nothing.

    Half-widths i = 1, 2, ... until the square covers the source; side 2 i + 1; mass in the square over all mass must be
    strictly above the share. As Ding et al. 2022 (RepLKNet; docs/methods.md 3.1 step 7), without the logarithm.
    least: the first half-width; theirs is 1.
    """
    limit = max(max(p, n - 1 - p) for p, n in zip(at, source_shape))
    return _squares(values, origin, source_shape, at, shares, max(limit, 1), least)


def replknet_squares(
    values: np.ndarray, origin: tuple[int, ...], source_shape: tuple[int, ...], shares: Sequence[float] = SHARES
) -> tuple[Square, ...]:
    """The same the way RepLKNet's scripts do it: values become log10(1 + x), about (h // 2, w // 2), i < h // 2.

    Depends on the scale of the values (docs/methods.md 3.3): compare models with care, on raw gradient sums only.
    """
    at = tuple(n // 2 for n in source_shape)
    limit = min(n // 2 for n in source_shape) - 1
    return _squares(np.log10(1.0 + values), origin, source_shape, at, shares, limit)


def mass_within(
    values: np.ndarray, origin: tuple[int, ...], center: tuple[float, ...], radii: Sequence[float] = RADII
) -> tuple[tuple[float, float], ...]:
    """(radius, share of the mass at distance <= radius of ``center``) for each radius; shares are 0 without mass.

    A wide isotropic two-dimensional Gaussian gives 1 - exp(-R^2 / 2 sigma^2) (docs/methods.md 3.5).
    """
    squared = distance_squared(values.shape, origin, center)
    total = float(values.sum())
    found = []
    for radius in radii:
        mass = float(values[squared <= radius * radius].sum())
        found.append((float(radius), mass / total if total > 0 else 0.0))
    return tuple(found)


def distance_squared(shape: tuple[int, ...], origin: tuple[int, ...], center: tuple[float, ...]) -> np.ndarray:
    """Squared distance of each position of an array at ``origin`` to ``center``, in positions."""
    parts = [(np.arange(n) + first - c) ** 2 for n, first, c in zip(shape, origin, center)]
    return np.asarray(reduce(np.add, np.ix_(*parts)))


def rings(shape: tuple[int, ...], origin: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    """Each position's largest distance along an axis from ``at``, flat."""
    apart = [np.abs(np.arange(n) + first - p) for n, first, p in zip(shape, origin, at)]
    return np.asarray(reduce(np.maximum, np.ix_(*apart))).ravel()


def _squares(
    values: np.ndarray,
    origin: tuple[int, ...],
    source_shape: tuple[int, ...],
    at: tuple[int, ...],
    shares: Sequence[float],
    limit: int,
    least: int = 1,
) -> tuple[Square, ...]:
    """One pass: the mass on each ring of equal largest-axis distance, summed up from the middle."""
    ring = rings(values.shape, origin, at)
    limit = min(limit, max(int(ring.max(initial=0)), least))  # nothing lies further out
    mass = np.cumsum(np.bincount(ring, values.ravel().astype(np.float64), limit + 1))
    total = float(mass[-1]) if mass.size else 0.0
    found = []
    for share in shares:
        above = np.flatnonzero(mass[least : limit + 1] > total * share * (1 + SLACK)) if total > 0 else np.zeros(0)
        if above.size == 0:
            found.append(Square(float(share), None, None))
            continue
        half = int(above[0]) + least
        ratio = prod((min(p + half, n - 1) - max(p - half, 0) + 1) / n for p, n in zip(at, source_shape))
        found.append(Square(float(share), 2 * half + 1, ratio))
    return tuple(found)
