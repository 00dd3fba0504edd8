"""The importance of the article this project started from: how many distinct edges lie on the paths from a position to
a unit.

An edge a -> b inside the unit's cone counts for every source position in the receptive field of a. So the field is the
sum over the values a in the cone of (number of edges from a that stay in the cone) times the box of a: each box is
added with a difference array, and one cumulative sum finishes the work. O(units in the cone), docs/methods.md 1.8.

Where a receptive field has holes its box is too much; then the exact supports of the units concerned are used.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from foveal.engine.backward.adjoint import adjoint
from foveal.engine.backward.algebra import PATHS, SUPPORT, Flow
from foveal.engine.backward.pull import over_source, pull, seed
from foveal.engine.backward.solidity import solid_values
from foveal.engine.backward.stages import Stage
from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.boxes import align
from foveal.engine.forward.hull import NOTHING, all_dense
from foveal.engine.roles import grid_axes, roles
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read

AFFORDABLE = 20_000
"""Units with holes for which the exact support is still worked out one by one."""


class EdgeCount(NamedTuple):
    """counts over the source; exact: false where boxes had to stand in for receptive fields with holes."""

    counts: np.ndarray
    exact: bool


def count_edges(graph: Graph, value: int, unit: tuple[int, ...], source: int, channel: int | None = None) -> EdgeCount:
    """Distinct edges on the paths from each position of a source to one unit."""
    weights: dict[int, np.ndarray] = {}

    def count(node: Node, way: Read, flow: Flow, path: tuple[Stage, ...]) -> None:
        if way.edges:
            _count_way(graph, node, way, flow, path, weights)

    pull(graph, {value: seed(graph, value, unit, SUPPORT, channel)}, SUPPORT, carry=count)
    chosen = graph.sources[source]
    lengths = tuple(graph.values[chosen.value].shape[axis] for axis in chosen.axes)
    difference = np.zeros(tuple(n + 1 for n in lengths), dtype=np.int64)
    supports = np.zeros(lengths, dtype=np.int64)
    solid, exact = solid_values(graph, source), True
    for operand, weight in weights.items():
        state = bounds(graph).states.get(operand, {}).get(source)
        if state is None or not weight.any():
            continue
        filled = solid.get(operand, False)
        if not filled and np.count_nonzero(weight) <= AFFORDABLE:
            supports += _add_supports(graph, operand, weight, chosen.value, chosen.axes)
        else:
            exact = exact and filled
            _add_boxes(graph, operand, weight, state.strict, difference)
    for axis in range(len(lengths)):
        difference = difference.cumsum(axis=axis)
    return EdgeCount(difference[tuple(slice(0, n) for n in lengths)] + supports, exact)


def _count_way(
    graph: Graph, node: Node, way: Read, flow: Flow, path: tuple[Stage, ...], weights: dict[int, np.ndarray]
) -> None:
    """Add, for each operand position, its edges to outputs that lie in the cone."""
    operand, kinds = node.inputs[way.operand], roles(graph)
    cone = _positions(flow, kinds[node.output])
    count = _positions(adjoint(way.relation, cone, path, PATHS), kinds[operand]).data
    shape, axes = graph.values[operand].shape, grid_axes(graph, operand)
    wide = np.broadcast_to(count, [shape[a] if a in axes else 1 for a in range(count.ndim)])
    weights[operand] = weights.get(operand, 0) + wide.reshape([shape[a] for a in axes])


def _positions(flow: Flow, kinds: tuple[str, ...]) -> Flow:
    """Features and batch taken together: any of them (most of them, for counts)."""
    others = tuple(axis for axis, role in enumerate(kinds) if role != "s")
    data = flow.data.max(axis=others, keepdims=True) if others else flow.data
    runs = {axis: ends for axis, ends in flow.runs.items() if axis not in others}
    return Flow(data.astype(np.int64), runs)


def _add_boxes(graph: Graph, value: int, weight: np.ndarray, boxes, difference: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    axes = grid_axes(graph, value)
    rank = len(graph.values[value].shape)
    others = tuple(axis + 1 for axis in range(rank) if axis not in axes)
    # Flat, because a value without a grid (after global pooling) is a single number.
    where = np.flatnonzero(weight)
    ends = []
    for hull in align(one_box(boxes)):
        data = all_dense(hull).data.min(axis=others)
        first, last = (np.broadcast_to(row, weight.shape).ravel()[where] for row in (data[0], -data[1]))
        ends.append((first, last))
    seen = np.logical_and.reduce([(first < NOTHING) & (first <= last) for first, last in ends])
    amount = weight.ravel()[where][seen]
    for corner in product((0, 1), repeat=len(ends)):
        index = tuple((last + 1 if high else first)[seen] for high, (first, last) in zip(corner, ends, strict=True))
        np.add.at(difference, index, amount if sum(corner) % 2 == 0 else -amount)


def _add_supports(graph: Graph, value: int, weight: np.ndarray, source: int, axes: tuple[int, ...]) -> np.ndarray:
    shape = graph.values[source].shape
    total = np.zeros(tuple(shape[axis] for axis in axes), dtype=np.int64)
    for unit in np.argwhere(weight):
        index = tuple(int(i) for i in unit)
        flows = pull(graph, {value: seed(graph, value, index, SUPPORT)}, SUPPORT)
        total += int(weight[index]) * over_source(flows.get(source), shape, axes).astype(np.int64)
    return total
