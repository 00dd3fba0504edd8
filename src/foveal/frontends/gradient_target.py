"""What a measured field differentiates: one unit of a layer, the same for every framework."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """One unit: its layer, and a place on each of the layer's axes (None: the batch, or all features)."""

    layer: str
    place: tuple[int | None, ...]
    channel: int | None = None
