"""How much memory the activations on the path to a layer need at once."""

from __future__ import annotations

from math import prod

from foveal.fields.measured.cropping import behind
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.tiling.record import AxisPlan


def memory(graph: Graph, value: int, traced: tuple[int, ...], axes: tuple[AxisPlan, ...]) -> tuple[int, int]:
    """Bytes of activations at once for the whole and for a tile, in proportion to the positions."""
    each = 4 * peak_elements(graph, value) / prod(traced)
    return int(each * prod(axis.length for axis in axes)), int(each * prod(axis.tile for axis in axes))


def peak_elements(graph: Graph, value: int) -> int:
    """The largest number of elements alive at once while the value is computed, each freed after its last use.

    Weights and the working memory of single operations (im2col, FFT) are not counted: a lower bound of what a
    framework takes, and the right ratio between two sizes of the source.
    """
    path = sorted(behind(graph, [value]), key=lambda node: node.output)
    root: dict[int, int] = {}
    for node in path:
        in_place = traits(node.op).views(node.op)
        root[node.output] = root.get(node.inputs[0], node.inputs[0]) if in_place else node.output
    last: dict[int, int] = {}
    for place, node in enumerate(path):
        for used in node.inputs:
            last[root.get(used, used)] = place
    last[root.get(value, value)] = len(path)
    sources = {source.value for source in graph.sources}
    made = {root[node.output] for node in path}
    alive = sum(prod(graph.values[i].shape) for i in sources if i in last)
    peak = alive
    for place, node in enumerate(path):
        if root[node.output] == node.output:
            alive += prod(graph.values[node.output].shape)
            peak = max(peak, alive)
        for used in {root.get(i, i) for i in node.inputs}:
            if last[used] == place and (used in made or used in sources):
                alive -= prod(graph.values[used].shape)
    return peak
