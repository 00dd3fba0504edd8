"""Small synthetic tasks for the design search to learn from: things of a known size, anywhere on a cluttered ground.

Two families. "drawings": a class is a drawing of three strokes, and clutter is strokes of other drawings; a part of the
thing says much. "arrangements": a class is an order of four marks at the corners of a square, and clutter is stray
marks; no part says anything, the whole square must be seen. Neither is a task of docs/experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

CLASSES = 6
TRAIN, TEST = 1536, 768
MARKS = (((-1, 0), (1, 0)), ((0, -1), (0, 1)), ((-1, -1), (1, 1)), ((-1, 1), (1, -1)))
NOISE = 0.1


@dataclass(frozen=True)
class Cell:
    """A task and a budget. side: of the image; size: of the thing; clutter: pieces; budget: multiply-adds."""

    family: str
    side: int
    size: int
    clutter: int
    budget: int

    @property
    def name(self) -> str:
        """As a key of the records."""
        return f"{self.family}-{self.size}of{self.side}-{self.clutter}-{self.budget // 1000}k"


def cells() -> list[Cell]:
    """Half of all combinations, chosen so that no two factors go together."""
    found = []
    for place, (side, size) in enumerate([(24, 6), (40, 6), (24, 10), (40, 10), (24, 14), (40, 14), (40, 20)]):
        for f, family in enumerate(("drawings", "arrangements")):
            for c, clutter in enumerate((2, 8)):
                for b, budget in enumerate((250_000, 900_000)):
                    if (place + f + c + b) % 2 == 0:
                        found.append(Cell(family, side, size, clutter, budget))
    return found


def images(cell: Cell, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels), those to learn from first; the same for the same cell and seed."""
    random = np.random.default_rng([seed, cell.side, cell.size, cell.clutter, cell.family == "drawings"])
    kinds = _drawings(random) if cell.family == "drawings" else None
    labels = random.integers(0, CLASSES, TRAIN + TEST)
    made = random.normal(0, NOISE, (len(labels), 1, cell.side, cell.side)).astype(np.float32)
    for image, label in zip(made[:, 0], labels):
        strokes = _clutter(cell, kinds, random)
        corner = random.uniform(0, cell.side - cell.size, 2)
        if kinds is not None:
            points = np.clip(kinds[label] + random.normal(0, 0.04, kinds[label].shape), 0, 1)
            strokes += [corner + (cell.size - 1) * stroke for stroke in points]
        else:
            strokes += _square(cell, int(label), corner)
        _draw(image, strokes)
    return made, labels


def _drawings(random: np.random.Generator) -> np.ndarray:
    """(class, stroke, end, axis) in the unit square; every drawing spans it."""
    found = random.uniform(0, 1, (CLASSES, 3, 2, 2))
    low, high = found.min((1, 2), keepdims=True), found.max((1, 2), keepdims=True)
    spread: np.ndarray = (found - low) / (high - low)
    return spread


def _square(cell: Cell, label: int, corner: np.ndarray) -> list[np.ndarray]:
    order = list(permutations(range(4)))[label * 4]
    far = cell.size - 3
    places = [(0, 0), (0, far), (far, 0), (far, far)]
    return [corner + 1 + np.array(place) + np.array(MARKS[mark]) for place, mark in zip(places, order)]


def _clutter(cell: Cell, kinds: np.ndarray | None, random: np.random.Generator) -> list[np.ndarray]:
    made = []
    for _ in range(cell.clutter if kinds is not None else cell.clutter // 2):
        corner = random.uniform(0, cell.side - 3, 2)
        if kinds is None:
            made.append(corner + 1 + np.array(MARKS[random.integers(4)]))
        else:
            stroke = kinds[random.integers(CLASSES), random.integers(3)]
            made.append(corner + (cell.size - 1) * (stroke - stroke.min(0)))
    return made


def _draw(image: np.ndarray, strokes: list[np.ndarray]) -> None:
    """Adds strokes one pixel wide with soft edges; what leaves the image is cut."""
    rows, columns = np.indices(image.shape)
    whole = np.zeros(image.shape)
    for start, end in strokes:
        along = end - start
        reach = max(float(along @ along), 1e-6)
        t = np.clip(((rows - start[0]) * along[0] + (columns - start[1]) * along[1]) / reach, 0, 1)
        away = np.hypot(rows - start[0] - t * along[0], columns - start[1] - t * along[1])
        whole = np.maximum(whole, np.clip(1.3 - away, 0, 1))
    image += whole
