"""A Gaussian fitted to a field by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import ceil, degrees

import numpy as np

from foveal.fields.metrics.support import crop

MOST_POSITIONS = 20_000
"""Fits work on at most about this many positions; a larger field is averaged in blocks first."""

REACH = 6.0
"""The fit looks at the positions within that many standard deviations of the center of mass, per axis."""

ROUND = 1.01
"""Ratio of two sigmas below which the larger one has no direction worth telling."""

WIDEST = 10.0
"""A fitted sigma above that many hull lengths says that the field has no Gaussian falloff at all."""


@dataclass(frozen=True)
class GaussianFit:
    """amplitude * exp(-(x - center)' covariance^-1 (x - center) / 2), fitted to the values.

    amplitude: in units of the field; center: source positions; sigmas: standard deviations along the principal axes,
    largest first; axis_sigmas: along the source axes; angle: in two dimensions the direction of the largest sigma, in
    degrees from the last axis (x) towards the first (y), in (-90, 90], else None, as where the sigmas differ by less
    than 1 %; r_squared: 1 - squared residuals over
    squared deviations from the mean, over the positions of the hull. reason: None, or why there is no fit; then the
    other parts are None. Kim et al. 2023 fit the same function without rotation (docs/methods.md 3.5).
    """

    amplitude: float | None = None
    center: tuple[float, ...] | None = None
    sigmas: tuple[float, ...] | None = None
    axis_sigmas: tuple[float, ...] | None = None
    angle: float | None = None
    r_squared: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Shape:
    """A Gaussian by the triangular root of its inverse covariance, which has no degenerate angle."""

    amplitude: float
    center: np.ndarray
    root: np.ndarray

    def pack(self) -> np.ndarray:
        return np.concatenate(([self.amplitude], self.center, self.root[np.tril_indices(len(self.center))]))

    @classmethod
    def unpack(cls, parameters: np.ndarray, axes: int) -> _Shape:
        root = np.zeros((axes, axes))
        root[np.tril_indices(axes)] = parameters[1 + axes :]
        return cls(float(parameters[0]), parameters[1 : 1 + axes], root)

    def is_bounded(self) -> bool:
        """Whether it falls off along every direction: a root that is all but singular is a Gaussian without an end."""
        sides = np.linalg.svd(self.root, compute_uv=False)
        return bool(np.isfinite(sides).all() and sides[-1] > 1e-7 * sides[0])

    def covariance(self) -> np.ndarray:
        return np.asarray(np.linalg.inv(self.root @ self.root.T))

    def at(self, places: np.ndarray) -> np.ndarray:
        """Values at ``places`` (axes, positions)."""
        apart = self.root.T @ (places - self.center[:, None])
        return np.asarray(self.amplitude * np.exp(-0.5 * (apart * apart).sum(axis=0)))


def fit_gaussian(values: np.ndarray, origin: tuple[int, ...]) -> GaussianFit:
    """The best Gaussian for ``values`` (not negative) over their hull; says why where there is none.

    An axis along which the hull has length 1 gets sigma 0.
    """
    part, start = crop(values, origin)
    wide = tuple(axis for axis, n in enumerate(part.shape) if n > 1)
    if part.size == 0:
        return GaussianFit(reason="the field is empty")
    if part.size < 2 + len(wide) + len(wide) * (len(wide) + 1) // 2:
        return GaussianFit(reason=f"too few positions for a fit: {part.size}")
    scale = float(part.max())
    squeezed = part.reshape([part.shape[axis] for axis in wide]).astype(np.float64) / scale
    if float(squeezed.min()) == 1.0:
        return GaussianFit(reason="the field is constant over its hull")
    found = _fit(squeezed)
    return GaussianFit(reason=found) if isinstance(found, str) else _describe(found, squeezed, wide, start, scale)


def _fit(values: np.ndarray) -> _Shape | str:
    """The best Gaussian in indices of ``values``, or why there is none."""
    window, start, block = _window(values)
    best = _best(window)
    if isinstance(best, str):
        return best
    if not best.is_bounded():
        return "the best Gaussian is unbounded along a direction"
    blurred = best.covariance() * block**2
    covariance = blurred - np.eye(values.ndim) * (block**2 - 1) / 12
    center = best.center * block + (block - 1) / 2 + start
    reason = _doubt(center, covariance, values.shape)
    if reason:
        return reason
    amplitude = best.amplitude * float(np.sqrt(np.linalg.det(blurred) / np.linalg.det(covariance)))
    return _Shape(amplitude, center, np.linalg.cholesky(np.linalg.inv(covariance)))


def _window(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The part of ``values`` near the mass, averaged in blocks; with its first index and the block's side.

    A block average adds (block^2 - 1) / 12 to the variance along each axis, which the caller takes off again.
    """
    start, stop = [], []
    for axis, length in enumerate(values.shape):
        mass = values.sum(axis=tuple(a for a in range(values.ndim) if a != axis))
        place = np.arange(length)
        mean = float(mass @ place / mass.sum())
        reach = REACH * float(np.sqrt(mass @ (place - mean) ** 2 / mass.sum())) + 2
        start.append(max(int(mean - reach), 0))
        stop.append(min(ceil(mean + reach) + 1, length))
    part = values[tuple(slice(a, b) for a, b in zip(start, stop))]
    block = ceil((part.size / MOST_POSITIONS) ** (1 / values.ndim))
    if block > 1:
        part = part[tuple(slice(0, n - n % block) for n in part.shape)]
        sides = [side for n in part.shape for side in (n // block, block)]
        part = part.reshape(sides).mean(axis=tuple(range(1, 2 * values.ndim, 2)))
    return part, np.array(start, np.float64), block


def _best(values: np.ndarray) -> _Shape | str:
    """The better of two descents, from the moments of all values and from those above half the maximum."""
    from scipy.optimize import least_squares

    axes = values.ndim
    places = np.indices(values.shape).reshape(axes, -1).astype(np.float64)
    target = values.ravel()
    found, reason = [], "the fit did not converge"

    def residual(parameters: np.ndarray) -> np.ndarray:
        return np.asarray(_Shape.unpack(parameters, axes).at(places) - target)

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        return _jacobian(_Shape.unpack(parameters, axes), places)

    for kept in (target, np.where(target >= 0.5 * target.max(), target, 0.0)):
        start = _initial(kept, places).pack()
        try:
            result = least_squares(residual, start, jac=jacobian, method="lm", max_nfev=200)
        except (ValueError, np.linalg.LinAlgError) as error:
            reason = f"the fit failed: {error}"
            continue
        shape = _Shape.unpack(result.x, axes)
        if result.success and shape.amplitude > 0 and np.all(np.abs(np.diag(shape.root)) > 1e-12):
            found.append((float(result.cost), shape))
    return min(found, key=lambda pair: pair[0])[1] if found else reason


def _initial(values: np.ndarray, places: np.ndarray) -> _Shape:
    weights = values / values.sum()
    center = places @ weights
    apart = places - center[:, None]
    covariance = (apart * weights) @ apart.T + np.eye(len(center)) * 0.1
    return _Shape(float(values.max()), center, np.linalg.cholesky(np.linalg.inv(covariance)))


def _jacobian(shape: _Shape, places: np.ndarray) -> np.ndarray:
    """Derivatives of the values with respect to the packed parameters: (positions, parameters)."""
    apart = places - shape.center[:, None]
    turned = shape.root.T @ apart
    unit = np.exp(-0.5 * (turned * turned).sum(axis=0))
    value = shape.amplitude * unit
    columns = [unit, *(value * (shape.root @ turned))]
    for row, column in zip(*np.tril_indices(len(shape.center))):
        columns.append(-value * apart[row] * turned[column])
    return np.stack(columns, axis=1)


def _doubt(center: np.ndarray, covariance: np.ndarray, shape: tuple[int, ...]) -> str | None:
    """Why a fit that converged means nothing, if so."""
    lengths = np.array(shape)
    spread = np.linalg.eigvalsh(covariance)
    if not np.all(spread > 0):
        return "the field is narrower than the blocks it was averaged in"
    if np.sqrt(spread.max()) > WIDEST * lengths.max():
        return "the field has no falloff that a Gaussian could follow"
    if np.any(center < -lengths) or np.any(center > 2 * lengths):
        return "the best Gaussian has its center far outside the hull"
    return None


def _r_squared(shape: _Shape, values: np.ndarray) -> float:
    apart = np.ix_(*(np.arange(n) - c for n, c in zip(values.shape, shape.center)))
    inverse = shape.root @ shape.root.T
    # Summed pair by pair with broadcasting, so that a large map never needs a list of its positions.
    form = np.zeros(values.shape)
    for a, b in combinations_with_replacement(range(values.ndim), 2):
        form += (inverse[a, b] * (1 if a == b else 2)) * apart[a] * apart[b]
    residual = values - shape.amplitude * np.exp(-0.5 * form)
    deviation = values - values.mean()
    return float(1 - np.vdot(residual, residual) / np.vdot(deviation, deviation))


def _describe(
    shape: _Shape, values: np.ndarray, wide: tuple[int, ...], origin: tuple[int, ...], scale: float
) -> GaussianFit:
    """The fit in source positions and units of the field, with the axes of length 1 put back."""
    covariance = shape.covariance()
    spread, directions = np.linalg.eigh(covariance)
    middle = dict(zip(wide, (float(c) for c in shape.center)))
    own = dict(zip(wide, (float(s) for s in np.sqrt(np.diag(covariance)))))
    angle = None
    if len(wide) == len(origin) == 2 and np.sqrt(spread[1] / spread[0]) > ROUND:
        down, right = directions[:, -1]
        angle = degrees(float(np.arctan2(down, right)))
        angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
    return GaussianFit(
        shape.amplitude * scale,
        tuple(first + middle.get(axis, 0.0) for axis, first in enumerate(origin)),
        tuple(float(s) for s in np.sqrt(spread[::-1])) + (0.0,) * (len(origin) - len(wide)),
        tuple(own.get(axis, 0.0) for axis in range(len(origin))),
        angle,
        _r_squared(shape, values),
    )
