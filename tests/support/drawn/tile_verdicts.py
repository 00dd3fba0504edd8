"""What becomes of a random network in tiles: a plan that is called exact is held against the whole at two lengths."""

from __future__ import annotations

import warnings
from dataclasses import replace
from random import Random

import torch

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.tiling.plan import smallest_tile, tile
from foveal.tasks.tiling.record import TilePlan
from support.drawn.random_tiles import drawn

ROUNDING = 1e-9


def judge(number: int) -> tuple[str, str]:
    """What became of one number: a word to count, and what is wrong ("" where nothing is)."""
    model, example, length = drawn(number)
    random = Random(number)
    try:
        model(torch.zeros(1, example.shape[1], length, dtype=torch.float64))
        whole = model(example)
    except (RuntimeError, ValueError):
        return "does not run", ""
    if whole.shape[-1] < 2:
        return "too short", ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = foveal.trace(model, example)
            (least,) = smallest_tile(graph, source_size=length)
            wanted = None if random.random() < 0.3 else random.randint(least, max(least, length // 2))
            plan = tile(graph, source_size=length, tile=wanted)
        except FovealError as error:
            text = str(error)
            return ("refused", "") if "\n" not in text and "is not available" not in text else ("refused", text)
        if not plan.exact:
            return plan.status, ""
        if plan.count == 1:
            return "one tile", ""
        return "exact", "; ".join(filter(None, (_apart(model, item) for item in (plan, _longer(plan, random)))))


def _longer(plan: TilePlan, random: Random) -> TilePlan:
    """The same tiles over a longer source."""
    axis = plan.axes[0]
    longer = replace(axis, length=axis.length + random.randint(1, 3 + 40 // axis.multiple) * axis.multiple)
    return replace(plan, axes=(longer,), source=replace(plan.source, shape=(*plan.source.shape[:2], longer.length)))


def _apart(model: torch.nn.Module, plan: TilePlan) -> str:
    image = torch.randn(plan.source.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    found = plan.check(model, image)
    return "" if found.largest <= ROUNDING * max(found.scale, 1e-3) else f"at {plan.axes[0].length}: {found}"
