"""Mean squared slope of activation functions for normal inputs, by quadrature: what an activation does to a squared
gradient.

Formula: docs/methods.md 2.3, E[phi'(z)^2]. The slope of a kinked function is taken on both sides of its kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import special

Slope = Callable[[np.ndarray], np.ndarray]
POINTS = 800
REACH = 8.0
"""Quadrature: points over plus and minus so many standard deviations (a fine grid, since slopes may jump; even,
so that a jump at zero falls between two points)."""
SMOOTH = frozenset(("sigmoid", "silu", "gelu", "mish", "softplus", "log_sigmoid"))
FEW, NARROW = 100, 2.0
"""Points that give the same to rounding where the slope is smooth, for inputs of at most that standard deviation."""


def _normal(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-z * z / 2) / np.sqrt(2 * np.pi))


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    s = special.expit(z)
    return np.asarray(s * (1 - s))


def _silu_slope(z: np.ndarray) -> np.ndarray:
    s = special.expit(z)
    return np.asarray(s + z * s * (1 - s))


def _mish_slope(z: np.ndarray) -> np.ndarray:
    t = np.tanh(np.logaddexp(0, z))
    return np.asarray(t + z * (1 - t * t) * special.expit(z))


def _inside(low: float, high: float, slope: float = 1.0) -> Slope:
    return lambda z: np.where((z > low) & (z < high), slope, 0.0)


SLOPES: dict[str, Slope] = {
    "relu": _inside(0, np.inf),
    "relu6": _inside(0, 6),
    "hardtanh": _inside(-1, 1),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "sigmoid": _sigmoid_slope,
    "hardsigmoid": _inside(-3, 3, 1 / 6),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "silu": _silu_slope,
    "gelu": lambda z: special.ndtr(z) + z * _normal(z),
    "hardswish": lambda z: np.where(z >= 3, 1.0, np.where(z <= -3, 0.0, z / 3 + 0.5)),
    "elu": lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, 1.0, 1.6732632423543772 * np.exp(np.minimum(z, 0))),
    "celu": lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
    "softplus": special.expit,
    "mish": _mish_slope,
    "log_sigmoid": lambda z: special.expit(-z),
    "softsign": lambda z: 1 / (1 + np.abs(z)) ** 2,
    "sin": np.cos,
    "cos": np.sin,
    "abs": np.ones_like,
    "negative": np.ones_like,
}
"""Derivative of each activation, with its usual settings, by the plain name of the operation."""
STRAIGHT = {
    "relu": (0.0, np.inf, 1.0),
    "relu6": (0.0, 6.0, 1.0),
    "hardtanh": (-1.0, 1.0, 1.0),
    "hardsigmoid": (-3.0, 3.0, 1 / 6),
}
"""Activations with one slope between two points and none outside: in closed form."""
GATES: dict[str, Slope] = {
    "sigmoid": special.expit,
    "hardsigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
}
"""Bounded functions that serve as gates: their own value, for the mean square of a gate."""


def mean_square_slope(name: str, mean: np.ndarray | float = 0.0, spread: np.ndarray | float = 1.0) -> np.ndarray:
    """E[phi'(z)^2] for normal z, one for each pair of mean and standard deviation; raises KeyError for other names."""
    if name in STRAIGHT:
        low, high, slope = STRAIGHT[name]
        return _between(low, high, mean, spread) * slope * slope
    few = name in SMOOTH and float(np.max(spread)) <= NARROW
    return _mean_square(SLOPES[name], mean, spread, FEW if few else POINTS)


@cache
def mean_square_gate(name: str) -> float | None:
    """E[phi(z)^2] for unit normal z of a bounded function; None where the name is no gate."""
    gate = GATES.get(name)
    return None if gate is None else float(_mean_square(gate, 0.0, 1.0)[0])


def leaky_factor(slope: np.ndarray) -> np.ndarray:
    """E[phi'(z)^2] of rectifiers with these slopes below zero, for normal z around zero."""
    return np.atleast_1d((1 + slope * slope) / 2)


def _between(low: float, high: float, mean: np.ndarray | float, spread: np.ndarray | float) -> np.ndarray:
    """Probability that a normal number lies between two points."""
    center, width = np.atleast_1d(np.asarray(mean, dtype=float)), np.maximum(np.asarray(spread, dtype=float), 1e-12)
    return np.asarray(special.ndtr((high - center) / width) - special.ndtr((low - center) / width))


def _mean_square(
    function: Slope, mean: np.ndarray | float, spread: np.ndarray | float, points: int = POINTS
) -> np.ndarray:
    grid = np.linspace(-REACH, REACH, points)
    weight = _normal(grid)
    z = np.asarray(mean, dtype=float).reshape(-1, 1) + np.asarray(spread, dtype=float).reshape(-1, 1) * grid
    return np.asarray((function(z) ** 2) @ weight / weight.sum())
