"""Brute force for JAX functions: every column of the input is changed, in double precision, and the outputs compared.

It knows nothing of the front end but its predictions: the function itself is run by JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import foveal
from foveal.check.perturbation import PATTERNS, STYLES, Bools, draw_inputs, hulls, moved, perturb_column
from foveal.check.predicted import predicted_bounds
from foveal.frontends.jax.run import double
from foveal.testing import compare_hulls


class Measured:
    """What moves each element of each output, round by round."""

    def __init__(self, function: Callable[..., Any], shape: Sequence[int], axes: Sequence[int]) -> None:
        self.shape, self.axes = tuple(shape), tuple(axes)
        self.outputs = jax.jit(lambda x: jax.tree_util.tree_leaves(function(x)))
        self.batch = jax.jit(self.together)
        self.seen: list[list[Bools]] = []

    def together(self, copies: Any) -> Any:
        """The outputs of all copies; one after the other where JAX cannot batch a primitive."""
        try:
            return jax.vmap(self.outputs)(copies)
        except NotImplementedError:
            return jax.lax.map(self.outputs, copies)

    def round(self, index: int) -> None:
        """Change every column in every way, for one base input."""
        rng, style = np.random.default_rng([7, index]), STYLES[index % len(STYLES)]
        base = draw_inputs({"x": np.zeros(self.shape)}, rng, style)["x"]
        probes = [(axis, p, k) for axis in self.axes for p in range(self.shape[axis]) for k in PATTERNS]
        copies = np.stack([perturb_column(base, *probe, rng, style.gain) for probe in probes])
        together = self.batch(np.concatenate([base[None], copies]))
        for k, array in enumerate(np.asarray(item, np.float64) for item in together):
            change = moved(array[1:], array[0], 1e-13)
            parts = np.split(change, np.cumsum([self.shape[axis] * len(PATTERNS) for axis in self.axes])[:-1])
            rows = [part.reshape(-1, len(PATTERNS), *array.shape[1:]).any(axis=1) for part in parts]
            if len(self.seen) <= k:
                self.seen.append(rows)
            else:
                self.seen[k] = [a | b for a, b in zip(self.seen[k], rows)]


def wrong_hulls(
    function: Callable[..., Any], shape: Sequence[int], axes: Sequence[int], rounds: int = 30, exact: bool = True
) -> list[str]:
    """What foveal says of each output that brute force contradicts; with ``exact`` a bound is a fault as well.

    Two rounds are made, more while a dependency has not shown yet (a maximum hides some).
    """
    graph = foveal.trace(function, tuple(shape), axes=tuple(axes))
    names = [name for name in graph.layers if name.split(".")[0] == "output"]
    predicted = [predicted_bounds(graph, name, graph.sources[0]) for name in names]
    found = [f"{name} is a bound" for name, one in zip(names, predicted) if exact and not one.exact]
    with double():
        measured = Measured(function, shape, axes)
        for index in range(rounds):
            measured.round(index)
            if len(names) != len(measured.seen):
                return [f"{len(measured.seen)} outputs, but the layers are {graph.layers}"]
            wrong = [
                str(item)
                for name, one, row in zip(names, predicted, measured.seen)
                for axis, (pair, rows) in enumerate(zip(one.bounds, row))
                for item in compare_hulls(name, axis, pair, hulls(rows), one.exact)
            ]
            if not wrong and index >= 1:
                break
    return (found + wrong)[:5]
