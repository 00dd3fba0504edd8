"""What foveal says about every unit of a layer, as checks hold it against a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveal.engine.certainty import certainty
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import grid_axes
from foveal.fields.receptive_field import receptive_field, unit_bounds
from foveal.ir.graph import Graph, Source

Hulls = tuple[NDArray[np.int64], NDArray[np.int64]]
Bounds = list[Hulls]


class Predicted(NamedTuple):
    """Clipped first and last per source axis in the layer's full shape; whether exact; whether a mask was trusted.

    claimed: the same as the layer's own numbers have it. They are larger where the layer has lost an axis along which
    its elements march over the source: the numbers are then those of all elements together.
    """

    bounds: Bounds
    exact: bool
    masks: bool
    claimed: Bounds


def predicted_bounds(graph: Graph, layer: str, source: Source) -> Predicted:
    """What foveal says about every unit of a layer.

    A layer that no position of the source can change has empty bounds (first > last), exactly.
    """
    value = graph.layer(layer).value
    shape = graph.values[value].shape
    if graph.sources.index(source) not in bounds(graph).states.get(value, {}):
        none = [(np.ones(shape, np.int64), np.zeros(shape, np.int64)) for _ in source.axes]
        return Predicted(none, True, False, none)
    pairs = unit_bounds(graph, layer, source.name)
    full = [(np.broadcast_to(first, shape), np.broadcast_to(last, shape)) for first, last in pairs]
    sure = certainty(graph, value)
    others = [axis for axis in range(len(shape)) if axis not in grid_axes(graph, value)]
    lost = [tuple(axis for axis in others if _marches(hulls, axis)) for hulls in full]
    claimed = full
    if any(lost):
        known = receptive_field(graph, layer, source.name).progress
        claimed = [
            _together(hulls, axes) if axes and known[number] is None else hulls
            for number, (hulls, axes) in enumerate(zip(full, lost, strict=True))
        ]
    return Predicted(full, sure.status == "exact", sure.masks, claimed)


def _marches(hulls: Hulls, axis: int) -> bool:
    """Whether boxes move on along an axis, each end at least twice and never back."""
    if all(array.strides[axis] == 0 for array in hulls) or hulls[0].shape[axis] < 3:
        return False
    kept = tuple(slice(None, None if any(a.strides[k] for a in hulls) else 1) for k in range(hulls[0].ndim))
    first, last = (array[kept] for array in hulls)
    if bool((first > last).any()):
        return False
    steps = [np.diff(array, axis=axis) for array in (first, last)]
    forward, back = (all(bool((sign * step >= 0).all()) for step in steps) for sign in (1, -1))
    moves = min(int((step != 0).sum(axis=axis).min()) for step in steps)
    return (forward or back) and moves >= 2


def _together(hulls: Hulls, axes: tuple[int, ...]) -> Hulls:
    first, last = hulls
    shape = first.shape
    return (
        np.broadcast_to(first.min(axis=axes, keepdims=True), shape),
        np.broadcast_to(last.max(axis=axes, keepdims=True), shape),
    )
