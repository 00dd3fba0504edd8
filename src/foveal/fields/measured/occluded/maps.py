"""Maps of a unit's answers to occlusion: one forward pass for the image and one for each patch, several in a batch.

With features y of the image and y' of the occluded one, a patch of n positions has the value |y - y'|^2 / n at each of
its positions: an energy, like a squared gradient. For a linear unit and occlusions that are independent from position
to position and of variance s^2 it is s^2 times the squared gradient, on average over the patch (docs/methods.md 2.5).

Signed answers are those of one number, which one feature is by itself and several are along their own direction,
(y - y') . y / |y|. Where it is positive the patch supports the unit, where negative it opposes it; either part squared
is a map of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from zlib import crc32

import numpy as np

from foveal.fields.field import Box
from foveal.fields.measured.images import Layout
from foveal.fields.measured.occluded.patches import division, patches, replacement
from foveal.fields.measured.unit_plan import Plan, Row
from foveal.ir.backend import Gradient, Target

AT_ONCE = 1 << 22
"""Numbers of occluded sources in one forward pass, about."""


def occluded_maps(
    ready: Gradient, plan: Plan, numbers: Sequence[int], images: Sequence[np.ndarray], together: bool
) -> list[np.ndarray]:
    """One array (images, *axes of the cut source) per field; patches lie in the unit's clipped box. together: whether
    several occluded sources may go through the network at once.
    """
    found: list[list[np.ndarray]] = [[] for _ in plan.fields]
    for number, image in zip(numbers, images):
        for first, last in _layers(plan):
            for place, values in enumerate(_one(ready, plan, number, image, slice(first, last), together)):
                found[first + place].append(values)
    return [np.stack(maps) for maps in found]


def _layers(plan: Plan) -> list[tuple[int, int]]:
    """(first, last + 1) of the fields of each layer."""
    names = [rf.layer for rf in plan.fields]
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    return list(zip(starts, [*starts[1:], len(names)]))


def _one(ready: Gradient, plan: Plan, number: int, image: np.ndarray, mine: slice, together: bool) -> list[np.ndarray]:
    """The maps of one layer's fields for one image."""
    rf, unit = plan.fields[mine.start], plan.units[mine.start]
    seen = rf.box(unit, clip=True)
    if any(first >= end for first, end in seen):  # reads nothing: no occlusion changes it
        seen = tuple((first, first + 1) for first, _ in seen)
    parts = division(seen, plan.settings.patch)
    axes = _axes(plan.layout)
    sides = [(row[-1][1] - row[0][0]) / len(row) for row in parts]
    random = np.random.default_rng([plan.settings.seed, number, crc32(rf.layer.encode())])
    other = replacement(image, axes, plan.protocol.occlude, sides, random)
    start = tuple(a for a, _ in plan.crop.box) if plan.crop is not None else (0,) * len(axes)
    box = plan.crop.box if plan.crop is not None else tuple((0, n) for n in rf.source_shape)
    image, other = (array[_within(array.ndim, axes, box, (0,) * len(axes))] for array in (image, other))
    targets = plan.targets[mine]
    maps = [np.zeros([last - first for first, last in box]) for _ in targets]
    every = list(patches(parts))
    step = max(1, AT_ONCE // image.size) if together else 1
    wholes = [] if together else _features(ready, image[None], targets, plan.layout)
    for first in range(0, len(every), step):
        some = every[first : first + step]
        given = [_occluded(image, other, _within(image.ndim, axes, patch, start)) for patch in some]
        # The image itself is in every batch, as batches of other sizes round otherwise.
        after = _features(ready, np.stack([image, *given] if together else given), targets, plan.layout)
        after = after if wholes == [] else [np.concatenate(pair) for pair in zip(wholes, after)]
        for row, values, features in zip(plan.rows[mine], maps, after):
            for patch, answer in zip(some, answers(features[0], features[1:], row)):
                area = prod(b - a for a, b in patch)
                values[tuple(slice(a - s, b - s) for (a, b), s in zip(patch, start))] = answer / area
    return maps


def answers(y: np.ndarray, changed: np.ndarray, row: Row) -> Iterator[float]:
    """The squared answer to each occlusion: of ``changed`` (occlusions, features) against ``y``, by the field's row."""
    for other in changed:
        if not row.answers:
            yield float(((y - other) ** 2).sum())
            continue
        length = float(np.linalg.norm(y)) or 1.0
        signed = float((y - other).sum()) if y.size == 1 else float((y - other) @ y) / length
        yield max(0.0, signed if row.answers == "supports" else -signed) ** 2


def _features(ready: Gradient, given: np.ndarray, targets: Sequence[Target], layout: Layout) -> list[np.ndarray]:
    if layout.batched:
        return ready.features(given, targets, True)
    return ready.features(given[0], targets, False)


def _axes(layout: Layout) -> tuple[int, ...]:
    """The counted axes of one image."""
    return tuple(axis - 1 if layout.batched else axis for axis in layout.axes)


def _within(rank: int, axes: Sequence[int], box: Box, start: Sequence[int]) -> tuple[slice, ...]:
    index = [slice(None)] * rank
    for axis, (a, b), s in zip(axes, box, start):
        index[axis] = slice(a - s, b - s)
    return tuple(index)


def _occluded(image: np.ndarray, other: np.ndarray, part: tuple[slice, ...]) -> np.ndarray:
    made = image.copy()
    made[part] = other[part]
    return made
