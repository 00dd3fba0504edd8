"""The best candidates of a space that was covered at once: which of them to score one by one, from the best on.

What a cover counts is exact; what it does not count (holes, memory, halo ...) is asked of each candidate in turn until
one meets it. Since all that come before it fail, the one found is the best of the whole space by the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from foveal.designs.choice.merit import FULL, band, merit_of
from foveal.designs.spaces.cover import Covered, Group, genome_of
from foveal.designs.spaces.space import Genome, Space
from foveal.designs.targets import Target

PART = 25
MOST = 3_000
"""Candidates that are tried for one answer."""


def settle(
    space: Space, covered: tuple[list[Group], Covered], target: Target,
    feasible: Callable[[Sequence[Genome]], list[bool]],
) -> int | None:  # fmt: skip
    """Scores (by asking ``feasible``) the candidate to recommend, the front, and the best of each group; returns of how
    many at most the first was taken, None where no answer was found among the first ``MOST``.
    """
    groups, all_ = covered
    budget, merits = target.budget, merit_of(target, all_.parameters, all_.narrowest, all_.fits, all_.stride)
    if not len(all_.cost):
        return None
    tried: dict[int, bool] = {}

    def first(indices: np.ndarray) -> int | None:
        for start in range(0, min(len(indices), MOST), PART):
            part = [int(i) for i in indices[start : start + PART]]
            fresh = [i for i in part if i not in tried]
            tried.update(zip(fresh, feasible([genome_of(space, groups, all_, i) for i in fresh])))
            for index in part:
                if tried[index]:
                    return index
        return None

    def taken(among: np.ndarray) -> int | None:
        """How many fit alike, where one of them can be taken."""
        if budget is not None and (all_.cost[among] >= FULL * budget).any():
            among = among[all_.cost[among] >= FULL * budget]
        best = first(among[np.argsort(all_.misfit[among], kind="stable")])
        if best is None:
            return None
        alike = among[all_.misfit[among] <= all_.misfit[best] + band(target)]
        keys = all_.cost[alike] if budget is None else -merits[alike]
        return None if first(alike[np.lexsort((all_.misfit[alike], keys))]) is None else len(alike)

    alike = taken(np.arange(len(all_.cost)))
    if alike is not None:
        for group in np.unique(all_.group):
            taken(np.flatnonzero(all_.group == group))
        if not _front(all_, tried, first):
            return None
    return alike


def _front(all_: Covered, tried: dict[int, bool], first: Callable[[np.ndarray], int | None]) -> bool:
    """Scores candidates until those that no other beats are all feasible."""
    order = np.lexsort((all_.misfit, all_.cost))
    alive = np.ones(len(order), bool)
    for _ in range(MOST):
        alive[[index for index, met in tried.items() if not met]] = False
        order = order[alive[order]]
        least = np.minimum.accumulate(np.r_[np.inf, all_.misfit[order]])
        front = order[all_.misfit[order] < least[:-1]]
        fresh = [int(i) for i in front if int(i) not in tried]
        if not fresh:
            return True
        for index in fresh:
            first(np.array([index]))
    return False
