"""What is best inside the band: the order of candidates of equal cost whose fields fit alike.

The rule of a pilot (docs/experiments.md): of networks without unproductive layers that spend the budget and fit, the
one with the most parameters.
"""

from __future__ import annotations

from math import log2

from foveal.designs.closed.evaluate import Evaluation

BAND = 0.25
"""Octaves by which a candidate's misfit may be above the least one and still count as fitting alike."""
FULL = 0.9
"""Share of the budget that a recommended design spends at least, where any does."""


def merit(found: Evaluation) -> float:
    """The larger the better; only to be compared between candidates of about equal cost and misfit."""
    return log2(max(1, found.parameters)) - len(found.unproductive)
