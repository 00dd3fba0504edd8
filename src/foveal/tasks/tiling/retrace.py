"""The same network traced with another size of one source, and whether it does the same at both sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import product
from math import prod
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.hull import NOTHING, Hull, all_dense, regular
from foveal.fields.measured.cropping import behind
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph, Node
from foveal.ir.ops import Operation
from foveal.ir.relation import ABSENT, Slide, Step, Table
from foveal.ir.rules import reads, traits
from foveal.tasks.tiling.record import AxisPlan

PERIODS = 8
"""A trace shorter than this many multiples may not show how a layer goes on; a longer one is made."""
LARGEST = 1 << 18
"""Positions of a source up to which a trace is made at its own length."""


def can_retrace(graph: Graph) -> bool:
    """Whether there is a model behind the graph, or a text, that can be traced again."""
    return graph.again is not None or (graph.backend is not None and graph.backend.retraces)


def with_source(graph: Graph, source: str, lengths: Sequence[int]) -> Graph:
    """The graph with these lengths along the counted axes of ``source``.

    Raises FovealError where there is no model to trace again, or where it does not run at that size.
    """
    found = next(s for s in graph.sources if s.name == source)
    shape = list(graph.values[found.value].shape)
    for axis, length in zip(found.axes, lengths):
        shape[axis] = length
    text = "x".join(map(str, shape))
    if shape == list(graph.values[found.value].shape):
        return graph
    if not can_retrace(graph):
        raise FovealError(f"{graph.name}: what it does at another size cannot be told from here; trace it with {text}")
    made = _retraced(graph, source, tuple(shape))
    if made is None:
        stopped = f" ({graph.stopped})" if graph.stopped else ""
        raise FovealError(f"{graph.name}: the model does not run with the input {text}{stopped}")
    made.name, made.backend, made.parameters = graph.name, graph.backend, graph.parameters
    return made


def _retraced(graph: Graph, source: str, shape: tuple[int, ...]) -> Graph | None:
    if graph.backend is not None:
        return graph.backend.retraced(source, shape)
    try:
        return None if graph.again is None else graph.again(shape)
    except FovealError:
        return None


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
    """What a tile's own trace shows to be fixed to one size (lengths written into the code), or to follow the size in
    another way than the source's own trace; () where all moves along, or where there is no model to trace again.
    Raises FovealError where the model does not run on a tile.
    """
    whole = receptive_field(graph, layer, source)
    if not can_retrace(graph) or all(axis.tile >= axis.span for axis in axes):
        return ()
    lengths = [_told(axis) for axis in axes]
    part = with_source(graph, source, lengths)
    if layer not in part.layer_table:
        return (f"{layer}: the network has no such layer at the tile's size",)
    own = with_source(graph, source, _own_lengths(axes))
    apart = () if layer not in own.layer_table else tuple(dict.fromkeys(unlike(own, part, layer, source)))
    if apart:
        return apart
    found = receptive_field(part, layer, source)
    here, there = whole.local or whole, found.local or found
    for k, axis in enumerate(axes):
        progress, other = here.progress[k], there.progress[k]
        if progress is None or other is None or progress[1].rate != other[1].rate or here.start[k] != there.start[k]:
            return (f"{layer}: stride or start differ at the tile's size along {axis.name}",)
        fewer = (here.source_shape[k] - axis.unread - lengths[k]) / axis.stride
        if here.grid[progress[0]] - there.grid[other[0]] != fewer:
            return (f"{layer}: the number of units does not follow the source along {axis.name}",)
    return ()


def _told(axis: AxisPlan) -> int:
    """The tile's length, or a longer one that shows how a layer goes on; never the source's own."""
    longer = axis.tile + (PERIODS * axis.multiple if axis.tile < min(PERIODS * axis.multiple, axis.span) else 0)
    return longer + axis.multiple if longer in (axis.length, axis.span) and axis.tile < axis.span else longer


def _own_lengths(axes: Sequence[AxisPlan]) -> tuple[int, ...]:
    """The source's own; of one too large to be traced, lengths with the same remainders beyond the tile's."""
    if prod(axis.length for axis in axes) <= LARGEST:
        return tuple(axis.span for axis in axes)
    wanted = [axis.tile + max(PERIODS, axis.tile // axis.multiple // 4) * axis.multiple for axis in axes]
    return tuple(min(a.span, w + (a.span - w) % a.multiple) for a, w in zip(axes, wanted))


def unlike(whole: Graph, part: Graph, layer: str, source: str) -> Iterator[str]:
    """The operations on the path to a layer that do something else in one of two traces of different lengths."""
    values = [graph.layer(layer).value for graph in (whole, part)]
    paths = [sorted(behind(g, [v]), key=lambda node: node.output) for g, v in zip((whole, part), values)]
    for mine, other in zip(*paths):
        if type(mine.op) is not type(other.op) or mine.origin != other.origin:
            yield f"{mine.place}: another operation ({other.origin}) at the tile's length"
            return
        why = _unlike_node(whole, part, mine, other)
        if why:
            yield f"{mine.place}: {why}"
        elif not _alike_boxes(whole, part, mine.output, other.output, source):
            yield f"{mine.place}: its positions follow the length of the source in another way at the tile's length"
            return
    if len(paths[0]) != len(paths[1]):
        yield f"{layer}: the network has more operations at one length than at the other"


def _unlike_node(whole: Graph, part: Graph, mine: Node, other: Node) -> str:
    """In what way one operation is another at two lengths; "" where it is the same."""
    for i, k in zip(mine.inputs, other.inputs):
        a, b = whole.values[i].data, part.values[k].data
        if a is not None and b is not None and a.shape == b.shape and not _equal(a, b):
            return "a constant in it depends on the length of the source"
    if traits(mine.op).size(mine.op) == "free":
        return "" if _same_fields(mine.op, other.op) else "its arguments depend on the length of the source"
    ways = [
        reads(node.op, tuple(g.values[i].shape for i in node.inputs), g.values[node.output].shape)
        for g, node in ((whole, mine), (part, other))
    ]
    steps = [[step for way in each for step in way.relation if isinstance(step, (Slide, Table))] for each in ways]
    if len(steps[0]) != len(steps[1]):
        return "it reads in another way at the tile's length"
    for a, b in zip(*steps):
        why = _unlike_step(a, b)
        if why:
            return why
    return ""


def _same_fields(a: Operation, b: Operation) -> bool:
    return all(_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


def _unlike_step(a: Step, b: Step) -> str:
    """In what way two windows differ but for the length of what they slide over."""
    if isinstance(a, Slide) and isinstance(b, Slide):
        for word in ("axis", "kernel", "stride", "before", "dilation"):
            one, two = getattr(a, word), getattr(b, word)
            if one != two:
                return f"its {'padding' if word == 'before' else word} is {one} at one size and {two} at another"
        return "" if a.after == b.after else "it ends elsewhere at the tile's length"
    if not isinstance(a, Table) or not isinstance(b, Table) or a.axis != b.axis:
        return "it reads in another way at the tile's length"
    if a.ratio != b.ratio:
        one, two = (f"{t.n_out}/{t.n_in}" for t in (a, b))
        return f"its factor is {one} at one size and {two} at another"
    return "" if _alike_tables(a, b) else "it picks other positions at the tile's length"


def _alike_tables(a: Table, b: Table) -> bool:
    """Whether the first rows, the last rows and the way of going on are the same."""
    count = min(a.n_out, b.n_out)
    head = (count + 1) // 2
    more = a.n_in - b.n_in
    for one, two in ((a.unclipped, b.unclipped), (a.clipped, b.clipped)):
        if one.shape[1] != two.shape[1] or not np.array_equal(one[:head], two[:head]):
            return False
        first, last = one[a.n_out - head :], two[b.n_out - head :]
        if not np.array_equal(np.where(first == ABSENT, ABSENT, first - more), last):
            return False
    if a.weights is not None and b.weights is not None and not (
        np.allclose(a.weights[:head], b.weights[:head], atol=1e-7)
        and np.allclose(a.weights[a.n_out - head :], b.weights[b.n_out - head :], atol=1e-7)
    ):  # fmt: skip
        return False
    return all(table.ratio is None or _periodic(table, *table.ratio) for table in (a, b))


def _periodic(table: Table, shift: int, period: int) -> bool:
    early, late = table.unclipped[:-period], table.unclipped[period:]
    return bool(((late == early + shift) | ((late == ABSENT) & (early == ABSENT))).all())


def _alike_boxes(whole: Graph, part: Graph, mine: int, other: int, source: str) -> bool:
    """Whether the index ranges of a value begin, go on and end the same way in both traces."""
    pairs = []
    for graph, value in ((whole, mine), (part, other)):
        index = [s.name for s in graph.sources].index(source)
        state = bounds(graph).states.get(value, {}).get(index)
        pairs.append(None if state is None else [all_dense(hull) for hull in one_box(state.strict)])
    if pairs[0] is None or pairs[1] is None:
        return pairs[0] is pairs[1]
    found, also = (next(s for s in g.sources if s.name == source) for g in (whole, part))
    longer = [whole.values[found.value].shape[a] - part.values[also.value].shape[a] for a in found.axes]
    return all(_alike_hulls(a, b, more) for a, b, more in zip(pairs[0], pairs[1], longer))


def _alike_hulls(a: Hull, b: Hull, more: int) -> bool:
    if a.context or b.context:
        return a.context == b.context
    if not (a.known and b.known):
        return a.known == b.known
    shapes = a.data.shape[1:], b.data.shape[1:]
    if any((n == 1) != (m == 1) for n, m in zip(*shapes)):
        return False
    cuts = []
    for axis, (n, m) in enumerate(zip(*shapes)):
        if n == m:
            cuts.append([(slice(None), slice(None), 0)])
            continue
        one, two = regular(a, axis), regular(b, axis)
        if (one.regular, two.regular) != (True, True) or (one.period, one.shift) != (two.period, two.shift):
            return False
        half = (min(n, m) + 1) // 2
        ends = more if one.shift else 0
        cuts.append([(slice(0, half), slice(0, half), 0), (slice(n - half, n), slice(m - half, m), ends)])
    for corner in product(*cuts):
        here = a.data[(slice(2, 4), *(cut[0] for cut in corner))]
        there = b.data[(slice(2, 4), *(cut[1] for cut in corner))]
        moved = sum(cut[2] for cut in corner)
        gone = np.abs(there) >= NOTHING
        shifted = np.where(gone, there, there + np.asarray([moved, -moved]).reshape(2, *(1,) * (there.ndim - 1)))
        if not np.array_equal(here, shifted):
            return False
    return True
