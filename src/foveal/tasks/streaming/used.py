"""How much of the past is used: the look-back that holds a share of a causal field's weight."""

from __future__ import annotations

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes
from foveal.fields.kinds import field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.streaming.context import Stream
from foveal.tasks.streaming.reach_in_time import Reach, first_to_read_all

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


def expected_error(asked: Stream, reach: Reach, chunk: int, before: int, behind: int) -> float | None:
    """The relative error of chunks with this context: the root of the energy outside of them, for the middle unit at
    every place in a chunk; None where energy has no meaning for the network, or statistics of the stream make the
    difference. As for tiles, an expectation for weights and inputs without order, no bound (docs/methods.md 6.4).
    """
    assert reach.axis is not None
    assert reach.stride is not None
    place = (asked.graph, asked.value, asked.source, asked.axis)
    for node in (first_to_read_all(*place, future=future) for future in (False, True)):
        if node is not None and traits(node.op).whole(node.op)[0]:
            return None  # statistics of the stream: energy takes them as given
    unit = asked.graph.values[asked.value].shape[reach.axis] // 2
    weights = expected(asked.graph, asked.layer, asked.source, asked.axis, reach.axis, unit)
    if weights is None or not weights.sum() > 0:
        return None
    summed = np.concatenate(([0.0], np.cumsum(weights, dtype=np.float64) / weights.sum(dtype=np.float64)))
    # Every unit of the chunk; those further from both of its ends than the field is long lose nothing.
    count, near = max(1, int(chunk / reach.stride)), int(weights.size / reach.stride) + 2
    places = np.r_[0:near, count - near : count] if count > 2 * near else np.arange(count)
    starts = int(unit * reach.stride) - np.array([int(place * reach.stride) for place in places.tolist()])
    first, end = (np.clip(starts + edge, 0, weights.size) for edge in (-before, chunk + behind))
    lost = np.maximum(0.0, 1 - summed[end] + summed[first])
    return float(np.sqrt(lost.sum() / count))


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
