"""One small pure function per operation family: operation, shapes and known facts -> how the output reads its
operands.
"""

from foveal.ir.rules import contraction, mixing, moves, resampling, windows  # noqa: F401  (each registers its rules)
from foveal.ir.rules.registry import Facts, reads, traits

__all__ = ["Facts", "reads", "traits"]
