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
from foveal.engine.backward.algebra import PATHS, SETS, SUPPORT, Flow
from foveal.engine.backward.pull import Flows, over_source, pull, seed
from foveal.engine.backward.solidity import solid_values
from foveal.engine.backward.stages import Stage, stages
from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.boxes import align
from foveal.engine.forward.hull import NOTHING, all_dense
from foveal.engine.roles import grid_axes, roles
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node
from foveal.ir.lengths import groups
from foveal.ir.relation import Read

AFFORDABLE = 20_000
"""Units with holes, of one value, for which the exact support is still worked out."""
BITS = 64
OCTETS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int64)


class EdgeCount(NamedTuple):
    """counts over the source; exact: false where boxes had to stand in for receptive fields with holes."""

    counts: np.ndarray
    exact: bool


def count_edges(graph: Graph, value: int, unit: tuple[int, ...], source: int, channel: int | None = None) -> EdgeCount:
    """Distinct edges on the paths from each position of a source to one unit."""
    weights: dict[int, np.ndarray] = {}

    def count(node: Node, way: Read, flow: Flow, path: tuple[Stage, ...]) -> None:
        if way.edges:
            operand = node.inputs[way.operand]
            weights[operand] = weights.get(operand, 0) + _read(graph, node, way, flow, path)

    pull(graph, {value: seed(graph, value, unit, SUPPORT, channel)}, SUPPORT, carry=count)
    chosen = graph.sources[source]
    lengths = tuple(graph.values[chosen.value].shape[axis] for axis in chosen.axes)
    difference = np.zeros(tuple(n + 1 for n in lengths), dtype=np.int64)
    holed: dict[int, np.ndarray] = {}
    solid, exact = solid_values(graph, source), True
    for operand, weight in weights.items():
        state = bounds(graph).states.get(operand, {}).get(source)
        if state is None or not weight.any():
            continue
        filled = solid.get(operand, False)
        if not filled and np.count_nonzero(weight) <= AFFORDABLE:
            holed[operand] = weight
        else:
            exact = exact and filled
            _add_boxes(graph, operand, weight, state.strict, difference)
    for axis in range(len(lengths)):
        difference = difference.cumsum(axis=axis)
    boxes = difference[tuple(slice(0, n) for n in lengths)]
    return EdgeCount(boxes + _supports(graph, holed, chosen.value, chosen.axes), exact)


def _read(graph: Graph, node: Node, way: Read, flow: Flow, path: tuple[Stage, ...]) -> np.ndarray:
    """For each unit of the operand, how often the units of the output read it, each as often as ``flow`` says."""
    operand, kinds = node.inputs[way.operand], roles(graph)
    cone = _positions(flow, kinds[node.output])
    count = _positions(adjoint(way.relation, cone, path, PATHS), kinds[operand]).data
    shape, axes = graph.values[operand].shape, grid_axes(graph, operand)
    wide = np.broadcast_to(count, [shape[a] if a in axes else 1 for a in range(count.ndim)])
    return wide.reshape([shape[a] for a in axes])


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


def _supports(graph: Graph, holed: dict[int, np.ndarray], source: int, axes: tuple[int, ...]) -> np.ndarray:
    """The supports of units with holes, each times its weight, added up; as many units in one pass as a word has
    bits.
    """
    shape = graph.values[source].shape
    total = np.zeros(tuple(shape[axis] for axis in axes), dtype=np.int64)
    _move_back(graph, holed)
    units = [(value, where) for value, weight in holed.items() for where in np.flatnonzero(weight)]
    for first in range(0, len(units), BITS):
        starts: Flows = {}
        times = np.zeros(BITS, dtype=np.int64)
        for bit, (value, where) in enumerate(units[first : first + BITS]):
            if value not in starts:
                starts[value] = seed(graph, value, None, SETS)
                starts[value].data[...] = 0
            starts[value].data.reshape(-1)[where] |= np.uint64(1 << bit)
            times[bit] = holed[value].flat[where]
        found = over_source(pull(graph, starts, SETS).get(source), shape, axes, SETS).astype("<u8")
        for place, octet in enumerate(np.moveaxis(found.view(np.uint8).reshape(*found.shape, 8), -1, 0)):
            total += (OCTETS @ times[8 * place : 8 * place + 8])[octet]
    return total


def _move_back(graph: Graph, holed: dict[int, np.ndarray]) -> None:
    """Give the weights of units that read one unit each (of a move, or along features) to these."""
    states, kinds = bounds(graph).states, roles(graph)
    for node in reversed(graph.nodes):
        if node.output not in holed:
            continue
        shape, out = graph.values[node.inputs[0]].shape, graph.values[node.output].shape
        ways = [way for way in bounds(graph).facts.ways(node) if node.inputs[way.operand] in states]
        if any(node.inputs[way.operand] != node.inputs[0] for way in ways):
            continue
        paths = [stages(way.relation, shape, out, kinds[node.inputs[0]], kinds[node.output]) for way in ways]
        if all(map(_along_features, paths)) or (len(ways) == 1 and all(map(_one_to_one, paths[0]))):
            flow = Flow(_full_rank(graph, node.output, holed.pop(node.output)), {})
            moved = _read(graph, node, ways[0], flow, paths[0])
            holed[node.inputs[0]] = holed.get(node.inputs[0], 0) + moved


def _along_features(path: tuple[Stage, ...]) -> bool:
    """Whether each unit reads the unit in its own place."""
    return all(
        all(stage.roles_before[axis] == "c" for axis in stage.step.axes)
        if isinstance(stage.step, rel.All)
        else isinstance(stage.step, rel.Blocks) and stage.roles_before[stage.step.axis] == "c"
        for stage in path
    )


def _one_to_one(stage: Stage) -> bool:
    """Whether each unit reads one unit: positions change places, and features."""
    step = stage.step
    if isinstance(step, (rel.Rotate, rel.Reverse)):
        return True
    if isinstance(step, rel.Relabel):
        dropped = [stage.roles_before[axis] for axis in range(len(stage.before)) if axis not in step.order]
        made = [role for axis, role in zip(step.order, stage.roles_after, strict=True) if axis is None]
        return "s" not in dropped + made
    if not isinstance(step, rel.Reshape):
        return _along_features((stage,))
    for ins, outs in groups(step.before, step.after):
        kinds = [stage.roles_before[i] for i in ins if step.before[i] > 1]
        kinds += [stage.roles_after[o] for o in outs if step.after[o] > 1]
        if "s" in kinds and set(kinds) != {"s"}:
            return False
    return True


def _full_rank(graph: Graph, value: int, weight: np.ndarray) -> np.ndarray:
    shape, axes = graph.values[value].shape, grid_axes(graph, value)
    return weight.reshape([n if axis in axes else 1 for axis, n in enumerate(shape)])
