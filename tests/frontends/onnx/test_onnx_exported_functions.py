"""PyTorch functions, exported to ONNX: the same receptive field of every unit as in PyTorch itself."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import foveal  # noqa: E402
from foveal.fields.receptive_field import receptive_field, unit_bounds  # noqa: E402
from foveal.frontends.onnx.trace import trace_model  # noqa: E402

SHAPE = (1, 2, 8, 6)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(x, size=(13, 9), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, size=(13, 9), mode="bicubic"),
    "nearest": lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest"),
    "nearest_to_size": lambda x: F.interpolate(x, size=(5, 7), mode="nearest"),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    "pixel_shuffle": lambda x: F.pixel_shuffle(torch.cat([x, x * 2], 1), 2),
    "roll": lambda x: torch.roll(x, (2, -1), (2, 3)),
    "reflect": lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"),
    "circular": lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"),
    "unfold": lambda x: F.unfold(x, 3, padding=1, stride=2),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2) * 2, (8, 6), 2, stride=2),
    "attention": lambda x: F.scaled_dot_product_attention(x, x.flip(2), x, is_causal=True),
    "topk": lambda x: x.topk(3, 2)[0],
    "cumsum": lambda x: x.cumsum(3),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "group_norm": lambda x: F.group_norm(x, 2),
    "local_norm": lambda x: F.local_response_norm(x, 3),
    "index": lambda x: x[:, :, [0, 3, 3, -1]],
    "steps": lambda x: x[:, :, 1::2, ::3],
    "mask": lambda x: x.masked_fill(torch.arange(6) > 2, 0.0),
    "einsum": lambda x: torch.einsum("nchw,nchv->ncwv", x, x),
    "transposed": lambda x: F.conv_transpose2d(x, torch.ones(2, 3, 3, 3), stride=2, padding=1, output_padding=1),
    "ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "scatter": lambda x: x.scatter(2, torch.tensor([3, 1]).view(1, 1, 2, 1).expand(1, 2, 2, 6), x[:, :, 6:]),
}


class Applied(nn.Module):
    """A convolution and a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 2, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.convolution(x))


def exported(model: nn.Module) -> onnx.ModelProto:
    """The model as PyTorch's tracing exporter writes it, in memory."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its age and about what it folds
        torch.onnx.export(model, (torch.zeros(SHAPE),), buffer, dynamo=False)
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_exported_function_has_the_same_receptive_field(name: str) -> None:
    model = Applied(FUNCTIONS[name]).eval()
    ours, theirs = trace_model(exported(model)), foveal.trace(model, SHAPE)
    layer = ours.layers[-1]
    pairs = zip(unit_bounds(ours, layer), unit_bounds(theirs, "output"), strict=True)
    for (first, last), (expected_first, expected_last) in pairs:
        assert np.array_equal(first, expected_first)
        assert np.array_equal(last, expected_last)
    a, b = receptive_field(ours, layer), receptive_field(theirs, "output")
    assert (a.size, a.stride, a.status) == (b.size, b.stride, b.status)
    # the exporter writes circular padding as slices joined: its first unit stands at the far side, not before the map
    assert a.start == b.start or name == "circular"
