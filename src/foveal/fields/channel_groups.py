"""Groups of channels of a layer whose units see the same part of the source."""

from __future__ import annotations

from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.roles import roles
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph


def channel_groups(graph: Graph, layer: str, source: str | None = None) -> tuple[tuple[int, int], ...]:
    """(first, last) of the channels of a layer whose units have boxes alike; one group where all have.

    Raises UnknownLayerError, and FovealError where the layer depends on no such source.
    """
    rf = receptive_field(graph, layer, source)
    value = graph.layer(layer).value
    shape = graph.values[value].shape
    axis = next((a for a, role in enumerate(roles(graph)[value]) if role == "c" and shape[a] > 1), None)
    if axis is None:
        return ((0, 0),)
    state = bounds(graph).states[value][[s.name for s in graph.sources].index(rf.source)]
    ends = {shape[axis]}
    for hull in one_box(state.local or state.strict):
        ends.update(hull.runs.get(axis, range(1, shape[axis]) if hull.lengths[axis] > 1 else ()))
    order = sorted(ends)
    return tuple((first, end - 1) for first, end in zip((0, *order), order))
