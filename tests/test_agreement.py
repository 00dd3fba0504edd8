"""One network in PyTorch, exported to ONNX, in Keras and in JAX: the answer does not depend on the form."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import foveal
from foveal.agreement import difference
from foveal.errors import FovealError
from foveal.graph import Graph
from foveal.testing import check_frontends_agree

pytestmark = pytest.mark.filterwarnings("ignore")
SIDE = 28


class Small(nn.Module):
    """A residual block with stride, a dilated convolution, a pool, upsampling and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.short = nn.Conv2d(4, 4, 1, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.wide = nn.Conv2d(4, 4, 3, dilation=2, padding=2)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)
        self.head = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = self.down(x) + self.short(x)
        y = self.wide(self.pool(x)).relu()
        return self.head(self.up(y) + x)


def in_jax(x: Any) -> Any:
    """The same network written for JAX, channels last."""
    import jax
    from jax import lax

    def conv(y: Any, taps: int, out: int, stride: int = 1, dilation: int = 1) -> Any:
        pad = (taps - 1) * dilation // 2
        kernel = jax.numpy.ones((taps, taps, y.shape[-1], out), y.dtype)
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            y, kernel, (stride,) * 2, ((pad, pad),) * 2, rhs_dilation=(dilation,) * 2, dimension_numbers=layout
        )

    x = jax.nn.relu(conv(x, 3, 4) * 0.5)
    x = conv(x, 3, 4, 2) + conv(x, 1, 4, 2)
    y = lax.reduce_window(x, -np.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = jax.nn.relu(conv(y, 3, 4, dilation=2))
    layout = ("NHWC", "HWIO", "NHWC")
    kernel = jax.numpy.ones((2, 2, 4, 4), x.dtype)
    up = lax.conv_general_dilated(y, kernel, (1, 1), ((1, 1),) * 2, lhs_dilation=(2, 2), dimension_numbers=layout)
    return conv(up + x, 3, 2)


def eager(side: int = SIDE) -> Graph:
    return foveal.trace(Small().eval(), (1, 3, side, side))


def onnx_graph(model: nn.Module, shape: tuple[int, ...], dynamo: bool) -> Graph:
    onnx = pytest.importorskip("onnx")
    if dynamo:
        pytest.importorskip("onnxscript")
        program = torch.onnx.export(model.eval(), (torch.zeros(shape),), dynamo=True, verbose=False)
        return foveal.trace(program.model_proto)
    buffer = io.BytesIO()
    torch.onnx.export(model.eval(), (torch.zeros(shape),), buffer, dynamo=False)
    return foveal.trace(onnx.load_from_string(buffer.getvalue()))


def test_pytorch_onnx_and_jax_agree() -> None:
    pytest.importorskip("jax")
    graphs = {
        "torch": eager(),
        "onnx": onnx_graph(Small(), (1, 3, SIDE, SIDE), dynamo=False),
        "jax": foveal.trace(in_jax, (1, SIDE, SIDE, 3)),
    }
    found = check_frontends_agree(graphs)
    assert found.agrees, str(found)
    assert (found.layers, found.fields) == (7, 9)
    assert str(found) == "torch, onnx, jax: 7 corresponding layers, 9 fields: equal"
    last = foveal.receptive_field(graphs["jax"], "output")
    assert last.sizes == foveal.receptive_field(graphs["torch"], "output").sizes


@cache
def four_forms() -> dict[str, Any]:
    """What agreement_forms.py prints; Keras picks its backend when it is loaded, hence a process of its own."""
    if not all(find_spec(name) for name in ("onnx", "keras", "jax")):
        pytest.skip("needs onnx, keras and jax")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("agreement_forms.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_all_four_forms_agree() -> None:
    """At all seven windows: sizes, strides, starts, every unit's box, and support, paths and edges."""
    assert four_forms()["backend"] == "torch"
    assert four_forms()["all"] == "torch, onnx, keras, jax: 7 corresponding layers, 21 fields: equal"


def test_tensorflow_padding_differs_from_the_strided_layer_on() -> None:
    """A window of 3 at stride 2 on 28: "same" pads (0, 1), PyTorch (1, 1), so that the start is one further right.

    By hand: starts -2 and -1 at stem and down (-1 - 1, -1 - 0); compare names down, the first that differs.
    """
    differences = four_forms()["differences"]
    assert differences[0] == "down in torch and down.conv2d in keras: start (-2, -2) and (-1, -1)"
    assert not any(line.startswith(("stem", "short")) for line in differences)
    assert any(line.startswith("head: field 'paths'") for line in differences)
    assert four_forms()["parting"] == ["down", "down", ["start"]]
    said = four_forms()["command"].splitlines()
    assert said[0] == "they part at /down/Conv / down: start -2 and -1; at the end the RF is 29 and 29"


def test_boxes_stored_for_a_row_and_for_each_unit_are_compared() -> None:
    """Boxes that do not vary along a grid axis may be stored once or for every unit; the boxes count, not how."""
    rf = foveal.receptive_field(eager(), "stem")
    whole = (2, *rf.grid)
    wide = replace(rf, first=tuple(np.broadcast_to(a, whole) for a in rf.first))
    assert any(array.shape != whole for array in rf.first)
    assert difference(rf, wide) == ""
    moved = [array.copy() for array in wide.first]
    moved[1][0, 3, 5] -= 1
    assert difference(rf, replace(rf, first=tuple(moved))) == "clipped box of unit (3, 5) on source axis 1"


def test_a_difference_in_padding_is_named() -> None:
    """TensorFlow pads "same" behind only: a start of 0 instead of -1, and compare names the first layer."""

    class BehindOnly(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.stem(x)).relu()
            down = nn.functional.conv2d(nn.functional.pad(x, (0, 1, 0, 1)), self.down.weight, stride=2)
            x = down + self.short(x)
            return self.head(self.up(self.wide(self.pool(x)).relu()) + x)

    first, second = eager(), foveal.trace(BehindOnly().eval(), (1, 3, SIDE, SIDE))
    found = check_frontends_agree({"torch": first, "tensorflow": second}, [("stem", "stem"), ("head", "head")])
    assert not found.agrees
    assert "head in torch and head in tensorflow" in str(found)
    compared = foveal.compare(first, second)
    assert compared.parting is not None
    step = compared.steps[compared.parting]
    assert step.first is not None
    assert step.first.name == "down"


def test_a_wrong_stride_is_found() -> None:
    other = Small()
    other.pool = nn.MaxPool2d(2, 2)
    found = check_frontends_agree({"a": eager(), "b": foveal.trace(other.eval(), (1, 3, SIDE, SIDE))})
    assert not found.agrees
    assert found.differences[0].startswith("pool in a and pool in b: size (9, 9) and (7, 7)")
    with pytest.raises(FovealError, match="give at least two graphs"):
        check_frontends_agree({"a": eager()})


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvision_models_exported_to_onnx(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.get_model(name, weights=None).eval()
    shape = (1, 3, 64, 64)
    found = check_frontends_agree(
        {"torch": foveal.trace(model, shape), "onnx": onnx_graph(model, shape, dynamo=False)}, fields_at=2
    )
    assert found.agrees, str(found)
    assert found.layers >= 20
