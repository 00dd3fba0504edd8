"""The weights of a file stay in it until their numbers are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import foveal
from foveal.core.errors import SourceError
from foveal.frontends.onnx import load
from foveal.frontends.onnx.nodes import slim
from foveal.ir.graph import Graph

SIDE = 520
"""The kernel of this many features takes over a megabyte."""


def saved(path: Path, sparse: bool = False) -> Path:
    """A convolution, and a product over positions with a large matrix: free, or of neighbours."""
    rng = np.random.default_rng(0)
    matrix = np.eye(SIDE, k=1) + np.eye(SIDE) if sparse else rng.standard_normal((SIDE, SIDE))
    stored = {"kernel": rng.standard_normal((2, 2, 3)), "matrix": matrix, "shift": rng.standard_normal((2, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["y"], "conv", pads=[1, 1]),
        helper.make_node("MatMul", ["y", "matrix"], ["z"], "mixed"),
        helper.make_node("Add", ["z", "shift"], ["out"], "shifted"),
    ]
    given, made = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2, SIDE]) for n in ("x", "out"))
    held = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in stored.items()]
    model = helper.make_model(helper.make_graph(nodes, "net", [given], [made], held), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    onnx.save(model, path)
    return path


def content(graph: Graph) -> tuple[object, ...]:
    values = [(v.shape, v.kind, v.name, None if v.data is None else v.data.tobytes()) for v in graph.values]
    return values, graph.nodes, graph.layer_table, graph.parameters, graph.notes


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_is_traced_without_its_weights(tmp_path: Path, sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = saved(tmp_path / "net.onnx", sparse), [0]
    part = slim._Bytes.part

    def counted(self: slim._Bytes, start: int, end: int) -> bytes:
        found = part(self, start, end)
        read[0] += len(found)
        return found

    monkeypatch.setattr(slim._Bytes, "part", counted)
    file = load.read_file(path)
    assert read[0] < 12 * slim.BLOCK
    assert file.model.ByteSize() < 2000 < path.stat().st_size / 500
    graph, whole = foveal.trace(path), foveal.trace(path.read_bytes(), name="net")
    assert content(graph) == content(whole)
    assert (graph.values[graph.nodes[1].inputs[1]].kind == "constant") == sparse

    assert graph.backend is not None
    array = graph.backend.array("matrix")
    assert array is not None
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    assert np.array_equal(array, held["matrix"])
    array[0, 0] = 1  # a copy
    inputs = graph.backend.example(0)
    assert whole.backend is not None
    ours, others = (g.backend.run(inputs, ["conv", "mixed"]) for g in (graph, whole) if g.backend)
    assert all(np.array_equal(ours[name], others[name]) for name in ours)


def test_a_file_that_was_written_anew_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.onnx")
    graph = foveal.trace(path)
    saved(path, sparse=True)
    assert graph.backend is not None
    with pytest.raises(SourceError, match=r"'matrix' was in 'net\.onnx', which has been written anew since"):
        graph.backend.array("matrix")


def test_a_link_and_a_damaged_file_are_read_as_ever(tmp_path: Path) -> None:
    path, apart = saved(tmp_path / "net.onnx"), tmp_path / "apart"
    apart.mkdir()
    link = apart / "net.onnx"
    link.symlink_to(path)
    assert content(foveal.trace(link)) == content(foveal.trace(path))
    data = path.read_bytes()
    path.write_bytes(data[:-5000])
    with pytest.raises(SourceError, match="not an ONNX model"):
        foveal.trace(path)
    model = onnx.load_from_string(data)
    model.graph.initializer[1].dims[0] = SIDE - 1
    onnx.save(model, path)
    needed = rf"'matrix' of shape \[{SIDE - 1}, {SIDE}\] has {4 * SIDE * SIDE} bytes where {4 * SIDE * (SIDE - 1)}"
    with pytest.raises(SourceError, match=needed):
        foveal.trace(path)
