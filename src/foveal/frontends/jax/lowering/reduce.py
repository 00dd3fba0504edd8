"""Lowering of reductions, running operations, sorting and Fourier transforms."""

from __future__ import annotations

from foveal.frontends.jax.lowering.table import rule
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Tracer
from foveal.frontends.products import undone
from foveal.ir import ops
from foveal.ir.rules.mixing import UNSURE

_NAMES = {"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min"}


@rule(
    "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"
)  # fmt: skip
def reduce(t: Tracer, eqn: Equation, x: Cell) -> int:
    axes = tuple(eqn.params["axes"])
    name = _NAMES.get(eqn.primitive.name, eqn.primitive.name)
    return t.node(ops.Reduce(axes, False, name), (t.value(x),), eqn.outvars[0].aval.shape)


@rule("reduce")
def reduce_generic(t: Tracer, eqn: Equation, *cells: Cell) -> tuple[int, ...]:
    """Several operands reduced together: each output reads all of them."""
    operands = cells[: len(cells) // 2]
    op = ops.Reduce(tuple(eqn.params["dimensions"]), False, "reduce")
    shape = eqn.outvars[0].aval.shape
    parts = [t.node(op, (t.value(cell),), shape) for cell in operands]
    return (t.together(parts, shape, "reduce"),) * len(eqn.outvars)


@rule("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def running(t: Tracer, eqn: Equation, x: Cell) -> int:
    direction = "backward" if eqn.params["reverse"] else "forward"
    op = ops.Scan(eqn.params["axis"], direction, eqn.primitive.name)
    return t.node(op, (t.value(x),), eqn.outvars[0].aval.shape)


@rule("sort")
def sort(t: Tracer, eqn: Equation, *cells: Cell) -> tuple[int, ...]:
    """Operands sorted together: each output reads all of them along the axis."""
    op = ops.Mix((eqn.params["dimension"],), "sort")
    shape = eqn.outvars[0].aval.shape
    parts = [t.node(op, (t.value(cell),), shape) for cell in cells if cell.data is None]
    return (t.together(parts, shape, "sort"),) * len(eqn.outvars)


@rule("top_k", "approx_top_k")
def top_k(t: Tracer, eqn: Equation, x: Cell) -> tuple[int, ...]:
    axis = eqn.params.get("axis", eqn.params.get("reduction_dimension", -1)) % len(x.shape)
    value = t.node(ops.Mix((axis,), "sort"), (t.value(x),), x.shape)
    value = t.node(ops.Slice(axis, 0), (value,), eqn.outvars[0].aval.shape)
    return (value,) * len(eqn.outvars)


@rule("fft")
def fft(t: Tracer, eqn: Equation, x: Cell) -> int:
    """Each output reads everything along the transformed axes, whatever their new length."""
    shape, rank = eqn.outvars[0].aval.shape, len(x.shape)
    axes = tuple(range(rank - len(eqn.params["fft_lengths"]), rank))
    name = "fft"
    if "I" in getattr(eqn.params["fft_type"], "name", str(eqn.params["fft_type"])):
        name = UNSURE if undone(t.builder.graph, t.value(x), t.dependent.__contains__) else "ifft"
    if shape == x.shape:
        return t.node(ops.Mix(axes, name), (t.value(x),), shape)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    value = t.node(ops.Reduce(axes, True, name), (t.value(x),), kept)
    return t.node(ops.Expand(), (value,), shape)
