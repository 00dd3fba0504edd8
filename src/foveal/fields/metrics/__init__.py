"""Metrics of a field of one, two or three axes: small functions on arrays, and one record of them all.

Everywhere ``values`` are not negative, ``origin`` is the source index of their first entry, and positions are source
indices (pixel *i* is the interval [i - 1/2, i + 1/2]).
"""

from foveal.fields.metrics.effective import (
    Effective as Effective,
    effective as effective,
    gaussian_side as gaussian_side,
    gaussian_side_90 as gaussian_side_90,
    level_of as level_of,
    product_side as product_side,
)
from foveal.fields.metrics.gaussian import GaussianFit as GaussianFit, fit_gaussian as fit_gaussian
from foveal.fields.metrics.mass import (
    Region as Region,
    Square as Square,
    mass_within as mass_within,
    nearest_position as nearest_position,
    region_above as region_above,
    replknet_squares as replknet_squares,
    squares as squares,
)
from foveal.fields.metrics.moments import Moments as Moments, angular_spread as angular_spread, moments as moments
from foveal.fields.metrics.profiles import (
    axial_profiles as axial_profiles,
    checkerboard_index as checkerboard_index,
    decay_rate as decay_rate,
    half_width as half_width,
    radial_profile as radial_profile,
)
from foveal.fields.metrics.record import FieldMetrics as FieldMetrics, measure as measure
from foveal.fields.metrics.support import Support as Support
