"""Primitives that users taught foveal (:mod:`foveal.extend`), in a JAX trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foveal.ir.extension import REGISTRY, Call, results


def own_rule(name: str) -> Callable[..., tuple[int, ...]] | None:
    """The table's kind of rule for a primitive that was taught; None where none was."""
    taught = REGISTRY.find("jax", name)
    if taught is None:
        return None

    def rule(t: Any, eqn: Any, *cells: Any) -> tuple[int, ...]:
        call = Call(
            name,
            tuple(t.value(cell) for cell in cells),
            tuple(cell.shape for cell in cells),
            tuple(tuple(var.aval.shape) for var in eqn.outvars),
            dict(eqn.params),
            t.node,
            t.array,
            lambda reason: t.builder.note("data-dependent", t.builder.scope, reason),
        )
        return results(call, taught(call))

    return rule
