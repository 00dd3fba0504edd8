"""What is best inside the band: the order of candidates of equal cost whose fields fit alike.

The rule of a pilot (docs/experiments.md): of networks without unproductive layers that spend the budget and fit, the
one with the most parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.designs.closed.evaluate import Evaluation

BAND = 0.25
"""Octaves by which a candidate's misfit may be above the least one and still count as fitting alike."""
FAR = 1.0
"""Octaves: what fits worse than the best by more is no alternative, however cheap."""
FULL = 0.9
"""Share of the budget that a recommended design spends at least, where any does."""


def merit(found: Evaluation) -> float:
    """The larger the better; only to be compared between candidates of about equal cost and misfit."""
    return float(merit_of(found.parameters))


def merit_of(parameters: Any) -> Any:
    """The same from the numbers that it rests on, which may be arrays."""
    return np.log2(np.maximum(1, parameters))
