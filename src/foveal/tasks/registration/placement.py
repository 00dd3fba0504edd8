"""Where the units of a map stand on the image: by their receptive fields, and by the conventions people use instead.

All positions are pixel indices: pixel i is [i - 1/2, i + 1/2] (docs/methods.md 1.1, 1.7). For unit i of n along an axis
of length L, with stride S:

* receptive field: c0 + i S, the center of what the unit reads;
* cell: (i + 1/2) L / n - 1/2, where resizing the map to the image puts it (``align_corners=False``);
* corners: i (L - 1) / (n - 1), the same with ``align_corners=True``;
* grid: (i + 1/2) S - 1/2, the point of anchor-free detectors; edge: i S - 1/2, anchors counted from the upper edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import ReceptiveField
from foveal.tasks.registration.record import AxisPlaces, Places


def places(rf: ReceptiveField) -> Places | None:
    """The places of a layer's units; None where they do not advance evenly along every source axis, each along its own.

    A layer with global context is placed by its field without it.
    """
    local = rf.local or rf
    center = local.center() if all(local.known) else (None,) * len(local.source_shape)
    if len(local.grid) != len(local.source_shape) or 0 in local.grid:
        return None
    axes = []
    for k, length in enumerate(local.source_shape):
        progress, stride, first = local.progress[k], local.stride[k], center[k]
        if local.grid[k] == 1 and first is not None:
            axes.append(AxisPlaces(1, stride or length, first, length))
            continue
        if progress is None or progress[0] != k or local.period[k] != 1 or not stride or first is None:
            return None
        axes.append(AxisPlaces(local.grid[k], stride, first, length))
    made = Places(rf.layer, tuple(axes))
    return made if all(_holds(local, k, axis) for k, axis in enumerate(made.axes)) else None


def _holds(rf: ReceptiveField, k: int, axis: AxisPlaces) -> bool:
    """Whether every unit's center is where the progression puts it: those of windows of attention are not."""
    twice = np.broadcast_to(rf.first[k][1] + rf.last[k][1], rf.grid)
    expected = np.array([float(2 * center) for center in axis.centers()])
    return bool((twice == expected.reshape([-1 if a == k else 1 for a in range(len(rf.grid))])).all())


def place_map(values: np.ndarray, where: Places) -> np.ndarray:
    """A map of the layer's units (such as a class activation map) as an array over the source, put where it belongs.

    Each unit's value stands at its RF center; between centers it is interpolated linearly, beyond the outermost ones it
    stays. Raises FovealError where the map has another shape than the layer's grid.
    """
    expected = tuple(axis.units for axis in where.axes)
    if values.shape != expected:
        raise FovealError(f"{where.layer}: a map of its units has shape {expected}, got {values.shape}")
    placed = np.asarray(values, dtype=float)
    for k, axis in enumerate(where.axes):
        centers = [float(center) for center in axis.centers()]
        placed = _interpolated(placed, k, centers, axis.length)
    return placed


def resized_map(values: np.ndarray, lengths: Sequence[int], align_corners: bool) -> np.ndarray:
    """The same map resized to the source the usual way, linearly, whatever its units look at."""
    placed = np.asarray(values, dtype=float)
    for k, length in enumerate(lengths):
        axis = AxisPlaces(values.shape[k], 1, 0, length)
        where = [float(place) for place in axis.placed("corners" if align_corners else "cell")]
        placed = _interpolated(placed, k, where, length)
    return placed


def _interpolated(values: np.ndarray, axis: int, places: Sequence[float], length: int) -> np.ndarray:
    """Values that stand at ``places`` along an axis, at the pixels 0 to length - 1."""
    lines = np.moveaxis(values, axis, -1)
    flat = [np.interp(np.arange(length), places, line) for line in lines.reshape(-1, lines.shape[-1])]
    return np.moveaxis(np.array(flat).reshape(*lines.shape[:-1], length), -1, axis)
