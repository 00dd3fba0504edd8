"""The table from JAX primitives to neutral operations.

A rule takes the walk, the equation and its operands' cells, adds nodes, and returns one value id (or one per output).
*Same* primitives hand their operand on. Names are those of the primitives. The families live in their own files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate

from foveal.frontends.jax.lowering.tracer import Equation, Tracer

Rule = Callable[Concatenate[Tracer, Equation, ...], int | Sequence[int]]

RULES: dict[str, Rule] = {}
SAME: set[str] = {
    "copy", "convert_element_type", "stop_gradient", "optimization_barrier", "sharding_constraint",
    "device_put", "pvary", "pbroadcast", "reduce_precision", "layout_constraint", "name", "conj", "pin",
    "unpin", "with_memory_space_constraint", "reshard", "reduced_vary_cast_p", "vary_unreduced_cast_p",
}  # fmt: skip
"""Primitives whose output holds the same elements (or a part of each) in the same places."""

RANDOM: set[str] = {
    "random_bits", "random_gamma", "random_seed", "random_split", "random_fold_in", "random_wrap", "random_unwrap",
    "random_clone", "threefry2x32", "rng_uniform", "rng_bit_generator",
}  # fmt: skip
"""Random numbers: like weights, unknown and never zero."""

UNNAMED: set[str] = SAME | {
    "reshape", "broadcast_in_dim", "squeeze", "transpose", "slice", "pad", "iota", "split", "rev",
    "dynamic_slice", "dynamic_update_slice", "bitcast_convert_type", "tile", "broadcast_to", "stack", "unstack",
    "real", "tie",
}  # fmt: skip
"""Moves that compute nothing get no layer of their own."""

TITLES: dict[str, str] = {
    "conv_general_dilated": "conv", "dot_general": "dot", "reduce_window_max": "max_pool",
    "reduce_window_min": "min_pool", "reduce_window_sum": "avg_pool", "select_n": "where",
    "logistic": "sigmoid", "div": "divide", "sub": "subtract", "mul": "multiply",
}  # fmt: skip
"""Layer names of primitives whose own names say little."""

HEAVY: set[str] = {
    "conv_general_dilated", "dot_general", "reduce_window_max", "reduce_window_min", "reduce_window_sum",
    "reduce_window", "ragged_dot_general", "scan", "while",
}  # fmt: skip
"""Primitives that compute from a neighbourhood or a contraction: these are told apart inside a leaf scope."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under the names of the primitives it lowers."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
