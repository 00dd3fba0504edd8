"""The effective size by groups of channels: behind a concatenation a unit's channels see unlike parts of the source,
and the field of all together, the mean over channels, is that of none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.roles import roles
from foveal.fields.kinds import field
from foveal.fields.metrics import Effective
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph

MOST = 64
"""Groups of a layer up to which their fields are worked out."""


class ChannelGroup(NamedTuple):
    """Channels ``first`` to ``last`` (the last one included) whose boxes are alike, and the effective size of the
    first.
    """

    first: int
    last: int
    effective: Effective


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


def over_channels(
    graph: Graph, layer: str, at: Sequence[int] | None = None, source: str | None = None, weights: str = "unit"
) -> tuple[ChannelGroup, ...]:
    """The effective size of each group of channels by the energy field of its first one, for the unit ``at``; none
    where the boxes of all channels are alike, or where there are more than ``MOST`` groups.

    Raises as :func:`foveal.fields.kinds.field` does.
    """
    groups = channel_groups(graph, layer, source)
    if not 1 < len(groups) <= MOST:
        return ()
    found = []
    for first, last in groups:
        size = field(graph, layer, kind="energy", at=at, source=source, weights=weights, channel=first).effective()
        if size is not None:
            found.append(ChannelGroup(first, last, size))
    return tuple(found)
