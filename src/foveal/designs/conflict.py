"""Why nothing meets the limits: the fewest that exclude each other, what each would have to be, what is nearest."""

from __future__ import annotations

from itertools import combinations

from foveal.designs.record import Conflict, Relaxed
from foveal.designs.search import Found, Score
from foveal.designs.targets import Target, limit_names


def conflict(found: Found, target: Target) -> Conflict:
    """What stands against the target, from all scored candidates; for a search without a feasible one."""
    names = limit_names(target)
    scored = [(genome, score) for genome, score in found.scores.items() if score is not None]
    if not scored:
        return Conflict((), (), None, (), len(found.scores), found.complete)
    asked = dict(zip(names, _asked(target, names)))
    nearest, best = min(scored, key=lambda pair: (sum(pair[1].excess), pair[1].cost, pair[0]))
    broken = tuple(
        Relaxed(name, asked[name], value) for name, value, excess in zip(names, best.values, best.excess) if excess
    )
    return Conflict(
        _smallest_set(names, [score for _, score in scored]), _relaxed(names, asked, [s for _, s in scored]),
        nearest, broken, len(found.scores), found.complete,
    )  # fmt: skip


def _smallest_set(names: list[str], scores: list[Score]) -> tuple[str, ...]:
    met = [frozenset(i for i, excess in enumerate(score.excess) if not excess) for score in scores]
    distinct = set(met)
    for number in range(1, len(names) + 1):
        for chosen in combinations(range(len(names)), number):
            if not any(set(chosen) <= own for own in distinct):
                return tuple(names[i] for i in chosen)
    return ()


def _relaxed(names: list[str], asked: dict[str, float], scores: list[Score]) -> tuple[Relaxed, ...]:
    found = []
    for place, name in enumerate(names):
        others = [s for s in scores if not any(excess for i, excess in enumerate(s.excess) if i != place)]
        if others:
            least = min(others, key=lambda score: score.excess[place])
            found.append(Relaxed(name, asked[name], least.values[place]))
    return tuple(found)


def _asked(target: Target, names: list[str]) -> list[float]:
    none = {"holes": 0.0, "unproductive-layers": 0.0, "registration": 0.0, "evenness": target.even or 0.0}
    return [none[name] if name in none else float(getattr(target, name.replace("-", "_"))) for name in names]
