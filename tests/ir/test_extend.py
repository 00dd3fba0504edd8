"""Teaching foveal new operations: the tutorial's code, and what the public names promise."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
import torch
from torch import nn

import foveal
from foveal import extend
from foveal.core.errors import FovealError
from foveal.ir import extension, ops
from foveal.ir.rules.registry import RULES
from support.needs import needs
from support.paths import DOCS

TUTORIAL = DOCS / "extending.md"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    lowerings, modules, rules = dict(extension.REGISTRY.lowerings), dict(extension.REGISTRY.modules), dict(RULES)
    yield
    extension.REGISTRY.lowerings, extension.REGISTRY.modules = lowerings, modules
    RULES.clear()
    RULES.update(rules)
    extension.REGISTRY.version += 1


def test_at_most_eight_names() -> None:
    assert len(extend.__all__) == 8
    assert all(getattr(extend, name).__doc__ for name in extend.__all__)


@pytest.mark.filterwarnings("ignore")
def test_the_tutorial_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 9
    space: dict[str, Any] = {"__name__": "tutorial"}
    for block in blocks:
        exec(compile(block, str(TUTORIAL), "exec"), space)


def test_a_rule_of_ones_own_replaces_a_built_in_one() -> None:
    network = nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), nn.ReLU())
    shape = (1, 2, 16)
    assert foveal.receptive_field(foveal.trace(network, shape), "1").size == (3,)

    @extend.lower("aten::relu")
    def wider(call: extend.Call) -> int:
        return call.emit(ops.Pool((3,), (1,), ((1, 1),), (1,)), *call.inputs)

    assert foveal.receptive_field(foveal.trace(network, shape), "1").size == (5,)
    assert not extend.check(network, shape).agrees
    extend.forget("aten::relu")
    assert extend.check(network, shape).agrees


def test_the_inside_of_a_module_leaves_no_trace() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 9, padding=4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).relu()

    network = nn.Sequential(Inner(), nn.Conv1d(2, 2, 3, padding=1))

    @extend.one_operation(Inner)
    def same(call: extend.Call) -> int:
        assert isinstance(call.arguments["module"], Inner)
        return call.emit(ops.Pointwise("inner"), *call.inputs)

    graph = foveal.trace(network, (1, 2, 16))
    assert graph.layers == ["0", "1", "output"]
    assert graph.layer("0").leaf
    assert foveal.receptive_field(graph, "1").size == (3,)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(FovealError, match="unknown framework 'caffe'; known: torch, onnx, jax"):
        extend.lower("a::b", "caffe")
    with pytest.raises(FovealError, match="one_operation takes a module class, not a ReLU"):
        extend.one_operation(nn.ReLU())  # type: ignore[arg-type]
    with pytest.raises(FovealError, match="nothing is registered for 'a::b'"):
        extend.forget("a::b")

    @extend.lower("aten::relu")
    def nothing(call: extend.Call) -> None:
        return None

    with pytest.raises(FovealError, match="the lowering of 'aten::relu' returned None; expected 1 value"):
        foveal.trace(nn.Sequential(nn.Conv1d(2, 2, 3), nn.ReLU()), (1, 2, 16))


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, name: str, function: Any) -> None:
            self.name, self.value, self.function = name, f"package.{name}", function

        def load(self) -> Any:
            return self.function

    def good() -> None:
        extend.lower("shipped::op")(lambda call: 0)

    def bad() -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point("bad", bad), Point("good", good)])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert extend.load() == ("good",)
    assert [str(item.message) for item in seen] == ["rules 'bad' (package.bad) could not be loaded: no such kernel"]
    assert extension.REGISTRY.find("torch", "shipped::op") is not None


def test_a_jax_primitive() -> None:
    jax = needs("jax")

    @extend.lower("cos", framework="jax")
    def wider(call: extend.Call) -> int:
        return call.emit(ops.Pool((1, 3, 1), (1, 1, 1), ((0, 0), (1, 1), (0, 0)), (1, 1, 1)), *call.inputs)

    graph = foveal.trace(lambda x: jax.numpy.cos(x), (1, 16, 2))
    assert foveal.receptive_field(graph, "output").size == (3,)


def test_an_onnx_operator() -> None:
    onnx = needs("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("Blur", ["x"], ["y"], name="blur", domain="com.example", radius=2)
    x, y = (helper.make_tensor_value_info(name, kind, (1, 2, 16)) for name in "xy")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets)

    @extend.lower("com.example::Blur", framework="onnx")
    def blur(call: extend.Call) -> int:
        r = call.arguments["radius"]
        return call.emit(ops.Pool((2 * r + 1,), (1,), ((r, r),), (1,)), *call.inputs)

    graph = foveal.trace(model)
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert (rf.size, rf.status) == ((5,), "exact")
