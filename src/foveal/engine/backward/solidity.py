"""Which values have receptive fields without holes, so that their boxes are their supports.

A value is solid when all boxes it is made from are solid and each union fills its hull: neighbouring taps touch, and of
two joined boxes one holds the other. Anything else counts as "may have holes".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.engine.forward.bounds import Boxes, bounds
from foveal.engine.forward.boxes import Box, apply
from foveal.engine.forward.hull import NOTHING, Hull, dense, extend
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node
from foveal.ir.rules import reads


def solid_values(graph: Graph, source: int) -> dict[int, bool]:
    """Value id -> whether each unit's receptive field is known to fill its box; computed once per source."""
    return graph.once(f"solid {source}", lambda graph: _all_values(graph, source))


def _all_values(graph: Graph, source: int) -> dict[int, bool]:
    states = bounds(graph).states
    found = {graph.sources[source].value: True}
    for node in graph.nodes:
        if source in states.get(node.output, {}):
            found[node.output] = _node(graph, node, source, found)
    return found


def _node(graph: Graph, node: Node, source: int, found: dict[int, bool]) -> bool:
    states, facts = bounds(graph).states, bounds(graph).facts
    shapes = tuple([graph.values[i].shape for i in node.inputs])
    moved: list[Box] = []
    for way in facts.ways(node):
        state = states.get(node.inputs[way.operand], {}).get(source)
        if state is None:
            continue
        if not found.get(node.inputs[way.operand], False) or len(state.strict) != 1:
            return False
        box = state.strict[0]
        for step in way.relation:
            if isinstance(step, rel.Embed):
                continue
            if not all(_fills(step, hull) for hull in box):
                return False
            box = apply((step,), box)
        moved.append(box)
    if any(
        isinstance(s, rel.Embed)
        for way in reads(node.op, shapes, graph.values[node.output].shape)
        for s in way.relation
    ):
        return True
    return _nested(moved, states[node.output][source].strict)


def _nested(boxes: list[Box], joined: Boxes) -> bool:
    """Whether, position by position, one of the boxes holds all others."""
    if len(boxes) < 2:
        return True
    if len(joined) != 1:
        return False
    result = joined[0]
    fills: Any = False
    for box in boxes:
        same: Any = True
        for own, whole in zip(box, result, strict=True):
            if own.runs != whole.runs and (own.runs or whole.runs):
                return False
            same = same & (own.data[:2] == whole.data[:2]).all(axis=0)
        fills = fills | same
    return bool(np.all(fills))


def _fills(step: rel.Step, hull: Hull) -> bool:
    """Whether the union over what one output reads has no gap along this hull's axis."""
    if isinstance(step, rel.Slide) and hull.varies(step.axis):
        if step.kernel == 1:
            return True
        hull = dense(hull, step.axis)
        data = extend(hull, step.axis, max(step.before, 0), max(step.after, 0))
        return _touch(np.moveaxis(data, step.axis + 1, -1)[:2], step.dilation)
    if isinstance(step, rel.Table) and hull.varies(step.axis):
        data = np.moveaxis(dense(hull, step.axis).data, step.axis + 1, -1)[:2]
        taps = step.clipped
        if taps.shape[1] == 1:
            return True
        live = (taps[:, 1:] != rel.ABSENT) & (taps[:, :-1] != rel.ABSENT)
        held = np.where(taps == rel.ABSENT, 0, taps)
        first, last = data[0][..., held], -data[1][..., held]
        gap = (first[..., 1:] > last[..., :-1] + 1) | (first[..., :-1] > last[..., 1:] + 1)
        scattered = ((taps != rel.ABSENT).sum(axis=1) - live.sum(axis=1)).max() > 1
        return not scattered and not bool((gap & live).any())
    if isinstance(step, (rel.All, rel.Prefix, rel.KeepAll, rel.Blocks)):
        axes = step.axes if isinstance(step, (rel.All, rel.KeepAll)) else (step.axis,)
        for axis in axes:
            if hull.varies(axis) and not _touch(np.moveaxis(dense(hull, axis).data, axis + 1, -1)[:2], 1):
                return False
        return not isinstance(step, rel.KeepAll)
    return not isinstance(step, (rel.Overlap, rel.Taps))


def _touch(data: np.ndarray, distance: int) -> bool:
    """Whether each position's range meets the one ``distance`` further on (rows: first, minus last)."""
    if data.shape[-1] <= distance:
        return True
    first, last = data[0], -data[1]
    a, b = slice(None, -distance), slice(distance, None)
    empty = (first[..., a] >= NOTHING) | (first[..., b] >= NOTHING)
    apart = (first[..., b] > last[..., a] + 1) | (first[..., a] > last[..., b] + 1)
    return not bool((apart & ~empty).any())
