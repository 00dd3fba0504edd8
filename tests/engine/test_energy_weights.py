"""Energy from a model's own weights: against gradients measured with weights of the same mean squares, and against
hand arithmetic; what has no gain of its own is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError
from foveal.engine.backward.activations import SLOPES, mean_square_gate, mean_square_slope
from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.frontends.trace import trace
from support.drawn.random_gradients import Residual, distance, squared_gradients
from support.rounding import close

SHAPE = (1, 3, 12, 12)
LINEAR = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


class Scaled(nn.Module):
    """x + scale * branch(x): LayerScale."""

    def __init__(self, branch: nn.Module, channels: int) -> None:
        super().__init__()
        self.branch, self.scale = branch, nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) * self.scale


def networks() -> dict[str, nn.Module]:
    return {
        "windows": nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, (3, 5), (2, 1), 1, (1, 2))),
        "depthwise": nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 5, padding=2, groups=8),
            nn.Conv2d(8, 6, 1), nn.Conv2d(6, 6, 3, groups=2),
        ),
        "branches": nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), Scaled(nn.Conv2d(8, 8, 3, padding=1), 8),
            Residual(nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 3, padding=1)),
        ),
        "transposed": nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 6, 3, 2, 1, groups=2), nn.Conv2d(6, 4, 3)
        ),
        "linear": nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 5), nn.Linear(5, 4)
        ),
        "max pool": nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 32, 3, padding=1)),
    }  # fmt: skip


def uneven(model: nn.Module) -> nn.Module:
    """Weights whose size differs from tap to tap and from channel to channel; norms that differ by channel."""
    torch.manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, LINEAR):
            shape = layer.weight.shape
            size = torch.rand(shape[2:]) * (0.3 + torch.rand(shape[0], *[1] * (len(shape) - 1)))
            layer.weight.data = torch.randn(shape) * size * 2 / layer.weight[0].numel() ** 0.5
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.3, 2)
            nn.init.uniform_(layer.running_var, 0.3, 2)
            nn.init.normal_(layer.bias)
    return model.eval()


def redrawn(model: nn.Module, detail: str) -> Any:
    """A way to draw weights anew: "squares" keeps each size and draws the sign, "model" keeps mean squares per tap."""
    base = {layer: layer.weight.data.clone() for layer in model.modules() if isinstance(layer, LINEAR)}

    def draw(_: nn.Module) -> None:
        for layer, weight in base.items():
            if detail == "squares":
                layer.weight.data = weight * (torch.randint(0, 2, weight.shape) * 2 - 1)
                continue
            flattened = isinstance(layer, nn.Linear) and layer.in_features == 72
            mean = (weight**2).mean(dim=(0,) if flattened else (0, 1), keepdim=True)
            layer.weight.data = torch.randn_like(weight) * mean.sqrt()

    return draw


@pytest.mark.parametrize("detail", ["model", "squares"])
@pytest.mark.parametrize("name", networks())
def test_energy_equals_gradients_with_the_same_mean_squares(name: str, detail: str) -> None:
    model = uneven(networks()[name])
    graph = trace(model, SHAPE)
    predicted = field(graph, graph.layers[-1], "energy", weights=detail).full()
    measured = squared_gradients(model, SHAPE, 600, 0, redrawn(model, detail)).mean(axis=0)
    assert distance(predicted, measured) < 0.05
    assert predicted.sum() == pytest.approx(measured.sum(), rel=0.15)


def test_each_square_counts() -> None:
    """One draw is enough where one path leads to each position: a chain of one channel, squared by hand."""
    first, second = nn.Conv1d(1, 1, 3, bias=False), nn.Conv1d(1, 1, 1, bias=False)
    model = nn.Sequential(first, nn.BatchNorm1d(1), nn.ReLU(), second).eval()
    model[1].weight.data.fill_(2.0)
    model[1].running_var.fill_(4.0)
    graph = trace(model, (1, 1, 9))
    expected = (first.weight.data.numpy().ravel() ** 2) * 4 / (4 + 1e-5) * 0.5 * float(second.weight.data) ** 2
    for detail in ("model", "squares"):
        found = field(graph, "3", "energy", weights=detail)
        assert found.values == pytest.approx(expected, rel=1e-6)
        assert found.status == "approximation"
        assert "mean squared slope" in found.method


def test_the_norm_before_an_activation_sets_its_slope() -> None:
    norm = nn.BatchNorm1d(1)
    norm.bias.data.fill_(-1.0)
    model = nn.Sequential(norm, nn.ReLU()).eval()
    found = field(trace(model, (1, 1, 5)), "1", "energy", weights="model")
    assert found.values.sum() == pytest.approx(0.158655, rel=1e-2)  # P(z > 1)


def test_slopes() -> None:
    """Against sampling; ReLU and leaky ReLU exactly."""
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0)).double().requires_grad_(True)
    functions = {
        "silu": nn.functional.silu, "gelu": nn.functional.gelu, "hardswish": nn.functional.hardswish,
        "tanh": torch.tanh, "sigmoid": torch.sigmoid, "elu": nn.functional.elu, "softplus": nn.functional.softplus,
        "mish": nn.functional.mish, "relu6": nn.functional.relu6, "hardsigmoid": nn.functional.hardsigmoid,
        "selu": nn.functional.selu, "relu": torch.relu, "leaky_relu": nn.functional.leaky_relu,
        "hardtanh": nn.functional.hardtanh, "log_sigmoid": nn.functional.logsigmoid, "softsign": nn.functional.softsign,
    }  # fmt: skip
    for name, function in functions.items():
        slope = torch.autograd.grad(function(z).sum(), z)[0]
        assert float(mean_square_slope(name)[0]) == pytest.approx(float((slope**2).mean()), rel=0.01), name
    assert float(mean_square_slope("relu")[0]) == pytest.approx(0.5, abs=1e-9)
    assert set(functions) <= set(SLOPES)
    assert mean_square_gate("sigmoid") == pytest.approx(0.2934, abs=1e-3)
    assert mean_square_gate("relu") is None


def test_residual_branches_by_their_gains() -> None:
    """y = x + a F(x) with unit F: the share of the branch is a^2 / (1 + a^2) (docs/methods.md 2.3)."""
    model = Scaled(nn.Conv2d(4, 4, 3, padding=1, bias=False), 4)
    model.scale.data.fill_(0.5)
    nn.init.constant_(model.branch.weight, 1 / 6)
    found = field(trace(model, (1, 4, 9, 9)), "output", "energy", weights="squares").values
    assert found.sum() == pytest.approx(1.25)
    assert found[1, 1] == pytest.approx(1 + 0.25 / 9)


def blended(function: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """The signal and a convolution of it with unit gain, put together."""

    class Blend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 4, 3, padding=1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return function(x, self.conv(x))

    return Blend()


@pytest.mark.parametrize(
    ("function", "own", "other"),
    [
        (lambda x, y: torch.lerp(x, y, 0.25), 0.75, 0.25),
        (lambda x, y: (x * 1).lerp_(y, torch.tensor(0.25)), 0.75, 0.25),
        (lambda x, y: torch._foreach_lerp([x], [y], 0.25)[0], 0.75, 0.25),
        (lambda x, y: torch.addcmul(x, y, torch.tensor(2.0), value=0.25), 1, 0.5),
        (lambda x, y: torch.addcdiv(x, y, torch.tensor(2.0), value=0.5), 1, 0.25),
        (lambda x, y: (x * 1).index_add(2, torch.arange(9), y, alpha=0.25), 1, 0.25),
        (lambda x, y: torch.add(x, y, alpha=0), 1, 0),
    ],
)
def test_shares_that_an_operation_is_given_count(
    function: Callable[[Tensor, Tensor], Tensor], own: float, other: float
) -> None:
    """y = a x + b F(x) with unit F: the middle holds a^2 + b^2 / 3, its neighbours b^2 / 3."""
    graph = trace(blended(function), (1, 4, 9), axes=(2,))
    found = field(graph, graph.layers[-1], "energy")
    assert found.status == "exact"
    assert found.full()[3:6] == pytest.approx([other**2 / 3, own**2 + other**2 / 3, other**2 / 3])


def test_a_divisor_of_a_mean_counts() -> None:
    """A sum of three over 6, beside the signal itself."""
    pool = blended(lambda x, y: x + nn.AvgPool2d((1, 3), 1, (0, 1), divisor_override=6)(x[:, :, None])[:, :, 0])
    found = field(trace(pool, (1, 4, 9), axes=(2,)), "output", "energy").full()
    assert found[3:6] == pytest.approx([1 / 36, 1 + 1 / 36, 1 / 36])


def test_gates_are_noted() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.value = nn.Conv1d(4, 4, 1), nn.Conv1d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.value(x) * torch.sigmoid(self.gate(x))

    found = field(trace(Gated(), (1, 4, 9)), "output", "energy", weights="model")
    assert found.status == "approximation"
    assert "gates at their mean square" in found.method


@pytest.mark.parametrize("detail", ["model", "squares"])
@pytest.mark.parametrize("layer", [nn.GroupNorm(2, 4), nn.LayerNorm([4, 10]), nn.InstanceNorm1d(4, affine=True)])
def test_norms_by_their_own_input_count_their_scale_and_say_so(layer: nn.Module, detail: str) -> None:
    nn.init.constant_(layer.weight, 3.0)
    graph = trace(nn.Sequential(nn.Conv1d(4, 4, 3), layer), (1, 4, 12))
    plain, scaled = (field(graph, name, "energy", weights=detail) for name in ("0", "1"))
    assert close(scaled.full(), 9 * plain.full(), dtype=np.float32)
    assert scaled.status == "approximation"
    assert "as if it had unit variance" in scaled.method


def test_a_scale_for_each_channel_counts_channel_by_channel() -> None:
    """By hand: the norm hands on 2 and 3 times its features, which the layer behind it takes once and five times."""
    norm, last = nn.GroupNorm(1, 2), nn.Conv1d(2, 1, 1, bias=False)
    norm.weight.data, last.weight.data = torch.tensor([2.0, 3.0]), torch.tensor([[[1.0], [5.0]]])
    graph = trace(nn.Sequential(norm, last), (1, 2, 4))
    assert close(field(graph, "1", "energy", at=2, weights="squares").full()[2], 4.0 + 25 * 9, dtype=np.float32)
    assert close(field(graph, "1", "energy", at=2, weights="model").full()[2], 13 * 6.5 * 2, dtype=np.float32)


def test_attention_is_followed_along_its_values_at_uniform_weights() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries, self.values = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
            self.values.weight.data.fill_(3.0)

        def forward(self, x: Tensor) -> Tensor:
            return torch.softmax(self.queries(x) @ x.transpose(1, 2), -1) @ self.values(x)

    found = field(trace(Attention(), (1, 5, 1), axes=(1,)), "output", "energy", weights="squares")
    assert close(found.values, np.full(5, 9 / 25), dtype=np.float32)
    assert "uniform weights" in found.method


def test_gains_that_depend_on_the_data_are_unavailable() -> None:
    class Power(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp()

    graph = trace(nn.Sequential(nn.Conv1d(4, 4, 3), Power()), (1, 4, 12))
    with pytest.raises(FovealError, match=r"own weights is not available here: .*exp at 1.*depends on the data"):
        field(graph, "1", "energy", weights="model")
    assert field(graph, "1", "energy").values.any()


def test_the_model_is_untouched() -> None:
    model = uneven(networks()["depthwise"])
    before = {name: item.clone() for name, item in model.state_dict().items()}
    graph = trace(model, SHAPE)
    found = [field(graph, graph.layers[-1], "energy", weights=detail) for detail in ("model", "squares", "model")]
    assert close(found[0].values, found[2].values)
    assert all(torch.equal(before[name], item) for name, item in model.state_dict().items())
    assert isinstance(found[1], Field)
    assert math.isfinite(found[1].values.sum())
