"""Weighted fields travel backward: one reverse pass over relations, for any algebra, from one unit or from all."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward.adjoint import adjoint
from foveal.engine.backward.algebra import PATHS, Algebra, Crop, Flow, dense
from foveal.engine.backward.cropped import aligned, over_box, uncropped
from foveal.engine.backward.stages import Stage, stages
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import grid_axes, roles
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read

Gain = Callable[[Node, Read], float]
Carry = Callable[[Node, Read, Flow, tuple[Stage, ...]], Flow | None]
Flows = dict[int, Flow]


def seed(graph: Graph, value: int, unit: tuple[int, ...] | None, algebra: Algebra, channel: int | None = None,
         cropped: bool = False) -> Flow:  # fmt: skip
    """1 at one unit of a value (all units where ``unit`` is None), all features together or one channel. ``cropped``:
    the flow holds this unit alone.
    """
    shape = graph.values[value].shape
    axes = grid_axes(graph, value)
    crop: Crop = {}
    if cropped and unit is not None:
        crop = {axis: (i, shape[axis]) for axis, i in zip(axes, unit, strict=True) if shape[axis] > 1}
    lengths = [shape[axis] if axis in axes and axis not in crop else 1 for axis in range(len(shape))]
    data: np.ndarray = np.zeros(lengths, dtype=algebra.dtype)
    index: list[Any] = [slice(None)] * len(shape)
    for position, axis in enumerate(axes):
        index[axis] = slice(None) if unit is None or axis in crop else unit[position]
    data[tuple(index)] = 1
    if channel is None:
        return Flow(data, {}, crop=crop)
    features = [axis for axis, role in enumerate(roles(graph)[value]) if role == "c" and shape[axis] > 1]
    if not features or not 0 <= channel < shape[features[0]]:
        raise FovealError(f"channel {channel} is outside the layer's shape {shape}")
    return replace(_one_channel(data, features[0], shape[features[0]], channel), crop=crop)


def pull(graph: Graph, start: Flows, algebra: Algebra, gain: Gain | None = None, carry: Carry | None = None) -> Flows:
    """Run the flows back to the sources; returns the flow of every value that reaches one of the seeded units.

    gain(node, read) is the factor of one way of reading (0: not followed); ``carry`` does the work of the adjoint where
    it returns a flow.
    """
    flows = dict(start)
    for node, way, factor, path in ways_back(graph, flows, gain):
        operand, flow = node.inputs[way.operand], flows[node.output]
        if way.kept is not None and algebra.weigh and factor != 1.0:
            flow = _shared_by_few(uncropped(flow), way, factor, graph.values[node.output].shape)
        part = None if carry is None else carry(node, way, uncropped(flow), path)
        if part is None:
            part = adjoint(way.relation, flow, path, algebra)
        if factor != 1.0:
            part = replace(part, data=part.data * factor)
        flows[operand] = _added(flows.get(operand), algebra.rescaled(part), algebra)
    return flows


def _added(known: Flow | None, part: Flow, algebra: Algebra) -> Flow:
    """Contributions by two ways, over the stretches that either holds."""
    if known is None or not (known.crop or part.crop):
        return algebra.add(known, part)
    known, part = aligned(known, part)
    return replace(algebra.add(known, part), crop=part.crop)


def _shared_by_few(flow: Flow, way: Read, factor: float, shape: tuple[int, ...]) -> Flow:
    """``factor`` is a power of 1 / fan: the same power where known zeros leave fewer elements to share the weight."""
    assert way.kept is not None
    power = -np.log(factor) / np.log(way.fan)
    more = (way.fan / np.where(way.kept == 0, way.fan, way.kept)) ** power
    for axis, n in enumerate(more.shape):
        if n > 1:
            flow = dense(flow, axis, shape[axis])
    return Flow(flow.data * more, flow.runs, flow.scale)


def ways_back(
    graph: Graph, reached: Container[int], gain: Gain | None = None
) -> Iterator[tuple[Node, Read, float, tuple[Stage, ...]]]:
    """From the last node to the first, the ways in which those whose output is ``reached`` by then read what depends on
    a source, with their factor (those of factor 0 are left out) and their steps.
    """
    states, kinds, facts = bounds(graph).states, roles(graph), bounds(graph).facts
    for node in reversed(graph.nodes):
        if node.output not in reached or not any(i in states for i in node.inputs):
            continue
        out = graph.values[node.output].shape
        for way in facts.ways(node):
            operand = node.inputs[way.operand]
            factor = 0.0 if operand not in states else 1.0 if gain is None else gain(node, way)
            if factor:
                shape = graph.values[operand].shape
                yield node, way, factor, stages(way.relation, shape, out, kinds[operand], kinds[node.output])


def usage_counts(graph: Graph, layer: str, source: str | None = None) -> np.ndarray:
    """How many paths lead from each source position to all units of a layer together (0: never read), over the source
    axes.
    """
    value = graph.layer(layer).value
    index = 0 if source is None else [s.name for s in graph.sources].index(source)
    chosen = graph.sources[index]
    flows = pull(graph, {value: seed(graph, value, None, PATHS)}, PATHS)
    return over_source(flows.get(chosen.value), graph.values[chosen.value].shape, chosen.axes)


def over_source(
    flow: Flow | None,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    algebra: Algebra | None = None,
    box: tuple[tuple[int, int], ...] | None = None,
) -> np.ndarray:
    """A source's flow as an array over the counted axes, or over a box of them: channels added up (or any of them),
    batch dropped.

    With ``algebra`` a channel that stands for several counts as often as the algebra says.
    """
    box = tuple((0, shape[axis]) for axis in axes) if box is None else box
    lengths = tuple(b - a for a, b in box)
    if flow is None:
        return np.zeros(lengths)
    flow = over_box(uncropped(flow, flow.crop.keys() - set(axes)), axes, box)
    if algebra is not None:
        for axis in range(len(shape)):
            if axis not in axes:
                flow = algebra.total(flow, axis, shape[axis], "b" if axis == 0 else "c")
    data = flow.data
    for axis, ends in flow.runs.items():
        data = np.repeat(data, np.diff((0, *ends)), axis=axis)
    others = tuple(axis for axis in range(len(shape)) if axis not in axes)
    data = np.asarray(data.any(axis=others) if data.dtype == bool else data.sum(axis=others))
    return np.array(np.broadcast_to(data, lengths))


def _one_channel(data: np.ndarray, axis: int, n: int, channel: int) -> Flow:
    zero = np.zeros_like(data)
    pieces, ends = [data], [channel + 1]
    if channel > 0:
        pieces.insert(0, zero)
        ends.insert(0, channel)
    if channel + 1 < n:
        pieces.append(zero)
        ends.append(n)
    return Flow(np.concatenate(pieces, axis=axis), {axis: tuple(ends)} if len(ends) > 1 else {})
