"""The effective size of a field: one definition for all of foveal (docs/methods.md 2.1), in two numbers.

*Effective side*: positions count where the size of the gradient, the root of its energy, is above 4.55 % of its
largest; the side is that of the square (cube, interval) with as many positions. Luo et al. 2016, with the largest value
in place of that in the middle.

*90 % side*: the smallest centered square (cube, interval) that holds more than 90 % of the energy. It has no threshold
on values, so that a wide faint skirt or a single strong position changes it as little as it changes the energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gamma, log, pi, sqrt
from statistics import NormalDist

import numpy as np

from foveal.fields.metrics.mass import nearest_position, region_above, squares
from foveal.fields.metrics.moments import moments

LEVEL = 0.0455
"""1 - 0.9545, the mass of a normal distribution outside two sigma, as a share of the largest gradient."""
SHARE = 0.9
"""Share of the energy inside the 90 % side."""


@dataclass(frozen=True)
class Effective:
    """count: positions that count; side: count ** (1 / axes), the effective side; side_90: the 90 % side, None where no
    square holds that much; at_border: whether some that count lie at the end of the source, where a field that goes on
    is cut off: then a larger source may give larger sides.
    """

    count: int
    side: float
    side_90: int | None
    at_border: bool


def level_of(squared: bool) -> float:
    """The share of the largest value above which a position counts: of an energy the square of the gradient's."""
    return LEVEL**2 if squared else LEVEL


def effective(
    values: np.ndarray,
    origin: tuple[int, ...],
    source_shape: tuple[int, ...],
    center: Sequence[float] | None = None,
    squared: bool = False,
) -> Effective | None:
    """Both sizes of ``values`` at ``origin`` within a source; None where nothing has weight.

    center: of the receptive field, default the center of mass. squared: whether the values are energies (squares of
    gradients) and not sizes of gradients.
    """
    largest = float(values.max(initial=0))
    if largest == 0:
        return None
    # The largest value is taken out, so that no square of a huge or tiny value overflows or vanishes.
    unit = values / largest
    inside = unit > level_of(squared)
    region = region_above(unit, level_of(squared))
    energy = unit if squared else unit * unit
    found = moments(unit, origin) if center is None else None
    middle = center if found is None else found.center
    assert middle is not None  # something has weight, so that there is a center of mass
    around = squares(energy, origin, source_shape, nearest_position(middle, source_shape), (SHARE,), least=0)
    return Effective(region.count, region.side, around[0].side, _at_border(inside, origin, source_shape))


def product_side(profiles: Sequence[np.ndarray]) -> float:
    """The effective side of an energy that is the product of one profile per axis; no profile is zero everywhere."""
    shares = [profile / profile.max() for profile in profiles]
    others = reduce(np.multiply.outer, shares[:-1], np.ones(())).ravel()
    others, last = others[others > LEVEL**2], np.sort(shares[-1])
    count = int((last.size - np.searchsorted(last, LEVEL**2 / others, side="right")).sum())
    return float(count ** (1 / len(profiles)))


def _at_border(inside: np.ndarray, origin: tuple[int, ...], source_shape: tuple[int, ...]) -> bool:
    """Whether a position that counts is the first or last of an axis of the source with several."""
    for axis, (first, length) in enumerate(zip(origin, source_shape)):
        ends = [-first, length - 1 - first] if length > 1 else []
        if any(0 <= i < inside.shape[axis] and bool(inside.take(i, axis=axis).any()) for i in ends):
            return True
    return False


def gaussian_side(sigma: float, axes: int) -> float:
    """The effective side where the energy is a Gaussian of that standard deviation along each of so many axes: the root
    has sigma sqrt(2), and counts in a ball of 2.486 of those (docs/methods.md 2.2). In the plane 6.23 sigma. For any
    other energy an approximation.
    """
    ball = pi ** (axes / 2) / gamma(axes / 2 + 1)
    return float(ball ** (1 / axes)) * sqrt(2 * log(1 / LEVEL)) * sqrt(2) * sigma


def gaussian_side_90(sigma: float, axes: int) -> float:
    """The 90 % side for the same energy: 3.29, 3.90, 4.23 sigma for one to three axes."""
    return 2 * NormalDist().inv_cdf((1 + SHARE ** (1 / axes)) / 2) * sigma
