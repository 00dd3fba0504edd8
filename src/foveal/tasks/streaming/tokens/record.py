"""Pictures of an audit of tokens: reach by layer, the weight of the past by distance, a map of token by token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TokenReach:
    """Reach in tokens before, by layer in order (None: all), of ``length`` traced tokens."""

    network: str
    layers: tuple[str, ...]
    reach: tuple[int | None, ...]
    length: int


@dataclass(frozen=True)
class TokenUse:
    """By way of asking: the share of the influence at distance 0, 1, 2 ... before."""

    network: str
    shares: dict[str, np.ndarray]


@dataclass(frozen=True)
class TokenMap:
    """values[i, n]: squared effect of the token at ``places[n]`` on output i."""

    network: str
    values: np.ndarray
    places: np.ndarray
