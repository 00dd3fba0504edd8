"""What the border of the image does to the outputs of a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.kinds import field as field_of
from foveal.fields.receptive_field import ReceptiveField
from foveal.ir.graph import Graph


@dataclass(frozen=True)
class Border:
    """complete: share of the outputs whose whole field (without global context) lies inside the image; margin: pixels
    from the border to the first such output, the largest over axes and ends, None where there is none; corner_energy:
    energy of output (0, ...) over that of the middle one, None where energy has no meaning.
    """

    complete: float | None
    margin: float | None
    corner_energy: float | None


def border(graph: Graph, strict: ReceptiveField) -> Border:
    """The border's share in a layer's outputs."""
    rf = strict.local or strict
    if not all(rf.known):
        return Border(None, None, _corner_energy(graph, strict))
    inside = [(first[1] >= 0) & (last[1] < n) for first, last, n in zip(rf.first, rf.last, rf.source_shape)]
    whole = np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(*inside)), rf.grid)
    return Border(float(whole.mean()), _margin(rf, inside), _corner_energy(graph, strict))


def _margin(rf: ReceptiveField, inside: list[np.ndarray]) -> float | None:
    """Outputs of an axis count from the first to the last with a whole field along it; their distance in pixels."""
    margins = []
    for axis, good in enumerate(inside):
        along, stride = rf.progress[axis], rf.stride[axis]
        if along is None or stride is None:
            return None
        grid = np.broadcast_to(good, rf.grid)
        line = grid.any(axis=tuple(a for a in range(grid.ndim) if a != along[0]))
        places = np.flatnonzero(line)
        if not places.size:
            return None
        margins += [float(stride) * int(places[0]), float(stride) * int(line.size - 1 - places[-1])]
    return max(margins)


def _corner_energy(graph: Graph, rf: ReceptiveField) -> float | None:
    try:
        corner, middle = (
            field_of(graph, rf.layer, kind="energy", at=at, source=rf.source) for at in ((0,) * len(rf.grid), None)
        )
    except FovealError:
        return None
    if corner.log_total is not None or middle.log_total is not None:
        if corner.log_total is None or middle.log_total is None:
            return None
        return float(np.exp(corner.log_total - middle.log_total))
    total = float(middle.values.sum())
    return float(corner.values.sum()) / total if total > 0 else None
