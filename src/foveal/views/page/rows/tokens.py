"""Which units of a line of tokens are patches of a plane, and which (class tokens, registers) read nothing of it."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from foveal.fields.receptive_field import ReceptiveField


class Tokens(NamedTuple):
    """special: tokens that stand for no patch; grid: how the other tokens, in their order, lie on the plane."""

    special: tuple[int, ...]
    grid: tuple[int, ...]

    def middle(self, count: int) -> int:
        """The token of the central patch among ``count`` tokens."""
        place = int(np.ravel_multi_index(tuple(n // 2 for n in self.grid), self.grid))
        return [token for token in range(count) if token not in self.special][place]


class TokenFinder:
    """Told of each layer in order of execution: the first line of tokens of a length says how it lies on the plane."""

    def __init__(self) -> None:
        self._planes: dict[int, ReceptiveField] = {}
        self._known: dict[int, Tokens | None] = {}

    def of(self, rf: ReceptiveField) -> Tokens | None:
        """How the tokens of this layer lie on the plane; None where it is no line of tokens, or that is not known."""
        if len(rf.grid) > 1 and len(rf.grid) == len(rf.source_shape):
            self._planes[prod(rf.grid)] = rf
        if len(rf.grid) != 1 or len(rf.source_shape) < 2:
            return None
        if self._known.get(rf.grid[0]) is None:
            self._known[rf.grid[0]] = self._patches(rf)
        return self._known[rf.grid[0]]

    def _patches(self, rf: ReceptiveField) -> Tokens | None:
        nothing = np.broadcast_to(rf.nothing[0], rf.grid)
        plane = self._planes.get(int((~nothing).sum()))
        if plane is None or not all(map(np.array_equal, _firsts(rf, ~nothing), _firsts(plane, None))):
            return None
        return Tokens(tuple(int(token) for token in np.flatnonzero(nothing)), plane.grid)


def _firsts(rf: ReceptiveField, kept: np.ndarray | None) -> list[np.ndarray]:
    """First position of each unit per source axis, flat."""
    flat = [np.broadcast_to(first[0], rf.grid).ravel() for first in rf.first]
    return flat if kept is None else [values[kept] for values in flat]
