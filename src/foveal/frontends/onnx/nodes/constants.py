"""What is known by value: stored tensors, Constant nodes, and whatever is computed from these alone.

Known operators are evaluated one at a time by the onnx package's own reference evaluator, on small tensors only.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto

from foveal.core.errors import SourceError
from foveal.frontends import tables
from foveal.frontends.onnx.load import check_dimensions, first_line, numbers
from foveal.frontends.onnx.lowering.table import Operand

LARGEST = 1 << 22
"""Elements of an operand or a result that is still evaluated."""
SLOW = {"Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "MatMul", "Gemm", "Einsum", "DFT", "STFT", "Resize",
        "GridSample", "MatMulInteger", "QLinearMatMul", "QLinearConv", "ConvInteger", "Attention", "Loop", "Scan",
        "RoiAlign", "MaxRoiPool", "NonMaxSuppression", "DeformConv", "Col2Im", "MaxUnpool", "TfIdfVectorizer", "LpPool",
        "MaxPool", "AveragePool", "Det", "AffineGrid", "CastLike"}  # fmt: skip
SLOW_LARGEST = 1 << 12
OPEN_SIZE = {"NonZero", "Compress", "Unique", "StringSplit"}
"""Operators whose result is no larger than a few times what they read."""
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
LEAST_MASK = -100.0


def stored(tensor: TensorProto, folder: Path | None, name: str = "") -> Operand:
    """An operand whose numbers stay where they are until they are asked for; by the tensor's name or another."""
    shape = check_dimensions(tensor.dims, tensor.name)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    outside = tensor.data_location == TensorProto.EXTERNAL
    look = partial(numbers, tensor, folder, seen=True) if outside else None
    return Operand(shape, dtype, partial(numbers, tensor, folder), name=name or tensor.name, look=look)


def known(array: np.ndarray, name: str = "") -> Operand:
    """An operand known by value."""
    array = np.asarray(array)
    return Operand(array.shape, array.dtype, lambda: array, name=name)


def constant_node(node: NodeProto, folder: Path | None) -> Operand:
    """The value of a Constant node."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return stored(attribute.t, folder, node.output[0])
        if attribute.name == "sparse_value":
            return known(_dense(attribute.sparse_tensor, folder))
        if attribute.name in ("value_float", "value_floats"):
            return known(np.asarray(onnx.helper.get_attribute_value(attribute), np.float32))
        if attribute.name in ("value_int", "value_ints"):
            return known(np.asarray(onnx.helper.get_attribute_value(attribute), np.int64))
        if attribute.name in ("value_string", "value_strings"):
            return known(np.asarray(onnx.helper.get_attribute_value(attribute), object))
    raise SourceError("a Constant node has no value")


def _dense(sparse: onnx.SparseTensorProto, folder: Path | None) -> np.ndarray:
    shape = check_dimensions(sparse.dims, sparse.values.name)
    if prod(shape) > LARGEST * 16:
        raise SourceError(f"the sparse tensor '{sparse.values.name}' of shape {list(shape)} is too large to fill")
    values, indices = numbers(sparse.values, folder), numbers(sparse.indices, folder)
    dense = np.zeros(shape, values.dtype)
    try:
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, ValueError) as error:
        raise SourceError(f"the sparse tensor '{sparse.values.name}' is damaged: {first_line(error)}") from error
    return dense


def sparse(tensor: onnx.SparseTensorProto, folder: Path | None) -> Operand:
    """A sparse initialiser, filled when its numbers are asked for."""
    shape = check_dimensions(tensor.dims, tensor.values.name)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.values.data_type))
    return Operand(shape, dtype, lambda: _dense(tensor, folder), name=tensor.values.name)


def may_fold(node: NodeProto, inputs: Sequence[Operand | None], shapes: Sequence[tuple[int, ...] | None]) -> bool:
    """Whether a node of known inputs is small and quick enough to evaluate."""
    if node.op_type in RANDOM or any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        return False
    limit = SLOW_LARGEST if node.op_type in SLOW else LARGEST
    if any(shape is None for shape in shapes) and node.op_type not in OPEN_SIZE:
        return False
    sizes = [prod(x.shape) for x in inputs if x is not None] + [prod(s) for s in shapes if s is not None]
    return sum(sizes) <= limit


def fold(node: NodeProto, inputs: Sequence[Operand | None], opsets: dict[str, int]) -> list[np.ndarray] | None:
    """The outputs of a node whose inputs are all known; None where the reference evaluator has no answer."""
    if node.op_type == "ConstantOfShape" and not node.domain:
        return [_constant_of_shape(node, inputs)]
    from onnx.reference import ReferenceEvaluator

    feeds = {name: x.array for name, x in zip(node.input, inputs, strict=False) if name and x is not None}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(node, opsets=dict(opsets)).run(None, feeds)
    except SourceError:
        raise
    except Exception:  # the evaluator meets a damaged node, or one it does not know, in many ways
        return None
    found = [np.asarray(item) for item in results if not isinstance(item, list)]
    return found if len(found) == len(results) else None


def _constant_of_shape(node: NodeProto, inputs: Sequence[Operand | None]) -> np.ndarray:
    """One number seen through a shape: no memory is taken."""
    fill: Any = np.float32(0)
    for attribute in node.attribute:
        if attribute.name == "value":
            fill = numbers(attribute.t, None).reshape(-1)[:1]
    shape = inputs[0].array if inputs and inputs[0] is not None else np.zeros(0, np.int64)
    return np.broadcast_to(
        np.asarray(fill).reshape(()), check_dimensions(np.asarray(shape).reshape(-1), node.output[0])
    )


def decides(array: np.ndarray) -> bool:
    """Whether the numbers of a float array say what is read: a mask of 0 and 1, entries of -100 or less, a zero, a
    matrix of bands (a filter bank, a graph, a decay); any number that stands alone may scale or shift a mask.
    """
    if array.ndim == 0:
        return True
    if array.size == 1:
        number = float(array.reshape(-1)[0])
        return number == 0 or number <= LEAST_MASK
    if array.size == 0 or array.size > 16 * LARGEST:
        return False
    if bool((array <= LEAST_MASK).any()):
        return True
    zeros = int((array == 0).sum())
    if 0 < zeros < array.size and zeros + int((array == 1).sum()) == array.size:
        return True
    return zeros > 0 and tables.banded(array)
