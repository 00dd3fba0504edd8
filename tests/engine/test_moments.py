"""The moment shortcut: sigma, center and total in closed form against those of the map, and published figures."""

from __future__ import annotations

import math

import pytest

from foveal.core.errors import FovealError
from foveal.engine.backward.moments import energy_moments
from foveal.fields.kinds import field
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph
from support.needs import needs

CLOSED = {
    "5*conv3": (1, 4, 41, 41),
    "conv7x8,s2 maxpool3,s2,p1 3*conv3x8": (1, 3, 200),
    "3*conv3,s2": (1, 4, 63),
    "conv3 conv3,d2 conv3,d5": (1, 4, 40),
    "conv(1,7)x4 conv(3,1),d(4,1) conv3,s(1,2)": (1, 2, 40, 60),
    "4*[conv3 conv3 | id]": (1, 4, 60),
    "{conv3x4 | conv5x6} conv3x8 maxpool2 conv3x8": (1, 4, 60),
    "conv3x8 [conv3x8,dw conv1x4 conv1x8 | id] {conv1x3 | conv3x5,d3} conv3x4,s2": (1, 4, 60, 60),
    "conv3x4 causal3x4,d2": (1, 1, 40),
    "2*conv3x4": (1, 1, 20, 20, 20),
    "conv2x8,s2 conv4x8 conv3x8,g2": (1, 4, 80),
}


def compare(graph: Graph, layer: str) -> None:
    found, known = energy_moments(graph, layer), field(graph, layer, "energy")
    metrics = known.metrics()
    assert metrics.sigmas is not None
    assert metrics.center_of_mass is not None
    assert found.exact
    assert found.sigmas == pytest.approx(metrics.sigmas, rel=1e-6)
    assert found.center == pytest.approx(metrics.center_of_mass, rel=1e-9, abs=1e-6)
    assert found.total == pytest.approx(float(known.values.sum()), rel=1e-9)


@pytest.mark.parametrize("text", CLOSED)
def test_the_closed_form_is_that_of_the_map(text: str) -> None:
    graph = trace_spec(text, CLOSED[text])
    compare(graph, graph.layers[-1])


@pytest.mark.parametrize(("name", "sigma"), [("resnet18", 38.5), ("resnet50", 36.2)])
def test_residual_networks(name: str, sigma: float) -> None:
    """docs/methods.md 2.3, a = 1; on a source so large that no receptive field is clipped."""
    torchvision = needs("torchvision")
    from foveal.frontends.trace import trace

    graph = trace(getattr(torchvision.models, name)(), (1, 3, 928, 928))
    compare(graph, "layer4")
    assert energy_moments(graph, "layer4").sigmas == pytest.approx((sigma, sigma), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "sigma"), [("vgg16 conv5_3", 26.5), ("vgg16 pool5", 27.6), ("vgg13 pool5", 23.2)])
def test_vgg(layer: str, sigma: float) -> None:
    """docs/methods.md 2.3."""
    name, _, where = layer.partition(" ")
    torchvision = needs("torchvision")
    from foveal.frontends.trace import trace

    graph = trace(getattr(torchvision.models, name)(), (1, 3, 224, 224))
    place = {"vgg16 conv5_3": "features.28", "vgg16 pool5": "features.30", "vgg13 pool5": "features.24"}[layer]
    assert where
    assert energy_moments(graph, place).sigmas == pytest.approx((sigma, sigma), abs=0.05)


def test_one_window_over_the_whole_map() -> None:
    graph = trace_spec("gap fc10", (1, 3, 12, 9))
    found = energy_moments(graph, graph.layers[-1])
    assert found.sigmas == pytest.approx((math.sqrt(143 / 12), math.sqrt(80 / 12)))
    assert found.center == pytest.approx((5.5, 4.0))


def test_the_unit_shifts_the_center_only() -> None:
    graph = trace_spec("3*conv3,s2", (1, 4, 64, 64))
    here, there = (energy_moments(graph, "conv3", at=unit) for unit in ((0, 0), (3, 5)))
    assert there.sigmas == pytest.approx(here.sigmas)
    assert [b - a for a, b in zip(here.center, there.center, strict=True)] == pytest.approx([24, 40])


def test_phases_are_averaged_and_said_to_be() -> None:
    graph = trace_spec("conv3x4 maxpool2 conv3x4 tconv2x4,s2 conv3x4", (1, 4, 64))
    found = energy_moments(graph, graph.layers[-1])
    assert not found.exact
    maps = [field(graph, graph.layers[-1], "energy", unit).metrics().sigmas for unit in (32, 33)]
    mean = sum(sigmas[0] for sigmas in maps if sigmas) / 2
    assert found.sigmas[0] == pytest.approx(mean, rel=0.02)


def test_what_has_no_closed_form_says_so() -> None:
    graph = trace_spec("conv3x4 attention2", (1, 3, 12, 12))
    with pytest.raises(FovealError, match="no closed form here: attention at attention1"):
        energy_moments(graph, graph.layers[-1])
