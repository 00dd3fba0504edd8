"""Lowering of other domains: ``com.microsoft`` (written by onnxruntime) and ``ai.onnx.ml`` (features come last)."""

from __future__ import annotations

import numpy as np

from foveal.frontends.onnx.lowering.attention import additive, blend, heads_apart, heads_together, masked, product
from foveal.frontends.onnx.lowering.contract import gemm, multiply, plus, quantize
from foveal.frontends.onnx.lowering.elementwise import dependent, unary, with_vectors
from foveal.frontends.onnx.lowering.reduce import whole_axes
from foveal.frontends.onnx.lowering.table import Call, Item, Operand, Refused, axis_of, lowering, spread
from foveal.frontends.onnx.lowering.windows import convolve, window_padding
from foveal.frontends.products import matmul_op
from foveal.ir import ops

CONTRIB = "com.microsoft"
ACTIVATIONS = (
    "identity", "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid", "Elu", "Selu", "Softplus", "Softsign",
    "ThresholdedRelu", "HardSwish", "Gelu",
)  # fmt: skip

lowering("Gelu", domain=CONTRIB)(unary)
lowering("QuantizeLinear", "DequantizeLinear", domain=CONTRIB)(quantize)


@lowering("FastGelu", "BiasGelu", "QuickGelu", domain=CONTRIB)
def gelu(call: Call, x: Operand, bias: Operand | None = None) -> Operand:
    """Its own element, after a bias along the last axis."""
    value = call.emit(ops.Pointwise("gelu"), x, x.shape)
    return plus(call, value, bias)


@lowering("QLinearSigmoid", "QLinearLeakyRelu", domain=CONTRIB)
def quantized_unary(call: Call, x: Operand, *scales: Operand | None) -> Operand:
    """Its own element."""
    _fixed(*scales)
    return call.emit(ops.Pointwise("quantized"), x, x.shape)


def _fixed(*scales: Operand | None) -> None:
    if dependent(*scales):
        raise Refused("scales or zero points are computed")


@lowering("QLinearAdd", "QLinearMul", domain=CONTRIB)
def quantized_binary(
    call: Call, a: Operand, a_scale: Operand, a_zero: Operand, b: Operand, *scales: Operand | None
) -> Operand:
    """The same element of both, broadcast."""
    _fixed(a_scale, a_zero, *scales)
    return call.emit(ops.Pointwise("quantized"), (a, b), np.broadcast_shapes(a.shape, b.shape))


@lowering("QLinearConcat", domain=CONTRIB)
def quantized_concat(call: Call, scale: Operand, zero: Operand, *rest: Operand) -> Operand:
    """Triples of operand, scale and zero point."""
    parts = rest[::3]
    _fixed(scale, zero, *(item for k, item in enumerate(rest) if k % 3))
    axis = axis_of(int(call.attribute("axis")), parts[0].rank)
    total = sum(part.shape[axis] for part in parts)
    return call.emit(ops.Concatenate(axis), parts, (*parts[0].shape[:axis], total, *parts[0].shape[axis + 1 :]))


@lowering("QLinearGlobalAveragePool", domain=CONTRIB)
def quantized_global_pool(call: Call, x: Operand, *scales: Operand | None) -> Operand:
    """All positions of the own channel."""
    _fixed(*scales)
    axes = tuple(range(1, x.rank - 1)) if call.attribute("channels_last", 0) else tuple(range(2, x.rank))
    return call.emit(ops.Reduce(axes, True, "mean"), x, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


@lowering("QLinearAveragePool", domain=CONTRIB)
def quantized_pool(call: Call, x: Operand, *scales: Operand | None) -> Operand:
    """A window over each channel."""
    _fixed(*scales)
    if call.attribute("channels_last", 0):
        raise Refused("channels stand last")
    kernel = tuple(call.attribute("kernel_shape"))
    strides = spread(call.attribute("strides"), len(kernel), 1)
    ones = (1,) * len(kernel)
    padding = window_padding(call, x, kernel, strides, ones)
    return call.emit(ops.Pool(kernel, strides, padding, ones, "average"), x, call.shapes[0])


@lowering("FusedConv", domain=CONTRIB)
def fused_convolution(
    call: Call, x: Operand, w: Operand, b: Operand | None = None, z: Operand | None = None
) -> Operand:
    """A convolution, perhaps plus another map, and an activation."""
    value = plus(call, with_vectors(call, convolve(call, x, w), 1, [b]), z)
    return call.emit(ops.Pointwise(call.word("activation", *ACTIVATIONS).lower()), value, value.shape)


@lowering("FusedGemm", domain=CONTRIB)
def fused_gemm(call: Call, a: Operand, b: Operand, c: Operand | None = None) -> Operand:
    """A product of matrices and an activation."""
    value = gemm(call, a, b, c)
    return call.emit(ops.Pointwise(call.word("activation", *ACTIVATIONS).lower()), value, value.shape)


@lowering("FusedMatMul", domain=CONTRIB)
def fused_matmul(call: Call, a: Operand, b: Operand) -> Operand:
    """A matrix product, either operand turned."""
    if call.attribute("transBatchA", 0) or call.attribute("transBatchB", 0):
        raise Refused("batch axes are turned")
    inputs = []
    for operand, turned in ((a, call.attribute("transA", 0)), (b, call.attribute("transB", 0))):
        value = operand if operand.depends else call.weight(operand)
        if turned:
            order = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
            value = call.emit(ops.Permute(order), value, tuple(value.shape[k] for k in order))
        inputs.append(value)
    first, second = inputs
    batch = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    op = matmul_op(first.rank, second.rank)
    return call.emit(op, inputs, (*batch, first.shape[-2], second.shape[-1]))


@lowering("MatMulIntegerToFloat", "DynamicQuantizeMatMul", domain=CONTRIB)
def dynamic_matmul(call: Call, a: Operand, b: Operand, *rest: Operand | None) -> Operand:
    """A matrix product; the range of a floating operand is global context."""
    _fixed(*rest)
    if a.dtype.kind == "f":
        a = call.emit(ops.Mix(tuple(range(a.rank)), "normalize"), a, a.shape)
    return multiply(call, a, b)


@lowering("SimplifiedLayerNormalization", domain="")
def simplified_layer_norm(call: Call, x: Operand, scale: Operand) -> Operand:
    """Statistics over the axes from ``axis`` on."""
    axes = tuple(range(axis_of(int(call.attribute("axis", -1)), x.rank), x.rank))
    return call.emit(ops.Mix(axes, "normalize"), x, x.shape)


@lowering("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=CONTRIB)
def skip_layer_norm(call: Call, x: Operand, skip: Operand, *rest: Operand | None) -> list[Operand | None]:
    """A sum, normalised over the features; the fourth output is the sum."""
    _fixed(*rest)
    total = call.emit(ops.Pointwise("add"), (x, skip), x.shape)
    value = call.emit(ops.Mix((x.rank - 1,), "normalize"), total, x.shape)
    return [value, None, None, total][: max(1, call.wanted)]


@lowering("MultiHeadAttention", domain=CONTRIB)
def multi_head_attention(
    call: Call,
    query: Operand,
    key: Operand | None = None,
    value: Operand | None = None,
    bias: Operand | None = None,
    padding: Operand | None = None,
    mask: Operand | None = None,
    *past: Operand | None,
) -> Operand:
    """Three operands (batch, positions, features); packed forms and caches are not supported."""
    if key is None or value is None or query.rank != 3 or key.rank != 3 or any(item is not None for item in past):
        raise Refused("packed operands, or a cache")
    _fixed(bias, padding)
    if padding is not None:
        raise Refused("a padding mask")
    count = int(call.attribute("num_heads"))
    q, k, v = (heads_apart(call, item, count) for item in (query, key, value))
    scores = product(call, q, k)
    fixed = None if mask is None or not mask.known else additive(call.array(mask, "the mask"))
    if call.attribute("unidirectional", 0):
        causal = additive(np.tril(np.ones(scores.shape[-2:], dtype=bool)))
        fixed = causal if fixed is None else fixed + causal
    scores = masked(call, scores, mask, fixed)
    weights = call.emit(ops.Mix((3,), "softmax"), scores, scores.shape)
    return heads_together(call, blend(call, weights, v))


ML = "ai.onnx.ml"


@lowering("Binarizer", "Imputer", "LabelEncoder", "Scaler", "CategoryMapper", domain=ML)
def elementwise(call: Call, x: Operand) -> Operand:
    """Its own element; tables, offsets and scales are attributes."""
    return call.emit(ops.Pointwise(call.name), x, x.shape)


@lowering("Normalizer", domain=ML)
def normalizer(call: Call, x: Operand) -> Operand:
    """Divided by a norm over the features."""
    return call.emit(ops.Mix((x.rank - 1,), "normalize"), x, x.shape)


@lowering("ArrayFeatureExtractor", domain=ML)
def extract(call: Call, x: Operand, index: Operand) -> Operand | list[Operand]:
    """Chosen features."""
    if not index.known:
        return call.data_dependent([x, index])
    numbers = call.array(index, "the index").reshape(-1).astype(np.int64)
    if x.rank == 1:
        x = call.emit(ops.Reshape(), x, (1, *x.shape))
    return call.emit(ops.Take(x.rank - 1, numbers), x, (*x.shape[:-1], numbers.size))


@lowering("OneHotEncoder", domain=ML)
def one_hot(call: Call, x: Operand) -> Operand:
    """A new last axis over the categories."""
    categories = call.attribute("cats_int64s") or call.attribute("cats_strings")
    if not categories:
        raise Refused("no categories")
    wide = call.emit(ops.Reshape(), x, (*x.shape, 1))
    return call.emit(ops.Expand(), wide, (*x.shape, len(categories)))


@lowering("FeatureVectorizer", domain=ML)
def join(call: Call, *parts: Operand) -> Operand:
    """Features side by side."""
    rows = [part if part.rank == 2 else call.emit(ops.Reshape(), part, (1, *part.shape)) for part in parts]
    width = sum(row.shape[1] for row in rows)
    return call.emit(ops.Concatenate(1), rows, (rows[0].shape[0], width))


@lowering(
    "LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor", "LinearClassifier", "SVMClassifier",
    "TreeEnsembleClassifier", "TreeEnsemble", domain=ML,
)  # fmt: skip
def predictor(call: Call, x: Operand) -> list[Operand]:
    """Every output of a sample reads all its features."""
    row = x if x.rank == 2 else call.emit(ops.Reshape(), x, (1, *x.shape))
    found: list[Item] = []
    for shape in call.shapes[: max(1, call.wanted)]:
        if len(shape) == 1:
            found.append(call.emit(ops.Reduce((1,), False, call.name), row, (row.shape[0],)))
        else:
            found.append(whole_axes(call, row, (1,), call.name, shape))
    return found
