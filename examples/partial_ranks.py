"""Rank correlations of networks that are not independent: given their cost, with intervals over families."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

SAMPLES, SEED = 2000, 0
Statistic = Callable[[np.ndarray], float]
"""Of the networks with these numbers, some of them perhaps several times."""


def family(name: str) -> str:
    """The paper a torchvision classifier is from, by its name; wide ResNets count as ResNets."""
    found = re.match(r"efficientnet_v2|mobilenet_v[23]|[a-z]+", name.removeprefix("wide_"))
    return found[0] if found else name


def residual(values: np.ndarray, given: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Ranks without what a straight line through the ranks of ``given`` explains."""
    ranks = rankdata(values)
    known = np.column_stack([np.ones(len(ranks)), *map(rankdata, given)])
    return np.asarray(ranks - known @ np.linalg.lstsq(known, ranks, rcond=None)[0])


def partial(x: np.ndarray, y: np.ndarray, given: Sequence[np.ndarray] = ()) -> float:
    """Spearman's rank correlation, or with ``given`` the partial one; nan where a side has nothing left."""
    a, b = residual(x, given), residual(y, given)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else float("nan")


def resampled(statistic: Statistic, groups: Sequence[str]) -> tuple[float, float, float]:
    """The statistic of all, and its 95 % interval where whole groups are drawn with replacement."""
    members = [np.flatnonzero(np.array(groups) == name) for name in sorted(set(groups))]
    random = np.random.default_rng(SEED)
    drawn = (random.integers(0, len(members), len(members)) for _ in range(SAMPLES))
    found = [statistic(np.concatenate([members[group] for group in draw])) for draw in drawn]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return statistic(np.arange(len(groups))), float(low), float(high)


def told(found: tuple[float, float, float]) -> str:
    """``+0.58 (+0.32 to +0.73)``."""
    return "{:+.2f} ({:+.2f} to {:+.2f})".format(*found)
