"""Input gradients of a traced JAX model by ``jax.grad``: one backward pass per unit and image, none of the weights.

The model runs in its own precision unless told otherwise; then custom derivatives (that of ``jax.nn.relu`` at zero) are
those of the functions as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from foveal.core.errors import FovealError, VerificationError, first_line
from foveal.frontends.gradients import reduced
from foveal.frontends.jax.lowering.tracer import Array, Arrays
from foveal.frontends.jax.run import JaxRunner, double
from foveal.frontends.jax.walk import walk_program
from foveal.ir.backend import Procedure, Target


class Differentiator:
    """A model ready to give input gradients of one source; ``dtype`` None: in the precision of the trace."""

    def __init__(self, runner: JaxRunner, source: str, axes: tuple[int, ...], dtype: str | None = None) -> None:
        self.runner, self.source, self.axes, self.dtype = runner, source, axes, dtype
        self.others = {name: array for name, array in runner.example(0).items() if name != source}
        self.slot = next(slot for slot in runner.program.call.slots if slot.name == source)
        if not jnp.issubdtype(self.slot.dtype, jnp.floating):
            raise FovealError(f"source '{source}' takes whole numbers: they have no gradient")
        self.compiled: dict[Any, Any] = {}

    def maps(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        protocol: Procedure,
        signs: Sequence[Sequence[np.random.Generator]],
        batched: bool = True,
    ) -> list[np.ndarray]:
        """One array (images, *source axes) in float64 per target: gradients brought to one map by the protocol."""
        parts = np.split(images, images.shape[0]) if batched else [images]
        with double() if self.dtype == "float64" else nullcontext():
            return [
                np.concatenate([self._map(part, target, protocol, row[k], batched) for k, part in enumerate(parts)])
                for target, row in zip(targets, signs)
            ]

    def features(self, images: np.ndarray, targets: Sequence[Target], batched: bool = True) -> list[np.ndarray]:
        """One array (images, features) in float64 per target, image by image."""
        parts = np.split(images, images.shape[0]) if batched else [images]
        names = tuple(dict.fromkeys(target.layer for target in targets))
        rows: list[list[np.ndarray]] = [[] for _ in targets]
        with double() if self.dtype == "float64" else nullcontext():
            weights = self.runner.weights(self.dtype)
            function = jax.jit(lambda weights, arrays: self.runner.layers_of(names, self.dtype, weights, arrays))
            for part in parts:
                found = function(weights, self.runner.arrays({**self.others, self.source: part}, self.dtype))
                for row, target in zip(rows, targets):
                    unit = found[target.layer][tuple(slice(None) if i is None else i for i in target.place)]
                    row.append(np.asarray(unit, np.float64).reshape(-1)[target.features])
        return [np.stack(row) for row in rows]

    def _map(
        self, image: np.ndarray, target: Target, protocol: Procedure, rng: np.random.Generator, batched: bool
    ) -> np.ndarray:
        function = self._function(target, protocol)
        draws = protocol.draws if protocol.channels == "signs" else 1
        weights = self.runner.weights(self.dtype)
        arrays = self.runner.arrays({**self.others, self.source: image}, self.dtype)
        total: Any = 0.0
        for _ in range(draws):
            try:
                width = self._width(target)
                drawn = rng.integers(0, 2, width) * 2 - 1 if protocol.channels == "signs" else np.ones(width)
                gradient = np.asarray(function(weights, arrays, jnp.asarray(drawn, arrays[0].dtype)))
            except FovealError:
                raise
            except Exception as error:
                raise VerificationError(f"the model cannot be differentiated: {first_line(error)}") from error
            total = total + reduced(gradient, self.axes, protocol, batched)
        return np.asarray(total / draws)

    def _width(self, target: Target) -> int:
        shape = self._shapes()[target.layer]
        free = [n for n, place in zip(shape, target.place) if place is None]
        return len(range(int(np.prod(free)))[target.features])

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        if "shapes" not in self.compiled:
            graph, _ = walk_program(self.runner.program)
            table = graph.layer_table
            self.compiled["shapes"] = {name: graph.values[layer.value].shape for name, layer in table.items()}
        found: dict[str, tuple[int, ...]] = self.compiled["shapes"]
        return found

    def _function(self, target: Target, protocol: Procedure) -> Any:
        """``weights, arrays, factors -> gradient of the source``, compiled once per unit."""
        key = (target, protocol.channels, protocol.features)
        if key not in self.compiled:
            place = self.runner.program.call.slots.index(self.slot)

            def scalar(image: Array, weights: Arrays, arrays: Arrays, factors: Array) -> Any:
                given = [image if k == place else array for k, array in enumerate(arrays)]
                array = self.runner.layers_of((target.layer,), self.dtype, weights, given)[target.layer]
                if not jnp.issubdtype(array.dtype, jnp.floating):
                    raise FovealError(f"layer '{target.layer}' holds {array.dtype}: whole numbers have no gradient")
                row = array[tuple(slice(None) if i is None else i for i in target.place)].reshape(-1)
                row = row[target.features]
                row = jax.nn.relu(row) if protocol.features == "relu" else row
                return row.mean() if protocol.channels == "mean" else (row * factors.astype(row.dtype)).sum()

            found = jax.grad(scalar)
            self.compiled[key] = jax.jit(
                lambda weights, arrays, factors: found(arrays[place], weights, arrays, factors)
            )
        return self.compiled[key]
