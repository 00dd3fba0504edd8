"""Anchors of a detector: their sizes per level and where they stand, typed in or read from the model's own generator.

Positions are pixel indices: pixel i is the interval from i - 1/2 to i + 1/2. Unit i of stride s has its cell around
s (i + 1/2) - 1/2 ("cell"); generators that place anchors at s i in edge coordinates put them at s i - 1/2 ("corner").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.detection.objects import read_sides
from foveal.tasks.detection.pyramid import Level

ORIGINS = ("cell", "corner")
MATCHED = 0.5
"""Overlap (intersection over union) from which an anchor is usually taken to match an object."""

Sizes = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Anchors:
    """Anchor sizes (width, height) per level, finest first; origin: "cell" or "corner", None where nobody says; told:
    who says so; steps: from one anchor to the next, in pixels of the source, () where that is each level's stride.
    """

    sizes: tuple[Sizes, ...]
    origin: str | None
    told: str
    steps: tuple[float, ...] = ()


def anchors(graph: Graph, found: Sequence[Level], typed: Sequence[str], origin: str | None) -> Anchors:
    """What is known about the anchors: what was typed, else what the model's generator holds, else nothing.

    typed: one text per level, finest first, such as ``32,40,51`` or ``16x32,32x16``. Raises FovealError for other text
    and for another number of levels.
    """
    if typed:
        return Anchors(_typed(typed, len(found)), origin, "typed in")
    own = _generator(graph, found)
    if own is None or len(own.sizes) != len(found):
        return Anchors(((),) * len(found), origin, "not known" if origin is None else "typed in")
    return own if origin is None else replace(own, origin=origin)


def centers(level: Level, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (pixel indices) at which a level's anchors stand."""
    shift = 0.5 if origin == "cell" else 0.0
    rows, columns = (step * (np.arange(n) + shift) - 0.5 for step, n in zip(level.anchor_step, level.grid))
    return rows, columns


def stepped(found: Sequence[Level], known: Anchors) -> tuple[Level, ...]:
    """The levels with the steps at which the model's own generator places its anchors, where it says."""
    if not known.steps:
        return tuple(found)
    return tuple(replace(level, step=(step, step)) for level, step in zip(found, known.steps, strict=True))


def offset(level: Level, origin: str) -> tuple[float, float] | None:
    """RF center minus anchor center per axis, in pixels, of the middle unit (anchors may have a step of their own); the
    energy field's center where upsampling has phases.
    """
    if level.center is None:
        return None
    rows, columns = centers(level, origin)
    moved = level.shift if level.shift is not None and max(level.period) > 1 else (0.0, 0.0)
    base = level.mean if level.mean is not None else level.center
    down, across = (
        at + shift + n // 2 * stride - float(places[n // 2])
        for at, shift, n, stride, places in zip(base, moved, level.grid, level.stride, (rows, columns))
    )
    return down, across


def overlap_of_sizes(anchor: tuple[float, float], width: float, height: float, shift: float = 0.0) -> float:
    """Intersection over union of an anchor (width, height) and an object whose centers are ``shift`` apart on each
    axis.
    """
    across, down = (_shared(a, b, shift) for a, b in zip(anchor, (width, height)))
    shared = across * down
    return shared / (anchor[0] * anchor[1] + width * height - shared)


def displaced_overlap(size: tuple[float, float], apart: tuple[float, float]) -> float:
    """Intersection over union of an anchor (width, height) and itself moved by ``apart`` (rows, columns)."""
    shared = _shared(size[0], size[0], apart[1]) * _shared(size[1], size[1], apart[0])
    return shared / (2 * size[0] * size[1] - shared)


def best_overlap(
    level: Level, sizes: Sizes, origin: str, center: tuple[float, float], side: tuple[float, float]
) -> float:
    """The best intersection over union of a level's anchors with the object at ``center`` (row, column), ``side``
    (width, height).

    Only anchors next to the object are tried: the best one of a size is among the nearest centers.
    """
    rows, columns = centers(level, origin)
    dy, dx = (float(np.abs(places - at).min()) for places, at in zip((rows, columns), center))
    best = 0.0
    for width, height in sizes:
        shared = _shared(width, side[0], dx) * _shared(height, side[1], dy)
        best = max(best, shared / (width * height + side[0] * side[1] - shared))
    return best


def _shared(a: float, b: float, shift: float) -> float:
    return max(0.0, min(a, b, (a + b) / 2 - abs(shift)))


def _typed(texts: Sequence[str], count: int) -> tuple[Sizes, ...]:
    if len(texts) != count:
        raise FovealError(
            f"anchors for {len(texts)} levels, the network has {count}: give one list per level, finest first"
        )
    return tuple(tuple(_side(part) for part in text.split(",")) for text in texts)


def _side(text: str) -> tuple[float, float]:
    sides = read_sides(text)
    if sides is None:
        raise FovealError(f"anchor '{text.strip()}': expected a side such as 32, or width x height as 16x32")
    return sides


def _generator(graph: Graph, found: Sequence[Level]) -> Anchors | None:
    """Sizes and origin that a torchvision detector's own anchor generator holds; None where there is none."""
    model: Any = graph.backend.model if graph.backend is not None else None
    for holder in (model, getattr(model, "rpn", None)):
        made: Any = getattr(holder, "anchor_generator", None)
        kind = type(made).__name__ if type(made).__module__.startswith("torchvision") else ""
        if kind == "AnchorGenerator":
            # FCOS keeps a generator only for its points: its sizes are no anchors.
            points = type(model).__name__ == "FCOS"
            pairs = zip(made.sizes, made.aspect_ratios)
            sizes = tuple(() if points else _in_source(_shapes(*pair), resized(graph)) for pair in pairs)
            return Anchors(sizes, "corner", "the model's points" if points else "the model's anchor generator")
        if kind == "DefaultBoxGenerator":
            return Anchors(_default_boxes(graph, made), "cell", "the model's default boxes", _steps(graph, made, found))
    return None


def _shapes(sizes: Sequence[float], ratios: Sequence[float]) -> Sizes:
    """Boxes of the same area: height over width is the ratio."""
    return tuple((float(s / r**0.5), float(s * r**0.5)) for r in ratios for s in sizes)


def _in_source(sizes: Sizes, factors: tuple[float, float]) -> Sizes:
    """Sizes in pixels of the source, from those of the image that the model makes of it."""
    return tuple((width / factors[1], height / factors[0]) for width, height in sizes)


def resized(graph: Graph) -> tuple[float, float]:
    """By how much the model enlarges its image (rows, columns) before its first convolution; 1, 1 where it does not."""
    factors = (1.0, 1.0)
    for node in graph.nodes:
        axes = traits(node.op).resamples(node.op)
        if traits(node.op).convolution(node.op):
            break
        if len(axes) == 2:
            before, after = graph.values[node.inputs[0]].shape, graph.values[node.output].shape
            down, across = (after[axis] / before[axis] for axis in axes)
            factors = (factors[0] * down, factors[1] * across)
    return factors


def _steps(graph: Graph, made: Any, found: Sequence[Level]) -> tuple[float, ...]:
    """From one of SSD's boxes to the next: as written down, else the source's height over the level's."""
    if made.steps:
        return tuple(float(step) / resized(graph)[0] for step in made.steps)
    source = graph.sources[0]
    height = graph.values[source.value].shape[source.axes[0]]
    return tuple(height / level.grid[0] for level in found)


def _default_boxes(graph: Graph, made: Any) -> tuple[Sizes, ...]:
    """SSD's boxes: fractions of the image's sides."""
    source = graph.sources[0]
    height, width = (graph.values[source.value].shape[axis] for axis in source.axes)
    return tuple(tuple((float(w) * width, float(h) * height) for w, h in pairs.tolist()) for pairs in made._wh_pairs)
