"""Each layer kind of the text specification against the PyTorch module that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foveal import receptive_field
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph
from support.needs import needs

torch = needs("torch")
nn = torch.nn


class Joined(nn.Module):  # type: ignore[misc, name-defined]
    """Branches of one value, joined by a function of their list."""

    def __init__(self, join: Callable[[list[Any]], Any], *paths: Any) -> None:
        super().__init__()
        self.join = join
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Any) -> Any:
        return self.join([path(x) for path in self.paths])


class LastAxisFirst(nn.Module):  # type: ignore[misc, name-defined]
    """Layer norm over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Any) -> Any:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):  # type: ignore[misc, name-defined]
    """Self-attention over all positions."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Any) -> Any:
        tokens = x.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape)


IMAGE, SOUND, VOLUME = (1, 8, 17, 20), (1, 8, 40), (1, 8, 6, 8, 10)
CASES: list[tuple[str, tuple[int, ...], Callable[[], Any]]] = [
    ("conv3x4", IMAGE, lambda: nn.Conv2d(8, 4, 3, padding=1)),
    ("conv4x4,s2,nobias", IMAGE, lambda: nn.Conv2d(8, 4, 4, 2, 1, bias=False)),
    ("conv(1,5)x4,s(2,1),d(1,2)", IMAGE, lambda: nn.Conv2d(8, 4, (1, 5), (2, 1), (0, 4), (1, 2))),
    ("conv3,dw,s2", IMAGE, lambda: nn.Conv2d(8, 8, 3, 2, 1, groups=8)),
    ("conv3x16,g4", IMAGE, lambda: nn.Conv2d(8, 16, 3, padding=1, groups=4)),
    ("conv3x4,p1:2", SOUND, lambda: nn.Sequential(nn.ConstantPad1d((1, 2), 0.0), nn.Conv1d(8, 4, 3))),
    ("conv3x4,s2 conv3x4", VOLUME, lambda: nn.Sequential(nn.Conv3d(8, 4, 3, 2, 1), nn.Conv3d(4, 4, 3, padding=1))),
    ("causal3x4,d4", SOUND, lambda: nn.Sequential(nn.ConstantPad1d((8, 0), 0.0), nn.Conv1d(8, 4, 3, dilation=4))),
    ("conv3,s2 tconv3x4,s2,op1", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1))),
    ("tconv4x4,s2,g2", IMAGE, lambda: nn.ConvTranspose2d(8, 4, 4, 2, 1, groups=2)),
    ("tconv3x4,s3,p0,d2", SOUND, lambda: nn.ConvTranspose1d(8, 4, 3, 3, dilation=2)),
    ("conv3 pool3,s2,p1,ceil", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(3, 2, 1, ceil_mode=True))),
    ("pool2,d2", IMAGE, lambda: nn.MaxPool2d(2, dilation=2)),
    ("avgpool3,s2,ceil", IMAGE, lambda: nn.AvgPool2d(3, 2, ceil_mode=True)),
    ("conv3 adaptive(4,7)", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.AdaptiveAvgPool2d((4, 7)))),
    ("adaptive5,max", SOUND, lambda: nn.AdaptiveMaxPool1d(5)),
    ("gap", IMAGE, lambda: nn.AdaptiveAvgPool2d(1)),
    ("pool2 up2 conv3", IMAGE, lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1))),
    ("up2,bilinear", IMAGE, lambda: nn.Upsample(scale_factor=2, mode="bilinear")),
    ("up3,bicubic", IMAGE, lambda: nn.Upsample(scale_factor=3, mode="bicubic")),
    ("up2,bilinear,align", IMAGE, lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
    ("conv3,valid pad2,reflect", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReflectionPad2d(2))),
    ("pad2,circular conv3", SOUND, lambda: nn.Sequential(nn.CircularPad1d(2), nn.Conv1d(8, 8, 3, padding=1))),
    ("conv3,p4 crop0:4", SOUND, lambda: nn.Sequential(nn.Conv1d(8, 8, 3, padding=4), nn.ConstantPad1d((0, -4), 0.0))),
    ("conv3 shuffle2 conv3", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 2, 3, padding=1))),
    ("crop1:0 unshuffle2 conv3", (1, 8, 17, 17), lambda: nn.Sequential(
        nn.ConstantPad2d((-1, 0, -1, 0), 0.0), nn.PixelUnshuffle(2), nn.Conv2d(32, 32, 3, padding=1))),
    ("conv3x4,s4 fc10,relu fc5", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 4, 3, 4, 1), nn.Flatten(), nn.Linear(4 * 25, 10), nn.ReLU(), nn.Linear(10, 5))),
    ("conv3,bn,relu", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())),
    ("conv3 gn4 conv3", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 3, padding=1))),
    ("conv3 in,affine", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True))),
    ("conv3 ln", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), LastAxisFirst(8))),
    ("conv3 softmax", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Softmax(1))),
    ("[conv3 | id]", IMAGE, lambda: Joined(sum, nn.Conv2d(8, 8, 3, padding=1), nn.Identity())),
    ("{conv3 | conv5x4 | pad1:0 crop0:1}", SOUND, lambda: Joined(
        lambda parts: torch.cat(parts, 1), nn.Conv1d(8, 8, 3, padding=1), nn.Conv1d(8, 4, 5, padding=2),
        nn.ConstantPad1d((1, -1), 0.0))),
    ("<conv3,tanh | conv5,sigmoid>", SOUND, lambda: Joined(
        lambda parts: parts[0] * parts[1], nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.Tanh()),
        nn.Sequential(nn.Conv1d(8, 8, 5, padding=2), nn.Sigmoid()))),
    ("conv3 se4", IMAGE, lambda: nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1),
        Joined(lambda parts: parts[0] * parts[1], nn.Identity(), nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())))),
    ("conv3 attention2", IMAGE, lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), Attention(8, 2))),
]  # fmt: skip


def boxes(graph: Graph, layer: str) -> list[Any]:
    """Everything that is read off a layer: shape, grid, boxes of the corner and middle units, sizes, local sizes."""
    found = receptive_field(graph, layer)
    units = [(0,) * len(found.grid), tuple(n // 2 for n in found.grid), tuple(n - 1 for n in found.grid)]
    return [
        graph.values[graph.layer(layer).value].shape, found.grid, found.sizes, found.stride, found.start, found.period,
        found.status, found.local and found.local.sizes, [found.box(unit, clip=True) for unit in units],
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "shape", "module"), CASES, ids=[text for text, _, _ in CASES])
def test_same_as_the_module(text: str, shape: tuple[int, ...], module: Callable[[], Any]) -> None:
    from foveal.frontends.torch.trace import trace_module

    model = nn.Sequential(module()).eval()
    ours, theirs = trace_spec(text, shape), trace_module(model, shape)
    assert ours.parameters == sum(weight.numel() for weight in model.parameters())
    assert boxes(ours, ours.layers[-1]) == boxes(theirs, "0")
