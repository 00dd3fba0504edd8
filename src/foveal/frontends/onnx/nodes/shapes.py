"""Shapes and element types of what one node makes, by the onnx package's own inference, from concrete inputs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import NodeProto, TypeProto, helper, shape_inference

from foveal.core.errors import TraceError
from foveal.frontends.onnx.load import check_dimensions, first_line, title
from foveal.frontends.onnx.lowering.table import Item, Operand

Schema = Any  # an ``onnx.defs.OpSchema``, whose stubs leave much out; None where there is none
SHAPING = 4096
"""Elements of an operand whose numbers may say a shape."""


class Made(NamedTuple):
    """What is known about one output: its shape, None where data decides it; its element type; whether a tensor."""

    shape: tuple[int, ...] | None
    dtype: np.dtype[np.generic]
    tensor: bool = True


UNKNOWN = Made(None, np.dtype(np.float32))


def schema_of(node: NodeProto, opsets: dict[str, int]) -> Schema:
    """The operator's schema in the model's version; None for one that the onnx package does not know."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    return _schema(node.op_type, opsets.get(domain, 1), domain)


@lru_cache(maxsize=512)
def _schema(operator: str, version: int, domain: str) -> Schema:
    try:
        return onnx.defs.get_schema(operator, version, domain)
    except onnx.defs.SchemaError:
        return None


def infer(node: NodeProto, schema: Schema, inputs: Sequence[Item], opsets: dict[str, int]) -> list[Made]:
    """One record per output of the node. Raises TraceError where its inputs do not fit it."""
    if schema is None:
        return [UNKNOWN] * len(node.output)
    key = _alike(node, inputs, opsets)
    if key is None:
        return _infer(node, schema, inputs, opsets)
    made = _INFERRED.get(key)
    if made is None:
        made = _infer(node, schema, inputs, opsets)
        if len(_INFERRED) >= KEPT:
            _INFERRED.clear()  # of other threads as well: nothing is read from it twice
        _INFERRED[key] = made
    return list(made)


KEPT = 2048
"""Nodes whose shapes are kept for others that are alike: blocks of a network repeat."""
_INFERRED: dict[Hashable, list[Made]] = {}


def _alike(node: NodeProto, inputs: Sequence[Item], opsets: dict[str, int]) -> Hashable | None:
    """All that the shapes of a node follow from; None where that is much."""
    given: list[Hashable] = []
    for name, x in zip(node.input, inputs, strict=False):
        if isinstance(x, list) or (isinstance(x, Operand) and x.known and x.dtype.kind in "OSU"):
            return None
        if not name or x is None:
            given.append(None)
            continue
        shaping = x.known and prod(x.shape) <= SHAPING and _may_shape(x, node)
        if shaping and prod(x.shape) > SHORT:
            return None
        given.append((x.shape, x.dtype, np.asarray(x.array).tobytes() if shaping else b""))
    settings = [attribute.SerializeToString(deterministic=True) for attribute in node.attribute]
    if sum(map(len, settings)) > 16 * SHORT:
        return None
    wanted = tuple(map(bool, node.output))
    return node.op_type, node.domain, tuple(settings), tuple(given), len(node.input), wanted, tuple(opsets.items())


SHORT = 64
"""Numbers of an operand that nodes are compared by."""


def _infer(node: NodeProto, schema: Schema, inputs: Sequence[Item], opsets: dict[str, int]) -> list[Made]:
    _check_channels(node, inputs)
    types: dict[str, TypeProto] = {}
    data = {}
    for name, x in zip(node.input, inputs, strict=False):
        if not name or x is None:
            continue
        types[name] = type_of(x)
        if isinstance(x, Operand) and x.known and prod(x.shape) <= SHAPING and _may_shape(x, node):
            data[name] = onnx.numpy_helper.from_array(np.asarray(x.array))
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        made = shape_inference.infer_node_outputs(schema, node, types, data or None, opset_imports=imports)
    except Exception as error:  # the inference knows several kinds of complaint
        raise TraceError(
            f"layer {title(node)} does not take inputs of shape {_shapes(inputs)}: {first_line(error)}"
        ) from error
    found = [read_type(made.get(name), name) if name else UNKNOWN for name in node.output]
    if node.op_type == "Dropout" and len(found) == 2 and found[1].shape is None:
        found[1] = Made(found[0].shape, np.dtype(np.bool_))  # the mask, which old versions leave out
    return found


def _check_channels(node: NodeProto, inputs: Sequence[Item]) -> None:
    """The one mismatch that the inference lets pass: a convolution over more or fewer channels than its kernel has."""
    if node.op_type not in ("Conv", "ConvTranspose") or len(inputs) < 2:
        return
    x, kernel = inputs[0], inputs[1]
    if not isinstance(x, Operand) or not isinstance(kernel, Operand) or x.rank < 3 or kernel.rank < 3:
        return
    groups = next((int(a.i) for a in node.attribute if a.name == "group"), 1)
    wanted = kernel.shape[0] if node.op_type == "ConvTranspose" else kernel.shape[1] * groups
    if x.shape[1] != wanted or groups < 1 or kernel.shape[0] % groups:
        raise TraceError(
            f"layer {title(node)} does not take inputs of shape {_shapes(inputs)}: "
            f"the kernel has {wanted} channels, the input {x.shape[1]}"
        )


def _may_shape(x: Operand, node: NodeProto) -> bool:
    return x.dtype.kind in "iu" or node.op_type in ("Resize", "Upsample", "Range")


def _shapes(inputs: Sequence[Item]) -> str:
    return ", ".join(str(list(x.shape)) for x in inputs if isinstance(x, Operand)) or "none"


def type_of(x: Operand | list[Operand]) -> TypeProto:
    """The type of an operand or of a sequence of them."""
    if isinstance(x, list):
        inner = helper.make_tensor_type_proto(_number(x[0].dtype) if x else 1, None)
        return helper.make_sequence_type_proto(inner)
    return helper.make_tensor_type_proto(_number(x.dtype), x.shape)


def _number(dtype: np.dtype[np.generic]) -> int:
    return onnx.TensorProto.STRING if dtype.kind in "OSU" else helper.np_dtype_to_tensor_dtype(dtype)


def read_type(found: TypeProto | None, name: str) -> Made:
    """Shape and element type; the shape is None unless every length is known."""
    if found is None:
        return UNKNOWN
    if not found.HasField("tensor_type"):
        return Made(None, UNKNOWN.dtype, tensor=False)
    tensor = found.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else UNKNOWN.dtype
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return Made(None, dtype)
    return Made(check_dimensions([d.dim_value for d in tensor.shape.dim], name), dtype)
