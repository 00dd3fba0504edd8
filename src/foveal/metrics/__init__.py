"""Metrics of a field of one, two or three axes: small functions on arrays, and one record of them all.

Everywhere ``values`` are not negative, ``origin`` is the source index of their first entry, and positions are source
indices (pixel *i* is the interval [i - 1/2, i + 1/2]).
"""

from foveal.metrics.gaussian import GaussianFit as GaussianFit
from foveal.metrics.gaussian import fit_gaussian as fit_gaussian
from foveal.metrics.mass import Region as Region
from foveal.metrics.mass import Square as Square
from foveal.metrics.mass import mass_within as mass_within
from foveal.metrics.mass import nearest_position as nearest_position
from foveal.metrics.mass import region_above as region_above
from foveal.metrics.mass import replknet_squares as replknet_squares
from foveal.metrics.mass import squares as squares
from foveal.metrics.moments import Moments as Moments
from foveal.metrics.moments import angular_spread as angular_spread
from foveal.metrics.moments import moments as moments
from foveal.metrics.profiles import axial_profiles as axial_profiles
from foveal.metrics.profiles import checkerboard_index as checkerboard_index
from foveal.metrics.profiles import decay_rate as decay_rate
from foveal.metrics.profiles import half_width as half_width
from foveal.metrics.profiles import radial_profile as radial_profile
from foveal.metrics.record import FieldMetrics as FieldMetrics
from foveal.metrics.record import measure as measure
from foveal.metrics.support import Support as Support
