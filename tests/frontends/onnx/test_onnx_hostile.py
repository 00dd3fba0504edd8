"""ONNX files that ask for nonsense: one line that names the layer, no allocation, no trace of Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

import foveal
from foveal.core.errors import FovealError
from support.onnx_cases import onnx_models as models

FLAG = {"w": models.weights(4, 3, 3, 3), "t": models.weights(3, 4, 3, 3)}
HUGE = 10**12


def model(nodes: Any, arrays: dict[str, Any], opset: int = 17, outputs: tuple[str, ...] = ("y",)) -> bytes:
    listed = {name: np.asarray(array) for name, array in arrays.items()}
    graph = models.graph(nodes, [models.info("x", [1, 3, 8, 8])], [models.info(name, None) for name in outputs], listed)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def single(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def node(op: str, inputs: str, **settings: Any) -> Any:
    return [
        helper.make_node(op, ["" if name == "_" else name for name in inputs.split()], ["y"], name="here", **settings)
    ]


CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    **{
        f"resize by {scale} {mode}": (node("Resize", "x _ s", mode=mode), {"s": single(1, 1, scale, 1)}, "no elements")
        for scale in (0.0, 0.01, 1e-30) for mode in ("nearest", "linear", "cubic")
    },
    "resize to nothing": (node("Resize", "x _ _ s"), {"s": whole(1, 3, 0, 8)}, ""),
    "gather at 1e12": (node("Gather", "x i", axis=2), {"i": whole(HUGE, 0)}, "points outside of 8 elements"),
    "gather before": (node("Gather", "x i", axis=2), {"i": whole(-9)}, "points outside of 8 elements"),
    "gather elements": (node("GatherElements", "x i", axis=2), {"i": np.full((1, 3, 1, 8), HUGE)}, "outside of 8"),
    "gather nd": (node("GatherND", "x i"), {"i": whole(0, HUGE).reshape(1, 2)}, "outside of 3"),
    "scatter": (
        node("ScatterElements", "x i u", axis=2),
        {"i": np.full((1, 3, 1, 8), 8), "u": np.zeros((1, 3, 1, 8), np.float32)},
        "outside of 8",
    ),
    "pad to nothing": (node("Pad", "x p"), {"p": whole(0, 0, -4, 0, 0, 0, -4, 0)}, "no elements"),
    "pad by 1e12": (node("Pad", "x p"), {"p": whole(0, 0, HUGE, 0, 0, 0, 0, 0)}, ""),
    "output_shape": (
        node("ConvTranspose", "x t", output_shape=[1, 1]), {"t": FLAG["t"]}, r"output_shape \[1, 1\] does not fit"
    ),
    "output_shape of three": (node("ConvTranspose", "x t", output_shape=[9, 9, 9]), {"t": FLAG["t"]}, "incorrect size"),
    "axes written twice": (node("Einsum", "x", equation="abcd->aa"), {}, "writes an axis twice"),
    "joined unequal": (node("Concat", "x k", axis=1), {"k": np.ones((1, 1, 5, 8), np.float32)}, ""),
    "expand": (node("Expand", "x s"), {"s": whole(HUGE, 1, 1, 1)}, "beyond all measure"),
    "tile": (node("Tile", "x s"), {"s": whole(1, 1, HUGE, 1)}, "beyond all measure"),
    "one hot": (node("OneHot", "x d v"), {"d": whole(HUGE), "v": single(0, 1)}, ""),
    "reshape": (node("Reshape", "x s"), {"s": whole(2**62, -1)}, ""),
    "stride 0": (node("Conv", "x w", strides=[0, 1]), {"w": FLAG["w"]}, ""),
    "dilation -1": (node("Conv", "x w", dilations=[-1, 1]), {"w": FLAG["w"]}, ""),
    "group 0": (node("Conv", "x w", group=0), {"w": FLAG["w"]}, ""),
    "group 2e9": (node("Conv", "x w", group=2**31 - 1), {"w": FLAG["w"]}, ""),
    "kernel 1e12": (node("MaxPool", "x", kernel_shape=[HUGE, 1]), {}, ""),
    "a cycle": (
        [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), *node("Relu", "b")], {}, ""
    ),
    "nobody": (node("Add", "x nobody"), {}, ""),
    "no body": (node("Loop", "m _ x"), {"m": np.int64(3)}, ""),
    "no branches": (node("If", "c"), {"c": np.bool_(True)}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "arrays", "words"), CASES.values(), ids=CASES)
def test_nonsense_is_refused_in_a_line(nodes: Any, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(FovealError, match=words or None) as caught:
        foveal.analyze(foveal.trace(model(nodes, arrays)))
    assert len(str(caught.value).splitlines()) == 1
    assert "zip()" not in str(caught.value)


@pytest.mark.parametrize("of", [b"named", b"Relu", b"wired", b"given", b"taken", b"held"])
def test_a_name_that_is_no_text(of: bytes) -> None:
    """Protocol buffers promise UTF-8; a file need not keep it."""
    first = helper.make_node("Relu", ["given"], ["wired"], name="named")
    nodes = [first, helper.make_node("Add", ["wired", "held"], ["taken"])]
    inputs, outputs = [models.info("given", [1, 3, 8, 8])], [models.info("taken", None)]
    graph = models.graph(nodes, inputs, outputs, {"held": np.ones((1, 3, 1, 1), np.float32)})
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = made.SerializeToString().replace(of, b"\xff\xfe\x80\xe9\xed"[: len(of)])
    with pytest.raises(FovealError, match=r"not (text in UTF-8|an ONNX model)") as caught:
        foveal.trace(data)
    assert str(caught.value).isascii()
    assert len(str(caught.value).splitlines()) == 1


def test_a_constant_output_says_so() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["k"], ["z"], name="fixed")]
    graph = foveal.trace(model(nodes, {"k": np.ones((1, 4), np.float32)}, outputs=("y", "z")))
    report = foveal.analyze(graph)
    told = "depends on no source: it is a constant"
    found = [(f.code, f.layer, f.text) for f in report.findings if f.code != "layout"]
    assert found == [("constant-output", "z", told)]
    assert told in str(report)
    assert told in report._repr_html_()
    for name in ("fixed", "z"):
        for ask in (foveal.receptive_field, foveal.field, foveal.tile):
            with pytest.raises(FovealError, match=f"layer '{name}' {told}"):
                ask(graph, name)
    assert [f.layer for f in foveal.audit(graph, "registration").findings if f.code == "TRC04"] == ["z"]


def test_onnx_is_what_is_damaged_here() -> None:
    """The cases are wrong by one thing each: without it the same model is traced."""
    data = model(node("Conv", "x w"), {"w": FLAG["w"]})
    assert foveal.receptive_field(foveal.trace(data), "here").size == (3, 3)
