"""Random functional PyTorch code against brute force: ``python tests/fuzz/fuzz_functional.py --count 20000``.

Every hyperplane of the input is changed in double precision, for several inputs and changes, and each element of the
result that moved must lie where its box says. Exit code 1 where a box was too small or the analysis failed; edges of
exact boxes that never moved their element are counted by the kinds of the steps. ``--show NUMBER`` prints one.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import foveal
from foveal.fields.receptive_field import receptive_field, unit_bounds
from support.drawn.functional import drawn

DRAWS = ((0.0, 1.0, 1.0), (0.5, 1.0, 3.0), (0.0, 0.1, 0.3), (-1.0, 0.5, 2.0))
"""Mean and deviation of the base input, and the change."""
ROUNDING = 1e-13
"""Share of the largest value by which an element moves through rounding alone."""


class Verdict(NamedTuple):
    """kinds: of the steps; small: elements that moved outside their box; wide: edges of exact boxes not seen to move;
    edges: all of them.
    """

    kinds: list[str]
    status: str
    small: int
    wide: int
    edges: int


def judge(number: int) -> Verdict | None:
    """Compare one function with brute force; None where there is none of that number."""
    found = drawn(number)
    if found is None:
        return None
    model, shape, kinds = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = foveal.trace(model, torch.zeros(shape, dtype=torch.float64), axes=tuple(range(2, len(shape))))
        layer = graph.layers[-1]
        status, pairs = receptive_field(graph, layer).status, unit_bounds(graph, layer)
        lows, highs = moved(model, shape, number, pairs[0][0].shape)
    small = wide = edges = 0
    for (first, last), low, high in zip(pairs, lows, highs, strict=True):
        seen, claimed = low <= high, first <= last
        small += int((seen & ((low < first) | (high > last))).sum())
        if status == "exact":
            edges += 2 * int(claimed.sum())
            wide += int((claimed & (~seen | (low != first))).sum()) + int((claimed & (~seen | (high != last))).sum())
    return Verdict(kinds, status, small, wide, edges)


def moved(
    model: nn.Module, shape: tuple[int, ...], seed: int, out: tuple[int, ...]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per source axis the first and last position whose change moved each element; first > last where none did."""
    generator, axes = torch.Generator().manual_seed(seed), range(2, len(shape))
    low, high = [np.full(out, 1 << 30) for _ in axes], [np.full(out, -1) for _ in axes]
    for mean, deviation, change in DRAWS:
        base = torch.randn(shape, generator=generator, dtype=torch.float64) * deviation + mean
        before = model(base.clone()).detach().numpy()
        least = ROUNDING * max(1.0, float(np.nan_to_num(np.abs(before)).max()))
        for k, axis in enumerate(axes):
            for position in range(shape[axis]):
                other = base.clone()
                part = other.select(axis, position)
                part += change * (torch.rand(part.shape, generator=generator, dtype=torch.float64) + 0.5)
                felt = np.abs(model(other).detach().numpy() - before) > least
                low[k][felt & (low[k] > position)] = position
                high[k][felt] = np.maximum(high[k][felt], position)
    return low, high


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, help="print the verdict on one number")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.show is not None:
        print(judge(asked.show))
        return 0
    failed, wide, statuses, edges, began = [], Counter[str](), Counter[str](), 0, time.perf_counter()
    for number in range(asked.seed, asked.seed + asked.count):
        try:
            found = judge(number)
        except Exception as error:  # the long run goes on, and names what broke
            failed.append(number)
            print(f"{number}: {type(error).__name__}: {error}", flush=True)
            continue
        if found is None:
            continue
        statuses[found.status] += 1
        edges += found.edges
        if found.wide:
            wide[" ".join(found.kinds)] += found.wide
            print(f"{number}: {found.wide} of {found.edges} edges not seen {found.kinds}", flush=True)
        if found.small:
            failed.append(number)
            print(f"{number}: {found.small} boxes too small {found.kinds}", flush=True)
    share = sum(wide.values()) / max(1, edges)
    print(f"{dict(statuses)}; {len(failed)} failed: {failed[:40]}; {share:.2e} of {edges} exact edges not seen")
    print("mostly in", wide.most_common(12), f"{time.perf_counter() - began:.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
