"""How much of the past is used: the look-back that holds a share of a causal field's weight."""

from __future__ import annotations

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes
from foveal.fields.kinds import field
from foveal.ir.graph import Graph

SHARES = (0.5, 0.9, 0.99)


def lookbacks(weights: np.ndarray, own: int) -> tuple[int, ...] | None:
    """For each of ``SHARES`` the fewest positions before ``own`` that hold it, with ``own`` and what comes behind it;
    None where nothing has weight. weights: one number per position.
    """
    past = np.cumsum(weights[: own + 1][::-1], dtype=np.float64) + weights[own + 1 :].sum(dtype=np.float64)
    total = past[-1] if past.size else 0.0
    if not total > 0:
        return None
    return tuple(int(np.searchsorted(past, share * total * (1 - 1e-12))) for share in SHARES)


def expected(graph: Graph, layer: str, source: int, axis: int, unit_axis: int, unit: int) -> np.ndarray | None:
    """Expected squared gradient of one unit (the middle one along its other axes) at each position of a source axis, as
    shares; None where it has no meaning for the network. unit_axis: the value's axis that follows the source axis.
    """
    value = graph.layer(layer).value
    grid = grid_axes(graph, value)
    at = [unit if k == unit_axis else graph.values[value].shape[k] // 2 for k in grid]
    try:
        found = field(graph, layer, kind="energy", at=at, source=graph.sources[source].name)
    except FovealError:
        return None
    whole = np.zeros(found.source_shape[axis])
    first, last = found.hull[axis]
    whole[first:last] = found.normalized().sum(axis=tuple(k for k in range(found.values.ndim) if k != axis))
    return whole
