"""Center of mass, spread and isotropy: the first and second moments of a field taken as a distribution of mass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

SECTORS = 8
"""Directions that :func:`angular_spread` compares in a plane: the axes and the diagonals between them."""


@dataclass(frozen=True)
class Moments:
    """First and second moments, in source positions.

    center: center of mass; sigmas: standard deviation along each source axis; principal: standard deviations along the
    principal axes, largest first (roots of the eigenvalues of the covariance); isotropy: smallest principal over
    largest, 1 where all directions spread alike, 0 where the mass lies on a line or a point has no spread at all.
    """

    center: tuple[float, ...]
    sigmas: tuple[float, ...]
    principal: tuple[float, ...]
    isotropy: float


def moments(values: np.ndarray, origin: tuple[int, ...]) -> Moments | None:
    """Moments of ``values`` (not negative); None where they sum to zero. Sigma: docs/methods.md 2.3 (moments)."""
    total = float(values.sum())
    if total == 0:
        return None
    marginals = [_marginal(values, (axis,)) / total for axis in range(values.ndim)]
    places = [np.arange(n, dtype=np.float64) for n in values.shape]
    means = [float(m @ p) for m, p in zip(marginals, places)]
    covariance = np.zeros((values.ndim, values.ndim))
    for a in range(values.ndim):
        covariance[a, a] = marginals[a] @ (places[a] - means[a]) ** 2
    for a, b in combinations(range(values.ndim), 2):
        joint = _marginal(values, (a, b)) / total
        covariance[a, b] = covariance[b, a] = (places[a] - means[a]) @ joint @ (places[b] - means[b])
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0))
    return Moments(
        tuple(mean + first for mean, first in zip(means, origin)),
        tuple(float(s) for s in np.sqrt(np.diag(covariance))),
        tuple(float(s) for s in spread),
        float(spread[-1] / spread[0]) if spread[0] > 0 else 0.0,
    )


def angular_spread(values: np.ndarray, origin: tuple[int, ...], center: tuple[float, ...]) -> float | None:
    """Relative variation of the mass over the directions around ``center``: 0 where all directions get the same.

    In a plane: standard deviation over mean of the mass in eight sectors of 45 degrees, centered on the axes and the
    diagonals; in three dimensions the largest over the planes of two axes (mass summed along the third); in one, the
    two sides. The center itself belongs to no direction. None where no mass lies off the center. Definition of this
    package, after the article's second property ("alike in all directions").
    """
    offsets = [np.arange(n) + first - c for n, first, c in zip(values.shape, origin, center)]
    if values.ndim == 1:
        return _variation(np.array([values[offsets[0] < 0].sum(), values[offsets[0] > 0].sum()]))
    found = []
    for a, b in combinations(range(values.ndim), 2):
        plane = _marginal(values, (a, b))
        angle = np.arctan2(offsets[a][:, None], offsets[b][None, :])
        sector = np.rint(angle * (SECTORS / (2 * np.pi))).astype(np.int64) % SECTORS
        at_center = (offsets[a][:, None] == 0) & (offsets[b][None, :] == 0)
        weights = np.where(at_center, 0.0, plane)
        found.append(_variation(np.bincount(sector.ravel(), weights.ravel(), SECTORS)))
    known = [spread for spread in found if spread is not None]
    return max(known) if known else None


def _marginal(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The mass summed over all axes but ``axes``."""
    return np.asarray(values.sum(axis=tuple(a for a in range(values.ndim) if a not in axes), dtype=np.float64))


def _variation(mass: np.ndarray) -> float | None:
    mean = float(mass.mean())
    return float(mass.std()) / mean if mean > 0 else None
