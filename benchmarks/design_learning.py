"""Some hundreds of small trainings from which the order of candidates of equal cost is learned.

    python benchmarks/design_learning.py [--minutes 60] [--rounds 12] [--first 0] [--records FILE]

One network per cell of ``design_tasks.cells`` and round, drawn at random: any blocks, strides, kernels, counts and
dilations, with a field from half of the thing to six times it, its width such that it spends the budget. One recipe and
one thread. A line of docs/data/design-learning.jsonl per training; what has a line is not run again.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import kept_lines
from design_tasks import CLASSES, TRAIN, Cell, cells, images
from foveal.designs.closed.evaluate import Evaluation, evaluated
from foveal.designs.network import Head, Network, Stage, Stem
from foveal.designs.text import code
from foveal.frontends.torch.emitted import build

RECORDS = Path(__file__).parent.parent / "docs" / "data" / "design-learning.jsonl"
EPOCHS, BATCH, RATE = 10, 64, 4e-3
LOWEST, STEP, STEPS = -1.0, 0.5, 8
"""Log2 of the field over the thing: one slice per round, in turn."""
TRIES = 150
NEAR = 0.08
"""Share of the budget by which a candidate may be off."""


def candidate(cell: Cell, number: int) -> tuple[Network, Evaluation]:
    """The cell's network of that round; two in three have no unproductive layer."""
    random = np.random.default_rng([cells().index(cell), number])
    # The slices are gone through in an order of the cell's own, so that early rounds hold all of them.
    slice_ = number * 3 + cells().index(cell)
    for tried in count():
        # Not every cell has candidates in every slice: after a while the next one is tried.
        low = LOWEST + STEP * ((slice_ + tried // TRIES) % STEPS)
        network = _drawn(cell, random)
        found = evaluated(network)
        if found is None or found.filled < 1 or (found.unproductive and number % 3):
            continue
        if not low <= np.log2(found.widest.fits / cell.size) < low + STEP:
            continue
        fitted = _spending(network, cell.budget)
        if fitted is not None:
            return fitted
    raise AssertionError("count never ends")


def _drawn(cell: Cell, random: np.random.Generator) -> Network:
    block = str(random.choice(["plain", "residual", "separable", "bottleneck", "large"], p=[0.3, 0.3, 0.15, 0.1, 0.15]))
    kernel = int(random.choice([3, 5, 7], p=[0.6, 0.25, 0.15]))
    growth = int(random.choice([1, 2]))
    stages, factor = [], 1
    for number in range(int(random.integers(1, 5))):
        stride = int(random.choice([1, 2]))
        factor *= growth if stride > 1 else 1
        dilation = int(random.choice([1, 2])) if number > 1 else 1
        stages.append(Stage(block, 8 * factor, int(random.integers(1, 4)), kernel, stride, (dilation,)))
    stem = Stem(int(random.choice([3, 5, 7])), int(random.choice([1, 2])), 8, bool(random.random() < 0.25))
    return Network((1, cell.side, cell.side), stem, tuple(stages), head=Head("classification", CLASSES))


def _spending(network: Network, budget: int) -> tuple[Network, Evaluation] | None:
    """The same network as wide as the budget allows; None where no width of at least 4 is near it."""
    for width in range(4, 400, 4 if network.stages[0].block == "bottleneck" else 1):
        made = widened(network, width)
        found = evaluated(made)
        if found is None or found.multiply_adds > (1 + NEAR) * budget:
            return None
        if found.multiply_adds >= (1 - NEAR) * budget:
            return made, found
    return None


def widened(network: Network, width: int) -> Network:
    """Every width multiplied alike, the stem's to ``width``."""
    stem = network.stem
    stages = tuple(replace(stage, width=stage.width * width // stem.width) for stage in network.stages)
    return replace(network, stem=replace(stem, width=width), stages=stages)


def accuracy(network: Network, data: tuple[np.ndarray, np.ndarray], seed: int) -> float:
    """Share of test images named rightly; AdamW with one rate cycle, the same for all."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x, y = torch.tensor(data[0]), torch.tensor(data[1])
    model = build(code(network))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * (TRAIN // BATCH), pct_start=0.2
    )
    for _ in range(EPOCHS):
        for part in torch.randperm(TRAIN).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        right = [(model(a).argmax(1) == b).sum().item() for a, b in zip(x[TRAIN:].split(256), y[TRAIN:].split(256))]
    return float(sum(right) / len(y[TRAIN:]))


def main() -> None:
    """Run what has no line yet, until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--records", type=Path, default=RECORDS)
    asked = parser.parse_args()
    known, end = kept_lines.read(asked.records), time.process_time() + 60 * asked.minutes
    with kept_lines.writing(asked.records) as write:
        for number in range(asked.first, asked.rounds):
            for cell in cells():
                name = f"{cell.name}-{number}"
                if name not in known and time.process_time() < end:
                    write(record(cell, number, name))


def record(cell: Cell, number: int, name: str) -> dict[str, Any]:
    """One training; the network as text, from which every number can be had again."""
    network, found = candidate(cell, number)
    start = time.process_time()
    score = accuracy(network, images(cell), number)
    return {
        "name": name, "family": cell.family, "side": cell.side, "size": cell.size, "clutter": cell.clutter,
        "budget": cell.budget, "accuracy": round(score, 4), "multiply_adds": found.multiply_adds,
        "seconds": round(time.process_time() - start, 1), "network": network.to_yaml(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
