"""The same network traced with another size of one source."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph
from foveal.tasks.tiling.record import AxisPlan

PERIODS = 8
"""A trace shorter than this many multiples may not show how a layer goes on; a longer one is made."""


def can_retrace(graph: Graph) -> bool:
    """Whether there is a model behind the graph that can be traced again."""
    return graph.backend is not None and graph.backend.retraces


def with_source(graph: Graph, source: str, lengths: Sequence[int]) -> Graph:
    """The graph with these lengths along the counted axes of ``source``.

    Raises FovealError where there is no model to trace again, or where it does not run at that size.
    """
    found = next(s for s in graph.sources if s.name == source)
    shape = list(graph.values[found.value].shape)
    for axis, length in zip(found.axes, lengths):
        shape[axis] = length
    text = "x".join(map(str, shape))
    if graph.backend is None or not graph.backend.retraces:
        raise FovealError(f"{graph.name}: what it does at another size cannot be told from here; trace it with {text}")
    made = graph.backend.retraced(source, tuple(shape))
    if made is None:
        raise FovealError(f"{graph.name}: the model does not run with the input {text}")
    made.name, made.backend, made.parameters = graph.name, graph.backend, graph.parameters
    return made


def runs_with(graph: Graph, source: str, lengths: Sequence[int]) -> bool:
    """Whether the model runs with these lengths; true where there is none to ask."""
    if not can_retrace(graph):
        return True
    try:
        with_source(graph, source, lengths)
    except FovealError:
        return False
    return True


def unlike_at_tile(graph: Graph, layer: str, source: str, axes: Sequence[AxisPlan]) -> tuple[str, ...]:
    """What a tile's own trace shows to be fixed to one size (lengths written into the code); () where all moves along,
    or where there is no model to trace again. Raises FovealError where the model does not run on a tile.
    """
    whole = receptive_field(graph, layer, source)
    if not can_retrace(graph) or all(axis.tile == n for axis, n in zip(axes, whole.source_shape)):
        return ()
    lengths = [axis.tile + (PERIODS * axis.multiple if axis.tile < PERIODS * axis.multiple else 0) for axis in axes]
    part = with_source(graph, source, lengths)
    if layer not in part.layer_table:
        return (f"{layer}: the network has no such layer at the tile's size",)
    found = receptive_field(part, layer, source)
    here, there = whole.local or whole, found.local or found
    for k, axis in enumerate(axes):
        progress, other = here.progress[k], there.progress[k]
        if progress is None or other is None or progress[1].rate != other[1].rate or here.start[k] != there.start[k]:
            return (f"{layer}: stride or start differ at the tile's size along {axis.name}",)
        fewer = (here.source_shape[k] - lengths[k]) / axis.stride
        if here.grid[progress[0]] - there.grid[other[0]] != fewer:
            return (f"{layer}: the number of units does not follow the source along {axis.name}",)
    return ()
