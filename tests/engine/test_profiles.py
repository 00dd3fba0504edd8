"""Fields of the middle units of all layers in one pass forward: as one pass back per layer, and by hand."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest

import foveal
from foveal.engine.profiles import middle_profiles
from foveal.fields.metrics import product_side
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.text.trace import trace_spec
from foveal.report.growth import growth
from support.rounding import close

NETWORKS = [
    ("conv3x4,s2 conv2x4 pool2 conv3x4,d5 conv5x4,p0 conv1x4", (1, 3, 64, 40)),
    ("conv7x4,s2 avgpool3,s1 conv3x4,p4 conv3x4,d2 conv4x8,s3", (1, 3, 101, 101)),
    ("conv3x4 [conv3x4 conv3x4 | conv1x4] [conv5x4,d3 | conv3x4,d4] pool2 [conv3x4,d9 | conv3x4]", (1, 3, 33)),
    ("12*conv3x4 [conv3x4 conv3x4,d2 | conv1x4] conv3x4,s2", (1, 3, 16)),
    ("conv3x4,s2 [conv3x4,d4 | conv3x4] conv3x4,s2 3*conv5x4", (1, 3, 4000)),
]


def asked(graph: Any) -> dict[int, Any]:
    every = [receptive_field(graph, layer) for layer in graph.layers]
    reach = [(min(a for a, _ in ends), max(b for _, b in ends)) for ends in zip(*(rf.box(rf.middle) for rf in every))]
    return middle_profiles(graph, {graph.layer(layer).value for layer in graph.layers}, 0, reach)


@pytest.mark.parametrize(("spec", "shape"), NETWORKS)
def test_the_pass_forward_gives_what_a_pass_back_gives_for_each_layer(spec: str, shape: tuple[int, ...]) -> None:
    graph = trace_spec(spec, shape)
    found = asked(graph)
    for layer in graph.layers:
        profiles = found[graph.layer(layer).value]
        field = foveal.field(graph, layer, kind="energy")
        full = np.zeros(field.source_shape)
        full[tuple(slice(first, first + len(p)) for p, first in profiles)] = reduce(
            np.multiply.outer, [p for p, _ in profiles]
        )
        expected = field.full().astype(float)
        assert close(full / full.sum(), expected / expected.sum())
        sides = field.effective()
        assert sides is not None
        assert product_side([p for p, _ in profiles]) == sides.side


def test_forty_windows_of_three_are_a_window_convolved_with_itself() -> None:
    graph = trace_spec("40*conv3", (1, 1, 201))
    ((profile, first),) = asked(graph)[graph.layer("conv40").value]
    expected = reduce(np.convolve, [np.ones(3)] * 40)
    assert first == 60
    assert close(profile / profile.sum(), expected / expected.sum())


def test_where_branches_meet_in_the_plane_the_growth_is_that_of_each_field() -> None:
    graph = trace_spec("conv3x4 [conv3x4 conv3x4 | id] conv3x4", (1, 3, 32, 32))
    assert len(asked(graph)) == 3
    found = growth(graph, graph.layers)
    sides = [foveal.field(graph, layer, kind="energy").effective() for layer in graph.layers]
    assert list(found.erf) == [side.side for side in sides if side is not None]


def test_a_thousand_layers_have_the_spread_of_a_thousand_steps() -> None:
    found = growth(trace_spec("1000*conv3", (1, 1, 4096)), [f"conv{n}" for n in range(1, 1001)])
    assert close(np.array(found.sigma) ** 2, np.arange(1, 1001) * 2 / 3)
