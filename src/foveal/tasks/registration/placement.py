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
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import ReceptiveField
from foveal.tasks.path_sets import Number, plain

CONVENTIONS = ("cell", "corners", "grid", "edge")
"""Rules that place units without knowing their receptive fields."""


@dataclass(frozen=True)
class AxisPlaces:
    """The units along one source axis: how many, stride and center of unit 0 in pixels, and the axis's length."""

    units: int
    stride: Number
    first: Number
    length: int

    def centers(self) -> tuple[Number, ...]:
        """RF centers of all units."""
        return tuple(plain(self.first + i * Fraction(self.stride)) for i in range(self.units))

    def placed(self, convention: str) -> tuple[Number, ...]:
        """Where ``convention`` puts the units; raises FovealError for a name that is none."""
        if convention not in CONVENTIONS:
            raise FovealError(f"unknown convention '{convention}'; expected one of {', '.join(CONVENTIONS)}")
        half = Fraction(1, 2)
        if convention == "corners":
            step = Fraction(self.length - 1, self.units - 1) if self.units > 1 else Fraction(0)
            return tuple(plain(i * step) for i in range(self.units))
        step = Fraction(self.length, self.units) if convention == "cell" else Fraction(self.stride)
        shift = Fraction(0) if convention == "edge" else half
        return tuple(plain((i + shift) * step - half) for i in range(self.units))

    def offsets(self, convention: str) -> tuple[Number, ...]:
        """RF center minus the convention's place, per unit: positive where the unit looks further on."""
        return tuple(plain(a - b) for a, b in zip(self.centers(), self.placed(convention), strict=True))

    def nearest(self, position: float) -> int:
        """The unit whose RF center is nearest to a pixel; the first of two that are equally near."""
        return min(range(self.units), key=lambda i: abs(float(self.first) + i * float(self.stride) - position))


@dataclass(frozen=True)
class Places:
    """The units of one layer on its source, one entry per source axis."""

    layer: str
    axes: tuple[AxisPlaces, ...]

    def worst(self, convention: str) -> tuple[Number, ...]:
        """Per axis the offset that is largest in absolute value, over all units."""
        return tuple(furthest(axis.offsets(convention)) for axis in self.axes)

    def nearest(self, position: Sequence[float]) -> tuple[int, ...]:
        """The unit that looks most nearly at a source position: the inverse map."""
        return tuple(axis.nearest(value) for axis, value in zip(self.axes, position, strict=True))


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


def furthest(values: Sequence[Number]) -> Number:
    """The value that is largest in absolute value, the positive one of equals."""
    low, high = min(values), max(values)
    return low if -low > high else high


def _interpolated(values: np.ndarray, axis: int, places: Sequence[float], length: int) -> np.ndarray:
    """Values that stand at ``places`` along an axis, at the pixels 0 to length - 1."""
    lines = np.moveaxis(values, axis, -1)
    flat = [np.interp(np.arange(length), places, line) for line in lines.reshape(-1, lines.shape[-1])]
    return np.moveaxis(np.array(flat).reshape(*lines.shape[:-1], length), -1, axis)
