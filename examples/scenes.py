"""Scenes whose objects have a known size: one of 6, 12 or 18 pixels on a 24 x 24 ground with clutter and noise.

Every scene is drawn on cells of 1, 2 or 3 pixels, noise and clutter too, so that between sizes only the scale differs,
and the ground, which stays as it is. An object is always 6 cells wide, and the classes are four:

  digits    a 0, 1, 2 or 3 of scikit-learn's digits, reduced to 6 x 6, among two 3 x 3 pieces of others
  texture   a square of stripes, upright, level or along either diagonal, four cells from stripe to stripe
  relation  a square ring and a cross, 3 x 3 cells each, side by side; whether the cross is to the right, below, to the
            left or above is the class. Both stand in every scene: who sees one of them knows nothing
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

GROUND, CELLS, SIZES, CLASSES = 24, 6, (6, 12, 18), 4
NOISE = {"digits": 0.2, "texture": 1.0, "relation": 0.5}
"""Standard deviation by task; strokes are 1 above nothing, stripes 1 above and below it."""
TASKS = tuple(NOISE)
LEARN, TEST = 4096, 1024
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)
CROSS = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], np.float32)
SHIFTS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Right, below, left, above: (rows, columns)."""
PERIOD = 4
"""Cells from stripe to stripe, along a row or a column."""
Scenes = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def scenes(task: str, size: int, learn: int = LEARN, test: int = TEST) -> Scenes:
    """Images and labels to learn from and to test, fixed by task and size; digits of tests are never learned from."""
    random = np.random.default_rng([TASKS.index(task), size])
    made = [_many(task, size // CELLS, count, part, random) for part, count in enumerate((learn, test))]
    (x, y), (test_x, test_y) = ((torch.from_numpy(images), torch.from_numpy(labels)) for images, labels in made)
    return x, y, test_x, test_y


def _many(task: str, cell: int, count: int, part: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = random.integers(0, CLASSES, count)
    images = np.empty((count, 1, GROUND, GROUND), np.float32)
    pool, names = _digits(part)
    for index, label in enumerate(labels):
        images[index, 0] = _large(random.normal(0, NOISE[task], 2 * (GROUND // cell + 2,)), cell, random)
        if task == "digits":
            _digit(images[index, 0], cell, pool, names, int(label), random)
        elif task == "texture":
            corner = random.integers(0, GROUND - CELLS * cell + 1, 2)
            _put(images[index, 0], _stripes(int(label), int(random.integers(PERIOD))), cell, *corner)
        else:
            _relation(images[index, 0], cell, int(label), random)
    return images, labels


def _digits(part: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits to learn from (part 0, 1,297) or to test (500), 6 x 6 in 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(56).permutation(len(images))
    chosen = order[500:] if part == 0 else order[:500]
    full = torch.from_numpy(images.reshape(-1, 1, 8, 8)[chosen] / 16)
    small = torch.nn.functional.interpolate(full, CELLS, mode="bilinear", antialias=True)[:, 0]
    return small.numpy().astype(np.float32), labels[chosen]


def _put(image: np.ndarray, cells: np.ndarray, cell: int, top: int, left: int) -> None:
    """Add a pattern of cells to an image, its first corner at that pixel."""
    large = np.kron(cells, np.ones((cell, cell), np.float32))
    image[top : top + large.shape[0], left : left + large.shape[1]] += large


def _large(cells: np.ndarray, cell: int, random: np.random.Generator) -> np.ndarray:
    """The ground out of a pattern of cells that is wider, from a random pixel of its first cell on."""
    top, left = random.integers(0, cell, 2)
    large = np.kron(cells, np.ones((cell, cell)))
    return large[top : top + GROUND, left : left + GROUND].astype(np.float32)


def _digit(
    image: np.ndarray, cell: int, pool: np.ndarray, names: np.ndarray, label: int, random: np.random.Generator
) -> None:
    for _ in range(2):
        row, column = random.integers(0, CELLS - 2, 2)
        piece = random.choice(pool)[row : row + 3, column : column + 3]
        _put(image, piece, cell, *random.integers(0, GROUND - 3 * cell + 1, 2))
    _put(image, random.choice(pool[names == label]), cell, *random.integers(0, GROUND - CELLS * cell + 1, 2))


def _stripes(label: int, phase: int) -> np.ndarray:
    """+1 and -1, two cells each: upright, along one diagonal, level, along the other."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    along = (columns, columns + rows, rows, columns - rows)[label]
    return np.where((along + phase) % PERIOD < PERIOD // 2, 1, -1).astype(np.float32)


def _relation(image: np.ndarray, cell: int, label: int, random: np.random.Generator) -> None:
    down, right = SHIFTS[label]
    height, width = (CELLS if down else 3), (CELLS if right else 3)
    top, left = (int(random.integers(0, GROUND - n * cell + 1)) for n in (height, width))
    reach = (CELLS - 3) * cell
    _put(image, RING, cell, top + reach * (down < 0), left + reach * (right < 0))
    _put(image, CROSS, cell, top + reach * (down > 0), left + reach * (right > 0))
