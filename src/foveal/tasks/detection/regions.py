"""The regions of a few neighbouring outputs on the image, how they overlap, and the label each would get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph
from foveal.tasks.detection.assignment import assign
from foveal.tasks.detection.objects import Object
from foveal.tasks.detection.pyramid import Level
from foveal.tasks.detection.record import Box, Region, Regions

BACKGROUND, IGNORED = "background", "ignored"


def regions(
    graph: Graph, level: Level, objects: Sequence[Object] = (), across: int = 3, at: tuple[int, int] | None = None
) -> Regions:
    """``across`` x ``across`` outputs of a level (fewer where the grid is smaller) about unit ``at``, by default the
    middle.
    """
    strict = receptive_field(graph, level.name)
    rf = strict.local or strict
    height, width = rf.source_shape
    priors = unit_priors(level)
    labels = _labels(priors, objects)
    found = []
    rows, columns = (_about(n, across, None if at is None else at[axis]) for axis, n in enumerate(level.grid))
    for row in rows:
        for column in columns:
            (top, bottom), (left, right) = rf.box((row, column), clip=True)
            index = row * level.grid[1] + column
            box = None if priors is None else _corners(*(float(number) for number in priors[index]))
            label = "" if labels is None else labels[index]
            found.append(Region((row, column), (top, left, bottom, right), box, label))
    overlap = None
    if level.trf is not None:
        overlap = (level.trf[0][1] - level.stride[0], level.trf[1][1] - level.stride[1])
    return Regions(level.name, (height, width), tuple(found), overlap)


def unit_priors(level: Level) -> np.ndarray | None:
    """Boxes (x, y, w, h) of all units of a level, row by row: RF centers with the sides of the 2 sigma box; None
    where either is unknown.
    """
    base = level.mean or level.center
    if base is None or level.box_side is None:
        return None
    rows = base[0] + level.stride[0] * np.arange(level.grid[0])
    columns = base[1] + level.stride[1] * np.arange(level.grid[1])
    y, x = np.meshgrid(rows, columns, indexing="ij")
    sides = np.broadcast_to((level.box_side[1], level.box_side[0]), (x.size, 2))
    return np.concatenate([x.reshape(-1, 1), y.reshape(-1, 1), sides], axis=1)


def _labels(priors: np.ndarray | None, objects: Sequence[Object]) -> list[str] | None:
    """The label that each unit learns by hierarchical assignment; None without objects that have a place."""
    placed = [(item, item.center) for item in objects if item.center is not None]
    if not placed or priors is None:
        return None
    boxes = np.array([(center[1], center[0], item.width, item.height) for item, center in placed])
    found = assign(priors, boxes)
    names = [item.label or f"object {index}" for index, (item, _) in enumerate(placed)]
    words = {0: BACKGROUND, -1: IGNORED}
    return [names[owner] if owner >= 0 else words[int(label)] for label, owner in zip(found.label, found.object)]


def _corners(x: float, y: float, width: float, height: float) -> Box:
    return (y - height / 2, x - width / 2, y + height / 2, x + width / 2)


def _about(n: int, count: int, at: int | None) -> range:
    """``count`` neighbours about ``at`` that lie on the grid."""
    count = min(n, count)
    first = (n - count) // 2 if at is None else min(max(at - count // 2, 0), n - count)
    return range(first, first + count)
