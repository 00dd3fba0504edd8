"""A mean of maps that grows image by image, its standard error, and intervals of its metrics by bootstrap.

The bootstrap draws images with replacement (Efron 1979). Only sums over at most ``BLOCKS`` blocks of images are kept;
with more images than that, blocks of several images are drawn instead, so that memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from foveal.fields.metrics.effective import SHARE, level_of
from foveal.fields.metrics.mass import SLACK, nearest_position, rings as rings_about

BLOCKS = 32
DRAWS = 200
SHARES = (0.2, 0.3, 0.5, 0.99)
METRICS = ("sigma", "effective_side", "side_90", "side_20", "side_30", "side_50", "side_99")
_CHUNK = 1 << 24
"""Numbers held at once while maps are drawn."""


@dataclass(frozen=True)
class Interval:
    """A metric of the mean map and the middle 95 % of the bootstrap; None where it has no value or too few images."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def tolerance(self) -> float:
        """Half the width over the value; infinite where unknown."""
        if self.value is None or self.low is None or self.high is None or self.value == 0:
            return float("inf")
        return (self.high - self.low) / 2 / abs(self.value)


class Running:
    """Mean and spread of maps (Welford), and sums over blocks of consecutive images."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean = np.zeros(shape)
        self._squares = np.zeros(shape)
        self.sums: list[np.ndarray] = []
        self.counts: list[int] = []
        self._length = 1

    def add(self, values: np.ndarray) -> None:
        """Take in the map of one more image."""
        self.count += 1
        apart = values - self.mean
        self.mean += apart / self.count
        self._squares += apart * (values - self.mean)
        if self.counts and self.counts[-1] < self._length:
            self.sums[-1] = self.sums[-1] + values
            self.counts[-1] += 1
            return
        if len(self.sums) == BLOCKS:
            self.sums = [a + b for a, b in zip(self.sums[::2], self.sums[1::2])]
            self.counts = [a + b for a, b in zip(self.counts[::2], self.counts[1::2])]
            self._length *= 2
        self.sums.append(values.astype(np.float64))
        self.counts.append(1)

    @property
    def error(self) -> np.ndarray:
        """Standard error of the mean at each position; not a number for one image."""
        if self.count < 2:
            return np.full(self.mean.shape, np.nan)
        return np.asarray(np.sqrt(self._squares / (self.count - 1) / self.count))


@dataclass(frozen=True)
class Frame:
    """Where maps lie: source index of their first entry, lengths of the source, center of the receptive field."""

    origin: tuple[int, ...]
    source_shape: tuple[int, ...]
    center: tuple[float, ...] | None
    log10: bool = False
    """Whether areas of log10(1 + value) about (h // 2, w // 2) are wanted as well."""
    squared: bool = False
    """Whether the maps hold energies, squares of gradients."""


def intervals(running: Running, frame: Frame, seed: int, draws: int = DRAWS) -> dict[str, Interval]:
    """Each metric of the mean map with its interval.

    sigma: root mean square of the standard deviations along the axes. effective_side, side_90: the effective size
    (:mod:`foveal.fields.metrics.effective`). side_20 ...: smallest centered square with more than 20 % of the sum of
    the values, free of scale. log_ratio_20 ...: the same of log10(1 + value) as a share of the source (RepLKNet).
    """
    sums = np.stack([item.ravel() for item in running.sums])
    counts = np.array(running.counts, np.float64)
    rng = np.random.default_rng([seed, len(counts)])
    k = len(counts)
    drawn = rng.multinomial(k, np.full(k, 1 / k), draws).astype(np.float64) if k > 1 else np.zeros((0, 1))
    weights = np.vstack([np.ones((1, k)), drawn])
    weights /= (weights @ counts)[:, None]
    found = _evaluated(weights, sums, running.mean.shape, frame)
    return {name: _interval(values) for name, values in found.items()}


def _interval(values: np.ndarray) -> Interval:
    value = None if np.isnan(values[0]) else float(values[0])
    rest = values[1:]
    if rest.size == 0 or np.isnan(rest).any() or value is None:
        return Interval(value, None, None)
    low, high = np.quantile(rest, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _evaluated(weights: np.ndarray, sums: np.ndarray, shape: tuple[int, ...], frame: Frame) -> dict[str, np.ndarray]:
    """Metric -> one value per row of ``weights``, the maps being ``weights @ sums``."""
    maps = sums.reshape(-1, *shape)
    sigma, center = _spread(weights, maps, frame.origin)
    about = frame.center if frame.center is not None else center
    found = {"sigma": sigma}
    at = None if about is None else nearest_position(about, frame.source_shape)
    drawn = _by_maps(weights, sums, shape, frame, at)
    found["effective_side"] = drawn.above ** (1 / len(shape))
    if at is not None:
        limit = _furthest(at, frame.source_shape)
        ring = rings_about(shape, frame.origin, at)
        mass = weights @ np.stack([np.bincount(ring, row, limit + 1) for row in sums])
        found["side_90"] = _sides(mass if drawn.energy is None else drawn.energy, SHARE, limit, least=0)
        found |= {f"side_{share * 100:.0f}": _sides(mass, share, limit) for share in SHARES}
    if (logs := drawn.logs) is not None:
        limit = min(n // 2 for n in frame.source_shape) - 1
        area = float(np.prod(frame.source_shape))
        for share in SHARES:
            found[f"log_ratio_{share * 100:.0f}"] = _sides(logs, share, limit) ** len(shape) / area
    return found


def _spread(
    weights: np.ndarray, maps: np.ndarray, origin: tuple[int, ...]
) -> tuple[np.ndarray, tuple[float, ...] | None]:
    """Sigma of each drawn map from its marginals, and the center of mass of the first."""
    variance, center = np.zeros(len(weights)), []
    axes = tuple(range(1, maps.ndim))
    for axis in axes:
        marginal = weights @ maps.sum(tuple(a for a in axes if a != axis))
        place = np.arange(maps.shape[axis]) + origin[axis - 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = marginal / marginal.sum(1, keepdims=True)
        mean = share @ place
        variance += (share * (place[None] - mean[:, None]) ** 2).sum(1)
        center.append(float(mean[0]))
    return np.sqrt(variance / len(axes)), tuple(center) if np.isfinite(center).all() else None


class Drawn(NamedTuple):
    """Of each drawn map: how many positions count, sums of the energy over rings where the map itself holds no energy,
    and sums of log10(1 + value) where they are wanted.
    """

    above: np.ndarray
    energy: np.ndarray | None
    logs: np.ndarray | None


def _by_maps(
    weights: np.ndarray, sums: np.ndarray, shape: tuple[int, ...], frame: Frame, at: tuple[int, ...] | None
) -> Drawn:
    """What needs each drawn map itself and does not follow from sums over blocks."""
    step = max(1, _CHUNK // max(1, sums.shape[1]))
    middle = tuple(n // 2 for n in frame.source_shape)
    limit = min(n // 2 for n in frame.source_shape) - 1
    ring = rings_about(shape, frame.origin, middle)
    around = None if frame.squared or at is None else rings_about(shape, frame.origin, at)
    counts: list[np.ndarray] = []
    rings: list[np.ndarray] = []
    energies: list[np.ndarray] = []
    for first in range(0, len(weights), step):
        maps = weights[first : first + step] @ sums
        largest = maps.max(1, keepdims=True, initial=0.0)
        counts.append(np.count_nonzero(maps > level_of(frame.squared) * largest, axis=1))
        if around is not None and at is not None:
            furthest = _furthest(at, frame.source_shape)
            energies.append(np.stack([np.bincount(around, row * row, furthest + 1) for row in maps]))
        if frame.log10 and limit >= 1:
            rings.append(np.stack([np.bincount(ring, np.log10(1 + row), limit + 1) for row in maps]))
    joined = [np.concatenate(parts) if parts else None for parts in (energies, rings)]
    return Drawn(np.concatenate(counts).astype(np.float64), *joined)


def _furthest(at: tuple[int, ...], source_shape: tuple[int, ...]) -> int:
    """The largest distance of a position of the source from ``at`` along an axis."""
    return max(1, max(max(p, n - 1 - p) for p, n in zip(at, source_shape)))


def _sides(rings: np.ndarray, share: float, limit: int, least: int = 1) -> np.ndarray:
    """Side of the smallest centered square with more than the share, per row; not a number where none has."""
    mass = np.cumsum(rings, 1)
    total = mass[:, -1:]
    above = (mass[:, least : limit + 1] > total * share * (1 + SLACK)) & (total > 0)
    return np.where(above.any(1), 2.0 * (above.argmax(1) + least) + 1, np.nan)
