"""All that the rooms above ask of a JAX model. A jaxpr holds its shapes: no other size can be traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from foveal.frontends.gradients import only_plain
from foveal.frontends.jax.gradient import Differentiator
from foveal.frontends.jax.run import JaxRunner
from foveal.ir.backend import Backend


class JaxBackend(JaxRunner, Backend):
    """A function or a Flax module and its call."""

    framework = "JAX"
    measured_by = "by jax.grad"

    @property
    def precision(self) -> str:
        """That of a run."""
        return str(jnp.zeros(()).dtype)

    def gradient(
        self, source: str, axes: tuple[int, ...], dtype: str | None = None, waists: Any = (), device: str | None = None
    ) -> Differentiator:
        """By ``jax.grad``."""
        only_plain(device, dtype)
        return Differentiator(self, source, axes, dtype)

    def laid_out(self, axes: Mapping[str, tuple[int, ...]]) -> JaxBackend:
        """Its program with other axes."""
        pairs = zip(self.program.call.slots, self.program.axes, strict=True)
        found = tuple(own if own is None else axes.get(slot.name, own) for slot, own in pairs)
        return JaxBackend(self.model, self.program._replace(axes=found))


BACKEND = JaxBackend
