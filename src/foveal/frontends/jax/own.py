"""Primitives that users taught foveal (:mod:`foveal.extend`), in a JAX trace."""

from __future__ import annotations

from foveal.frontends.jax.lowering.table import Rule
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Tracer
from foveal.ir.extension import REGISTRY, Call, results


def own_rule(name: str) -> Rule | None:
    """The table's kind of rule for a primitive that was taught; None where none was."""
    taught = REGISTRY.find("jax", name)
    if taught is None:
        return None

    def rule(t: Tracer, eqn: Equation, *cells: Cell) -> tuple[int, ...]:
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
