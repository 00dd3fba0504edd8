"""Run a traced JAX model for real and read its layers, under the names that the trace gave them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from foveal.core.errors import VerificationError, first_line
from foveal.frontends.jax.lowering.tracer import Array, Arrays
from foveal.frontends.jax.walk import Program, walk_program


def double() -> Any:
    """Within: 64-bit numbers are allowed."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return import_module("jax.experimental").enable_x64()  # JAX before 0.8


@dataclass(frozen=True)
class JaxRunner:
    """The model, and what was traced of it."""

    model: Any
    program: Program
    compiled: dict[Any, Callable[..., Any]] = field(default_factory=dict, repr=False, compare=False)

    def example(self, seed: int) -> dict[str, np.ndarray]:
        """Seeded random inputs by source name: normal floats, integers that the example (or zero and one) gives."""
        generator = np.random.default_rng(seed)
        made: dict[str, np.ndarray] = {}
        for slot, axes in zip(self.program.call.slots, self.program.axes):
            if axes is None:
                continue
            if jnp.issubdtype(slot.dtype, jnp.floating):
                made[slot.name] = generator.standard_normal(slot.shape)
            elif slot.example is not None:
                made[slot.name] = np.asarray(slot.example).copy()
            else:
                made[slot.name] = generator.integers(0, 2, slot.shape)
        return made

    def run(self, inputs: dict[str, np.ndarray], layers: list[str], dtype: str = "float64") -> dict[str, np.ndarray]:
        """The values of ``layers`` for ``inputs`` (by source name), all floating numbers in ``dtype``.

        Raises VerificationError with JAX's own message, or naming the layers that there are not.
        """
        with double():
            function = self.function(tuple(layers), dtype)
            try:
                found = function(self.weights(dtype), self.arrays(inputs, dtype))
            except VerificationError:
                raise
            except Exception as error:
                raise VerificationError(f"the model cannot be run in {dtype}: {first_line(error)}") from error
            return {name: np.asarray(array) for name, array in found.items()}

    def function(self, layers: tuple[str, ...], dtype: str | None) -> Callable[..., Any]:
        """``weights, inputs -> {layer: array}``, compiled once; ``dtype`` None: in the types of the trace."""
        key = (layers, dtype)
        if key not in self.compiled:
            self.compiled[key] = jax.jit(lambda weights, arrays: self.layers_of(layers, dtype, weights, arrays))
        return self.compiled[key]

    def layers_of(self, layers: tuple[str, ...], dtype: str | None, weights: Arrays, arrays: Arrays) -> dict[str, Any]:
        """The walk behind :meth:`function`."""
        number = None if dtype is None else np.dtype(dtype)
        _, cells = walk_program(self.program, arrays=[*weights, *arrays], number=number)
        missing = [name for name in layers if name not in cells]
        if missing:
            raise VerificationError(f"layers that a run does not reach: {', '.join(missing)}")
        return {name: cells[name].array for name in layers}

    def weights(self, dtype: str | None) -> list[Array]:
        """The weights in ``dtype``; those known by shape only get seeded values."""
        pairs = zip(self.program.adapted.names, self.program.adapted.weights)
        return [_cast(seeded(item, name), dtype) for name, item in pairs]

    def arrays(self, inputs: dict[str, np.ndarray], dtype: str | None) -> list[Array]:
        """The call's arrays in order, with ``inputs`` by source name."""
        made = []
        for slot in self.program.call.slots:
            array: Array = inputs.get(slot.name, slot.example)
            if array is None:
                raise VerificationError(f"no numbers for input '{slot.name}'")
            array = jnp.asarray(array)
            made.append(_cast(array, dtype) if dtype else array.astype(slot.dtype))
        return made

    def array(self, name: str) -> np.ndarray | None:
        """The weights of that dotted name; None where only their shape is known."""
        for known, item in zip(self.program.adapted.names, self.program.adapted.weights):
            if known == name and not isinstance(item, jax.ShapeDtypeStruct):
                return np.asarray(item)
        return None

    def settings(self, path: str) -> dict[str, Any]:
        """A module's own weights as arrays."""
        found: dict[str, Any] = {}
        for name, item in zip(self.program.adapted.names, self.program.adapted.weights):
            if name.rpartition(".")[0] == path and not isinstance(item, jax.ShapeDtypeStruct):
                found[name.rpartition(".")[2]] = np.asarray(item)
        return found


def seeded(item: Any, name: str) -> Any:
    """Weights known by shape only: positive scales and variances, small shifts, normal kernels over the fan in."""
    if not isinstance(item, jax.ShapeDtypeStruct):
        return item
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if jnp.issubdtype(item.dtype, jax.dtypes.extended):
        return jax.random.key(0)
    if not jnp.issubdtype(item.dtype, jnp.floating):
        return jnp.zeros(item.shape, item.dtype)
    if len(item.shape) < 2:
        low, high = (0.5, 1.5) if name.endswith(("scale", "var", "gamma", "variance")) else (-0.1, 0.1)
        return jnp.asarray(generator.uniform(low, high, item.shape), item.dtype)
    fan = max(1, int(np.prod(item.shape[:-1])))
    return jnp.asarray(generator.standard_normal(item.shape) / np.sqrt(fan), item.dtype)


def _cast(array: Array, dtype: str | None) -> Array:
    if dtype is None or not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return jnp.asarray(array).astype(dtype)
