"""Random small networks with every kind of index arithmetic, for the oracle to judge.

A network is written down as a :class:`Recipe` (input and steps with their own seeds), so that it can be printed, built
again and shrunk. A step that does not fit the map it would get is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from random import Random

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from support.drawn import random_layers as layers, random_steps as steps

Shape = tuple[int, ...]
Make = Callable[[Random, int, Shape], nn.Module | None]
LONGEST, CHANNELS, ELEMENTS = 48, 12, 3000


@dataclass(frozen=True)
class Recipe:
    """Input (1, channels, *lengths) and the steps, each a name and the seed of its settings."""

    channels: int
    lengths: Shape
    steps: tuple[tuple[str, int], ...]

    @property
    def shape(self) -> Shape:
        return (1, self.channels, *self.lengths)


def build(recipe: Recipe) -> nn.Sequential:
    """The network of a recipe, in evaluation mode; weights as torch draws them (the oracle draws its own)."""
    torch.manual_seed(0)
    modules: list[nn.Module] = []
    x = torch.randn(2, recipe.channels, *recipe.lengths)
    for name, seed in recipe.steps:
        step = try_step(name, Random(seed), x)
        if step is not None:
            modules.append(step[0])
            x = step[1]
    return nn.Sequential(*modules).eval()


def try_step(name: str, rng: Random, x: torch.Tensor) -> tuple[nn.Module, torch.Tensor] | None:
    """The step and its output on ``x``, or None where it does not fit."""
    try:
        if name == "norm" and min(torch.unique(channel).numel() for channel in x[0]) < 4:
            return None  # two values normalise to plus and minus one, whatever they are
        module = STEPS[name](rng, x.shape[1], tuple(x.shape[2:]))
        if module is None:
            return None
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = module.eval()(x)
    except (RuntimeError, ValueError, IndexError, NotImplementedError):
        return None
    small = y.dim() >= 3 and max(y.shape[2:]) <= LONGEST and y.shape[1] <= CHANNELS and prod(y.shape[1:]) <= ELEMENTS
    finite = bool(torch.isfinite(y).all())  # the maximum over padding alone is minus infinity
    return (module, y) if small and finite and min(y.shape) > 0 else None


def random_recipe(seed: int) -> Recipe:
    """The network of that number."""
    rng = Random(seed)
    dims = rng.choice([1, 1, 2, 2, 2, 2, 3])
    longest = {1: 24, 2: 14, 3: 8}[dims]
    lengths = tuple(rng.randint(4 if dims == 3 else 5, longest) for _ in range(dims))
    if rng.random() < 0.3:
        lengths = tuple(max(4, n // 4 * 4) for n in lengths)
    count = rng.randint(1, 9)
    names = list(STEPS)
    weights = [WEIGHTS.get(name, 1.0) for name in names]
    drawn = rng.choices(names, weights, k=count)
    return Recipe(rng.choice([1, 2, 3, 4]), lengths, tuple((name, rng.randrange(10**6)) for name in drawn))


def recipes() -> st.SearchStrategy[Recipe]:
    """Recipes as a hypothesis strategy: it shrinks by dropping steps and shortening axes."""
    step = st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 10**6))
    lengths = st.one_of(
        st.tuples(st.integers(5, 24)),
        st.tuples(st.integers(4, 14), st.integers(4, 14)),
        st.tuples(st.integers(4, 8), st.integers(4, 8), st.integers(4, 8)),
    )
    return st.builds(Recipe, st.integers(1, 4), lengths, st.lists(step, min_size=1, max_size=7).map(tuple))


def branches(rng: Random, channels: int, space: Shape) -> nn.Module | None:
    """Two or three branches of one or two random steps each, joined if their shapes allow it."""
    x = torch.randn(2, channels, *space)
    made = []
    for _ in range(rng.randint(2, 3)):
        parts, y = [], x
        for _ in range(rng.randint(1, 2)):
            step = try_step(rng.choice(BRANCH_STEPS), rng, y)
            if step is not None:
                parts.append(step[0])
                y = step[1]
        if y.dim() != x.dim():
            return None
        if y.shape[2:] != x.shape[2:]:
            parts.append(steps.Do(lambda t: F.interpolate(t, size=space), f"nearest to {space}"))
        made.append(nn.Sequential(*parts) if parts else nn.Identity())
    return steps.Branches(made, rng.choice(["concatenate", "concatenate", "add", "append"]))


STEPS: dict[str, Make] = {
    "convolution": layers.convolution,
    "transposed": layers.transposed,
    "pad": layers.pad,
    "max_pool": layers.max_pool,
    "average_pool": layers.average_pool,
    "power_pool": layers.power_pool,
    "adaptive": layers.adaptive,
    "resample": layers.resample,
    "shuffle": layers.shuffle,
    "focus": layers.focus,
    "cut": layers.cut,
    "move": layers.move,
    "branch": layers.branch,
    "branches": branches,
    "split": layers.split,
    "norm": layers.norm,
    "pointwise": layers.pointwise,
    "window_attention": layers.window_attention,
    "mixer": layers.mixer,
}
WEIGHTS = {
    "convolution": 5.0,
    "transposed": 2.0,
    "resample": 2.0,
    "move": 2.5,
    "branch": 2.0,
    "branches": 2.5,
    "window_attention": 3.0,
    "shuffle": 1.5,
    "pointwise": 1.5,
    "power_pool": 0.5,
    "mixer": 0.8,
    "norm": 1.5,
}
BRANCH_STEPS = [
    "convolution",
    "convolution",
    "convolution",
    "transposed",
    "pad",
    "max_pool",
    "average_pool",
    "resample",
    "cut",
    "move",
    "pointwise",
    "split",
    "adaptive",
]
