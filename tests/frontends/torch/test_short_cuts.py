"""The short cuts of the PyTorch front end add what the table adds, and stand aside for one's own rules only.

`make zoo-shortcuts` compares the traces of every model of torchvision in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveal import extend, receptive_field, trace
from foveal.frontends.torch.dispatch.fast import FAST
from foveal.frontends.torch.dispatch.mode import Tracer
from foveal.frontends.torch.dispatch.shapes import SHAPES
from foveal.frontends.torch.dispatch.values import Values
from foveal.ir import extension, ops
from foveal.ir.graph import GraphBuilder
from support.frameworks.short_cuts import first_difference, replaced

aten = torch.ops.aten


class Calls(nn.Module):
    """Returns what functions of its input return; the masks are constants that it knows by value."""

    def __init__(self, *functions: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.functions = functions

    def forward(self, x: Tensor) -> list[Any]:
        return [function(x) for function in self.functions]


def window(rank: int) -> nn.Module:
    """Convolutions, normalisation, dropout and pools over that many axes."""

    def made(kind: str, *args: Any, **options: Any) -> Any:
        return getattr(nn, f"{kind}{rank}d")(*args, **options)

    return nn.Sequential(
        made("Conv", 4, 8, 3, stride=2, padding=1), made("BatchNorm", 8), nn.ReLU(inplace=True),
        made("Conv", 8, 8, 3, dilation=2, padding="same", groups=4), made("Dropout"), nn.Dropout(inplace=True),
        made("MaxPool", 3, 2, ceil_mode=True), nn.AlphaDropout(), made("MaxPool", 3, 1, 1), nn.ReLU(),
        made("AvgPool", 2, 1, ceil_mode=True), nn.Dropout(), made("AvgPool", 2),
    )  # fmt: skip


ACTIVATIONS = "relu relu6 silu hardswish hardsigmoid sigmoid gelu elu leaky_relu tanh hardtanh"


def activations(x: Tensor) -> Tensor:
    """Each as a new tensor, and each in place."""
    for name in ACTIVATIONS.split():
        x = getattr(aten, name + "_").default(getattr(aten, name).default(x))
    return x


def attention(x: Tensor) -> tuple[Tensor, ...]:
    """Products of every kind."""
    flat = x.flatten(2)[0]
    batch = x.flatten(0, 1)
    return F.scaled_dot_product_attention(x, x, x), x @ x.mT, torch.bmm(batch, batch), torch.mm(flat.t(), flat)


def update(x: Tensor) -> Tensor:
    """In place, on a tensor and on a part of it."""
    y = x.exp()
    y += x
    y *= x
    y[:, 1:] += x[:, 1:]
    return F.dropout(torch.relu_(y[:, :2]), training=False, inplace=True) + y.sum()


def written(x: Tensor) -> list[Tensor]:
    """A write through a view reaches what it is a view of; whether there is a view, the layout in memory decides."""
    turned, last, found = x.transpose(2, 3), x.contiguous(memory_format=torch.channels_last), []
    for made in (
        turned.clone(), turned.contiguous(), turned.exp(), x[..., ::2].exp(), x[..., ::2].relu(), turned.softmax(1),
        turned.tril(), F.layer_norm(turned, [8]), turned * x, x * turned, turned - x[:, :1], x[:, :1] - turned,
        x[:, :1, :1, :1] - turned, F.pad(last, (1, 1)), F.max_pool2d(last, 2), F.avg_pool2d(last, 2),
        F.adaptive_avg_pool2d(last, 2),
    ):  # fmt: skip
        part = made.reshape(1, -1)
        part += 1
        found += [made, part]
    return found


MASK = torch.arange(8) % 3 == 0
MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "1d": (window(1), (1, 4, 32)),
    "2d": (window(2), (1, 4, 32, 32)),
    "3d": (window(3), (1, 4, 16, 16, 16)),
    "activations": (Calls(activations, lambda x: activations(x.transpose(2, 3)).flatten(1)), (1, 4, 8, 8)),
    "linear": (nn.Sequential(nn.Linear(8, 4), nn.PReLU(), nn.Flatten(), nn.Linear(128, 2)), (1, 4, 8, 8)),
    "arithmetic": (
        Calls(
            update, lambda x: x + x * x, lambda x: 1 - x[..., :1] + x, lambda x: x - 2, lambda x: x / x.amax(),
            lambda x: torch.maximum(x, x[:, :1]), lambda x: torch.minimum(x[:, :1], x), lambda x: x * 2 + x[0],
            lambda x: torch.cat([x, x.relu()], -1), lambda x: torch.cat([x, x.tanh(), x], 1),
        ),
        (1, 4, 8, 8),
    ),
    "elementwise": (
        Calls(
            torch.exp, torch.sqrt, torch.rsqrt, torch.neg, torch.abs, torch.sin, torch.cos, F.softplus, F.mish,
            lambda x: torch.clamp_min(x, 0), lambda x: torch.clamp_max(x, 0), torch.reciprocal, torch.log,
            torch.square, torch.erf, lambda x: x.roll(1, 2), lambda x: x.flip(2), torch.tril, torch.triu,
            lambda x: x.softmax(1), lambda x: x.log_softmax(1), lambda x: aten._softmax.default(x, 1, False),
            lambda x: aten._safe_softmax.default(x, 1), lambda x: x.transpose(1, 3).exp().flatten(1),
        ),
        (1, 4, 8, 8),
    ),
    "norms": (nn.Sequential(nn.LayerNorm([8, 8]), nn.RMSNorm(8), nn.GroupNorm(2, 4)), (1, 4, 8, 8)),
    "products": (Calls(attention), (1, 4, 8, 8)),
    "moves": (
        Calls(
            lambda x: x[:, :, MASK], lambda x: x.masked_fill(MASK, 0.0), lambda x: x.transpose(1, 2).contiguous().exp(),
            lambda x: x.contiguous(), lambda x: x.clone(), lambda x: F.pad(x, (1, 2, 0, 1)),
            lambda x: aten.constant_pad_nd.default(x, (1, 2), 0.0), written,
        ),
        (1, 4, 8, 8),
    ),
    "reductions": (
        Calls(
            lambda x: x.mean((2, 3)), lambda x: x.mean(1, True), lambda x: x.sum(), lambda x: x.amax(-1),
            lambda x: x.amin((0, 1)), lambda x: F.adaptive_avg_pool2d(x, (3, 5)), lambda x: F.adaptive_avg_pool2d(x, 1),
            lambda x: F.adaptive_avg_pool1d(x[0], 3), lambda x: aten._adaptive_avg_pool2d.default(x, (2, 2)),
        ),
        (1, 4, 8, 8),
    ),
}  # fmt: skip


def both(name: str, fast: Any = FAST, shapes: Any = SHAPES) -> tuple[Any, Any]:
    """The traces with these short cuts and with none."""
    model, shape = MODELS[name]
    with replaced(dict(fast), dict(shapes)):
        short = trace(model, shape).verify()
    with replaced():
        return short, trace(model, shape)


@pytest.mark.parametrize("name", MODELS)
def test_short_cuts_add_what_the_table_adds(name: str) -> None:
    short, long = both(name)
    assert short.notes == []
    assert first_difference(short, long) is None


def test_what_is_not_the_same_is_seen() -> None:
    """The comparison can fail: at another operation, and at another shape."""
    fast = {**FAST, aten.relu.default: FAST[aten.tanh.default]}
    assert first_difference(*both("arithmetic", fast)) is not None
    assert first_difference(*both("reductions", shapes={**SHAPES, "sum": lambda x: x.new_empty(3)})) is not None


def test_the_models_above_take_every_short_cut() -> None:
    taken: set[Any] = set()

    def noted(key: Any, short: Callable[..., Any], refused: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = short(*args, **kwargs)
            if result is not refused:
                taken.add(key)
            return result

        return call

    every = {*FAST, *SHAPES}
    fast = {key: noted(key, short, NotImplemented) for key, short in FAST.items()}
    shapes = {key: noted(key, short, None) for key, short in SHAPES.items()}
    with replaced(fast, shapes):
        for model, shape in MODELS.values():
            trace(model, shape)
    assert {str(key) for key in every - taken} == set()


@pytest.fixture
def taught() -> Iterator[Callable[[str], list[str]]]:
    """Teaches an operation to pool its first input over five positions; the list grows with its calls."""
    kept = dict(extension.REGISTRY.lowerings)

    def teach(name: str) -> list[str]:
        calls: list[str] = []

        @extend.lower(name)
        def wider(call: extend.Call) -> int:
            calls.append(name)
            rank = len(call.outputs[0]) - 2
            return call.emit(ops.Pool((5,) * rank, (1,) * rank, ((2, 2),) * rank, (1,) * rank), call.inputs[0])

        return calls

    yield teach
    extension.REGISTRY.lowerings = kept
    extension.REGISTRY.version += 1


def test_an_own_rule_keeps_the_other_short_cuts(taught: Callable[[str], list[str]]) -> None:
    calls = taught("aten::tanh")
    assert set(FAST) - set(Tracer(Values(GraphBuilder("")), None, False).fast) == {aten.tanh.default}
    graph = trace(nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), nn.Tanh()), (1, 2, 16))
    assert receptive_field(graph, "1").size == (7,)
    assert calls == ["aten::tanh"]


@pytest.mark.parametrize("padding", [1, "same"])
def test_an_own_rule_for_convolution_is_reached_from_modules(taught: Callable[[str], list[str]], padding: Any) -> None:
    for conv, lengths in ((nn.Conv1d, (16,)), (nn.Conv2d, (16, 16)), (nn.Conv3d, (8, 8, 8))):
        calls = taught("aten::convolution")
        graph = trace(nn.Sequential(conv(2, 2, 3, padding=padding)), (1, 2, *lengths))
        assert receptive_field(graph, "0").size == (5,) * len(lengths)
        assert calls == ["aten::convolution"]
