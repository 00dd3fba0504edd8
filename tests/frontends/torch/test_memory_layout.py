"""Stand-in tensors have the strides that the CPU's kernels give, so that a view is a view and a copy a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal import testing
from foveal.frontends.torch.dispatch.creation import RealConstants
from foveal.frontends.torch.dispatch.mode import Tracer
from foveal.frontends.torch.dispatch.restore import unrecorded
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.names import Naming
from foveal.ir.graph import GraphBuilder

LAST = torch.channels_last
C, H, W = 6, 8, 4


def last(x: Tensor) -> Tensor:
    return x.to(memory_format=LAST)


LAYOUTS: dict[str, Callable[..., Tensor]] = {
    "ordinary": lambda **at: torch.zeros(2, C, H, W, **at),
    "last": lambda **at: last(torch.zeros(2, C, H, W, **at)),
    "permuted": lambda **at: torch.zeros(2, W, C, H, **at).permute(0, 2, 3, 1),
    "swapped": lambda **at: torch.zeros(2, C, W, H, **at).transpose(2, 3),
    "every second": lambda **at: torch.zeros(2, C, 2 * H, W, **at)[:, :, ::2],
    "rows of last": lambda **at: last(torch.zeros(2, C, H + 2, W, **at))[:, :, 1:-1],
    "channels": lambda **at: torch.zeros(2, 2 * C, H, W, **at)[:, :C],
    "channels of last": lambda **at: last(torch.zeros(2, 2 * C, H, W, **at))[:, :C],
    "tokens": lambda **at: torch.zeros(2, H * W, C, **at).transpose(1, 2).reshape(2, C, H, W),
    "batch second": lambda **at: torch.zeros(C, 2, H, W, **at).transpose(0, 1),
    "expanded": lambda **at: torch.zeros(2, 1, H, W, **at).expand(2, C, H, W),
}
KERNEL, POINT, DEPTH, TURNED = (
    torch.ones(5, C, 3, 3),
    torch.ones(5, C, 1, 1),
    torch.ones(C, 1, 3, 3),
    torch.ones(C, 5, 2, 2),
)
MAP, LINES = torch.ones(2, C, H, W), torch.ones(2, W, 3)
OPERATIONS: dict[str, Callable[[Tensor], Any]] = {
    "conv": lambda x: F.conv2d(x, KERNEL, torch.ones(5)),
    "conv of last": lambda x: F.conv2d(x, last(KERNEL)),
    "point": lambda x: F.conv2d(x, POINT),
    "point of last": lambda x: F.conv2d(x, last(POINT)),
    "depthwise": lambda x: F.conv2d(x, DEPTH, groups=C),
    "depthwise of last": lambda x: F.conv2d(x, last(DEPTH), groups=C),
    "transposed": lambda x: F.conv_transpose2d(x, TURNED, stride=2),
    "transposed of last": lambda x: F.conv_transpose2d(x, last(TURNED), stride=2),
    "line": lambda x: F.conv1d(x[:, :, 0], torch.ones(5, C, 3)),
    "line of last": lambda x: F.conv1d(x[:, :, 0], torch.ones(5, 3, C).transpose(1, 2)),
    "batch norm": lambda x: F.batch_norm(x, torch.ones(C), torch.ones(C)),
    "group norm": lambda x: F.group_norm(x, 2),
    "layer norm": lambda x: F.layer_norm(x, (W,)),
    "rms norm": lambda x: F.rms_norm(x, (W,)),
    "relu": F.relu,
    "flip": lambda x: x.flip(2),
    "roll": lambda x: x.roll((1, 1), (2, 3)),
    "tril": torch.tril,
    "softmax": lambda x: x.softmax(1),
    "add": lambda x: x + x,
    "add map": lambda x: x + MAP,
    "map add": lambda x: MAP + x,
    "add last": lambda x: x + last(MAP),
    "bias": lambda x: x + torch.ones(C, 1, 1),
    "gate": lambda x: x * x.mean((2, 3), keepdim=True),
    "outer": lambda x: x[:, :, :1] + x[:, :, :, :1],
    "where": lambda x: torch.where(MAP > 0.5, x, 0.0),
    "filled": lambda x: x.masked_fill(MAP > 0.5, 0.0),
    "contiguous": lambda x: x.contiguous(),
    "made last": lambda x: x.contiguous(memory_format=LAST),
    "clone": lambda x: x.clone(),
    "clone in order": lambda x: x.clone(memory_format=torch.contiguous_format),
    "double": lambda x: x.double(),
    "zero pad": lambda x: F.pad(x, (1, 1, 1, 1)),
    "crop": lambda x: F.pad(x, (-1, 0, -1, 0)),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "mean": lambda x: x.mean(1, keepdim=True),
    "max": lambda x: x.max(1)[0],
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 2),
    "max pool": lambda x: F.max_pool2d(x, 2),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "shuffle": lambda x: torch.channel_shuffle(x, 2),
    "unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "joined": lambda x: torch.cat([x, x], 1),
    "joined with last": lambda x: torch.cat([x, last(MAP)], 1),
    "joined behind": lambda x: torch.cat([MAP, x], 2),
    "linear": lambda x: F.linear(x, torch.ones(7, W), torch.ones(7)),
    "tokens linear": lambda x: F.linear(x.flatten(2).transpose(1, 2), torch.ones(7, C), torch.ones(7)),
    "product": lambda x: x @ torch.ones(W, 3),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "heads": lambda x: F.scaled_dot_product_attention(x.transpose(1, 2), x.transpose(1, 2), x.transpose(1, 2)),
    "picked": lambda x: x[:, [0, 1]],
    "repeated": lambda x: x.repeat(1, 2, 1, 1),
    "reshaped": lambda x: x.reshape(2, -1),
}


def traced(x: Tensor, function: Callable[[Tensor], Any]) -> Any:
    """What the function returns for a stand-in."""
    values = Values(GraphBuilder("layout"))
    naming = Naming(nn.Identity(), values)
    with unrecorded():
        values.source(x, (2, 3), "x")
        tracer = Tracer(values, naming, real=False)
        with naming, RealConstants(tracer), tracer:
            return function(x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_strides_are_those_of_the_cpu(name: str) -> None:
    function = OPERATIONS[name]
    for layout, make in LAYOUTS.items():
        with torch.no_grad():
            real = function(make())
        stand_in = traced(make(device="meta"), function)
        found = [s for s, size in zip(stand_in.stride(), stand_in.shape, strict=True) if size > 1]
        expected = [s for s, size in zip(real.stride(), real.shape, strict=True) if size > 1]
        assert (tuple(stand_in.shape), found) == (tuple(real.shape), expected), layout


class Net(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.c, self.b, self.name = nn.Conv2d(1, 4, 3, padding=1), nn.Parameter(torch.rand(4)), name

    def forward(self, x: Tensor) -> Tensor:
        return WRITES[self.name](self, x)


def cleared(z: Tensor, count: int = 30) -> Tensor:
    """Writes into what reshape returns: into ``z`` where that is a view, else into a copy."""
    z.reshape(1, -1)[:, :count] = 0
    return z


WRITES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "last": lambda m, x: cleared(m.c(last(x))),
    "ordinary": lambda m, x: cleared(m.c(x)),
    "bias": lambda m, x: cleared(m.c(last(x)) + m.b.view(1, -1, 1, 1)),
    "clone": lambda m, x: cleared(last(m.c(x)).clone()),
    "clone in order": lambda m, x: cleared(last(m.c(x)).clone(memory_format=torch.contiguous_format)),
    "relu": lambda m, x: cleared(torch.relu(m.c(x).contiguous(memory_format=LAST))),
    "pool": lambda m, x: cleared(F.max_pool2d(m.c(last(x)), 2), 10),
    "joined": lambda m, x: cleared(torch.cat([m.c(last(x)), m.c(last(x))], 1)),
    "joined with ordinary": lambda m, x: cleared(torch.cat([m.c(last(x)), m.c(x).contiguous()], 1)),
    "permuted": lambda m, x: cleared(m.c(x).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).sigmoid() * m.c(x)),
    "ordinary first": lambda m, x: cleared(m.c(x) * m.c(x).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)),
    "strided offset": lambda m, x: m.c(x).as_strided((1, 4, 7, 8), (256, 64, 8, 1), 8),
    "strided same shape": lambda m, x: m.c(x)[:, :, :4].as_strided((1, 4, 4, 8), (256, 64, 8, 1), 32),
    "strided over last": lambda m, x: m.c(last(x)).as_strided((1, 4, 8, 8), (256, 64, 8, 1)),
    "strided beyond a view": lambda m, x: m.c(x)[:, 1].as_strided((1, 4, 8, 8), (256, 64, 8, 1), 0),
    "strided default offset": lambda m, x: m.c(x)[:, 1:].as_strided((1, 2, 8, 8), (256, 64, 8, 1)),
    "strided in place": lambda m, x: m.c(x).as_strided_((1, 4, 7, 8), (256, 64, 8, 1), 8),
}


def through_strides(m: Any, x: Tensor) -> Tensor:
    z = m.c(x)
    z.as_strided((1, 4, 4, 8), (256, 64, 8, 1), 32).zero_()
    return z  # type: ignore[no-any-return]


WRITES["strided write"] = through_strides


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("weights", ["ordinary", "last"])
def test_a_write_reaches_what_shares_memory(name: str, weights: str) -> None:
    torch.manual_seed(0)
    model = Net(name)
    if weights == "last":
        model = model.to(memory_format=LAST)
    assert testing.check(model, (1, 1, 8, 8), rounds=6).agrees
    rf = foveal.receptive_field(foveal.trace(model, (1, 1, 8, 8)), "output")
    assert rf.status == "exact"


def test_the_whole_of_z_is_kept() -> None:
    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 5, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            z = self.conv(x.to(memory_format=LAST))
            z.reshape(1, -1)[:, :100] = 0
            return z  # type: ignore[no-any-return]

    graph = foveal.trace(Kept(), (1, 1, 8, 8))
    from foveal.fields.receptive_field import unit_bounds

    assert all((first <= last).all() for first, last in unit_bounds(graph, "output"))
