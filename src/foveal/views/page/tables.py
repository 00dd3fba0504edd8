"""The boxes of all units of all layers as one compressed block of integers.

A layer's receptive fields are a few arrays (first and last position per source axis, clipped and unclipped), of which
neighbouring layers often share the same. Each distinct array is kept once, as differences between neighbours (which
are nearly constant), and the whole block is compressed. Nothing is rounded: the page reads back the same integers.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from foveal.fields.receptive_field import ReceptiveField

LARGEST = 700_000
"""Arrays with more numbers than this stay out of the page."""
BUDGET = 8_000_000
"""Numbers in all distinct arrays together; layers beyond that stay out of the page."""


class TablePool:
    """Distinct integer arrays, numbered in order of arrival."""

    def __init__(self, largest: int = LARGEST, budget: int = BUDGET) -> None:
        self.arrays: list[np.ndarray] = []
        self._largest, self._left = largest, budget
        self._known: dict[tuple[Any, ...], int] = {}

    def add(self, array: np.ndarray) -> int | None:
        """The number of the array in the pool; None where it is too large to be kept."""
        data = np.ascontiguousarray(array, dtype=np.int32)
        key = (data.shape, hash(data.tobytes()))
        if key in self._known:
            return self._known[key]
        if data.size > min(self._largest, self._left):
            return None
        self._left -= data.size
        self._known[key] = len(self.arrays)
        self.arrays.append(data)
        return self._known[key]

    def layer(self, rf: ReceptiveField) -> dict[str, Any] | None:
        """The tables of one layer as numbers into the pool; None where they are too large to be kept."""
        own = self._tables(rf) if rf.listed and (rf.local is None or rf.local.listed) else None
        if own is None:
            return None
        own["local"] = None if rf.local is None else self._tables(rf.local)
        return own

    def encoded(self) -> dict[str, Any]:
        """shapes: of each array; data: differences along the flattened arrays, little-endian int32, zlib, base64."""
        flat = [np.diff(a.ravel(), prepend=np.int32(0)).astype("<i4") for a in self.arrays]
        block = np.concatenate(flat) if flat else np.zeros(0, "<i4")
        packed = zlib.compress(block.tobytes(), 9 if block.size < 1_000_000 else 6)
        return {"shapes": [list(a.shape) for a in self.arrays], "data": base64.b64encode(packed).decode("ascii")}

    def _tables(self, rf: ReceptiveField) -> dict[str, Any] | None:
        first = [self.add(a) for a in rf.first]
        last = [self.add(a) for a in rf.last]
        nothing = self.add(rf.nothing)
        if None in (*first, *last, nothing):
            return None
        return {"first": first, "last": last, "nothing": nothing, "known": [bool(k) for k in rf.known]}


def decoded(block: dict[str, Any]) -> list[np.ndarray]:
    """The arrays of :meth:`TablePool.encoded`, as the page reads them."""
    flat = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), "<i4")
    arrays, start = [], 0
    for shape in block["shapes"]:
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.cumsum(flat[start : start + count], dtype=np.int32).reshape(shape))
        start += count
    return arrays
