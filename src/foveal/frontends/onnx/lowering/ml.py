"""Lowering of the ``ai.onnx.ml`` operators: features in the last axis, one sample a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.frontends.onnx.lowering.reduce import whole_axes
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, lowering
from foveal.ir import ops

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
    found: list[Any] = []
    for shape in call.shapes[: max(1, call.wanted)]:
        if len(shape) == 1:
            found.append(call.emit(ops.Reduce((1,), False, call.name), row, (row.shape[0],)))
        else:
            found.append(whole_axes(call, row, (1,), call.name, shape))
    return found
