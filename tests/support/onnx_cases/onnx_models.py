"""Small ONNX models that the tests of the front end share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name: str, shape: Sequence[Any] | None, kind: int = FLOAT) -> Any:
    """The declaration of a tensor."""
    return helper.make_tensor_value_info(name, kind, shape)


def graph(
    nodes: list[NodeProto],
    inputs: list[Any],
    outputs: list[Any],
    arrays: dict[str, np.ndarray] | None = None,
    name: str = "net",
) -> GraphProto:
    """A graph with initialisers by name."""
    stored = [numpy_helper.from_array(array, key) for key, array in (arrays or {}).items()]
    return helper.make_graph(nodes, name, inputs, outputs, stored)


def model(body: GraphProto, opset: int = 17, **extra: Any) -> ModelProto:
    """A model of the standard operators."""
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **extra)


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    """Seeded normal numbers in single precision."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def cnn(size: int | str = 24, opset: int = 17) -> ModelProto:
    """conv3, relu, pool2, conv3 dilated by 2: sizes 3, 3, 4, 12; strides 1, 1, 2, 2."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu0"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w1"], ["y"], name="conv1", dilations=[2, 2], pads=[2, 2, 2, 2]),
    ]
    arrays = {"w0": weights(4, 3, 3, 3), "w1": weights(2, 4, 3, 3)}
    return model(graph(nodes, [info("x", ["N", 3, size, size])], [info("y", None)], arrays), opset)


def mask(length: int = 8) -> ModelProto:
    """Causal attention over T: a triangular mask of minus infinity is added before the softmax."""
    nodes = [
        helper.make_node("MatMul", ["x", "wq"], ["q"], name="query"),
        helper.make_node("MatMul", ["x", "wk"], ["k"], name="key"),
        helper.make_node("Transpose", ["k"], ["kt"], name="turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"], name="scores"),
        helper.make_node("Add", ["s", "m"], ["ms"], name="masked"),
        helper.make_node("Softmax", ["ms"], ["p"], name="softmax", axis=-1),
        helper.make_node("MatMul", ["p", "x"], ["y"], name="mixed"),
    ]
    closed = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    arrays = {"wq": weights(4, 4), "wk": weights(4, 4, seed=1), "m": closed}
    return model(graph(nodes, [info("x", [1, length, 4])], [info("y", None)], arrays))


def branches(known: bool) -> ModelProto:
    """If: a convolution of width 3 or one of width 5, by a constant (true: 3) or by an input."""
    sides = []
    for name, width in (("then", 3), ("else", 5)):
        pad = width // 2
        node = helper.make_node("Conv", ["x", f"w{width}"], [f"{name}_y"], name=f"conv{width}", pads=[pad, pad])
        sides.append(graph([node], [], [info(f"{name}_y", None)], name=name))
    node = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=sides[0], else_branch=sides[1])
    arrays = {"w3": weights(1, 1, 3), "w5": weights(1, 1, 5)}
    inputs = [info("x", [1, 1, 16])]
    if known:
        arrays["c"] = np.asarray(True)
    else:
        inputs.append(info("c", [], BOOL))
    return model(graph([node], inputs, [info("y", None)], arrays))


def loop(turns: int | None, ends: bool = False) -> ModelProto:
    """Loop: ``turns`` convolutions of width 3; None: as many as an input says. ``ends``: data may end it."""
    nodes = [helper.make_node("Conv", ["h", "w"], ["h1"], name="conv", pads=[1, 1])]
    if ends:
        nodes += [
            helper.make_node("ReduceSum", ["h1"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "limit"], ["going"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["going_in"], ["going"]))
    body = graph(
        nodes,
        [info("i", [], INT64), info("going_in", [], BOOL), info("h", [1, 1, 32])],
        [info("going", [], BOOL), info("h1", [1, 1, 32])],
        name="body",
    )
    arrays = {"w": weights(1, 1, 3), "limit": np.asarray(1e9, np.float32)}
    inputs = [info("x", [1, 1, 32])]
    if turns is None:
        inputs.append(info("n", [], INT64))
    else:
        arrays["n"] = np.asarray(turns, np.int64)
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], name="loop", body=body)
    return model(graph([node], inputs, [info("y", [1, 1, 32])], arrays))


def scan(length: int) -> ModelProto:
    """Scan over T: a running sum of (T, 2), which also is the scanned output."""
    body = graph(
        [helper.make_node("Add", ["s", "row"], ["s1"], name="add"), helper.make_node("Identity", ["s1"], ["out"])],
        [info("s", [2]), info("row", [2])],
        [info("s1", [2]), info("out", [2])],
        name="body",
    )
    node = helper.make_node("Scan", ["zero", "x"], ["last", "y"], name="scan", body=body, num_scan_inputs=1)
    arrays = {"zero": np.zeros(2, np.float32)}
    return model(graph([node], [info("x", [length, 2])], [info("last", None), info("y", None)], arrays))


def functions(depth: int = 1, itself: bool = False) -> ModelProto:
    """A local function (conv3, tanh) called twice; with ``itself`` it calls itself."""
    inner = [helper.make_node("Conv", ["fx", "fw"], ["fa"], pads=[1, 1]), helper.make_node("Tanh", ["fa"], ["fy"])]
    if itself:
        inner[1] = helper.make_node("Block", ["fa", "fw"], ["fy"], domain="own")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Block", ["fx", "fw"], ["fy"], inner, opsets)
    nodes = [
        helper.make_node("Block", ["x", "w"], ["h"], name="first", domain="own"),
        helper.make_node("Block", ["h", "w"], ["y"], name="second", domain="own"),
    ]
    body = graph(nodes, [info("x", [1, 1, 16])], [info("y", None)], {"w": weights(1, 1, 3)})
    return helper.make_model(body, opset_imports=opsets, ir_version=8, functions=[function])
