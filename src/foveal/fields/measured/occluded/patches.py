"""Patches of a unit's box, and what stands in them while they are occluded.

What replaces an image is made once for the whole of it, so that neither the cut of the source nor the order of the
patches changes a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import ceil

import numpy as np

from foveal.fields.field import Box

PATCHES = 144
"""Patches that a box is divided into where nothing says how large they are: twelve by twelve in the plane."""


def division(box: Box, side: int | None) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Per axis (first, last + 1) of its parts, which cover the box and whose lengths differ by one at most.

    side: no part is longer; None: about ``PATCHES`` in all.
    """
    most = max(1, int(PATCHES ** (1 / len(box)) + 1e-9))
    found = []
    for first, last in box:
        length = last - first
        count = min(most, length) if side is None else ceil(length / side)
        ends = [first + length * k // count for k in range(count + 1)]
        found.append(tuple(pairwise(ends)))
    return tuple(found)


def patches(parts: Sequence[Sequence[tuple[int, int]]]) -> Iterator[Box]:
    """Each patch, the last axis fastest."""
    yield from product(*parts)


def replacement(
    image: np.ndarray, axes: Sequence[int], word: str, sides: Sequence[float], random: np.random.Generator
) -> np.ndarray:
    """An image of the same shape, of which an occluded patch shows its part.

    word: "noise" (at each position all channels of another position, drawn with replacement), "blur" (a Gaussian whose
    standard deviation is the side of a patch) or "mean" (of each channel). axes: those that are positions.
    """
    if word == "mean":
        return np.broadcast_to(image.mean(tuple(axes), keepdims=True), image.shape).astype(image.dtype)
    if word == "blur":
        from scipy.ndimage import gaussian_filter1d  # takes longer to load than all else here

        for axis, side in zip(axes, sides):
            image = gaussian_filter1d(image, side, axis, mode="nearest")
        return image
    last = np.moveaxis(image, tuple(axes), range(-len(axes), 0))
    flat = last.reshape(*last.shape[: last.ndim - len(axes)], -1)
    drawn = flat[..., random.integers(0, flat.shape[-1], flat.shape[-1])].reshape(last.shape)
    return np.ascontiguousarray(np.moveaxis(drawn, range(-len(axes), 0), tuple(axes)))
