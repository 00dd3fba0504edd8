"""The effective size by groups of channels: behind a concatenation a unit's channels see unlike parts of the source,
and the field of all together, the mean over channels, is that of none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from foveal.fields.channel_groups import channel_groups
from foveal.fields.kinds import field
from foveal.fields.metrics import Effective
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
