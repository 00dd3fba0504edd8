"""Lowering of loss functions: the score of the class that the target names, and its mean or sum."""

from __future__ import annotations

import numpy as np

from foveal.frontends.onnx.lowering.index import moved, places
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, Shape, lowering
from foveal.ir import ops


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
    reduction = str(call.attribute("reduction", "mean"))
    if reduction == "none":
        return value
    return call.emit(ops.Reduce(tuple(range(chosen.ndim)), False, reduction), value, ())


def _chosen(shape: Shape, classes: np.ndarray, ignored: int | None) -> np.ndarray:
    """Row-major positions of the scores that the targets name; -1 where a target is left out."""
    outside = np.zeros(classes.shape, dtype=bool) if ignored is None else classes == ignored
    safe = np.where(outside, 0, classes)
    found = np.take_along_axis(places(shape), np.expand_dims(safe, 1), 1).squeeze(1)
    return np.where(outside, -1, found)
