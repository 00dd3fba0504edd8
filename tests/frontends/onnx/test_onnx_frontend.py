"""The ONNX front end: expected receptive fields are hand arithmetic, and onnxruntime's answer to perturbation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnx
from onnx import helper
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import SourceError, TraceError
from foveal.fields.kinds import field
from foveal.fields.receptive_field import unit_bounds
from foveal.ir.graph import Graph
from support.onnx_cases import onnx_models as models

FLOAT16 = onnx.TensorProto.FLOAT16


def sizes(graph: Graph) -> dict[str, tuple[Any, ...]]:
    """Size and stride along the last axis, by layer."""
    found = {}
    for name in graph.layers:
        rf = foveal.receptive_field(graph, name)
        found[name] = (rf.size[-1], rf.stride[-1])
    return found


def agrees(graph: Graph) -> bool:
    pytest.importorskip("onnxruntime")
    return foveal.verify(graph, [name for name in graph.layers if name in graph.backend.tensors]).agrees


def test_names_sizes_and_strides_of_a_small_network() -> None:
    graph = foveal.trace(models.cnn())
    assert sizes(graph) == {"conv0": (3, 1), "relu0": (3, 1), "pool": (4, 2), "conv1": (12, 2), "y": (12, 2)}
    assert foveal.receptive_field(graph, "conv1").status == "exact"
    assert graph.sources[0].name == "x"
    assert graph.values[0].shape == (1, 3, 24, 24)
    assert agrees(graph)


def test_a_file_and_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(models.cnn(), path)
    assert sizes(foveal.trace(path)) == sizes(foveal.trace(models.cnn()))
    done = CliRunner().invoke(app, ["analyze", str(path)])
    assert done.exit_code == 0
    assert "conv1" in done.stdout
    assert "12" in done.stdout
    picture = tmp_path / "field.png"
    done = CliRunner().invoke(app, ["field", str(path), "--layer", "conv1", "-o", str(picture)])
    assert done.exit_code == 0
    assert picture.stat().st_size > 1000


def test_open_lengths_are_asked_for() -> None:
    model = models.cnn("side")
    with pytest.raises(SourceError, match=r"input 'x' \[\?, 3, \?, \?\] has open lengths: .* --input 1,3,224,224"):
        foveal.trace(model)
    graph = foveal.trace(model, (2, 3, 40, 24))
    assert graph.values[0].shape == (2, 3, 40, 24)
    assert agrees(graph)
    with pytest.raises(SourceError, match="no input 'z'; it has x"):
        foveal.trace(model, {"z": (1, 3, 8, 8)})
    with pytest.raises(SourceError, match="input 'x' has 4 axes"):
        foveal.trace(model, (1, 8))


def test_a_layer_that_does_not_fit_is_named() -> None:
    with pytest.raises(TraceError, match=r"layer 'conv0' \(Conv\) does not take inputs of shape \[1, 5, 24, 24\]"):
        foveal.trace(models.cnn(), (1, 5, 24, 24))


def test_nodes_without_a_name_are_operator_and_output() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = foveal.trace(models.model(models.graph([node], [models.info("x", [1, 1, 4])], [models.info("y", None)])))
    assert graph.layers == ["Relu_y", "y"]


def test_a_mask_is_kept_by_value_and_a_bias_is_not() -> None:
    graph = foveal.trace(models.mask(8), axes=(1,))
    rf = foveal.receptive_field(graph, "mixed")
    assert [rf.box((t,), clip=True)[0] for t in (0, 3, 7)] == [(0, 1), (0, 4), (0, 8)]
    assert agrees(graph)
    generic = foveal.trace(models.cnn(), weights="generic")
    assert not [value for value in generic.values if value.kind == "constant"]
    kept = foveal.trace(models.cnn(), weights="values")
    assert [value.shape for value in kept.values if value.kind == "constant"] == [(4, 3, 3, 3), (2, 4, 3, 3)]


@pytest.mark.parametrize(("known", "size"), [(True, 3), (False, 5)])
def test_branches(known: bool, size: int) -> None:
    graph = foveal.trace(models.branches(known))
    rf = foveal.receptive_field(graph, "choice")
    assert rf.size == (size,)
    assert rf.status == "exact"
    assert agrees(graph)
    if not known:
        graph = foveal.trace(models.branches(False), {"c": np.asarray(True)})
        assert foveal.receptive_field(graph, "choice").size == (3,)


def test_loops_are_unrolled_where_their_length_is_known() -> None:
    graph = foveal.trace(models.loop(4))
    assert foveal.receptive_field(graph, "loop").size == (9,)  # 1 + 4 * 2
    assert foveal.receptive_field(graph, "loop/2/conv").size == (7,)
    assert agrees(graph)


@pytest.mark.parametrize(("turns", "ends", "why"), [(None, False, "computed"), (500, False, "64"), (5, True, "data")])
def test_other_loops_are_bounds(turns: int | None, ends: bool, why: str) -> None:
    graph = foveal.trace(models.loop(turns, ends))
    rf = foveal.receptive_field(graph, "loop")
    assert rf.status == "bound"
    assert rf.clipped_size == (32,)
    assert any(note.code == "opaque" and why in note.text for note in graph.notes)


@pytest.mark.parametrize(("length", "status"), [(10, "exact"), (100, "bound")])
def test_scan(length: int, status: str) -> None:
    graph = foveal.trace(models.scan(length), axes=(0,))
    rf = foveal.receptive_field(graph, "scan.1")
    assert rf.status == status
    assert graph.values[graph.layer("scan.1").value].shape == (length, 2)
    last = unit_bounds(graph, "scan.1", "x")[0][1]
    expected = np.arange(length) if status == "exact" else np.full(length, length - 1)
    np.testing.assert_array_equal(np.broadcast_to(last, (length, 2))[:, 0], expected)
    assert agrees(graph)


def test_local_functions_are_expanded() -> None:
    graph = foveal.trace(models.functions())
    assert foveal.receptive_field(graph, "y").size == (5,)
    assert agrees(graph)


def test_shapes_that_the_model_computes() -> None:
    """Flatten by Shape, Gather, Concat, Reshape, as PyTorch's exporter writes x.view(x.size(0), -1)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "w"], ["y"], name="fc"),
    ]
    arrays = {
        "zero": np.asarray(0), "axes": np.asarray([0]), "rest": np.asarray([-1]), "w": models.weights(12, 5),
    }  # fmt: skip
    graph = foveal.trace(
        models.model(models.graph(nodes, [models.info("x", ["N", 3, 4])], [models.info("y", None)], arrays))
    )
    assert [node.origin for node in graph.nodes] == ["Reshape", "Gemm"]
    assert foveal.receptive_field(graph, "fc").size == (4,)
    assert agrees(graph)


def test_float16() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1])
    arrays = {"w": models.weights(1, 1, 3).astype(np.float16)}
    body = models.graph([node], [models.info("x", [1, 1, 9], FLOAT16)], [models.info("y", None, FLOAT16)], arrays)
    graph = foveal.trace(models.model(body))
    assert foveal.receptive_field(graph, "conv").size == (3,)


def test_quantised_by_pairs() -> None:
    """QuantizeLinear and DequantizeLinear around a convolution whose weights are stored as int8."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], name="dequantize"),
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w"], name="weights"),
        helper.make_node("Conv", ["d", "w"], ["y"], name="conv", pads=[1, 1], strides=[2]),
    ]
    arrays = {
        "scale": np.asarray(0.1, np.float32), "zero": np.asarray(0, np.int8),
        "w8": np.asarray([[[3, -2, 5]]], np.int8),
    }  # fmt: skip
    graph = foveal.trace(
        models.model(models.graph(nodes, [models.info("x", [1, 1, 16])], [models.info("y", None)], arrays))
    )
    assert graph.layers == ["quantize", "dequantize", "conv", "y"]
    assert sizes(graph)["conv"] == (3, 2)
    assert agrees(graph)


@pytest.mark.parametrize("declared", [True, False])
def test_an_operator_that_nobody_knows(declared: bool) -> None:
    """A bound where the file says the shape of its output; else the trace ends before it."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Riddle", ["r"], ["q"], name="riddle", domain="nobody.knows"),
        helper.make_node("Relu", ["q"], ["y"], name="after"),
    ]
    body = models.graph(nodes, [models.info("x", [1, 1, 8])], [models.info("y", [1, 1, 8])])
    if declared:
        body.value_info.append(models.info("q", [1, 1, 8]))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("nobody.knows", 1)]
    graph = foveal.trace(helper.make_model(body, opset_imports=opsets, ir_version=8))
    found = {finding.code for finding in foveal.analyze(graph).findings}
    if declared:
        assert foveal.receptive_field(graph, "after").status == "bound"
        assert "operation-without-rule" in found
    else:
        assert graph.layers == ["relu"]
        assert "partial" in found


def test_a_shape_that_data_decides_is_seen_in_one_run() -> None:
    pytest.importorskip("onnxruntime")
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("NonZero", ["r"], ["places"], name="places"),
    ]
    body = models.graph(nodes, [models.info("x", [1, 1, 64])], [models.info("places", None, models.INT64)])
    graph = foveal.trace(models.model(body))
    rank, count = graph.values[graph.layer("places").value].shape
    assert rank == 3
    assert 10 < count < 54
    assert foveal.receptive_field(graph, "places").status == "data-dependent"


def test_external_data_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "apart.onnx"
    onnx.save(models.cnn(), path, save_as_external_data=True, location="apart.bin", size_threshold=0)
    graph = foveal.trace(path)
    assert sizes(graph)["conv1"] == (12, 2)
    assert agrees(graph)


def test_measured_field_is_the_derivative() -> None:
    """A linear layer: the derivative at each position is the kernel itself, here summed over its 2 features."""
    pytest.importorskip("onnxruntime")
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[2, 2])
    kernel = models.weights(2, 1, 5)
    body = models.graph([node], [models.info("x", [1, 1, 17])], [models.info("y", None)], {"w": kernel})
    found = field(foveal.trace(models.model(body)), "conv", kind="gradient", protocol="luo2016")
    assert "finite differences with onnxruntime" in found.method
    assert found.origin == (6,)
    np.testing.assert_allclose(found.values, np.abs(kernel.sum((0, 1))), rtol=1e-4, atol=1e-5)


def test_operator_sets_from_7_on() -> None:
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        assert sizes(foveal.trace(models.cnn(opset=opset)))["conv1"] == (12, 2), opset
    with pytest.raises(SourceError, match=r"operator set 6 is older than 7: convert it with onnx.version_converter"):
        foveal.trace(models.cnn(opset=6))
    with pytest.raises(SourceError, match=r"operator set 999 is newer than .*: update onnx"):
        foveal.trace(models.cnn(opset=999))


def test_energy_of_a_file_is_that_of_the_same_module() -> None:
    """Weights as constants of the graph, a norm's numbers, slopes: by name, as PyTorch keeps them in modules."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    slopes = [torch.nn.PReLU(4, 0.3), torch.nn.LeakyReLU(0.2)]
    first, norm, last = torch.nn.Conv1d(1, 4, 3), torch.nn.BatchNorm1d(4, eps=1e-3), torch.nn.Conv1d(4, 2, 3)
    norm.weight.data.uniform_(0.5, 2)
    norm.running_var.uniform_(0.5, 2)
    net = torch.nn.Sequential(first, norm, slopes[0], last, slopes[1]).eval()
    held = {"a": first.weight, "g": norm.weight, "b": norm.bias, "m": norm.running_mean, "v": norm.running_var,
            "p": slopes[0].weight[:, None], "l": last.weight}  # fmt: skip
    constants = [helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(item.detach().numpy()))
                 for name, item in held.items()]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["1"], "conv"),
        helper.make_node("BatchNormalization", ["1", "g", "b", "m", "v"], ["2"], "norm", epsilon=1e-3),
        helper.make_node("PRelu", ["2", "p"], ["3"], "slope"),
        helper.make_node("Conv", ["3", "l"], ["4"], "last"),
        helper.make_node("LeakyRelu", ["4"], ["y"], "leak", alpha=0.2),
    ]
    given, made = (helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [1, 1, 12]), ("y", [1, 2, 8])))
    model = helper.make_model(helper.make_graph([*constants, *nodes], "net", [given], [made]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    found, expected = foveal.trace(model), foveal.trace(net, (1, 1, 12))
    for detail in ("squares", "model"):
        one = field(found, found.layers[-1], "energy", weights=detail)
        two = field(expected, expected.layers[-1], "energy", weights=detail)
        np.testing.assert_allclose(one.values, two.values, rtol=1e-5)
