"""Lowering of products: MatMul, Gemm, Einsum, and the integer and stateful forms of them; quantised operators."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.frontends import tables
from foveal.frontends.onnx.lowering.elementwise import dependent, with_vectors
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, axis_of, lowering
from foveal.frontends.onnx.lowering.windows import convolve
from foveal.frontends.products import matmul_op
from foveal.ir import ops

LARGEST = 1 << 24
"""Larger factors are taken for kernels unseen."""


def factor(call: Call, operand: Operand) -> Operand:
    """An operand of a product: what no source can change is a kernel, but a table where most of it is zero."""
    if operand.depends:
        return operand
    known = operand.value is None and operand.known and prod(operand.shape) <= LARGEST
    if known and tables.mostly_zero(call.array(operand, "the factor") if operand.look is None else operand.look()):
        return call.constant(call.array(operand, "the factor"))
    return call.weight(operand)


def multiply(call: Call, a: Operand, b: Operand) -> Operand:
    """The matrix product of two operands."""
    inputs = [factor(call, operand) for operand in (a, b)]
    return call.emit(matmul_op(a.rank, b.rank), inputs, call.shapes[0])


@lowering("MatMul")
def matmul(call: Call, a: Operand, b: Operand) -> Operand:
    """NumPy's rules for batch axes and vectors."""
    return multiply(call, a, b)


@lowering("MatMulInteger")
def integer_matmul(
    call: Call, a: Operand, b: Operand, a_zero: Operand | None = None, b_zero: Operand | None = None
) -> Operand:
    """Zero points are numbers; computed ones move every output."""
    value, live = multiply(call, a, b), dependent(a_zero, b_zero)
    if any(int(np.prod(operand.shape)) != 1 for operand in live):
        raise Refused("zero points per row are computed")
    scalars = [call.emit(ops.Reshape(), operand, (1,) * value.rank) for operand in live]
    return value if not scalars else call.emit(ops.Pointwise("add"), (value, *scalars), value.shape)


@lowering("Gemm")
def gemm(call: Call, a: Operand, b: Operand, c: Operand | None = None) -> Operand:
    """A product of matrices, either of them transposed, plus a bias."""
    first = (2, 0) if call.attribute("transA", 0) else (0, 2)
    second = (1, 2) if call.attribute("transB", 0) else (2, 1)
    inputs = [factor(call, operand) for operand in (a, b)]
    value = call.emit(ops.Contract((first, second), (0, 1)), inputs, call.shapes[0])
    value = _times(call, value, call.attribute("alpha", 1.0))
    return plus(call, value, c and _times(call, c, call.attribute("beta", 1.0)))


def _times(call: Call, value: Operand, number: float) -> Operand:
    """A value that a source can change times a plain number, which a field weighs it by; 0 leaves nothing of it."""
    if number == 1 or not value.depends:
        return value
    if number == 0:
        return call.emit(ops.Pointwise("multiply"), (value, call.constant(np.zeros(()))), value.shape)
    return call.emit(ops.Pointwise("multiply", (number,), (None, number)), value, value.shape)


def plus(call: Call, value: Operand, other: Operand | None) -> Operand:
    """``value`` plus ``other``; a bias of weights is no input."""
    return value if other is None or not other.depends else call.emit(ops.Pointwise("add"), (value, other), value.shape)


@lowering("Einsum")
def einsum(call: Call, *operands: Operand) -> Operand:
    """One contraction; a letter that stands twice in an operand takes its diagonal first."""
    equation = str(call.attribute("equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = ("..." if "..." in left else "") + "".join(sorted(s for s in set(letters) if letters.count(s) == 1))
    rows, inputs = [], []
    for term, operand in zip(terms, operands, strict=True):
        labels, value = _letters(term, operand.rank), operand
        if len(set(labels)) != len(labels):
            labels, value = _diagonal(call, labels, operand)
        rows.append(labels)
        inputs.append(factor(call, value))
    hidden = tuple(sorted({label for row in rows for label in row if label < 0})) if "..." in right else ()
    before, _, after = right.partition("...")
    result = (*map(ord, before), *hidden, *map(ord, after))
    if len(set(result)) != len(result):
        raise ValueError(f"equation '{equation}' writes an axis twice")
    return call.emit(ops.Contract(tuple(rows), result), inputs)


def _letters(term: str, rank: int) -> tuple[int, ...]:
    """Labels of one operand; the axes of an ellipsis are -1 (last), -2 ..."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return (*map(ord, before), *range(-hidden, 0), *map(ord, after))


def _diagonal(call: Call, labels: tuple[int, ...], operand: Operand) -> tuple[tuple[int, ...], Operand]:
    """The operand read along the diagonal of its repeated labels, and its labels without repetition."""
    kept = tuple(dict.fromkeys(labels))
    lengths = dict(zip(labels, operand.shape, strict=True))
    place = np.indices([lengths[label] for label in kept])
    flat = np.ravel_multi_index(tuple(place[kept.index(label)] for label in labels), operand.shape)
    return kept, call.emit(ops.Gather(flat), operand, flat.shape)


@lowering("CausalConvWithState")
def causal_convolution(
    call: Call, x: Operand, w: Operand, b: Operand | None = None, past: Operand | None = None
) -> list[Operand]:
    """Each channel over the last positions; the state holds the positions before the first, and comes back moved on."""
    n, c, length = x.shape
    reach = w.shape[2] - 1
    if b is not None and b.depends:
        raise Refused("the bias is computed")
    shape = (n, c, length + reach)
    if past is None:
        joined = call.emit(ops.Pad(((0, 0), (0, 0), (reach, 0))), x, shape)
    else:
        joined = call.emit(ops.Concatenate(2), (past, x), shape)
    op = ops.Convolution((w.shape[2],), (1,), ((0, 0),), (1,), c)
    value = call.emit(op, (joined, call.weight(w)), x.shape)
    if call.word("activation", "none", "silu", "swish") != "none":
        value = call.emit(ops.Pointwise("silu"), value, x.shape)
    return [value, call.emit(ops.Slice(2, length), joined, (n, c, reach))][: max(1, call.wanted)]


@lowering("QuantizeLinear", "DequantizeLinear")
def quantize(call: Call, x: Operand, scale: Operand, zero: Operand | None = None) -> Operand:
    """Its own element; a computed scale reaches what it scales."""
    value = call.emit(ops.Pointwise(call.name), x)
    live = dependent(scale, zero)
    if not live:
        return value
    axis = (
        axis_of(int(call.attribute("axis", 1)), x.rank)
        if x.rank and any(s.shape not in ((), (1,)) for s in live)
        else 0
    )
    if any(s.rank > 1 for s in live):
        raise Refused("scales per block are computed")
    return with_vectors(call, value, axis, live)


@lowering("DynamicQuantizeLinear")
def dynamic_quantize(call: Call, x: Operand) -> list[Operand]:
    """Scale and zero point come from the smallest and the largest element."""
    axes = tuple(range(x.rank))
    outputs = [call.emit(ops.Mix(axes, "normalize"), x, x.shape)]
    outputs += [call.emit(ops.Reduce(axes, False, "statistics"), x, ()) for _ in range(2)]
    return outputs[: max(1, call.wanted)]


@lowering("QLinearConv")
def quantized_convolution(
    call: Call,
    x: Operand,
    x_scale: Operand,
    x_zero: Operand,
    w: Operand,
    w_scale: Operand,
    w_zero: Operand,
    y_scale: Operand,
    y_zero: Operand,
    b: Operand | None = None,
) -> Operand:
    """A convolution; computed scales are not supported."""
    if dependent(x_scale, x_zero, w_scale, w_zero, y_scale, y_zero, b):
        raise Refused("scales or zero points are computed")
    return convolve(call, x, w)


@lowering("QLinearMatMul")
def quantized_matmul(
    call: Call,
    a: Operand,
    a_scale: Operand,
    a_zero: Operand,
    b: Operand,
    b_scale: Operand,
    b_zero: Operand,
    y_scale: Operand,
    y_zero: Operand,
) -> Operand:
    """A matrix product; computed scales are not supported."""
    if dependent(a_scale, a_zero, b_scale, b_zero, y_scale, y_zero):
        raise Refused("scales or zero points are computed")
    return multiply(call, a, b)
