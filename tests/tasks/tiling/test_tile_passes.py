"""Tiling in passes: networks with global means, against onnxruntime on the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.tiling.passes import run_in_passes
from support.needs import needs

onnx = needs("onnx")
runtime = needs("onnxruntime")
trace_model = needs("foveal.frontends.onnx.trace").trace_model
make = onnx.helper
SIZE = (96, 80)


class Net:
    """A small network that grows node by node."""

    def __init__(self, channels: int = 4) -> None:
        self.random = np.random.default_rng(0)
        self.channels, self.nodes, self.stored, self.last = channels, [], [], "x"

    def store(self, array: np.ndarray) -> str:
        name = f"w{len(self.stored)}"
        self.stored.append(onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        made = f"t{len(self.nodes)}"
        self.nodes.append(make.make_node(op, list(inputs), [made], name=f"{op}_{len(self.nodes)}", **attributes))
        self.last = made
        return made

    def conv(self, reads: str, kernel: int, stride: int = 1, inputs: int | None = None) -> str:
        shape = (self.channels, inputs or self.channels, kernel, kernel)
        weight = self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        pads = [kernel // 2] * 4
        return self.add("Conv", reads, self.store(weight), strides=[stride] * 2, pads=pads, kernel_shape=[kernel] * 2)

    def gate(self, reads: str, mean: str) -> str:
        """Squeeze and excitation: a gate that depends strongly on the mean of the squares."""
        squares = self.add("Mul", reads, reads)
        if mean == "GlobalAveragePool":
            pooled = self.add(mean, squares)
        else:
            pooled = self.add(mean, squares, axes=[-1, 2], keepdims=1)
        return self.add("Mul", reads, self.add("Tanh", self.conv(pooled, 1)))

    def bytes(self, opset: int = 13) -> bytes:
        ends = [
            make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, width, "H", "W"])
            for name, width in (("x", 3), (self.last, self.channels))
        ]
        graph = make.make_graph(self.nodes, "net", ends[:1], ends[1:], self.stored)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=8)
        found: bytes = model.SerializeToString()
        return found


def gated() -> bytes:
    """Two gates at stride 2, the second behind the first; two more side by side would share a pass."""
    net = Net()
    first = net.gate(net.conv("x", 3, 2, inputs=3), "GlobalAveragePool")
    second = net.gate(net.conv(first, 3), "ReduceMean")
    net.conv(second, 3)
    return net.bytes()


def picture(seed: int = 1) -> np.ndarray:
    """An image whose contrast grows from the top to the bottom: no tile has the mean of the whole."""
    noise = np.random.default_rng(seed).standard_normal((1, 3, *SIZE))
    return (noise * np.linspace(0.1, 3, SIZE[0])[:, None]).astype(np.float32)


def whole(model: bytes, image: np.ndarray) -> np.ndarray:
    """The output by onnxruntime on the whole image."""
    found: np.ndarray = runtime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": image})[0]
    return found


def test_two_gates_in_passes_equal_the_whole() -> None:
    model, image = gated(), picture()
    expected = whole(model, image)
    done = run_in_passes(model, image, (48, 40))
    assert [len(names) for names in done.means] == [1, 1, 0]
    assert all(plan.count > 4 and plan.exact for plan in done.plans)
    assert done.output.shape == expected.shape
    assert np.abs(done.output - expected).max() < 1e-5 * np.abs(expected).max()


def test_in_one_pass_the_same_tiles_differ() -> None:
    """A tile's own mean is not the whole's, so that its gates are others."""
    model, image = gated(), picture()
    graph = trace_model(onnx.load_model_from_string(model), {"x": image.shape})
    plan = foveal.tile(graph, tile=(48, 40), error=0.1)
    assert not plan.exact
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = plan.check(session, image)
    assert found.largest > 0.1 * found.scale


def test_means_side_by_side_share_a_pass_and_its_tiles() -> None:
    """One gate at stride 2 and one at stride 4 behind it, none of which reads the other's mean."""
    net = Net()
    fine = net.conv("x", 3, 2, inputs=3)
    coarse = net.conv(fine, 5, 2)
    scales = np.asarray([1, 1, 2, 2], np.float32)
    wide = net.add("Resize", net.gate(coarse, "GlobalAveragePool"), "", net.store(scales), mode="nearest")
    net.add("Add", net.gate(fine, "GlobalAveragePool"), wide)
    model, image = net.bytes(), picture(2)
    expected = whole(model, image)
    done = run_in_passes(model, image, 48)
    assert [len(names) for names in done.means] == [2, 0]
    assert np.abs(done.output - expected).max() < 1e-5 * np.abs(expected).max()


def test_without_means_there_is_one_pass(tmp_path: Path) -> None:
    net = Net()
    net.conv(net.conv("x", 3, 2, inputs=3), 3)
    path = tmp_path / "net.onnx"
    path.write_bytes(net.bytes())
    done = run_in_passes(path, picture(), 32)
    assert done.means == ((),)
    np.testing.assert_allclose(done.output, whole(net.bytes(), picture()), atol=1e-5)


def test_axes_as_an_input() -> None:
    """ReduceMean of operator set 18 reads its axes from a stored tensor."""
    net = Net()
    before = net.conv("x", 3, inputs=3)
    pooled = net.add("ReduceMean", before, net.store(np.asarray([2, 3], np.int64)))
    net.add("Sub", before, pooled)
    model, image = net.bytes(18), picture(3)
    done = run_in_passes(model, image, 32)
    assert [len(names) for names in done.means] == [1, 0]
    np.testing.assert_allclose(done.output, whole(model, image), atol=1e-5)


def test_a_norm_over_space_is_refused() -> None:
    net = Net()
    ones, zeros = net.store(np.ones(4, np.float32)), net.store(np.zeros(4, np.float32))
    before = net.conv("x", 3, inputs=3)
    net.gate(net.add("InstanceNormalization", before, ones, zeros), "GlobalAveragePool")
    with pytest.raises(FovealError, match=r"not possible exactly because of InstanceNorm.*only global means"):
        run_in_passes(net.bytes(), picture(), 48)


def test_attention_is_refused() -> None:
    """Every position reads every other along the flattened map."""
    net = Net()
    flat = net.add("Reshape", net.conv("x", 3, inputs=3), net.store(np.asarray([0, 0, -1], np.int64)))
    scores = net.add("Softmax", net.add("MatMul", net.add("Transpose", flat, perm=[0, 2, 1]), flat), axis=-1)
    mixed = net.add("MatMul", flat, scores)
    net.add("Reshape", mixed, net.store(np.asarray([1, 4, 16, 12], np.int64)))
    with pytest.raises(FovealError, match=r"not possible exactly because of .*only global means"):
        run_in_passes(net.bytes(), picture()[:, :, :16, :12], 8)


def test_bad_input() -> None:
    with pytest.raises(FovealError, match="output 'mask': the model has t"):
        run_in_passes(gated(), picture(), 48, output="mask")
    with pytest.raises(FovealError, match="too small"):
        run_in_passes(gated(), picture(), 4)
