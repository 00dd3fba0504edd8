"""Random networks against brute force: every hull of every unit of every layer.

FOVEAL_RANDOM_NETWORKS sets how many numbered networks are tried (default 300), FOVEAL_EXAMPLES how many hypothesis
draws (default 50; it shrinks what it finds). ``python tests/fuzz.py`` is the long run.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from foveal.testing import check
from fuzz.fuzz import judge
from support.drawn.random_networks import Recipe, build, random_recipe, recipes

COUNT = int(os.environ.get("FOVEAL_RANDOM_NETWORKS", "300"))
EXAMPLES = int(os.environ.get("FOVEAL_EXAMPLES", "50"))
BLOCK = 50


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, COUNT, BLOCK))
def test_numbered_networks(start: int) -> None:
    torch.set_num_threads(1)
    exact = 0
    for number in range(start, min(start + BLOCK, COUNT)):
        outcome = judge(number)
        if outcome is not None:
            assert outcome[0].agrees, f"network {number}: {random_recipe(number)}\n{outcome[0]}"
            exact += outcome[0].exact
    assert exact > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
@given(recipes())
def test_drawn_networks(recipe: Recipe) -> None:
    model = build(recipe)
    if len(model):
        found = check(model, recipe.shape)
        assert found.agrees, f"{model}\n{found}"
