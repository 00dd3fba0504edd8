"""An occlusion field beside the gradient field of the same unit on the same images: how alike, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foveal.fields.measured.occluded.patches import division

if TYPE_CHECKING:
    from foveal.fields.measured.measure import Measured

CLEAR = 0.1
"""Shares of the weight that lie elsewhere, beyond what chance explains, from which on two fields disagree."""
WIDER = 1.1
"""Ratio of the standard deviations from which on one field counts as wider than the other."""
CHANCE = 0.3989
"""Half the mean size of a normal number of unit variance."""


@dataclass(frozen=True)
class Reading:
    """apart: share of the weight that one field has at other patches than the other (total variation, 0 to 1); chance:
    what the spread over the images alone gives; ratio: standard deviation of the occlusion field over the gradient's;
    verdict: "agree", "wider", "narrower" (the occlusion field), "elsewhere"; "unknown" of one image.
    """

    apart: float
    chance: float
    ratio: float | None
    verdict: str


def reading(occlusion: Measured, gradient: Measured, patch: int | None) -> Reading:
    """The two fields compared over the patches of the first, in which the gradient's is averaged."""
    parts = division(occlusion.field.hull, patch)
    one, two = (_shares(item, occlusion.field.origin, parts) for item in (occlusion, gradient))
    apart = float(np.abs(one[0] - two[0]).sum() / 2)
    chance = float(CHANCE * np.sqrt(one[1] ** 2 + two[1] ** 2).sum())
    spreads = [_spread(shares, parts) for shares, _ in (one, two)]
    ratio = spreads[0] / spreads[1] if spreads[1] else None
    if min(len(occlusion.used), len(gradient.used)) < 2:
        return Reading(apart, chance, ratio, "unknown")
    if not apart > chance + CLEAR:
        return Reading(apart, chance, ratio, "agree")
    if ratio is None or ratio >= WIDER:
        return Reading(apart, chance, ratio, "wider")
    return Reading(apart, chance, ratio, "narrower" if ratio <= 1 / WIDER else "elsewhere")


Parts = tuple[tuple[tuple[int, int], ...], ...]


def _shares(item: Measured, origin: tuple[int, ...], parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Of each patch its share of the sum, and the share's standard error; unknown for one image, then taken as 0.

    Positions of a patch are taken to err together, which overstates the error.
    """
    starts = [[first - o for first, _ in row] for o, row in zip(origin, parts)]
    total = float(item.field.values.sum()) or 1.0
    sums = []
    for values in (item.field.values, np.nan_to_num(item.error)):
        for axis, row in enumerate(starts):
            values = np.add.reduceat(values, row, axis)
        sums.append(values / total)
    return sums[0], sums[1]


def _spread(shares: np.ndarray, parts: Parts) -> float:
    """Root mean square of the standard deviations along the axes, patches at their middles."""
    found = 0.0
    for axis, row in enumerate(parts):
        line = shares.sum(tuple(a for a in range(shares.ndim) if a != axis))
        place = np.array([(first + last - 1) / 2 for first, last in row])
        total = float(line.sum()) or 1.0
        mean = float(line @ place) / total
        found += float(line @ (place - mean) ** 2) / total
    return float(np.sqrt(found / len(parts)))
