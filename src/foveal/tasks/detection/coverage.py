"""Which level of a detector sees which object: by theoretical field, stride, effective field and anchors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from foveal.tasks.detection.anchors import Anchors, best_overlap, overlap_of_sizes
from foveal.tasks.detection.assignment import receptive_field_distance
from foveal.tasks.detection.objects import Object
from foveal.tasks.detection.pyramid import Level

TOO_LARGE, TOO_SMALL = "larger than every level's field", "smaller than the finest stride"


@dataclass(frozen=True)
class Seen:
    """One object against all levels. levels: indices of those whose field holds it whole and whose units are dense
    enough that one stands on it; closest: the level whose 2 sigma box is most like it, None where no level has one;
    distance: the receptive field distance to it (1: equal), 0 where unknown; overlap: the best with any anchor, None
    where anchors are not known; reason: why no level covers it, "" where one does.
    """

    item: Object
    levels: tuple[int, ...]
    closest: int | None
    distance: float
    overlap: float | None
    reason: str


def seen_by(found: Sequence[Level], known: Anchors, objects: Sequence[Object]) -> tuple[Seen, ...]:
    """Each object against the levels."""
    return tuple(_seen(found, known, item) for item in objects)


def holds(level: Level, item: Object) -> bool:
    """Whether every unit's theoretical field is at least as large as the object."""
    return level.least is None or (level.least[0] >= item.height and level.least[1] >= item.width)


def dense_enough(level: Level, item: Object) -> bool:
    """Whether a unit's cell center lies on the object wherever the object stands."""
    return level.stride[0] <= item.height and level.stride[1] <= item.width


def level_ranges(found: Sequence[Level]) -> tuple[tuple[float, float] | None, ...]:
    """Object sizes (square root of the area) that each level is closest to: between the geometric means of neighbouring
    levels' boxes; from 0 for the finest, to the theoretical field for the coarsest. None where a level has no energy
    field.
    """
    boxes = [None if level.box_side is None else (level.box_side[0] * level.box_side[1]) ** 0.5 for level in found]
    order = sorted((box, index) for index, box in enumerate(boxes) if box is not None)
    ranges: list[tuple[float, float] | None] = [None] * len(found)
    for place, (box, index) in enumerate(order):
        low = (box * order[place - 1][0]) ** 0.5 if place else 0.0
        least = found[index].least
        top = float(min(least)) if least is not None else float("inf")
        high = (box * order[place + 1][0]) ** 0.5 if place + 1 < len(order) else top
        ranges[index] = (low, high)
    return tuple(ranges)


def size_classes(seen: Sequence[Seen]) -> list[tuple[tuple[int, int], list[Seen]]]:
    """The objects by octaves of their size: ((from, below) in pixels, objects), smallest first."""
    octaves: dict[int, list[Seen]] = {}
    for one in seen:
        octaves.setdefault(int(np.floor(log2(max(one.item.size, 1.0)))), []).append(one)
    return [((2**octave, 2 ** (octave + 1)), octaves[octave]) for octave in sorted(octaves)]


def most_common(values: Sequence[int | None]) -> int | None:
    """The value that most have; None where none has one."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def _seen(found: Sequence[Level], known: Anchors, item: Object) -> Seen:
    fitting = tuple(i for i, level in enumerate(found) if holds(level, item) and dense_enough(level, item))
    closest, distance = _closest(found, item)
    reason = ""
    if not fitting:
        reason = TOO_LARGE if not any(holds(level, item) for level in found) else TOO_SMALL
    return Seen(item, fitting, closest, distance, _overlap(found, known, item), reason)


def _closest(found: Sequence[Level], item: Object) -> tuple[int | None, float]:
    """By receptive field distance of concentric boxes: the 2 sigma box against the object."""
    best: tuple[int | None, float] = (None, 0.0)
    for index, level in enumerate(found):
        if level.box_side is None:
            continue
        prior = np.array([[0.0, 0.0, level.box_side[1], level.box_side[0]]])
        distance = float(receptive_field_distance(prior, np.array([[0.0, 0.0, item.width, item.height]]))[0, 0])
        if best[0] is None or distance > best[1]:
            best = (index, distance)
    return best


def _overlap(found: Sequence[Level], known: Anchors, item: Object) -> float | None:
    """The best overlap with any anchor: where the object stands if known, else at the worst place of a cell."""
    best = None
    for level, sizes in zip(found, known.sizes):
        for size in sizes:
            if item.center is not None and known.origin is not None:
                value = best_overlap(level, (size,), known.origin, item.center, (item.width, item.height))
            else:
                value = overlap_of_sizes(size, item.width, item.height, max(level.stride) / 2)
            best = value if best is None else max(best, value)
    return best
