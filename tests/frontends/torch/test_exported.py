"""Exported, traced and quantised PyTorch gives the answer of the eager module (docs/cases.md C36)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import foveal

SHAPE = (1, 3, 24, 20)
pytestmark = pytest.mark.filterwarnings("ignore")


class Block(nn.Module):
    """A residual block with what networks are quantised with: convolution, norm, ReLU, addition."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, stride, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.short = nn.Conv2d(width, width, 1, stride)
        self.add = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.add.add(y, self.short(x)))


class Network(nn.Module):
    """Stem, two blocks (one with stride), a pool, an upsampling head."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.stem, self.relu = nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU()
        self.block1, self.block2 = Block(4, 1), Block(4, 2)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.head = nn.Conv2d(4, 4, 3, dilation=2, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(self.quant(x)))
        x = self.pool(self.block2(self.block1(x)))
        return self.dequant(self.head(x))


LAYERS = {"relu": 5, "block1.relu2": 13, "block2.relu2": 25, "pool": 33, "head": 49}
"""By hand: stem 5; per 3x3 at stride j two more steps of j: 5 + 4 + 4; 13 + 4 + 8; the pool 25 + 8; dilated 33 + 16."""


def eager() -> Network:
    torch.manual_seed(0)
    return Network().eval()


def exported() -> Any:
    return torch.export.export(eager(), (torch.zeros(SHAPE),))


def exported_with_a_dynamic_batch() -> Any:
    batch = torch.export.Dim("batch", min=1, max=16)
    example = torch.zeros(2, *SHAPE[1:])
    return torch.export.export(eager(), (example,), dynamic_shapes={"x": {0: batch}})


def traced() -> Any:
    return torch.jit.trace(eager(), torch.zeros(SHAPE))


def fused() -> Any:
    return _fuse(eager())


def _fuse(model: Network) -> Any:
    names = [["stem", "relu"]]
    for block in ("block1", "block2"):
        names += [[f"{block}.conv1", f"{block}.bn1", f"{block}.relu1"], [f"{block}.conv2", f"{block}.bn2"]]
    return torch.ao.quantization.fuse_modules(model, names)


def int8() -> Any:
    model = _fuse(eager())
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    torch.ao.quantization.prepare(model, inplace=True)
    model(torch.randn(SHAPE))
    return torch.ao.quantization.convert(model)


FORMS: dict[str, Callable[[], Any]] = {
    "eager": eager, "exported": exported, "dynamic batch": exported_with_a_dynamic_batch, "traced": traced,
    "fused": fused, "int8": int8,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_receptive_fields_of_the_module(form: str) -> None:
    graph = foveal.trace(FORMS[form](), SHAPE)
    reference = foveal.trace(eager(), SHAPE)
    compared = 0
    for layer, size in LAYERS.items():
        known = foveal.receptive_field(reference, layer)
        assert known.size == (size, size)
        if layer in graph.layers:
            rf = foveal.receptive_field(graph, layer)
            assert (rf.size, rf.stride, rf.start, rf.status) == (known.size, known.stride, known.start, "exact"), layer
            compared += 1
    assert compared >= (1 if form == "traced" else 4)
    last = foveal.receptive_field(graph, "output")
    assert (last.size, last.stride, last.start, last.status) == ((49, 49), (4, 4), (-24, -24), "exact")


@pytest.mark.parametrize("kind", ["support", "paths", "edges"])
def test_fields_are_the_same_too(kind: str) -> None:
    found = [
        foveal.field(foveal.trace(FORMS[form](), SHAPE), "output", kind=kind, at=(2, 2))
        for form in ("eager", "exported", "fused", "int8")
    ]
    for other in found[1:]:
        assert other.origin == found[0].origin
        assert (other.values == found[0].values).all()


def test_another_batch_of_a_dynamic_export() -> None:
    graph = foveal.trace(exported_with_a_dynamic_batch(), (4, *SHAPE[1:]))
    assert foveal.receptive_field(graph, "output").size == (49, 49)
