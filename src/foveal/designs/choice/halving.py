"""Successive halving (Jamieson and Talwalkar 2016) over candidates that the field has chosen.

All of them are trained for few epochs; the best third again, from the start, for three times as many; and so on until
one is left. Each round costs about the same, and what all will cost is known before.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foveal.core.errors import FovealError

FACTOR = 3
Score = Callable[[Any, int], float]


def load_score(given: str) -> Score:
    """The function that ``FILE.py:NAME`` names; the file is run. Raises FovealError in a line."""
    path, _, name = given.rpartition(":")
    spec = importlib.util.spec_from_file_location("foveal_evaluate", path) if path.endswith(".py") else None
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise FovealError(f"--evaluate {given}: expected FILE.py:FUNCTION, such as train.py:score")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise FovealError(f"--evaluate {given}: {path} has no function '{name}'")
    made: Score = found
    return made


def rounds(candidates: int, epochs: int) -> list[tuple[int, int]]:
    """(networks, epochs) of each round, the last one with ``epochs``."""
    counts = [candidates]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // FACTOR))
    return [(count, max(1, epochs // FACTOR ** (len(counts) - 1 - i))) for i, count in enumerate(counts)]


def halve(
    networks: Sequence[Any], score: Callable[[Any, int], float], epochs: int
) -> list[tuple[tuple[int, float], ...]]:
    """Of each network its (epochs, score) in the rounds that it took part in; the larger the better."""
    found: list[tuple[tuple[int, float], ...]] = [() for _ in networks]
    alive = list(range(len(networks)))
    for count, length in rounds(len(networks), epochs):
        alive = sorted(alive, key=lambda i: (-found[i][-1][1] if found[i] else 0.0, i))[:count]
        for index in alive:
            found[index] += ((length, _number(score(networks[index], length))),)
        if alive and all(found[index][-1][1] == -math.inf for index in alive):
            raise FovealError("--evaluate: no candidate was trained to a number")
    return found


def _number(given: Any) -> float:
    """A score; a training that diverged (not a number) is below every other. Raises FovealError for anything else."""
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise FovealError(
            f"--evaluate: the function gave {given!r}; expected a number, the larger the better"
        ) from None
    return -math.inf if math.isnan(value) else value
