"""What a network that runs on a stream must keep between steps: the past of each window, the wait at each join."""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.bounds import bounds
from foveal.fields.measured.cropping import behind
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import ABSENT, Slide, Table
from foveal.ir.rules import traits
from foveal.tasks.shared.equivariance import windows
from foveal.tasks.streaming.reach_in_time import Reach, reach_of
from foveal.tasks.streaming.tokens.masks import attention

RUNNING = "running state"


class Buffer(NamedTuple):
    """One buffer: the layer, what it is for, positions kept, elements in all (batch of one)."""

    layer: str
    purpose: str
    positions: int
    elements: int


def buffers(graph: Graph, value: int, source: int, axis: int) -> list[Buffer]:
    """The buffers on the path to a value, in execution order; windows that need no past are left out."""
    reach: dict[int, Reach | None] = {}

    def of(number: int) -> Reach | None:
        if number not in reach:
            reach[number] = reach_of(graph, number, source, axis)
        return reach[number]

    found = []
    for node in sorted(behind(graph, [value]), key=lambda node: node.output):
        known = [of(i) for i in node.inputs]
        found += past(graph, node, known)
        found += _cache(graph, node, known, of(node.output))
        found += _wait(graph, node, known)
    return found


def past(graph: Graph, node: Node, known: list[Reach | None]) -> list[Buffer]:
    """A running state, or the past of a window, that a node needs; known: the reach of its operands."""
    where, runs = node.scope or "(top)", traits(node.op).runs(node.op)
    for reach in known:
        if reach is not None and reach.axis is not None and runs == reach.axis:
            shape = graph.values[node.output].shape
            return [Buffer(where, RUNNING, 1, _each(shape, reach.axis))]
    for way in bounds(graph).facts.ways(node):
        reach = known[way.operand]
        if reach is None or reach.axis is None:
            continue
        for step in windows(way):
            kept = _span(step) if step.axis == reach.axis else 0
            if kept > 0:
                shape = graph.values[node.inputs[way.operand]].shape
                return [Buffer(where, f"past of {node.origin}", kept, kept * _each(shape, reach.axis))]
    return []


def _cache(graph: Graph, node: Node, known: list[Reach | None], out: Reach | None) -> list[Buffer]:
    """Of attention that reads a bounded past, at its sum over time."""
    found = attention(graph, node, known, out)
    kept = 0 if found is None else found.pattern.kept
    if found is None or not kept:
        return []
    where, sizes = node.scope or "(top)", (("keys", found.keys), ("values", found.values))
    return [Buffer(where, f"{what} of {node.origin}", kept, kept * size) for what, size in sizes]


def _wait(graph: Graph, node: Node, known: list[Reach | None]) -> list[Buffer]:
    """Operands that are ready before the slowest one are kept until it is."""
    timed = [
        (i, r, r.ahead, r.stride)
        for i, r in zip(node.inputs, known)
        if r is not None and r.ahead is not None and r.stride is not None and r.axis is not None
    ]
    if len(timed) < 2:
        return []
    latest = max(ahead for _, _, ahead, _ in timed)
    found = []
    for operand, reach, ahead, stride in timed:
        kept = ceil((latest - ahead) / stride)
        if kept > 0 and reach.axis is not None:
            size = _each(graph.values[operand].shape, reach.axis)
            found.append(Buffer(node.scope or "(top)", f"waits at {node.origin}", kept, kept * size))
    return found


def _span(step: Slide | Table) -> int:
    """Positions that stay in use when the window moves on by one output."""
    if isinstance(step, Slide):
        return max(0, (step.kernel - 1) * step.dilation + 1 - step.stride)
    taps = step.unclipped
    used = np.where(taps == ABSENT, taps.max(axis=1, keepdims=True, initial=0), taps)
    return max(0, int((used.max(axis=1) - used.min(axis=1)).max(initial=0)))


def _each(shape: tuple[int, ...], time: int) -> int:
    """Elements per position, of one item of the batch."""
    return prod(n for axis, n in enumerate(shape) if axis not in (0, time))
