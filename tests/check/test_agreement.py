"""One network in PyTorch, exported to ONNX, in Keras and in JAX: the answer does not depend on the form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import foveal
from foveal.check.agreement import difference
from foveal.core.errors import FovealError
from foveal.engine.forward.hull import Hull
from foveal.fields.receptive_field import ReceptiveField
from foveal.testing import check_frontends_agree
from support.frameworks.one_network import SIDE, Small, eager, in_jax, onnx_graph
from support.needs import installed, needs
from support.paths import TESTS

pytestmark = pytest.mark.filterwarnings("ignore")


def test_pytorch_onnx_and_jax_agree() -> None:
    needs("jax")
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
    for name in ("onnx", "keras", "jax"):
        installed(name)
    environment = {**os.environ, "KERAS_BACKEND": "torch", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    script = TESTS / "support" / "frameworks" / "agreement_forms.py"
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
    whole = [np.broadcast_to(hull.data, (len(hull.data), *rf.grid)).copy() for hull in rf.hulls]
    assert any(hull.data.shape != data.shape for hull, data in zip(rf.hulls, whole))

    def with_data() -> ReceptiveField:
        return replace(rf, hulls=tuple(Hull(data.copy(), {}, {}) for data in whole))

    assert difference(rf, with_data()) == ""
    whole[1][0, 3, 5] -= 1
    assert difference(rf, with_data()) == "clipped box of unit (3, 5) on source axis 1"


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
    torchvision = needs("torchvision")
    model = torchvision.models.get_model(name, weights=None).eval()
    shape = (1, 3, 64, 64)
    found = check_frontends_agree(
        {"torch": foveal.trace(model, shape), "onnx": onnx_graph(model, shape, dynamo=False)}, fields_at=2
    )
    assert found.agrees, str(found)
    assert found.layers >= 20
