"""Which numbers of a file count as parameters.

Floating tensors that the file stores and some node reads; and those that it makes in place, by ConstantOfShape or as a
Constant, where they stand in a slot for weights. Counted as PyTorch does: the running mean and variance of a
BatchNormalization (its slots 3 and 4) are statistics. Caffe's networks have the norm and its scale apart: where
a norm feeds straight into a product and a sum with weights, these are its scale and shift, and its own stand for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, helper

from foveal.frontends.onnx.load import numbers
from foveal.frontends.onnx.nodes.constants import constant_node, stored

SLOTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "DeformConv", "InstanceNormalization", "LayerNormalization"), (1, 2, 4)),
    **dict.fromkeys(("GroupNormalization", "RMSNormalization", "BatchNormalization", "PRelu", "Einsum"), (1, 2)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2, 3, 7)),
    "Gemm": (0, 1, 2), "MatMul": (0, 1), "Gather": (0,),
}  # fmt: skip
"""Where an operator takes weights."""
SCALING = ("Mul", "Add", "Sub", "Div")
"""Operators that take weights or plain numbers: a tensor made in place of zeros or of a single number is no weight."""
STATISTICS = {"BatchNormalization": (3, 4)}
MOVES = ("Unsqueeze", "Squeeze", "Reshape", "Transpose", "Flatten", "Identity", "Cast", "Expand")


def weights_of(graph: GraphProto, folder: Path | None) -> tuple[dict[str, int], dict[str, str]]:
    """Name of each tensor that counts -> how many numbers it holds; name of a tensor -> what it is a moved copy of."""
    nodes = list(_all_nodes(graph))
    kept = {t.name: prod(t.dims) for t in graph.initializer if stored(t, None).dtype.kind not in "biuOSU"}
    shapes: dict[str, Callable[[], Any]] = {t.name: partial(numbers, t, folder) for t in graph.initializer}
    made: dict[str, tuple[int, bool]] = {}
    for node in nodes:
        if node.op_type == "Constant":
            constant = constant_node(node, folder)
            shapes[node.output[0]] = partial(lambda x: x.array, constant)
            if constant.dtype.kind not in "biuOSU":
                made[node.output[0]] = (prod(constant.shape), prod(constant.shape) > 1)
        elif node.op_type == "ConstantOfShape" and node.input and node.input[0] in shapes:
            fill = next((a.t for a in node.attribute if a.name == "value"), None)
            dtype = np.dtype(np.float32) if fill is None else np.dtype(helper.tensor_dtype_to_np_dtype(fill.data_type))
            lengths = np.asarray(shapes[node.input[0]]()).reshape(-1).tolist()
            if dtype.kind not in "biuOSU":
                nonzero = fill is not None and bool(np.any(stored(fill, None).array))
                made[node.output[0]] = (prod(lengths), nonzero and prod(lengths) > 1)
    origin = origins(nodes)
    return _read(nodes, kept, made, origin), origin


def _read(
    nodes: list[NodeProto], kept: dict[str, int], made: dict[str, tuple[int, bool]], origin: dict[str, str]
) -> dict[str, int]:
    placeholders = _placeholders(nodes, set(kept) | set(made), origin)
    found: dict[str, int] = {}
    for node in nodes:
        for slot, given in enumerate(node.input):
            name = origin.get(given, given)
            if (
                node.op_type in MOVES
                or slot in STATISTICS.get(node.op_type, ())
                or (given, node.op_type) in placeholders
            ):
                continue
            if name in kept:
                found[name] = kept[name]
            elif name in made and (slot in SLOTS.get(node.op_type, ()) or (node.op_type in SCALING and made[name][1])):
                found[name] = made[name][0]
    return found


def origins(nodes: list[NodeProto]) -> dict[str, str]:
    """Name of a tensor -> the tensor that it is a reshaped copy of."""
    origin: dict[str, str] = {}
    for node in nodes:
        if node.op_type in MOVES and node.input and node.output:
            origin[node.output[0]] = origin.get(node.input[0], node.input[0])
    return origin


def _placeholders(nodes: list[NodeProto], weights: set[str], origin: dict[str, str]) -> set[tuple[str, str]]:
    """Scale and shift of the norms that are followed by others."""
    users: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = set()
    for node in nodes:
        if node.op_type == "BatchNormalization":
            product = _only(users, node, "Mul", weights, origin)
            if product is not None and _only(users, product, "Add", weights, origin) is not None:
                found |= {(name, node.op_type) for name in node.input[1:3]}
    return found


def _only(
    users: dict[str, list[NodeProto]], node: NodeProto, kind: str, weights: set[str], origin: dict[str, str]
) -> NodeProto | None:
    """The one node of ``kind`` that takes the first output of ``node``, and weights beside it."""
    found = users.get(node.output[0], [])
    if len(found) != 1 or found[0].op_type != kind:
        return None
    return found[0] if any(origin.get(name, name) in weights for name in found[0].input) else None


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
                yield from _all_nodes(inner)


_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
