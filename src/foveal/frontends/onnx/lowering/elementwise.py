"""Lowering of element by element operators: activations, arithmetic, comparison, selection, casts, random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.frontends.onnx.lowering.table import Call, Operand, Shape, axis_of, lowering
from foveal.ir import ops

_PUBLIC = {
    "Neg": "negative",
    "Swish": "silu",
    "HardSwish": "hardswish",
    "HardSigmoid": "hardsigmoid",
    "Celu": "celu",
    "Mul": "multiply",
    "Sub": "subtract",
    "Div": "divide",
    "Max": "maximum",
    "Min": "minimum",
    "Sum": "add",
    "Pow": "power",
    "LeakyRelu": "leaky_relu",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "Not": "logical_not",
    "IsNaN": "isnan",
    "IsInf": "isinf",
}
"""Names by which the analyses know an operation, where they differ from the operator's own."""

_UNARY = """
Abs Acos Acosh Asin Asinh Atan Atanh BitCast BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid
HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus
Softsign Sqrt Swish Tan Tanh ThresholdedRelu Bernoulli""".split()  # noqa: SIM905

_BROADCAST = """
And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or
PRelu Pow Sum SwiGLU Xor StringConcat""".split()  # noqa: SIM905

_CLIPS: dict[Any, str] = {(0.0, 6.0): "relu6", (-1.0, 1.0): "hardtanh"}
"""Activations that are written as a Clip."""


def plain_name(call: Call) -> str:
    """The name the analyses know."""
    return _PUBLIC.get(call.op_type, call.name)


def dependent(*operands: Operand | None) -> list[Operand]:
    """Those that a source can change."""
    return [operand for operand in operands if operand is not None and operand.depends]


@lowering(*_UNARY)
def unary(call: Call, x: Operand) -> Operand:
    """Reads its own element."""
    return call.emit(ops.Pointwise(plain_name(call)), x)


@lowering("RegexFullMatch")
def text_match(call: Call, x: Operand) -> Operand:
    """Reads its own element."""
    return call.emit(ops.Pointwise(call.name), x)


@lowering("CastLike")
def cast_like(call: Call, x: Operand, target: Operand) -> Operand:
    """The second input gives its type only."""
    return call.emit(ops.Pointwise("cast"), x)


@lowering("Clip")
def clip(call: Call, x: Operand, low: Operand | None = None, high: Operand | None = None) -> Operand:
    """Limits are numbers, inputs from opset 11 on; computed ones reach every element."""
    computed = dependent(low, high)
    limits = None if computed else (call.setting("min", 1), call.setting("max", 2))
    if limits is None:
        return call.emit(ops.Pointwise("clip"), (x, *computed))
    numbers = tuple(np.nan if limit is None else float(np.asarray(limit).reshape(())) for limit in limits)
    named = _CLIPS.get(limits)
    return call.emit(ops.Pointwise(named) if named else ops.Pointwise("clip", (), (None, *numbers)), x)


@lowering("Dropout")
def dropout(call: Call, x: Operand, ratio: Operand | None = None, training: Operand | None = None) -> list[Operand]:
    """Nothing but its own element, in training too; the mask reads nothing."""
    value = call.emit(ops.Pointwise("dropout"), (x, *dependent(ratio, training)), x.shape)
    return [value, call.constant(np.ones(x.shape, dtype=bool))][: call.wanted]


@lowering("Add", *_BROADCAST)
def broadcast(call: Call, *operands: Operand) -> Operand:
    """The same element of each operand, broadcast together.

    A constant of -100 or less that is added may switch a softmax off, a constant zero factor annuls.
    """
    if len(operands) == 1:
        return call.emit(ops.Pointwise("identity"), operands)
    share = (1 / len(operands),) * len(operands) if call.op_type == "Mean" else ()
    return call.emit(ops.Pointwise(plain_name(call), share), operands)


@lowering("Sub")
def subtract(call: Call, a: Operand, b: Operand) -> Operand:
    """A constant taken away is its negative added, which may switch a softmax off."""
    numbers = b.array if b.known and b.dtype.kind == "f" else None
    if numbers is not None and (numbers >= 100).any():
        return call.emit(ops.Pointwise("add"), (a, call.constant(-numbers)))
    return call.emit(ops.Pointwise("subtract"), (a, b))


@lowering("Where")
def where(call: Call, condition: Operand, a: Operand, b: Operand) -> Operand:
    """With a constant condition only the chosen side is read."""
    return call.emit(ops.Select(), (condition, a, b))


@lowering("Trilu")
def triangle(call: Call, x: Operand, k: Operand | None = None) -> Operand:
    """A constant mask of zeros and ones."""
    diagonal = 0 if k is None else int(call.array(k, "the diagonal").reshape(()))
    mask = np.ones(x.shape[-2:])
    mask = np.triu(mask, diagonal) if call.attribute("upper", 1) else np.tril(mask, diagonal)
    return call.emit(ops.Pointwise("multiply"), (x, call.constant(mask)))


@lowering("RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform")
def random_like(call: Call, x: Operand | None = None) -> Operand:
    """Random numbers: like weights, unknown and never zero; the input gives its shape only."""
    return call.weight(call.constant(np.full(call.shapes[0], 0.5)))


@lowering("EyeLike")
def eye_like(call: Call, x: Operand) -> Operand:
    """The input gives its shape only."""
    return call.constant(np.eye(x.shape[0], x.shape[1], k=int(call.attribute("k", 0))))


def along(call: Call, operand: Operand, axis: int, shape: Shape) -> Operand:
    """A vector that stands along one axis of ``shape`` (a scalar as it is), ready to broadcast."""
    if operand.rank == 0 or operand.shape == (1,) or operand.rank == len(shape):
        return operand
    lengths = tuple(operand.shape[0] if k == axis else 1 for k in range(len(shape)))
    return call.emit(ops.Reshape(), operand, lengths)


def with_vectors(call: Call, value: Operand, axis: int, vectors: Sequence[Operand | None]) -> Operand:
    """``value`` and those of the vectors along ``axis`` that a source can change, together."""
    live = [along(call, vector, axis, value.shape) for vector in dependent(*vectors)]
    return value if not live else call.emit(ops.Pointwise("add"), (value, *live), value.shape)


@lowering("PRelu")
def prelu(call: Call, x: Operand, slope: Operand) -> Operand:
    """The slope broadcasts to the input."""
    return call.emit(ops.Pointwise("prelu"), (x, *dependent(slope)))


@lowering("OneHot")
def one_hot(call: Call, indices: Operand, depth: Operand, values: Operand) -> Operand:
    """A new axis along which each position reads its own index."""
    out = call.shapes[0]
    axis = axis_of(int(call.attribute("axis", -1)), len(out))
    wide = call.emit(ops.Reshape(), indices, (*out[:axis], 1, *out[axis + 1 :]))
    wide = call.emit(ops.Expand(), wide, out)
    inputs = [wide]
    if values.depends:
        for index in (0, 1):
            one = call.emit(ops.Slice(0, index), values, (1,))
            inputs.append(call.emit(ops.Reshape(), one, (1,) * len(out)))
    return call.emit(ops.Pointwise("one_hot"), (*inputs, *(operand for operand in dependent(depth))), out)


@lowering("StringNormalizer")
def normalize_text(call: Call, x: Operand) -> Operand | list[Operand]:
    """Its own element; where words are left out, data decides the shape."""
    if call.attribute("stopwords"):
        return call.data_dependent([x])
    return call.emit(ops.Pointwise(call.name), x, x.shape)


@lowering("StringSplit")
def split_text(call: Call, x: Operand) -> list[Operand]:
    """Data decides how many parts there are."""
    return call.data_dependent([x])
