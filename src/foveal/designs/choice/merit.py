"""What is best among candidates of equal cost: a rule of few terms, learned from small trainings.

For classifiers of objects of known size: octaves by which the field is narrower and wider than ``ROOM`` times the
object, those by which the stride is more than half the object, the width of the narrowest convolution and the
parameters, weighed as some hundred trainings on synthetic tasks say (docs/experiments.md; ``rule.json`` holds the
weights and how well they put networks in order on sizes that they were not fitted on). For other tasks, where nothing
was learned: of those that fit alike the one with the most parameters.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from foveal.designs.closed.evaluate import Evaluation
from foveal.designs.targets import UNITS_ACROSS, Target, wanted

BAND = 0.25
"""Octaves by which a candidate's misfit may be above the least one and still count as fitting alike."""
FAR = 1.0
"""Octaves: what fits worse than the best by more is no alternative, however cheap."""
FULL = 0.9
"""Share of the budget that a recommended design spends at least, where any does."""


def merit(target: Target, found: Evaluation) -> float:
    """The larger the better; only to be compared between candidates of about equal cost."""
    level = found.widest
    return float(merit_of(target, found.parameters, found.narrowest, level.fits, float(level.stride)))


def merit_of(target: Target, parameters: Any, narrowest: Any, fits: Any, stride: Any) -> Any:
    """The same from the numbers that it rests on, which may be arrays."""
    large = np.log2(np.maximum(1, parameters))
    if not learned(target):
        return large
    sizes, weights = wanted(target), rule()["weights"]
    made = weights["parameters"] * large + weights["narrowest"] * np.log2(narrowest)
    for size in sizes:
        off = {"narrow": size / fits, "wide": fits / size, "coarse": UNITS_ACROSS * stride / size}
        made = made + sum(weights[name] * np.maximum(0.0, np.log2(one)) for name, one in off.items()) / len(sizes)
    # Beyond that is rounding, which must not put one of two equal candidates first.
    return np.round(made, 9)


def learned(target: Target) -> bool:
    """Whether the learned rule speaks of such a task."""
    return target.task == "classification" and target.context is None and bool(target.objects)


def band(target: Target) -> float:
    """By how many octaves a candidate may fit worse than the best and still be recommended: the learned rule weighs
    the field itself, but not far from the best, where its few terms would be stretched.
    """
    return 2 * BAND if target.budget is not None and learned(target) else BAND


@cache
def rule() -> dict[str, Any]:
    """Weights and validation of the learned rule."""
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("rule.json").read_text("utf-8"))
    return found
