"""Random functional PyTorch code against brute force: ``python tests/fuzz/fuzz_functional.py --count 20000``.

Every hyperplane of the input is changed in double precision, for several inputs and changes, and each element of the
result that moved must lie where its box says. Exit code 1 where a box was too small or the analysis failed; edges of
exact boxes that never moved their element are counted by the kinds of the steps. ``--show NUMBER`` prints one.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

import foveal
from foveal.fields.receptive_field import receptive_field, unit_bounds
from support.drawn.box_verdicts import Moved, Verdict, compare, run
from support.drawn.functional import drawn

DRAWS = ((0.0, 1.0, 1.0), (0.5, 1.0, 3.0), (0.0, 0.1, 0.3), (-1.0, 0.5, 2.0))
"""Mean and deviation of the base input, and the change."""
ROUNDING = 1e-13
"""Share of the largest value by which an element moves through rounding alone."""


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
        return compare(kinds, status, pairs, moved(model, shape, number, pairs[0][0].shape))


def moved(model: nn.Module, shape: tuple[int, ...], seed: int, out: tuple[int, ...]) -> Moved:
    """The positions whose change moved each element."""
    generator, found = torch.Generator().manual_seed(seed), Moved(out, len(shape) - 2)
    for mean, deviation, change in DRAWS:
        base = torch.randn(shape, generator=generator, dtype=torch.float64) * deviation + mean
        before = model(base.clone()).detach().numpy()
        least = ROUNDING * max(1.0, float(np.nan_to_num(np.abs(before)).max()))
        for axis in range(2, len(shape)):
            for position in range(shape[axis]):
                other = base.clone()
                part = other.select(axis, position)
                part += change * (torch.rand(part.shape, generator=generator, dtype=torch.float64) + 0.5)
                found.note(axis - 2, position, np.abs(model(other).detach().numpy() - before) > least)
    return found


def shown(number: int) -> str:
    """What was drawn, in words."""
    found = drawn(number)
    return "no step fits" if found is None else f"{found[0]}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run(__doc__, 20_000, judge, shown))
