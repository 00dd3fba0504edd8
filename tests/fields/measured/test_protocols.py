"""Protocols as data: each against the same steps written out by hand; areas against docs/methods.md 2.2 and 3.3."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import foveal
from foveal.core.errors import FovealError
from foveal.core.serial import to_plain
from foveal.fields.field import Field
from foveal.fields.measured.measure import Settings, measure
from foveal.fields.measured.protocols import PROTOCOLS, Protocol, fixed_unit, protocol_from, protocol_of
from support.networks.small_nets import Residual, seeded


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return seeded(Residual)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.randn(3, 3, 36, 40, generator=torch.Generator().manual_seed(1))


def by_hand(net: torch.nn.Module, image: torch.Tensor, unit: tuple[int, int], features: str) -> torch.Tensor:
    """The gradient (3, H, W) of one scalar of the layer ``tail``."""
    source = image[None].clone().requires_grad_(True)
    kept = {}
    hook = net.tail.register_forward_hook(lambda _m, _a, out: kept.update(out=out))
    net(source)
    hook.remove()
    values = kept["out"][0, :, unit[0], unit[1]]
    scalar = {"relu": values.relu().sum(), "sum": values.sum(), "mean": values.mean()}[features]
    return torch.autograd.grad(scalar, source)[0][0]


STEPS = {
    "replknet": ("relu", lambda g: g.relu().sum(0)),
    "luo2016": ("sum", lambda g: g.abs().sum(0)),
    "openerf": ("mean", lambda g: g.mean(0).relu()),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("crop", [True, False])
def test_a_protocol_is_its_steps(name: str, crop: bool, net: torch.nn.Module, pictures: torch.Tensor) -> None:
    graph = foveal.trace(net, (1, 3, 36, 40))
    found = measure(graph, "tail", images=pictures, protocol=name, settings=Settings(crop=crop))[0].field
    features, reduce = STEPS[name]
    assert found.unit == ((4, 5) if name != "luo2016" else found.unit)
    maps = [reduce(by_hand(net, image, found.unit, features)).double().numpy() for image in pictures]
    expected = np.mean(maps, axis=0)
    expected = expected / expected.sum() if name == "openerf" else expected
    np.testing.assert_allclose(found.full(), expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_signs_estimate_the_sum_of_squares(net: torch.nn.Module, pictures: torch.Tensor) -> None:
    """Mean over many draws of random signs against one backward pass for each feature."""
    graph = foveal.trace(net, (1, 3, 24, 24))
    image = pictures[:1, :, :24, :24]
    many = Protocol(**{**to_plain(PROTOCOLS["foveal"]), "steps": ("many draws",), "draws": 100})
    found = measure(graph, "tail", images=image, protocol=many)[0].field
    single = [
        measure(graph, "tail", images=image, protocol=many_without_signs(), channel=c)[0].field.full()
        for c in range(16)
    ]
    expected = np.sum(single, axis=0)
    assert np.abs(found.full() - expected).sum() / expected.sum() < 0.2
    assert abs(found.full().sum() / expected.sum() - 1) < 0.1


def many_without_signs() -> Protocol:
    return Protocol("one feature", "this test", ("square of one feature's gradient",), each="square")


def test_uniform_map_sides() -> None:
    """docs/methods.md 3.3: sides 459, 561, 725, 1019 at 1024."""
    metrics = Field.of(np.ones((1024, 1024)), center=(512, 512)).metrics()
    for squares in (metrics.squares, metrics.replknet):
        assert squares is not None
        sides = {s.share: s.side for s in squares}
        assert [sides[t] for t in (0.2, 0.3, 0.5, 0.99)] == [459, 561, 725, 1019]


def gaussian(amplitude: float) -> Field:
    place = np.arange(1024) - 512
    line = np.exp(-(place**2) / (2 * 100.0**2))
    return Field.of(amplitude * np.outer(line, line), center=(512, 512))


def test_the_replknet_variant_depends_on_scale_and_ours_does_not() -> None:
    """docs/methods.md 3.3, sigma 100; C30."""
    ours, theirs = {}, {}
    for amplitude in (1.0, 1e4):
        metrics = gaussian(amplitude).metrics()
        ours[amplitude] = [s.side for s in metrics.squares if s.share in (0.2, 0.3, 0.5, 0.99)]
        assert metrics.replknet is not None
        theirs[amplitude] = [s.side for s in metrics.replknet if s.share in (0.2, 0.3, 0.5, 0.99)]
    assert ours[1.0] == ours[1e4] == [119, 151, 211, 563]
    assert theirs == {1.0: [129, 163, 225, 575], 1e4: [253, 315, 425, 839]}


@pytest.mark.parametrize(("sigma", "count"), [(5, 489), (10, 1941), (20, 7769)])
def test_what_two_sigma_means(sigma: int, count: int) -> None:
    """docs/methods.md 2.2."""
    place = np.arange(241) - 120
    line = np.exp(-(place**2) / (2.0 * sigma**2))
    region = Field.of(np.outer(line, line), center=(120, 120)).metrics().luo_center
    assert region is not None
    assert region.count == count


@pytest.mark.parametrize(
    ("rule", "grid", "prefix", "unit"),
    [
        ("half", (32, 32), 0, (16, 16)),
        ("openerf", (7, 7), 0, (3, 3)),
        ("openerf", (197,), 1, (1 + 6 * 14 + 6,)),
        ("half", (197,), 1, (1 + 7 * 14 + 7,)),
        ("openerf", (49,), 0, (24,)),
    ],
)
def test_fixed_units(rule: str, grid: tuple[int, ...], prefix: int, unit: tuple[int, ...]) -> None:
    """docs/methods.md 3.5: int(N/2) - ((N+1) mod 2)(int(sqrt(N)/2)+1); C32: even grids have no center."""
    assert fixed_unit(rule, grid, True, prefix) == unit


def test_plain_values_give_the_protocol_back() -> None:
    for protocol in PROTOCOLS.values():
        assert protocol_from(to_plain(protocol)) == protocol
        assert protocol.steps
        assert protocol.name in protocol.method


def test_bad_protocols() -> None:
    with pytest.raises(FovealError, match="unknown protocol 'luo'; known: foveal"):
        protocol_of("luo")
    with pytest.raises(FovealError, match="each='cube' is none of"):
        Protocol("mine", "here", (), each="cube")
    with pytest.raises(FovealError, match="must not be negative"):
        Protocol("mine", "here", ())
