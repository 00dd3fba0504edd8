"""Which axes of an input count positions: found from the network, told where it cannot be, and set by the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import foveal
from foveal.testing import assert_receptive_field, check

SEQUENCE = (1, 12, 4)


class Net(nn.Module):
    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def _loop(x: Tensor, cell: nn.Module, axis: int) -> Tensor:
    hidden = torch.zeros(x.shape[1 - axis], 8)
    states = []
    for part in x.unbind(axis):
        hidden = cell(part, hidden)
        states.append(hidden)
    return torch.stack(states, axis)


def _mixer(x: Tensor, tokens: nn.Module, channels: nn.Module, norm: nn.Module) -> Tensor:
    x = x + tokens(norm(x).transpose(1, 2)).transpose(1, 2)
    return x + channels(norm(x))


def _patches(x: Tensor, linear: nn.Module) -> Tensor:
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
    return linear(x.reshape(b, (h // 4) * (w // 4), -1))


FOUND: dict[str, tuple[nn.Module, Any, tuple[int, ...]]] = {
    "linear": (nn.Linear(4, 6), SEQUENCE, (1,)),
    "layer norm": (nn.LayerNorm(4), SEQUENCE, (1,)),
    "transposed before a convolution": (Net(lambda x, c: c(x.transpose(1, 2)), nn.Conv1d(4, 4, 3)), SEQUENCE, (1,)),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (1, 12, 8), (1,)),
    "attention, batch second": (nn.TransformerEncoderLayer(8, 2, 16).eval(), (12, 1, 8), (0,)),
    "lstm": (nn.LSTM(4, 8, batch_first=True), SEQUENCE, (1,)),
    "lstm, batch second": (nn.LSTM(4, 8), (12, 2, 4), (0,)),
    "cell in a loop": (Net(lambda x, c: _loop(x, c, 1), nn.GRUCell(4, 8)), SEQUENCE, (1,)),
    "cell in a loop, batch second": (Net(lambda x, c: _loop(x, c, 0), nn.GRUCell(4, 8)), (12, 1, 4), (0,)),
    "mean, then linear": (Net(lambda x, head: head(x.mean(1)), nn.Linear(4, 3)), SEQUENCE, (1,)),
    "head over time": (
        Net(lambda x, a, b: b(a(x).transpose(1, 2)), nn.Linear(4, 8), nn.Linear(12, 3)),
        SEQUENCE,
        (1,),
    ),
    "mixer": (Net(_mixer, nn.Linear(12, 12), nn.Linear(4, 4), nn.LayerNorm(4)), SEQUENCE, (1,)),
    "resized along one axis": (Net(lambda x: F.interpolate(x, size=(8, 5), mode="bilinear")), (1, 3, 8, 10), (2, 3)),
    "embedding": (nn.Embedding(10, 4), torch.zeros(1, 12, dtype=torch.long), (1,)),
    "channels last": (nn.Linear(4, 4), (1, 6, 7, 4), (1, 2)),
    "frames": (Net(lambda x, c: c(x.flatten(0, 1)), nn.Conv2d(3, 4, 3)), (1, 5, 3, 8, 8), (1, 3, 4)),
    "convolution": (nn.Conv1d(4, 4, 3), (1, 4, 12), (2,)),
    "instance norm": (nn.InstanceNorm1d(4), (1, 4, 12), (2,)),
    "group norm": (nn.GroupNorm(2, 4), (1, 4, 12), (2,)),
    "images": (nn.Conv2d(3, 4, 3), (1, 3, 12, 12), (2, 3)),
    "volumes": (nn.Conv3d(3, 4, 3), (1, 3, 6, 6, 6), (2, 3, 4)),
    "patches": (Net(_patches, nn.Linear(48, 8)), (1, 3, 16, 16), (2, 3)),
    "pooled features": (Net(lambda x, head: head(x.mean((2, 3))), nn.Linear(3, 3)), (1, 3, 8, 8), (2, 3)),
    "image without a batch, channels last": (
        Net(lambda x, c: c(x.permute(2, 0, 1)[None]), nn.Conv2d(3, 4, 3)),
        (12, 10, 3),
        (0, 1),
    ),
    "signal without a batch": (nn.Conv1d(3, 4, 3), (3, 12), (1,)),
    "image without a batch": (nn.Conv2d(3, 4, 3), (3, 12, 12), (1, 2)),
    "volume without a batch": (nn.Conv3d(3, 4, 3), (3, 6, 6, 6), (1, 2, 3)),
}


@pytest.mark.parametrize("name", FOUND)
def test_positions_are_found_from_the_network(name: str) -> None:
    model, inputs, axes = FOUND[name]
    graph = foveal.trace(model, inputs)
    assert graph.sources[0].axes == axes
    assert graph.notes == []
    rank = len(graph.values[graph.sources[0].value].shape)
    default = (1,) if rank == 2 else tuple(range(2, rank))
    assert bool(graph.layout) == (axes != default)


UNTOLD: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "mixer": (Net(_mixer, nn.Linear(12, 12), nn.Linear(4, 4), nn.Identity()), SEQUENCE),
    "flattened": (nn.Sequential(nn.Flatten(), nn.Linear(48, 4)), (1, 3, 4, 4)),
    "pointwise": (nn.ReLU(), (1, 4, 12)),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_decided_is_said(name: str) -> None:
    model, shape = UNTOLD[name]
    graph = foveal.trace(model, shape)
    assert graph.sources[0].axes == tuple(range(2, len(shape)))
    (finding,) = [f for f in foveal.analyze(graph).findings if f.code == "layout"]
    assert "by default" in finding.text
    assert "--axes" in finding.text
    assert foveal.trace(model, shape, axes=(1,)).layout == []


def test_the_report_says_what_was_found() -> None:
    text = str(foveal.analyze(foveal.trace(nn.Sequential(nn.LayerNorm(4)), SEQUENCE)))
    assert "positions: axis 1 of input (1, 12, 4), found from LayerNorm at 0" in text


def test_axes_in_every_entry_point() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    graph = foveal.trace(model, SEQUENCE)
    assert foveal.receptive_field(graph, "1").sizes == ((1, 1),)
    assert foveal.receptive_field(graph, "1", axes="BCT").sizes == ((4, 4),)
    assert foveal.analyze(graph, axes=(2,)).layer("1").clipped == (4,)
    assert foveal.field(graph, "1", "support", axes={"input": "BCT"}).values.shape == (4,)
    assert foveal.verify(graph, axes=(-1,)).agrees
    assert foveal.compare(graph, graph, axes="BCT").parting is None
    assert foveal.audit(graph, "streaming", axes="BTC").task == "streaming"
    assert foveal.tile(graph, axes="BTC").source.axes == (1,)
    assert_receptive_field(model, "1", SEQUENCE, axes="BTC", at_most=1)
    assert check(model, SEQUENCE).agrees
    assert check(model, SEQUENCE, axes="BCT").agrees
    with pytest.raises(foveal.FovealError, match="no input 'image'"):
        foveal.analyze(graph, axes={"image": "BTC"})
    with pytest.raises(foveal.FovealError, match="there is no input 'image'; there are input"):
        foveal.trace(nn.Conv1d(3, 4, 3), (1, 3, 20), axes={"image": "BCT"})


def test_a_convolution_over_sequences_has_its_kernel() -> None:
    model = Net(lambda x, c: F.relu(c(x.transpose(1, 2))).transpose(1, 2), nn.Conv1d(4, 4, 5))
    assert foveal.receptive_field(foveal.trace(model, SEQUENCE), "output").sizes == ((5, 5),)


@pytest.mark.parametrize("source", ["torchvision:resnet18", "gallery:vgg13", "conv3x8 pool2 conv3x8"])
def test_a_shape_without_a_batch_is_read_with_one(source: str) -> None:
    graph = foveal.trace(source, (3, 64, 64))
    assert graph.values[graph.sources[0].value].shape == (1, 3, 64, 64)
    assert graph.sources[0].axes == (2, 3)
    assert "(1, 3, 64, 64)" in graph.layout[0].text
