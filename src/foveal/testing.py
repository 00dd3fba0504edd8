"""Public test tools: the oracle, a one-line check of all predictions for a model, and a guard for people's own CI.

``dependency``, ``support`` and ``hulls`` measure, knowing no rule; ``check`` holds what foveal predicts against them
for every unit of every layer; ``assert_receptive_field`` fails with a readable text when a model leaves the limits its
authors set; ``check_frontends_agree`` compares one network from several front ends. A new operation is one
line of test: ``assert check(MyModel(), (1, 3, 16, 12)).agrees``.
"""

from __future__ import annotations

from foveal.check.agreement import Agreement, check_frontends_agree
from foveal.check.guard import assert_receptive_field
from foveal.check.oracle import dependency, support
from foveal.check.perturbation import hulls
from foveal.check.units import check, compare_hulls
from foveal.check.verify import Check, Mismatch

__all__ = [
    "Agreement", "Check", "Mismatch", "assert_receptive_field", "check", "check_frontends_agree", "compare_hulls",
    "dependency", "hulls", "support",
]  # fmt: skip
