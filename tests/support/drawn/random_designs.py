"""Random networks of the design space: all blocks, necks, heads and axis counts. Seeded; every one can be laid out."""

from __future__ import annotations

import numpy as np

from foveal.designs.closed.steps import MisfitError, lay_out
from foveal.designs.network import BLOCKS, Head, Neck, Network, Stage, Stem, fault


def random_network(random: np.random.Generator, largest: int = 96, width: int = 16) -> Network:
    """One network that can be laid out; lengths are at most ``largest``."""
    while True:
        network = _draw(random, largest, width)
        if fault(network):
            continue
        try:
            lay_out(network)
        except MisfitError:
            continue
        return network


def _draw(random: np.random.Generator, largest: int, width: int) -> Network:
    rank = int(random.choice([1, 2, 2, 2, 3]))
    causal = rank == 1 and random.random() < 0.4
    top = largest if rank < 3 else largest // 3
    grain = int(random.choice([1, 8, 16]))
    side = max(grain, int(random.integers(top // 3, top + 1)) // grain * grain)
    same = random.random() < 0.7
    space = tuple(side if same else max(grain, side - grain * int(random.integers(0, 3))) for _ in range(rank))
    stem = Stem(
        int(random.choice([1, 2, 3, 4, 5, 7])), int(random.choice([1, 2, 4])), int(random.choice([0, 4, 8])),
        bool(random.random() < 0.3) and not causal,
    )  # fmt: skip
    stages = tuple(_stage(random, width, causal) for _ in range(int(random.integers(1, 5))))
    task = str(random.choice(["classification", "detection", "segmentation", "sequence"]))
    kinds = ["none", "pyramid", "encoder-decoder", "pyramid-pooling", "parallel-dilations"]
    kind = str(random.choice(kinds)) if random.random() < 0.7 else "none"
    bins, rates = ((1, 2), (1, 2, 4), (2,)), ((1, 2), (2, 3), (2, 4, 6), (3, 6, 9))
    listed = bins if kind == "pyramid-pooling" else rates
    neck = Neck(kind, int(random.choice([4, 8])), int(random.integers(1, 4)), listed[int(random.integers(len(listed)))])
    channels = int(random.choice([1, 3]))
    return Network((channels, *space), stem, stages, neck, Head(task, int(random.integers(2, 6))), causal)


def _stage(random: np.random.Generator, width: int, causal: bool) -> Stage:
    block = str(random.choice(BLOCKS))
    kernels = [2, 3, 4, 5] if block == "plain" or causal else [1, 3, 5, 7]
    dilations = [(1,), (1,), (1,), (2,), (1, 2, 5), (3, 1)]
    return Stage(
        block, int(random.choice([width // 4, width // 2, width])) // 4 * 4, int(random.integers(0, 4)),
        int(random.choice(kernels)), int(random.choice([1, 1, 2, 2, 3])),
        dilations[int(random.integers(len(dilations)))], bool(random.random() < 0.2) and not causal,
    )  # fmt: skip
