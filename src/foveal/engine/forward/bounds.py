"""Exact bounds of the receptive field of every unit of every layer, in one pass forward over the graph.

For each value and each source the result is a set of boxes per position: one, as long as what an output reads can be
written as one product of index ranges; more where it cannot (query and key before the softmax). *strict* holds
everything; *local* leaves out what was mixed over the whole map (global context) wherever something else is left.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.forward.boxes import Box, align, apply, join_boxes
from foveal.engine.forward.concatenation import concatenate
from foveal.engine.forward.facts import FactFinder
from foveal.engine.forward.folded import positions
from foveal.engine.forward.hull import EMPTY, NOTHING, UNSURE, Hull
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Embed, Outside, Read

Boxes = tuple[Box, ...]
LARGEST_SHIFT = 1 << 34
"""The largest step of a period that is followed: far below the index that stands for nothing."""
LARGE = 1 << 16
"""Two boxes that share no axis are kept apart when their product has more positions than this."""


class State(NamedTuple):
    """Boxes of one value for one source. ``local is strict`` where they do not differ."""

    strict: Boxes
    local: Boxes


States = dict[int, State]
"""Source index -> state; a source that cannot change the value is missing."""


class Bounds:
    """The states of all values of a graph; see :func:`bounds`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.facts = FactFinder(graph)
        self.states: dict[int, States] = {}
        for index, source in enumerate(graph.sources):
            boxes = (tuple(positions(graph.values[source.value].shape, axis) for axis in source.axes),)
            self.states[source.value] = {index: State(boxes, boxes)}
        for node in graph.nodes:
            self.facts.producers[node.output] = node
            self._run(node)

    def _run(self, node: Node) -> None:
        states = self.states
        inputs = [states.get(i) for i in node.inputs]
        if not any(inputs):
            return
        values = self.graph.values
        if 0 in values[node.output].shape:
            states[node.output] = self._without_elements(node, inputs)
            return
        shapes = tuple([values[i].shape for i in node.inputs])
        ways = self.facts.ways(node)
        if len(ways) == 1 and not ways[0].relation:
            found = inputs[ways[0].operand]
            if found is not None:
                states[node.output] = found
            return
        result: States = {}
        axis = _joined_along(ways, len(shapes))
        for source in {s for state in inputs if state for s in state}:
            operands = [state.get(source) if state else None for state in inputs]
            joined = _joined(ways, operands) if axis is None else _concatenated(axis, operands, shapes)
            if joined is not None:
                _check_measure(node, joined)
                result[source] = joined
        if result:
            states[node.output] = result

    def _without_elements(self, node: Node, inputs: list[States | None]) -> States:
        """A value without elements reads nothing."""
        rank = len(self.graph.values[node.output].shape)
        nothing = Hull(np.full((4,) + (1,) * rank, EMPTY), {}, {})
        boxes = {s: ((nothing,) * len(self.graph.sources[s].axes),) for state in inputs if state for s in state}
        return {source: State(box, box) for source, box in boxes.items()}


def bounds(graph: Graph) -> Bounds:
    """The bounds of the graph, computed once."""
    return graph.once("bounds", Bounds)


def _check_measure(node: Node, state: State) -> None:
    """An index that comes near to what stands for nothing would be read as nothing: no answer is better."""
    for box in state.strict:
        for hull in box:
            far = hull.told.size > 0 and int(hull.told.min()) < -NOTHING
            far = far and bool(((hull.told < -NOTHING) & (hull.told > UNSURE // 2)).any())
            if far or any(not -LARGEST_SHIFT <= progress.shift <= LARGEST_SHIFT for progress in hull.steps.values()):
                raise FovealError(
                    f"layer '{node.scope}': its receptive field or stride is beyond all measure (2**34 positions); "
                    "look for strides, dilations or paddings that cannot be meant"
                )


def _joined(ways: tuple[Read, ...], operands: list[State | None]) -> State | None:
    if len(ways) == 2 and _changes_nothing(ways, operands):
        return operands[0]
    strict: list[Box] = []
    local: list[Box] = []
    for way in ways:
        state = operands[way.operand]
        if state is None:
            continue
        moved = [apply(way.relation, box) for box in state.strict]
        strict += moved
        local += moved if state.local is state.strict else [apply(way.relation, box) for box in state.local]
    if not strict:
        return None
    boxes = _merge(strict)
    if all(a is b for a, b in zip(strict, local, strict=True)) and not _mixed(local):
        return State(boxes, boxes)
    return State(boxes, _merge(without_global(local)))


def _changes_nothing(ways: tuple[Read, ...], operands: list[State | None]) -> bool:
    """Whether a block written back reads just what it read before, so that the whole keeps its boxes (in-place
    biases).
    """
    root, part = operands[0], operands[1] if len(operands) > 1 else None
    if not ways[0].relation or not isinstance(ways[0].relation[0], Outside) or root is None or part is None:
        return False
    return all(
        len(old) == len(new)
        and all(any(_equal(apply(ways[0].relation[0].into, a), b) for b in new) for a in old)
        and all(any(_equal(apply(ways[0].relation[0].into, a), b) for a in old) for b in new)
        for old, new in ((root.strict, part.strict), (root.local, part.local))
    )


def _equal(a: Box, b: Box) -> bool:
    for x, y in zip(a, b, strict=True):
        if x.runs or y.runs or np.broadcast(x.data, y.data).size > max(x.data.size, y.data.size):
            return False
        if not (x.data == y.data).all():
            return False
    return True


def _mixed(boxes: list[Box]) -> bool:
    """Whether some boxes are global context along an axis and others are not."""
    if len(boxes) == 1:
        return False
    first = [hull.whole for hull in boxes[0]]
    return any([hull.whole for hull in box] != first for box in boxes[1:])


def without_global(boxes: list[Box]) -> list[Box]:
    """Replace, axis by axis, global hulls by the join of the others, where there are others."""
    if not _mixed(boxes):
        return boxes
    kept = [box for box in boxes if not all(hull.whole for hull in box)]
    if not _mixed(kept):
        return kept
    result = []
    for box in kept:
        hulls = []
        for axis, hull in enumerate(box):
            others = [other[axis] for other in kept if not other[axis].whole]
            hulls.append(others[0] if hull.whole and others else hull)
        result.append(tuple(hulls))
    return result


def _merge(boxes: list[Box]) -> Boxes:
    """As few boxes as can be had without making two axes meet that never met."""
    if len(boxes) == 1:
        return (boxes[0],)
    merged: list[Box] = []
    for box in boxes:
        for index, other in enumerate(merged):
            if box is other:
                break
            if _compatible(other, box):
                merged[index] = join_boxes(other, box)
                break
        else:
            merged.append(box)
    return tuple(merged)


def _compatible(a: Box, b: Box) -> bool:
    for x, y in zip(a, b, strict=True):
        p, q = x.axes(), y.axes()
        if not (p <= q or q <= p) and 4 * prod(map(max, x.lengths, y.lengths)) > LARGE:  # of runs as they are
            return False
    return True


def _joined_along(ways: tuple[Read, ...], operands: int) -> int | None:
    """The axis along which all operands stand one behind the other, in order; None where they do not."""
    ends, axis = 0, None
    for position, way in enumerate(ways):
        step = way.relation[0] if len(way.relation) == 1 else None
        if (
            not isinstance(step, Embed)
            or (way.operand, step.start) != (position, ends)
            or axis not in (None, step.axis)
        ):
            return None
        axis, ends = step.axis, ends + step.n_in
    return axis if len(ways) == operands else None


def _concatenated(axis: int, operands: list[State | None], shapes: tuple[tuple[int, ...], ...]) -> State | None:
    lengths = [shape[axis] for shape in shapes]
    used = [k for k, shape in enumerate(shapes) if 0 not in shape]
    operands, lengths = [operands[k] for k in used], [lengths[k] for k in used]
    strict = [None if s is None else one_box(s.strict) for s in operands]
    if all(box is None for box in strict):
        return None
    local = [
        None if s is None else b if s.local is s.strict else one_box(s.local)
        for s, b in zip(operands, strict, strict=True)
    ]
    strict = [None if box is None else align(box) for box in strict]
    boxes = (concatenate(strict, lengths, axis),)
    present = [box for box in local if box is not None]
    if all(a is b for a, b in zip(strict, local, strict=True)) and not _mixed(present):
        return State(boxes, boxes)
    if _mixed(present):
        local = [None if box is None or all(h.whole for h in box) else box for box in local]
    return State(boxes, (concatenate(local, lengths, axis),))


def one_box(boxes: Boxes) -> Box:
    """All boxes as one, whatever its size."""
    result = boxes[0]
    for box in boxes[1:]:
        result = join_boxes(result, box)
    return result
