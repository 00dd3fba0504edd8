"""Values by distance and along the axes, how fast they fall, and how evenly neighbours are served."""

from __future__ import annotations

import numpy as np

from foveal.fields.metrics.mass import distance_squared

STRONG = 0.0455
"""Share of the largest value from which on a value tells how fast the field falls: of the field as it is stored."""
HALF = 0.5
"""Level of the half width, relative to the largest value of the radial profile."""


def radial_profile(
    values: np.ndarray, origin: tuple[int, ...], source_shape: tuple[int, ...], center: tuple[float, ...]
) -> tuple[float, ...]:
    """Mean value at distance 0, 1, 2, ... of ``center``: entry r is over the positions whose distance rounds to r.

    Positions of the source outside the array count as zero, those outside the source do not count. Ends with the last
    distance that has a value above zero; a distance that holds no position repeats the entry before it.
    """
    ring = np.rint(np.sqrt(distance_squared(values.shape, origin, center))).astype(np.int64)
    if not (values > 0).any():
        return ()
    length = int(ring[values > 0].max()) + 1
    total = np.bincount(ring.ravel(), values.ravel(), length)[:length]
    first = [max(int(c - length), 0) for c in center]
    last = [min(int(c + length) + 2, n) for c, n in zip(center, source_shape)]
    around = np.sqrt(distance_squared(tuple(b - a for a, b in zip(first, last)), tuple(first), center))
    count = np.bincount(np.rint(around).astype(np.int64).ravel(), minlength=length)[:length]
    profile: list[float] = []
    for mass, positions in zip(total, count):
        empty = profile[-1] if profile else 0.0
        profile.append(float(mass / positions) if positions else empty)
    return tuple(profile)


def axial_profiles(values: np.ndarray, origin: tuple[int, ...], at: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """Per axis the values on the line through the position ``at``, over the array's extent along that axis.

    Entry i of axis a lies at source position origin[a] + i. Zero all along where the line misses the array.
    """
    inside = [p - first for p, first in zip(at, origin)]
    found = []
    for axis, length in enumerate(values.shape):
        others = [(i, n) for a, (i, n) in enumerate(zip(inside, values.shape)) if a != axis]
        if all(0 <= i < n for i, n in others):
            line = values[tuple(slice(None) if a == axis else i for a, i in enumerate(inside))]
            found.append(tuple(float(v) for v in line))
        else:
            found.append((0.0,) * length)
    return tuple(found)


def half_width(profile: tuple[float, ...]) -> float | None:
    """Half width at half maximum: the distance at which a radial profile last falls through half its largest value.

    Linear between the entries; where the profile ends above half its maximum, it is taken to reach zero one position
    further on. None for an empty profile. A Gaussian has 1.1774 sigma.
    """
    if not profile:
        return None
    level = HALF * max(profile)
    values = (*profile, 0.0)
    last = max(r for r, value in enumerate(profile) if value >= level)
    return last + (values[last] - level) / (values[last] - values[last + 1])


def decay_rate(values: np.ndarray, origin: tuple[int, ...], center: tuple[float, ...]) -> float | None:
    """How fast the field falls off: minus the least-squares slope of log(value) against squared distance.

    Over the positions above 4.55 % of the maximum, in 1 / positions^2: 1 / (2 sigma^2) for an isotropic Gaussian, 0 for
    a flat field, negative where the field rises outwards. None with fewer than two distinct distances.
    """
    if values.size == 0 or values.max() <= 0:
        return None
    strong = values > STRONG * values.max()
    squared = distance_squared(values.shape, origin, center)[strong]
    apart = squared - squared.mean()
    spread = float(apart @ apart)
    if spread == 0:
        return None
    logs = np.log(values[strong])
    # Adding 0.0 turns the minus zero of a flat field into zero.
    return float(-(apart @ (logs - logs.mean())) / spread) + 0.0


def checkerboard_index(values: np.ndarray) -> float | None:
    """Unevenness between neighbours: 0 where the field is even or runs straight, 1 where every other position is dead.

    Along an axis: mean of |v[i] - (v[i-1] + v[i+1]) / 2| over twice the mean of v[i], for the positions i with two
    neighbours inside the smallest box around the values of at least half the maximum; the largest over the axes. An
    alternation a, b, a, b has (a - b) / (a + b), its Michelson contrast: 1/3 for the taps 2, 1, 2, 1 of a 3-wide
    convolution with stride 2 (docs/methods.md 2.3). A smooth Gaussian has about 1 / (4 sigma^2) near its center. None
    where no axis has such a position. Definition of this package.
    """
    if values.size == 0 or values.max() <= 0:
        return None
    strong = np.argwhere(values >= HALF * values.max())
    box = values[tuple(slice(int(a), int(b) + 1) for a, b in zip(strong.min(axis=0), strong.max(axis=0)))]
    found = []
    for axis in range(values.ndim):
        lines = np.moveaxis(box, axis, -1)
        if lines.shape[-1] < 3:
            continue
        middle = lines[..., 1:-1]
        apart = np.abs(middle - (lines[..., :-2] + lines[..., 2:]) / 2)
        if middle.sum() > 0:
            found.append(float(apart.mean() / (2 * middle.mean())))
    return max(found) if found else None
