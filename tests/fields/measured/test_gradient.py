"""Input gradients of real models: support, cut sources, layers together, what stops gradients, models untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import foveal
from foveal.core.errors import FovealError
from foveal.fields.measured.measure import Settings, central_unit, measure, plan_of
from foveal.fields.measured.protocols import protocol_of
from support.networks.small_nets import Gated, Residual, Rounded, positive_stack, seeded
from support.rounding import close

WHOLE = Settings(crop=False)


def test_support_equals_the_receptive_field_of_a_positive_linear_network() -> None:
    graph = foveal.trace(positive_stack(), (1, 3, 40, 33))
    for at in (None, (0, 0), (9, 7)):
        for settings in (Settings(), WHOLE):
            found = measure(graph, "2", at=at, count=1, protocol="luo2016", settings=settings)[0].field
            support = foveal.field(graph, "2", "support", at=found.unit)
            np.testing.assert_array_equal(found.full() > 0, support.full())


class Transposed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).transpose(1, 2)


def models() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]]:
    return {
        "residual": (lambda: seeded(Residual), (1, 3, 64, 64), "tail"),
        "line": (lambda: nn.Sequential(nn.Conv1d(2, 4, 5, 2, 2), nn.ReLU(), nn.Conv1d(4, 4, 3)), (1, 2, 50), "2"),
        "volume": (
            lambda: nn.Sequential(nn.Conv3d(1, 2, 3), nn.MaxPool3d(2), nn.Conv3d(2, 2, 2)),
            (1, 1, 12, 9, 9), "2",
        ),
        "upsampled": (
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, 1, 1)),
            (1, 1, 32, 32), "2",
        ),
        # Gradients of transposed maps, which PyTorch's norms over channels put at wrong places.
        "tokens": (
            lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), Transposed()), (1, 1, 12, 12), "2",
        ),
        "tokens of volumes": (
            lambda: nn.Sequential(nn.Conv3d(1, 8, 3), nn.BatchNorm3d(8), Transposed()), (1, 1, 6, 6, 6), "2",
        ),
        "vit": (
            lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, embed_dim=24, num_heads=2),
            (1, 3, 64, 64), "blocks.1",
        ),
        "swin": (
            lambda: timm.create_model(
                "swin_tiny_patch4_window7_224", img_size=56, depths=(2,), embed_dim=12, num_heads=(2,)
            ),
            (1, 3, 56, 56), "layers.0",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", models())
def test_measured_support_lies_inside_the_theoretical(name: str) -> None:
    make, shape, layer = models()[name]
    torch.manual_seed(0)
    graph = foveal.trace(make().eval(), shape)
    item = measure(graph, layer, count=2, settings=WHOLE)[0]
    support = foveal.field(graph, layer, "support", at=item.field.unit).full()
    assert not (item.field.full()[~support] > 0).any()
    assert "outside the receptive field" not in item.field.method
    assert item.field.status == "data-dependent"


@pytest.mark.parametrize("at", [None, (0, 0), (31, 12), (15, 31)])
@pytest.mark.parametrize("protocol", ["foveal", "replknet"])
def test_a_cut_source_changes_nothing(at: tuple[int, int] | None, protocol: str) -> None:
    graph = foveal.trace(seeded(Residual), (1, 3, 126, 128))
    cut = measure(graph, "tail", at=at, count=2, protocol=protocol)[0]
    whole = measure(graph, "tail", at=at, count=2, protocol=protocol, settings=WHOLE)[0]
    assert cut.crop is not None
    assert whole.crop is None
    assert all(a % 4 == 0 for a, _ in cut.crop)
    assert np.prod([b - a for a, b in cut.crop]) < 126 * 128 / 4
    largest = whole.field.values.max()
    assert np.abs(cut.field.values - whole.field.values).max() <= 1e-6 * largest


def test_layers_from_one_pass_equal_each_alone() -> None:
    graph = foveal.trace(seeded(Residual), (1, 3, 128, 128))
    together = measure(graph, ["stem", "act", "tail"], count=2)
    for item in together:
        alone = measure(graph, item.field.layer, count=2, at=item.field.unit)[0]
        np.testing.assert_allclose(
            item.field.full(), alone.field.full(), rtol=1e-5, atol=1e-6 * item.field.values.max()
        )


def test_a_batch_equals_one_by_one() -> None:
    graph = foveal.trace(seeded(Residual), (1, 3, 64, 64))
    one, three = (measure(graph, "tail", count=5, settings=Settings(batch=b))[0] for b in (1, 3))
    np.testing.assert_allclose(one.field.values, three.field.values, rtol=1e-4, atol=1e-6 * one.field.values.max())
    assert one.used == three.used


class Deep(nn.Module):
    """Residual blocks at strides 2 and 4: all paths run through each block's output."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, 6, 5, 2, 2), nn.MaxPool2d(3, 2, 1)]
        self.parts = nn.Sequential(*parts, *[Block(6) for _ in range(4)], nn.Conv2d(6, 8, 3, 2, 1), Block(8), Block(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


@pytest.mark.parametrize("at", [None, (0, 0), (35, 3), (2, 35), (34, 34)])
def test_cuts_inside_the_network_change_nothing(at: tuple[int, int] | None) -> None:
    """In double precision, where no rounding opens or closes a ReLU; at the middle and at all borders."""
    graph = foveal.trace(seeded(Deep).double(), (1, 3, 288, 285))
    protocol = protocol_of("foveal")
    plan = plan_of(graph, ["parts.8"], at, None, None, protocol, Settings())
    assert plan_of(graph, ["parts.8"], at, None, None, protocol, Settings(dtype="float32")).waists == ()
    assert [waist.layer for waist in plan.waists][-1] == "parts.7"
    cut = measure(graph, "parts.8", at=at, count=2)[0].field
    whole = measure(graph, "parts.8", at=at, count=2, settings=WHOLE)[0].field
    np.testing.assert_allclose(cut.values, whole.values, rtol=1e-9, atol=1e-12 * whole.values.max())


class Global(Residual):
    """A gate over all positions on the path."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((self.tail(self.down(x * x.mean((2, 3), keepdim=True)))).mean((2, 3)))


class Placed(nn.Module):
    """Adds a weight that differs from position to position; interpolated to whatever size comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.place = nn.Parameter(torch.randn(1, 4, 8, 8))
        self.out = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        place = nn.functional.interpolate(self.place, x.shape[-2:])
        return self.out((x + place).square())


@pytest.mark.parametrize(
    ("make", "layer", "why"),
    [(Global, "tail", "global context"), (Placed, "out", "depends on the position")],
)
def test_no_cut_where_the_rest_matters(make: type[nn.Module], layer: str, why: str) -> None:
    item = measure(foveal.trace(seeded(make), (1, 3, 64, 64)), layer, count=1)[0]
    assert item.crop is None
    assert why in item.record["why_whole"]


def test_a_gate_under_detach_is_said_to_be_missed() -> None:
    """C27b: the receptive field is 7x7, the gradient sees 3x3."""
    graph = foveal.trace(seeded(Gated), (1, 1, 21, 21))
    found = measure(graph, "output", count=2)[0].field
    assert found.values.shape == (7, 7)
    assert np.count_nonzero(found.values) == 9
    assert "may miss information" in found.method
    assert "3x3 of 7x7" in found.method


def test_rounding_leaves_nothing_to_measure() -> None:
    graph = foveal.trace(seeded(Rounded), (1, 1, 21, 21))
    with pytest.raises(FovealError, match=r"all 2 images were left out, .* zero everywhere; .* rounding"):
        measure(graph, "output", count=2)


def test_the_model_comes_back_as_it_was() -> None:
    net = seeded(Residual).train()
    before = {name: item.clone() for name, item in net.state_dict().items()}
    measure(foveal.trace(net, (1, 3, 32, 32)), "tail", count=1)
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not net.tail._forward_hooks
    assert all(torch.equal(before[name], item) for name, item in net.state_dict().items())


def test_an_in_place_operation_behind_a_layer_does_not_reach_it() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True)).eval()
    found = measure(foveal.trace(net, (1, 1, 9, 9)), "0", count=1, protocol="luo2016")[0].field
    expected = net[0].weight.detach().sum(0)[0].abs().double().numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


def test_the_users_precision() -> None:
    net = seeded(Residual).double()
    graph = foveal.trace(net, (1, 3, 32, 32))
    exact = measure(graph, "tail", count=1)[0].field.values
    coarse = measure(graph, "tail", count=1, settings=Settings(dtype="float32"))[0].field.values
    assert 0 < np.abs(exact - coarse).max() < 1e-4 * exact.max()


def test_central_units() -> None:
    """C32: the even grid's middle four are equally near; the last of them is n // 2 as everywhere else."""
    vit = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, embed_dim=24, num_heads=2).eval()
    rf = foveal.receptive_field(foveal.trace(vit, (1, 3, 64, 64)), "blocks.0")
    assert central_unit(rf, 1) == (1 + 2 * 4 + 2,)
    lopsided = nn.Sequential(nn.Conv2d(1, 1, 3, 4))  # centers 1, 5, 9, ... of 32 positions
    assert central_unit(foveal.receptive_field(foveal.trace(lopsided, (1, 1, 32, 32)), "0")) == (4, 4)
    upsampled = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Upsample(scale_factor=8))  # eight units share a center
    assert central_unit(foveal.receptive_field(foveal.trace(upsampled, (1, 1, 6, 6)), "1")) == (12, 12)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(FovealError, match="needs a PyTorch model"):
        measure(foveal.trace("conv3x4 conv3x4", (1, 3, 16, 16)), "conv1")
    with pytest.raises(FovealError, match="an operation inside one"):
        measure(foveal.trace(seeded(Residual), (1, 3, 32, 32)), "add", count=1)


def test_weights_that_a_fused_optimiser_wrote_are_seen() -> None:
    """It writes without counting it, so that a copy kept from before looks as if it were still true."""
    net = seeded(Residual).train()
    graph = foveal.trace(net, (1, 3, 32, 32))
    before = measure(graph, "tail", count=1)[0].field.values
    optimizer = torch.optim.AdamW(net.parameters(), 0.1, fused=True)
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    after = measure(graph, "tail", count=1)[0].field.values
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, measure(foveal.trace(net, (1, 3, 32, 32)), "tail", count=1)[0].field.values)


class Ways(nn.Module):
    """A norm and an attention in another order of memory; which of two convolutions runs, the image says."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.first(x))
        y = self.one(y) if x.mean() > 0 else self.two(y)
        return self.last(y.permute(0, 2, 3, 1))


def test_later_images_are_measured_as_the_first_one_is() -> None:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    images += torch.tensor([1.0, 1.0, -1.0, 1.0]).reshape(4, 1, 1, 1)
    graph = foveal.trace(seeded(Ways), torch.ones(1, 3, 8, 8))
    for layer in ("last", "norm"):
        every, *alone = (
            measure(graph, layer, images=some, at=(4, 4), protocol="luo2016", settings=WHOLE)[0].field.full()
            for some in (images, *images[:, None])
        )
        assert close(every, np.mean(alone, axis=0), dtype=np.float32)


def test_a_device_is_where_the_model_runs_and_one_that_is_not_there_is_told() -> None:
    graph = foveal.trace(seeded(Residual), (1, 3, 32, 32))
    plain, named = (measure(graph, "tail", count=2, settings=Settings(device=place))[0] for place in (None, "cpu"))
    assert np.array_equal(plain.field.values, named.field.values)
    for name in ("cuda:99", "nowhere"):
        with pytest.raises(FovealError, match=f"device '{name}' cannot be used here"):
            measure(graph, "tail", count=1, settings=Settings(device=name))


def test_mixed_precision_is_near_the_whole_one_and_refused_where_the_scale_counts() -> None:
    graph = foveal.trace(seeded(Residual), (1, 3, 32, 32))
    whole, mixed = (measure(graph, "tail", count=3, settings=Settings(dtype=name))[0] for name in (None, "mixed"))
    assert np.abs(mixed.field.values - whole.field.values).max() < 0.1 * whole.field.values.max()
    with pytest.raises(FovealError, match="mixed precision"):
        measure(graph, "tail", count=1, protocol="replknet", settings=Settings(dtype="mixed"))
    double = foveal.trace(seeded(Residual).double(), (1, 3, 32, 32))
    with pytest.raises(FovealError, match="mixed precision is for models in float32"):
        measure(double, "tail", count=1, settings=Settings(dtype="mixed"))


class Apart(torch.autograd.Function):
    """An operation whose gradient is known for one draw at a time."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(gradient.numpy() * 1.0)


def test_draws_in_one_pass_back_are_those_one_by_one() -> None:
    model = seeded(Residual)
    several = replace(protocol_of("foveal"), draws=4)
    together = measure(foveal.trace(model, (1, 3, 32, 32)), "tail", count=2, protocol=several)[0].field.values
    model.tail.register_forward_hook(lambda _module, _args, output: Apart.apply(output))
    alone = measure(foveal.trace(model, (1, 3, 32, 32)), "tail", count=2, protocol=several)[0].field.values
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6 * alone.max())
