"""Lowering of reductions, softmax, norms, running sums, and what reads a whole axis; loss functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.frontends.onnx.lowering.elementwise import dependent, with_vectors
from foveal.frontends.onnx.lowering.index import moved
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, Shape, axes_of, axis_of, lowering
from foveal.frontends.tables import places
from foveal.ir import ops

_REDUCTIONS = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "norm",
    "ReduceL2": "norm",
    "ReduceLogSum": "logsum",
    "ReduceLogSumExp": "logsumexp",
    "ReduceSumSquare": "norm",
}


@lowering(*_REDUCTIONS)
def reduce(call: Call, x: Operand, axes: Operand | None = None) -> Operand | list[Operand]:
    """Axes are an attribute in older versions, an input in newer ones; none means all, or nothing where asked for."""
    if axes is not None and axes.depends:
        return call.data_dependent([x, axes])
    given = call.setting("axes", 1)
    along = () if given is None else (int(given),) if isinstance(given, int) else tuple(int(axis) for axis in given)
    if not along:
        if call.attribute("noop_with_empty_axes", 0):
            return call.emit(ops.Pointwise(call.name), x, x.shape)
        along = tuple(range(x.rank))
    op = ops.Reduce(axes_of(along, x.rank), bool(call.attribute("keepdims", 1)), _REDUCTIONS[call.op_type])
    return call.emit(op, x)


@lowering("ArgMax", "ArgMin")
def arg_reduce(call: Call, x: Operand) -> Operand:
    """Reads all along its axis."""
    axis = axis_of(int(call.attribute("axis", 0)), x.rank)
    return call.emit(ops.Reduce((axis,), bool(call.attribute("keepdims", 1)), call.name), x)


@lowering("Det")
def determinant(call: Call, x: Operand) -> Operand:
    """Reads the whole matrix."""
    return call.emit(ops.Reduce((x.rank - 2, x.rank - 1), False, "det"), x)


@lowering("Multinomial", "TfIdfVectorizer")
def row_wise(call: Call, x: Operand) -> Operand:
    """Each output reads the whole last axis of its row."""
    return whole_axes(call, x, (x.rank - 1,), call.name, call.shapes[0])


def whole_axes(call: Call, x: Operand, axes: tuple[int, ...], name: str, out: Shape) -> Operand:
    """Each output reads all along ``axes``, whatever their new length."""
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    return call.emit(ops.Expand(), call.emit(ops.Reduce(axes, True, name), x, kept), out)


@lowering("Softmax", "LogSoftmax", "Hardmax")
def softmax(call: Call, x: Operand) -> Operand:
    """From opset 13 on along one axis; before that over all axes from ``axis`` on."""
    axis = axis_of(int(call.attribute("axis", -1 if call.opset >= 13 else 1)), max(x.rank, 1))
    axes = (axis,) if call.opset >= 13 else tuple(range(axis, x.rank))
    names = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "sort"}
    return call.emit(ops.Mix(axes, names[call.op_type]), x)


@lowering("CumSum", "CumProd")
def running(call: Call, x: Operand, axis: Operand) -> Operand:
    """An exclusive one reads what stands before it."""
    along = axis_of(int(call.array(axis, "the axis").reshape(())), x.rank)
    backward = bool(call.attribute("reverse", 0))
    value = call.emit(ops.Scan(along, "backward" if backward else "forward", call.name), x, x.shape)
    if not call.attribute("exclusive", 0):
        return value
    shift = (-1, 1) if backward else (1, -1)
    return call.emit(ops.Pad(tuple(shift if k == along else (0, 0) for k in range(x.rank))), value, x.shape)


@lowering("BatchNormalization")
def batch_norm(
    call: Call, x: Operand, scale: Operand, bias: Operand, mean: Operand, variance: Operand
) -> list[Operand]:
    """Element by element with running statistics; in training over batch and space, as the other outputs are."""
    training = bool(call.attribute("training_mode", 0)) if call.opset >= 14 else call.wanted > 1
    vectors = [scale, bias, mean, variance]
    if not training:
        value = call.emit(ops.Pointwise("batch_norm"), x, x.shape)
        return [with_vectors(call, value, 1, vectors)]
    axes = (0, *range(2, x.rank))
    value = with_vectors(call, call.emit(ops.Mix(axes, "normalize"), x, x.shape), 1, vectors[:2])
    channels = (x.shape[1],) if x.rank > 1 else (1,)
    found = [value]
    for running_value in (mean, variance, mean, variance)[: call.wanted - 1]:
        statistics = call.emit(ops.Reduce(axes, False, "statistics"), x, channels)
        found.append(with_vectors(call, statistics, 0, [running_value]))
    return found


@lowering("InstanceNormalization")
def instance_norm(call: Call, x: Operand, scale: Operand, bias: Operand) -> Operand:
    """Statistics over the positions of the own channel."""
    value = call.emit(ops.Mix(tuple(range(2, x.rank)), "normalize"), x)
    return with_vectors(call, value, 1, [scale, bias])


@lowering("GroupNormalization")
def group_norm(call: Call, x: Operand, scale: Operand, bias: Operand) -> Operand:
    """Statistics over the own group of channels; scales per group before opset 21, per channel from then on."""
    groups = int(call.attribute("num_groups"))
    value = call.emit(ops.Mix(tuple(range(1, x.rank)), "normalize", (1, groups)), x)
    if any(vector.depends and vector.shape != (x.shape[1],) for vector in (scale, bias)):
        raise Refused("scales per group are computed")
    return with_vectors(call, value, 1, [scale, bias])


@lowering("LayerNormalization", "RMSNormalization")
def layer_norm(call: Call, x: Operand, scale: Operand | None = None, bias: Operand | None = None) -> list[Operand]:
    """Statistics over the axes from ``axis`` on; they are the other outputs."""
    axes = tuple(range(axis_of(int(call.attribute("axis", -1)), x.rank), x.rank))
    value = call.emit(ops.Mix(axes, "normalize"), x, x.shape)
    live = dependent(scale, bias)
    if live:
        value = call.emit(ops.Pointwise("add"), (value, *live), x.shape)
    return [value, *(call.emit(ops.Reduce(axes, True, "mean"), x, shape) for shape in call.shapes[1 : call.wanted])]


@lowering("LpNormalization")
def lp_norm(call: Call, x: Operand) -> Operand:
    """Divided by the norm along the axis."""
    return call.emit(ops.Mix((axis_of(int(call.attribute("axis", -1)), x.rank),), "normalize"), x)


@lowering("MeanVarianceNormalization")
def mean_variance_norm(call: Call, x: Operand) -> Operand:
    """Statistics over the given axes: batch and space by default."""
    given: Any = call.attribute("axes", (0, 2, 3))
    return call.emit(ops.Mix(axes_of(given, x.rank), "normalize"), x)


@lowering("NegativeLogLikelihoodLoss")
def negative_log_likelihood(
    call: Call, scores: Operand, target: Operand, weight: Operand | None = None
) -> Operand | list[Operand]:
    """Scores (N, classes, *space), targets (N, *space): a constant target is a move, a computed one samples."""
    if not target.known:
        return call.data_dependent([scores, target])
    return _loss(call, scores, target, weight)


@lowering("SoftmaxCrossEntropyLoss")
def cross_entropy(
    call: Call, scores: Operand, target: Operand, weight: Operand | None = None
) -> list[Operand] | Operand:
    """The same on the logarithm of a softmax over the classes, which is the second output."""
    if not target.known:
        return call.data_dependent([scores, target])
    logs = call.emit(ops.Mix((1,), "log_softmax"), scores, scores.shape)
    return [_loss(call, logs, target, weight), logs][: max(1, call.wanted)]


def _loss(call: Call, scores: Operand, target: Operand, weight: Operand | None) -> Operand:
    if weight is not None and weight.depends:
        raise Refused("the weights of the classes are computed")
    ignored = call.attribute("ignore_index")
    classes = call.array(target, "the target").astype(np.int64)
    chosen = _chosen(scores.shape, classes, None if ignored is None else int(ignored))
    value = moved(call, scores, chosen)
    reduction = call.word("reduction", "mean", "sum", "none")
    if reduction == "none":
        return value
    return call.emit(ops.Reduce(tuple(range(chosen.ndim)), False, reduction), value, ())


def _chosen(shape: Shape, classes: np.ndarray, ignored: int | None) -> np.ndarray:
    """Row-major positions of the scores that the targets name; -1 where a target is left out."""
    outside = np.zeros(classes.shape, dtype=bool) if ignored is None else classes == ignored
    safe = np.where(outside, 0, classes)
    found = np.take_along_axis(places(shape), np.expand_dims(safe, 1), 1).squeeze(1)
    return np.where(outside, -1, found)
