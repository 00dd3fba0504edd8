"""The step by which a stream advances, and what a chunk needs of its neighbours."""

from __future__ import annotations

from math import ceil, floor, lcm
from typing import NamedTuple

from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.shared.equivariance import shifts
from foveal.tasks.streaming.reach_in_time import Reach, reach_of
from foveal.tasks.streaming.tokens.masks import attention
from foveal.tasks.tiling.halo import steady_context

TWICE = 0.5
"""Share of the stream that the chunk chosen here may compute again, where context is bounded."""


class Stream(NamedTuple):
    """The question: graph, layer, its value, source and axis by index, rate and hop, and where those were found."""

    graph: Graph
    layer: str
    value: int
    source: int
    axis: int
    rate: float | None
    hop: int
    origin: str = ""


class Chunks(NamedTuple):
    """step: positions by which the stream advances; left, right: positions that a chunk reads before and behind itself,
    None where there is no bound; obstacles: what may make a chunk unlike the whole.
    """

    step: int
    left: int | None
    right: int | None
    obstacles: tuple[str, ...]


def chunks_of(asked: Stream, reach: Reach) -> Chunks:
    """What chunks need."""
    moving = shifts(asked.graph, asked.value, asked.source)
    step = moving.multiples[asked.axis]
    if reach.ahead is None or reach.back is None:  # what reads all hides the steps behind it
        step = _step(asked.graph, asked, step)
    step = lcm(step, *_chunk_masks(asked))
    before, after = moving.margins[asked.axis]
    left, right = _context(asked, reach, step)
    left, right = (None if n is None else n + more for n, more in ((left, before), (right, after)))
    return Chunks(step, left, right, tuple(str(obstacle) for obstacle in moving.obstacles))


def size_of(step: int, left: int | None, right: int | None, length: int) -> int:
    """The smallest chunk that computes at most half of the stream twice; an eighth of ``length`` without a bound."""
    size = -(-max(step, ceil(((left or 0) + (right or 0)) / TWICE)) // step) * step
    return size if left is not None and right is not None else max(size, -(-length // 8 // step) * step)


def _chunk_masks(asked: Stream) -> list[int]:
    """Of attention in chunks, their length: a chunk of the stream has to begin where one of them does."""
    graph, found = asked.graph, [1]

    def of(value: int) -> Reach | None:
        return reach_of(graph, value, asked.source, asked.axis)

    for node in graph.behind(asked.value):
        out = of(node.output) if traits(node.op).product(node.op) is not None else None
        if out is not None and out.stride:
            attended = attention(graph, node, [of(i) for i in node.inputs], out)
            found += [] if attended is None else [attended.pattern.size * out.stride.numerator]
    return found


def _step(graph: Graph, asked: Stream, step: int) -> int:
    """The least common multiple of all strides on the way."""
    for value in graph.values_behind(asked.value):
        reach = reach_of(graph, value, asked.source, asked.axis)
        if reach is not None and reach.stride:
            step = lcm(step, reach.stride.numerator)
    return step


def _context(asked: Stream, reach: Reach, step: int) -> tuple[int | None, int | None]:
    """Positions that the units of a chunk read before and behind it."""
    assert reach.stride is not None
    left = None if reach.back is None else ceil(reach.back)
    right = None if reach.ahead is None else max(0, floor(reach.ahead - reach.stride) + 1)
    rf = receptive_field(asked.graph, asked.layer, asked.graph.sources[asked.source].name)
    progress = rf.progress[asked.axis]
    if rf.local is None and rf.known[asked.axis] and progress is not None and left is not None and right is not None:
        steady = progress[1].regular and progress[1].rate == reach.stride
        if steady and progress[1].period <= rf.grid[progress[0]]:
            first, last = steady_context(rf, asked.axis, progress[0], reach.stride, step)
            return min(left, first), min(right, last)  # by phase, or without what windows pad by themselves
    return left, right
