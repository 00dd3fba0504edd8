"""Attributes of ONNX operators at odd settings, against onnxruntime; unknown words; published numbers of parameters."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pytest

from support.needs import needs

needs("onnx", "onnxruntime")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from foveal.core.errors import FovealError  # noqa: E402
from foveal.fields.kinds import field  # noqa: E402
from foveal.frontends.onnx.lowering.resample import COORDINATES, ROUNDINGS  # noqa: E402
from foveal.frontends.trace import trace  # noqa: E402
from foveal.ir.relation import Table  # noqa: E402
from foveal.ir.rules import reads  # noqa: E402


def resize(n: int, scale: float, opset: int = 18, **attributes: Any) -> onnx.ModelProto:
    stored = [
        helper.make_tensor("roi", TensorProto.FLOAT, [8], [0, 0, 0, 0.2, 1, 1, 1, 0.9]),
        helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, scale]),
    ]
    node = helper.make_node("Resize", ["x", "roi", "scales"], ["y"], name="resize", **attributes)
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, n])]
    ends.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weights(model: onnx.ModelProto, n: int) -> np.ndarray:
    graph, matrix = trace(model), np.eye(n)
    for node in graph.nodes:
        (read,) = reads(node.op, tuple(graph.values[i].shape for i in node.inputs), graph.values[node.output].shape)
        for step in read.relation:
            if isinstance(step, Table) and step.axis == 3:
                line = np.zeros((step.n_out, step.n_in))
                for o, k in zip(*np.nonzero(step.clipped >= 0), strict=True):
                    line[o, step.clipped[o, k]] += 1 if step.weights is None else step.weights[o, k]
                matrix = line @ matrix
    return matrix


@pytest.mark.parametrize(("n", "scale"), [(5, 1.5), (5, 0.7), (7, 2.3), (4, 1.2), (3, 2.0)])
@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "cubic", "coordinate_transformation_mode": "align_corners"},
        {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
        {"mode": "linear", "antialias": 1},
        {"mode": "cubic", "antialias": 1},
        {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5},
        {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn", "opset": 11},
        *({"mode": "nearest", "nearest_mode": r} for r in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")),
    ],
)
def test_resize_reads_as_onnxruntime_does(attributes: dict[str, Any], n: int, scale: float) -> None:
    model = resize(n, scale, **attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    lines = np.eye(n, dtype=np.float32)
    wanted = [session.run(None, {"x": np.stack([line, line])[None, None]})[0][0, 0, 1] for line in lines]
    assert np.abs(weights(model, n) - np.stack(wanted, axis=1)).max() < 1e-3


def _settings() -> Iterator[tuple[int, float, dict[str, Any]]]:
    rng = random.Random(0)
    modes = [{"mode": "nearest", "nearest_mode": r} for r in ROUNDINGS]
    modes += [{"mode": "linear"}, {"mode": "linear", "antialias": 1}, {"mode": "cubic"}]
    modes += [{"mode": "cubic", "exclude_outside": 1}, {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5}]
    for mode, way in product(modes, COORDINATES):
        for scale in (rng.choice([1 / 3, 0.3333333, 0.6, 0.7, 1.2, 2.3]), rng.uniform(0.3, 3)):
            opset = 11 if way == "tf_half_pixel_for_nn" and "antialias" not in mode else 19
            yield rng.randint(4, 24), scale, {**mode, "coordinate_transformation_mode": way, "opset": opset}


def test_every_resize_gives_weights_to_the_elements_that_onnxruntime_reads() -> None:
    for n, scale, attributes in _settings():
        model = resize(n, scale, **attributes)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        lines = np.eye(n, dtype=np.float32)
        wanted = [session.run(None, {"x": np.stack([line, line])[None, None]})[0][0, 0, 1] for line in lines]
        assert ((weights(model, n) != 0) == (np.stack(wanted, axis=1) != 0)).all(), (n, scale, attributes)


@pytest.mark.parametrize(
    ("kind", "shape", "numbers", "attributes"),
    [
        ("Resize", (1, 1, 2, 5), None, {"coordinate_transformation_mode": "half_pixl"}),
        ("Conv", (1, 2, 6, 6), (2, 2, 3, 3), {"auto_pad": "SAME_LOWR"}),
        ("ConvTranspose", (1, 2, 6, 6), (2, 2, 3, 3), {"output_shape": [100, 9]}),
        ("Conv", (1, 2, 6, 6), (2, 2, 3, 3), {"kernel_shape": [5, 5]}),
        ("Transpose", (1, 2, 6, 6), None, {"perm": [0, 1]}),
        ("LRN", (1, 2, 6, 6), None, {"size": 0}),
        ("MaxPool", (1, 2, 6, 6), None, {"kernel_shape": [2, 2], "storage_order": 3}),
        ("GridSample", (1, 2, 6, 6), (1, 3, 3, 2), {"padding_mode": "wrap"}),
        ("Gelu", (1, 2, 6), None, {"approximate": "odd"}),
        ("DepthToSpace", (1, 4, 3, 3), None, {"blocksize": 2, "mode": "DRC"}),
        ("ReduceMean", (1, 2, 6), None, {"keepdims": 2}),
        ("LpNormalization", (1, 2, 6), None, {"p": 3}),
        ("RNN", (5, 1, 2), (1, 3, 2), {"hidden_size": 3, "activations": ["Tahn"]}),
        ("RNN", (5, 1, 2), (1, 3, 2), {"hidden_size": 3, "direction": "forwards"}),
        ("LayerNormalization", (1, 2, 6), (6,), {"stash_type": 99}),
        ("DeformConv", (1, 4, 6, 6), (2, 4, 3, 3), {"offset_group": 3}),
        ("FusedConv", (1, 2, 6, 6), (2, 2, 3, 3), {"activation": "Reluu"}),
    ],
)
def test_an_unknown_value_is_refused_with_its_attribute(
    kind: str, shape: tuple[int, ...], numbers: tuple[int, ...] | None, attributes: dict[str, Any]
) -> None:
    stored = [] if numbers is None else [numpy_helper.from_array(np.ones(numbers, np.float32), "w")]
    if kind == "RNN":
        stored.append(numpy_helper.from_array(np.ones((1, 3, 3), np.float32), "r"))
    if kind == "Resize":
        stored.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    if kind == "DeformConv":
        stored.append(numpy_helper.from_array(np.zeros((1, 54, 4, 4), np.float32), "offset"))
    names = ["x", *([""] if kind == "Resize" else []), *(item.name for item in stored)]
    domain = "com.microsoft" if kind == "FusedConv" else ""
    node = helper.make_node(kind, names, ["y"], name="odd", domain=domain, **attributes)
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    ends.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], stored)
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    name, value = list(attributes.items())[-1]
    try:
        said = " ".join(note.text for note in trace(model).notes)
    except FovealError as error:
        said = str(error)
    assert name in said
    assert str(value).strip("[]'") in said


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet50", 25_557_032),
        ("bvlc_alexnet", 60_965_224),
        ("vgg19", 143_667_240),
        ("squeezenet", 1_235_496),
        ("densenet121", 7_978_856),
    ],
)
def test_weights_made_in_place_are_counted(name: str, count: int) -> None:
    path = files("onnx") / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    graph = trace(str(path))
    assert graph.parameters == count
    assert sum(layer.parameters for layer in graph.layer_table.values()) == count


def test_shares_of_a_mean_and_of_a_product_count_in_the_energy() -> None:
    """Half of each operand of a Mean; alpha and beta of a Gemm of the identity's kind, its weights at unit gain."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 9])]
    weights = [numpy_helper.from_array(np.ones((2, 2, 3), np.float32), "w")]
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1]), helper.make_node("Mean", ["x", "c"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    found = field(trace(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, weights))), "y", "energy")
    assert (found.full()[3:6], found.status) == (pytest.approx([1 / 12, 1 / 4 + 1 / 12, 1 / 12]), "exact")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [9, 2])]
    weights = [numpy_helper.from_array(np.ones((2, 2), np.float32), "w")]
    nodes = [helper.make_node("Gemm", ["x", "w", "x"], ["y"], alpha=2.0, beta=0.5)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, weights))
    found = field(trace(model, axes=(0,)), "y", "energy")
    assert (found.values, found.status) == (pytest.approx([4 + 1 / 4]), "exact")
