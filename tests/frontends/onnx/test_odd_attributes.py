"""Attributes of ONNX operators at odd settings, against onnxruntime; unknown words; published numbers of parameters."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from support.needs import needs

needs("onnx", "onnxruntime")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from foveal.frontends.trace import trace  # noqa: E402
from foveal.ir.relation import Table  # noqa: E402
from foveal.ir.rules import reads  # noqa: E402


def resize(n: int, scale: float, opset: int = 18, **attributes: Any) -> onnx.ModelProto:
    stored = [
        helper.make_tensor("roi", TensorProto.FLOAT, [0], []),
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


def test_an_unknown_word_is_refused_by_its_name() -> None:
    graph = trace(resize(5, 2.0, mode="linear", coordinate_transformation_mode="half_pixl"))
    assert any("half_pixl" in note.text for note in graph.notes)


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
