"""Constant indices and sampling points as index tables: which inputs each output reads, whatever the framework."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.ir import ops
from foveal.ir.rules.resampling import NEGLIGIBLE, cubic_kernel

Shape = tuple[int, ...]
LARGEST = 1 << 25
"""Tables with more entries than this are not made."""


def places(shape: Shape) -> np.ndarray:
    """The row-major position of each element."""
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def mostly_zero(array: np.ndarray) -> bool:
    """Whether an array is a fixed table of what goes where (an adjacency, a filter bank), not weights: of two axes or
    more, at least half of it zero, but not all, or banded.
    """
    if array.ndim < 2 or array.dtype.kind not in "fciub" or array.size < 4:
        return False
    few = array.reshape(-1)[:: max(1, array.size // 4096)]
    if array.size > 8192 and np.count_nonzero(few) > 0.75 * few.size:
        return False
    used = int(np.count_nonzero(array))
    return 0 < 2 * used <= array.size or (used < array.size and banded(array))


def banded(array: np.ndarray) -> bool:
    """Whether a quarter of a matrix or more is zero in a way that no training leaves behind: what is not is one run in
    each row or in each column, or lies as its mirror image does. Weights that lack whole rows or columns are pruned.
    """
    if array.ndim < 2 or min(array.shape[-2:]) < 3:
        return False
    live = array != 0
    if np.count_nonzero(live) > 0.75 * live.size:
        return False
    if bool((live == (live.any(-1)[..., None] & live.any(-2)[..., None, :])).all()):
        return False
    for axis in (-1, -2):
        edges = np.diff(live, axis=axis).sum(axis=axis) + live.take(0, axis) + live.take(-1, axis)
        if bool((edges <= 2).all()):
            return True
    return live.shape[-1] == live.shape[-2] and bool((live == np.swapaxes(live, -1, -2)).all())


def back(target: np.ndarray, count: int) -> np.ndarray | None:
    """For each of ``count`` places the elements that go there (target: place of each, negative for none), as an index
    (count, k) with -1 for nothing; None where that would be too large.
    """
    flat = target.reshape(-1)
    sent = np.flatnonzero(flat >= 0)
    order = sent[np.argsort(flat[sent], kind="stable")]
    row, found = flat[order], np.bincount(flat[sent], minlength=count)
    width = max(1, int(found.max(initial=0)))
    if count * width > LARGEST:
        return None
    index = np.full((count, width), -1, dtype=np.int64)
    index[row, np.arange(row.size) - (np.cumsum(found) - found)[row]] = order
    return index


def line(index: np.ndarray, axis: int, shape: Shape) -> np.ndarray | None:
    """The index along one axis where it does not vary along the others, which it covers; None where it does."""
    if any(n != m for k, (n, m) in enumerate(zip(index.shape, shape, strict=True)) if k != axis) or not index.size:
        return None
    first = np.moveaxis(index, axis, 0).reshape(index.shape[axis], -1)
    return first[:, 0] if (first == first[:, :1]).all() else None


def sampling(
    x: Shape, grid: np.ndarray, mode: str, padding: str, align: bool, cubic: float = -0.75
) -> list[tuple[ops.Operation, Shape]] | None:
    """The moves by which ``grid`` (N, \\*out, axes), known by value, samples ``x`` (N, C, \\*space) in PyTorch and
    ONNX, and the shape behind each move. None where points are not numbers or the table would be too large.

    mode: "nearest", "linear" or "cubic"; padding: "zeros", "border" or "reflection".
    """
    n, c, space, out = x[0], x[1], x[2:], grid.shape[1:-1]
    if not np.isfinite(grid).all():
        return None
    parts = [_points(grid[..., -1 - a], size, mode, padding, align, cubic) for a, size in enumerate(space)]
    if n == 1 or all((index == index[:1]).all() and (w == w[:1]).all() for index, w in parts):
        parts = [(index[:1], w[:1]) for index, w in parts]
    if parts[0][0].shape[0] == 1 and all(_alone(item, a) for a, part in enumerate(parts) for item in part):
        moves: list[tuple[ops.Operation, Shape]] = []
        shape = x
        for a, (index, weights) in enumerate(parts):
            axis, lead = 2 + a, tuple(slice(None) if b == a else 0 for b in range(len(out)))
            shape = (*shape[:axis], out[a], *shape[axis + 1 :])
            moves.append((ops.Take(axis, index[(0, *lead)], weights[(0, *lead)], "sample"), shape))
        return moves
    samples, sites = parts[0][0].shape[0], prod(out)
    taps = prod(index.shape[-1] for index, _ in parts)
    if samples * sites * taps > LARGEST:
        return None
    flat: np.ndarray = np.zeros((samples, sites, 1), np.int64)
    weight: np.ndarray = np.ones((samples, sites, 1))
    for (index, w), size in zip(parts, space, strict=True):
        index, w = index.reshape(samples, sites, 1, -1), w.reshape(samples, sites, 1, -1)
        outside = (flat[..., None] < 0) | (index < 0) | (w == 0)
        flat = np.where(outside, -1, flat[..., None] * size + index).reshape(samples, sites, -1)
        weight = (weight[..., None] * w).reshape(samples, sites, -1)
    weight = np.where(flat < 0, 0.0, weight)
    pixels = prod(space)
    if samples == 1:
        take = ops.Take(2, flat[0], weight[0], "sample")
        return [(ops.Reshape(), (n, c, pixels)), (take, (n, c, sites)), (ops.Reshape(), (n, c, *out))]
    flat = np.where(flat < 0, -1, flat + np.arange(n)[:, None, None] * pixels).reshape(n * sites, -1)
    take = ops.Take(1, flat, weight.reshape(n * sites, -1), "sample")
    return [
        (ops.Permute((1, 0, *range(2, len(x)))), (c, n, *space)),
        (ops.Reshape(), (c, n * pixels)),
        (take, (c, n * sites)),
        (ops.Reshape(), (c, n, *out)),
        (ops.Permute((1, 0, *range(2, 2 + len(out)))), (n, c, *out)),
    ]


def _alone(table: np.ndarray, axis: int) -> bool:
    """Whether a table (1, *out, k) varies along one of the axes of ``out`` only."""
    first = table[tuple(slice(None) if b in (0, axis + 1, table.ndim - 1) else slice(1) for b in range(table.ndim))]
    return bool((table == first).all())


def _points(
    at: np.ndarray, size: int, mode: str, padding: str, align: bool, cubic: float
) -> tuple[np.ndarray, np.ndarray]:
    """Taps (-1: nothing) and weights along one axis of ``size`` elements, at normalised coordinates."""
    if mode == "nearest":
        # single precision may round the other way
        found = [np.rint(_brought_in(_pixel(at.astype(kind), size, align), size, padding, align)) for kind in "fd"]
        index = np.stack(found[1:] if (found[0] == found[1]).all() else found, axis=-1)
        weights = np.ones(index.shape)
    else:
        place = _pixel(at.astype(np.float64), size, align)
        place = place if mode == "cubic" else _brought_in(place, size, padding, align)
        base = np.floor(place)[..., None]
        part = place[..., None] - base
        reach = np.array([0, 1] if mode == "linear" else [-1, 0, 1, 2])
        index = base + reach
        distance = np.abs(part - reach)
        weights = 1 - distance if mode == "linear" else cubic_kernel(distance, cubic)
        if mode == "cubic":
            index = np.rint(_brought_in(index, size, padding, align))
    live = (np.abs(weights) > NEGLIGIBLE) & (index >= 0) & (index < size)
    return np.where(live, index, -1).astype(np.int64), np.where(live, weights, 0.0)


def _pixel(at: np.ndarray, size: int, align: bool) -> np.ndarray:
    """Pixel coordinates of normalised ones: -1 and 1 are the centers of the border pixels, or their outer edges."""
    return np.asarray((at + 1) / 2 * (size - 1) if align else ((at + 1) * size - 1) / 2)


def _brought_in(place: np.ndarray, size: int, padding: str, align: bool) -> np.ndarray:
    """Pixel coordinates beyond the border as the padding moves them."""
    if padding == "zeros":
        return place
    if padding == "reflection":
        low, span = (0.0, float(size - 1)) if align else (-0.5, float(size))
        away = np.abs(place - low) % (2 * span) if span else np.zeros_like(place)
        place = np.minimum(away, 2 * span - away) + low
    return np.asarray(np.clip(place, 0, size - 1))


def fractional(samples: np.ndarray, size: int, out: int, pool: int) -> np.ndarray:
    """The windows (\\*samples, out, pool) of a fractional pool along one axis, for these random numbers."""
    alpha = (size - pool) / (out - 1) if out > 1 else 0.0
    u = samples.astype(np.float64)[..., None]
    starts = ((np.arange(out) + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
    starts[..., -1] = size - pool
    return np.asarray(starts[..., None] + np.arange(pool))
