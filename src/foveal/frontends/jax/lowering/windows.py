"""Lowering of convolutions, window reductions and products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from foveal.frontends.jax.lowering.table import rule
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Tracer
from foveal.ir import ops
from foveal.ir.lengths import window_outputs
from foveal.ir.relation import Table
from foveal.ir.rules import reads


@rule("conv_general_dilated")
def convolution(t: Tracer, eqn: Equation, x: Cell, kernel: Cell) -> int:
    """Any layout is brought to (N, C, *space) and (O, C / groups, *taps); a dilated input is a transposed convolution.

    The formula is that of XLA: output o reads dilated position o * stride - before + tap * dilation, and dilated
    position p holds input p / lhs_dilation where that is whole.
    """
    numbers, out = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape
    value = t.permuted(t.value(x), numbers.lhs_spec)
    weight = t.permuted(t.value(kernel), numbers.rhs_spec)
    groups = eqn.params["feature_group_count"]
    if eqn.params["batch_group_count"] > 1:
        groups = eqn.params["batch_group_count"]
        value = _batch_groups(t, value, groups)
    shape = tuple(out[axis] for axis in numbers.out_spec)
    value = _convolve(t, eqn, value, weight, groups, shape)
    back = tuple(int(axis) for axis in np.argsort(numbers.out_spec))
    return t.permuted(value, back)


def _batch_groups(t: Tracer, value: int, groups: int) -> int:
    """Feature group j of the output reads part j of the batch: the parts side by side as channels."""
    n, c, *space = t.shape(value)
    value = t.reshaped(value, (groups, n // groups, c, *space))
    value = t.permuted(value, (1, 0, *range(2, len(space) + 3)))
    return t.reshaped(value, (n // groups, groups * c, *space))


def _convolve(t: Tracer, eqn: Equation, value: int, weight: int, groups: int, shape: tuple[int, ...]) -> int:
    stride, dilation = tuple(eqn.params["window_strides"]), tuple(eqn.params["rhs_dilation"])
    spread, padding = tuple(eqn.params["lhs_dilation"]), tuple(eqn.params["padding"])
    taps = t.shape(weight)[2:]
    if any(n > 1 for n in spread) and all(n == 1 for n in stride):
        before = tuple((k - 1) * d - low for k, d, (low, _) in zip(taps, dilation, padding))
        op = ops.TransposedConvolution(taps, spread, before, dilation, groups, biased=False)
        return t.node(op, (value, _mirrored(t, weight, groups)), shape)
    for axis, factor in enumerate(spread):
        value = t.spread(value, axis + 2, factor)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    return t.node(ops.Convolution(taps, stride, pairs, dilation, groups, biased=False), (value, weight), shape)


def _mirrored(t: Tracer, weight: int, groups: int) -> int:
    """(O, C / groups, *taps) as the kernel (C, O / groups, *taps) of the transposed convolution, taps reversed."""
    o, c, *taps = t.shape(weight)
    axes = tuple(range(2, len(taps) + 2))
    weight = t.node(ops.Flip(axes), (weight,), (o, c, *taps))
    weight = t.reshaped(weight, (groups, o // groups, c, *taps))
    weight = t.permuted(weight, (0, 2, 1, *range(3, len(taps) + 3)))
    return t.reshaped(weight, (groups * c, o // groups, *taps))


@rule("reduce_window_max", "reduce_window_min", "reduce_window_sum")
def window(t: Tracer, eqn: Equation, x: Cell) -> int:
    name = "average" if eqn.primitive.name == "reduce_window_sum" else "max"
    return _pooled(t, eqn, t.value(x), name)


@rule("reduce_window")
def window_generic(t: Tracer, eqn: Equation, *cells: Cell) -> tuple[int, ...]:
    """Several operands reduced together: each output reads all of them."""
    parts = [_pooled(t, eqn, t.value(cell), "max") for cell in cells[: len(cells) // 2]]
    return (t.together(parts, eqn.outvars[0].aval.shape, "reduce_window"),) * len(eqn.outvars)


def _pooled(t: Tracer, eqn: Equation, value: int, name: str) -> int:
    params, rank = eqn.params, len(t.shape(value))
    for axis, factor in enumerate(params.get("base_dilation") or (1,) * rank):
        value = t.spread(value, axis, factor)
    padding = tuple((int(low), int(high)) for low, high in params["padding"])
    dilation = tuple(params.get("window_dilation") or (1,) * rank)
    op = ops.Pool(tuple(params["window_dimensions"]), tuple(params["window_strides"]), padding, dilation, name)
    return t.node(op, (value,), eqn.outvars[0].aval.shape)


@rule("select_and_scatter_add")
def select_and_scatter(t: Tracer, eqn: Equation, source: Cell, operand: Cell) -> int:
    """The gradient of a maximum: each place reads every window that holds it, the window's gradient and its elements.

    Padding can leave a window a single element, which wins whatever it is: then this is read as everything.
    """
    params, shape = eqn.params, operand.shape
    taps, stride = tuple(params["window_dimensions"]), tuple(params["window_strides"])
    padding = tuple((int(low), int(high)) for low, high in params["padding"])
    inputs = [t.value(source), t.value(operand)]
    count = source.shape
    if prod(taps) > 1:
        if any(low >= k or high >= k for k, (low, high) in zip(taps, padding)) or _lone(shape, taps, stride, padding):
            return t.node(ops.Sample("select_and_scatter"), inputs, shape)
        ones = (1,) * len(taps)
        largest = t.node(ops.Pool(taps, stride, padding, ones, "max"), (inputs[1],), count)
        value = t.together([inputs[0], largest], count, "select_and_scatter")
    else:
        value, ones = inputs[0], (1,) * len(taps)
    for axis, factor in enumerate(stride):
        value = t.spread(value, axis, factor)
    before = tuple(k - 1 - low for k, (low, _) in zip(taps, padding))
    after = tuple(n + k - 1 - m - low for n, k, m, low in zip(shape, taps, t.shape(value), before))
    return t.node(ops.Pool(taps, ones, tuple(zip(before, after)), ones, "average"), (value,), shape)


def _lone(shape: Sequence[int], taps: Sequence[int], stride: Sequence[int], padding: Sequence[tuple[int, int]]) -> bool:
    """Whether a window holds a single element of an operand of that shape."""
    least = 1
    for n, k, step, (low, high) in zip(shape, taps, stride, padding):
        first = np.arange(window_outputs(n, k, step, (low, high))) * step - low
        least *= int((np.minimum(first + k, n) - np.maximum(first, 0)).min(initial=k))
    return least == 1


@rule("dot_general")
def product(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int:
    """The result's axes are the batch axes, then the free axes of each operand."""
    resized = _resized(t, eqn, a, b)
    if resized is not None:
        return resized
    (sum_a, sum_b), (batch_a, batch_b) = eqn.params["dimension_numbers"]
    labels = [[0] * len(a.shape), [0] * len(b.shape)]
    fresh = iter(range(len(a.shape) + len(b.shape)))
    out = []
    for pairs, kept in (((batch_a, batch_b), True), ((sum_a, sum_b), False)):
        for i, j in zip(*pairs):
            labels[0][i] = labels[1][j] = label = next(fresh)
            out += [label] if kept else []
    for own, used in ((labels[0], (*sum_a, *batch_a)), (labels[1], (*sum_b, *batch_b))):
        for axis in range(len(own)):
            if axis not in used:
                own[axis] = next(fresh)
                out.append(own[axis])
    op = ops.Contract((tuple(labels[0]), tuple(labels[1])), tuple(out))
    return t.node(op, (t.value(a), t.value(b)), eqn.outvars[0].aval.shape)


def _resized(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int | None:
    """An interpolation, where one operand is a known matrix with just its weights; None where it is not."""
    (sum_a, sum_b), (batch, _) = eqn.params["dimension_numbers"]
    if len(sum_a) != 1 or batch or (a.data is None) == (b.data is None):
        return None
    image, matrix, axis, row = (a, b, sum_a[0], sum_b[0]) if a.data is None else (b, a, sum_b[0], sum_a[0])
    if matrix.data is None or matrix.data.ndim != 2 or not np.any(matrix.data == 0) or not matrix.data.any():
        return None
    signed = (matrix.data if row == 0 else matrix.data.T).astype(np.float64)
    weights = np.abs(signed)
    if np.abs(signed.sum(axis=0) - 1).max() > _SHARES:
        return None
    op = _interpolation(axis, weights, image.shape)
    if op is None:
        return None
    n_out = weights.shape[1]
    value = t.node(op, (t.value(image),), (*image.shape[:axis], n_out, *image.shape[axis + 1 :]))
    rest = [k for k in range(len(image.shape)) if k != axis]
    return t.permuted(value, (*rest, axis) if a.data is None else (axis, *rest))


_ROUNDING = 1e-6
"""Share of the largest weight that single precision may leave of an exact zero."""


_SHARES = 1e-3
"""By how much the weights of an interpolation may differ from its own."""


def _interpolation(axis: int, weights: np.ndarray, shape: tuple[int, ...]) -> ops.Resample | None:
    """The interpolation that reads just the (in, out) pairs of weights that are not 0, a linear one with just these."""
    live = weights > _ROUNDING * weights.max()
    after = (*shape[:axis], live.shape[1], *shape[axis + 1 :])
    for mode in ("linear", "cubic"):
        for antialias in (False, True):
            op = ops.Resample((axis,), mode, False, antialias)
            (way,) = reads(op, (shape,), after)
            if len(way.relation) != 1 or not isinstance(way.relation[0], Table):
                continue
            table = way.relation[0]
            read = np.zeros((live.shape[0] + 1, live.shape[1]), dtype=bool)
            weighty = table.clipped if table.weights is None else np.where(table.weights != 0, table.clipped, -1)
            inside = np.where((weighty >= 0) & (weighty < live.shape[0]), weighty, live.shape[0])
            read[inside, np.arange(live.shape[1])[:, None]] = True
            if np.array_equal(read[:-1], live) and (mode != "linear" or _agree(table, inside, weights)):
                return op
    return None


def _agree(table: Table, inside: np.ndarray, weights: np.ndarray) -> bool:
    """Whether a table's weights are these, but for rounding."""
    if table.weights is None:
        return True
    own = np.zeros((weights.shape[0] + 1, weights.shape[1]))
    np.add.at(own, (inside, np.arange(weights.shape[1])[:, None]), table.weights)
    return bool(np.abs(own[:-1] / own[:-1].sum(axis=0) - weights).max() < _SHARES)
