"""What a page about a detector begins with: its levels, and which layers stand inside and behind its heads."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.tasks.detection.pyramid import Level, levels
from foveal.tasks.detection.record import Heads, LevelRow


def heads(graph: Graph) -> Heads | None:
    """The heads of a network with levels on at least two grids and several heads on one; None for any other."""
    try:
        found = levels(graph)
    except FovealError:
        return None
    if len({level.grid for level in found}) < 2 or all(len(level.heads) == 1 for level in found):
        return None
    behind = _behind(graph, found)
    named = {name for name, layer in graph.layer_table.items() if layer.value in behind}
    return Heads(tuple(map(_row, found)), frozenset(named), frozenset(_inside(list(graph.layer_table), found)))


def _row(level: Level) -> LevelRow:
    return LevelRow(
        level.name, level.pyramid, level.grid, level.stride, level.trf, _mean(level.effective_side), level.capped,
        _mean(level.box_side), level.status,
    )  # fmt: skip


def _behind(graph: Graph, found: Sequence[Level]) -> set[int]:
    """Values that are made from the heads' outputs: boxes, scores, what sorts and joins them."""
    ends = {graph.layer(name).value for level in found for name in level.heads}
    behind: set[int] = set()
    for node in graph.nodes:
        if any(used in ends or used in behind for used in node.inputs):
            behind.add(node.output)
    return behind - ends


def _inside(names: Sequence[str], found: Sequence[Level]) -> set[str]:
    """The layers of the modules that hold the heads, such as "head.classification_head.conv.0"."""
    modules = {name.rsplit(".", 1)[0] for level in found for name in level.heads if "." in name}
    modules = {m for m in modules if not any(f"{level.pyramid}.".startswith(f"{m}.") for level in found)}
    return {name for name in names if any(f"{name}.".startswith(f"{module}.") for module in modules)}


def _mean(pair: tuple[float, float] | None) -> float | None:
    """Side of the square of the same area."""
    return None if pair is None else sqrt(pair[0] * pair[1])
