"""All metrics of a field in one record."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from foveal.core.serial import to_plain
from foveal.fields.metrics.effective import Effective, effective, level_of
from foveal.fields.metrics.gaussian import GaussianFit, fit_gaussian
from foveal.fields.metrics.mass import (
    Region,
    Square,
    mass_within,
    nearest_position,
    region_above,
    replknet_squares,
    squares,
)
from foveal.fields.metrics.moments import angular_spread, moments
from foveal.fields.metrics.profiles import axial_profiles, checkerboard_index, decay_rate, half_width, radial_profile
from foveal.fields.metrics.support import Support, crop, support


@dataclass(frozen=True)
class FieldMetrics:
    """What a field looks like, in numbers. Lengths and positions are source positions; shares are of the field's sum.

    A quantity that has no meaning for the field (an empty one, say) is None. All but ``total``, ``largest``,
    ``gaussian.amplitude``, the profiles and ``replknet`` stay the same when the values are multiplied by a constant.
    """

    total: float | None
    """Sum of the values as they are stored; None where it is too large for a number."""
    largest: float
    """Largest value."""
    support: Support
    """See :func:`foveal.fields.metrics.support.support`."""
    center: tuple[float, ...] | None
    """What the metrics are about: the RF center that was given, else the center of mass."""
    center_of_mass: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    """Center of mass minus the RF center; None where no RF center was given."""
    sigmas: tuple[float, ...] | None
    """Standard deviation along each source axis."""
    principal: tuple[float, ...] | None
    """Standard deviations along the principal axes, largest first."""
    isotropy: float | None
    """Smallest principal over largest; see :func:`foveal.fields.metrics.moments.moments`."""
    angular_spread: float | None
    """See :func:`foveal.fields.metrics.moments.angular_spread`."""
    gaussian: GaussianFit
    effective: Effective | None
    """The effective size; see :mod:`foveal.fields.metrics.effective`. None where nothing has weight, and of fields that
    are no gradients (support, usage)."""
    luo_center: Region | None
    """Luo et al. 2016 to the letter: where the gradient's size is above 4.55 % of that at the center; None where that
    one is zero. The effective size takes the largest instead."""
    squares: tuple[Square, ...]
    """About the position nearest to ``center``, free of scale; see :func:`foveal.fields.metrics.mass.squares`."""
    replknet: tuple[Square, ...] | None
    """With log10(1 + x), about (h // 2, w // 2), as RepLKNet's scripts; None where the values are scaled."""
    mass_within: tuple[tuple[float, float], ...]
    """(radius, share) about ``center``; see :func:`foveal.fields.metrics.mass.mass_within`."""
    decay_rate: float | None
    """See :func:`foveal.fields.metrics.profiles.decay_rate`."""
    half_width: float | None
    """See :func:`foveal.fields.metrics.profiles.half_width`."""
    checkerboard_index: float | None
    """See :func:`foveal.fields.metrics.profiles.checkerboard_index`."""
    radial_profile: tuple[float, ...] = field(repr=False)
    """Mean value at distance 0, 1, 2, ... of ``center``."""
    axial_profiles: tuple[tuple[float, ...], ...] = field(repr=False)
    """Per axis the values on the line through the position nearest to ``center``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dict(to_plain(self))


def measure(
    values: np.ndarray,
    origin: tuple[int, ...],
    source_shape: tuple[int, ...],
    center: tuple[float, ...] | None = None,
    raw: bool = True,
    squared: bool = False,
    sized: bool = True,
) -> FieldMetrics:
    """All metrics of non-negative ``values`` at ``origin`` within a source, about ``center`` (default: center of mass).

    ``raw`` says that the values carry their true scale, which the RepLKNet variant needs; ``squared`` that they are
    energies, squares of gradients; ``sized`` that they are gradients of any kind, so that they have an effective size.
    """
    whole = values.astype(np.float64)
    given, place = crop(whole, origin)
    largest = float(given.max(initial=0.0))
    # The largest value is taken out, so that no sum of huge or tiny values overflows or vanishes.
    unit = given / largest if largest > 0 else given
    # A product of two plain floats goes to infinity without a warning.
    total = float(unit.sum()) * (largest or 1.0)
    found = moments(unit, place)
    about = center if center is not None else None if found is None else found.center
    com = None if found is None else found.center
    radial = () if about is None else radial_profile(unit, place, source_shape, about)
    axial = () if about is None else axial_profiles(whole, origin, nearest_position(about, source_shape))
    return FieldMetrics(
        total=total if isfinite(total) else None,
        largest=largest,
        support=support(given, place),
        center=about,
        center_of_mass=com,
        offset=None if com is None or center is None else tuple(a - b for a, b in zip(com, center)),
        sigmas=None if found is None else found.sigmas,
        principal=None if found is None else found.principal,
        isotropy=None if found is None else found.isotropy,
        angular_spread=None if about is None else angular_spread(unit, place, about),
        gaussian=fit_gaussian(given, place),
        effective=effective(unit, place, source_shape, about, squared) if sized else None,
        luo_center=_luo_center(unit, place, source_shape, about, level_of(squared)),
        squares=() if about is None else squares(unit, place, source_shape, nearest_position(about, source_shape)),
        replknet=replknet_squares(given, place, source_shape) if raw else None,
        mass_within=() if about is None else mass_within(unit, place, about),
        decay_rate=None if about is None else decay_rate(unit, place, about),
        half_width=half_width(radial),
        checkerboard_index=checkerboard_index(unit),
        radial_profile=tuple(value * largest for value in radial),
        axial_profiles=axial,
    )


def _luo_center(
    values: np.ndarray,
    origin: tuple[int, ...],
    source_shape: tuple[int, ...],
    center: tuple[float, ...] | None,
    level: float,
) -> Region | None:
    if center is None:
        return None
    index = tuple(p - first for p, first in zip(nearest_position(center, source_shape), origin))
    if not all(0 <= i < n for i, n in zip(index, values.shape)) or values[index] == 0:
        return None
    return region_above(values, level * float(values[index]))
