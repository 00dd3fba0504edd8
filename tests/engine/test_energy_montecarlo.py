"""Energy is the mean squared gradient of random networks: measured, kind of network by kind (docs/methods.md 2.3)."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.frontends.trace import trace
from support.drawn.random_gradients import distance, networks, squared_gradients

CHANNELS, DRAWS = 32, 240
NETWORKS = networks(CHANNELS)


def sigma(values: np.ndarray) -> float:
    """Root mean square over the axes of the standard deviation."""
    found = Field.of(values).metrics().sigmas
    assert found is not None
    return float(np.sqrt(np.mean(np.square(found))))


@pytest.mark.parametrize("name", NETWORKS)
def test_energy_equals_measured_gradients(name: str) -> None:
    model, shape = NETWORKS[name]
    graph = trace(model, shape)
    predicted = field(graph, graph.layers[-1], "energy").full()
    measured = squared_gradients(model, shape, DRAWS, seed=1).mean(axis=0)
    assert distance(predicted, measured) <= 0.05
    assert sigma(predicted) == pytest.approx(sigma(measured), rel=0.05)
    assert predicted.sum() == pytest.approx(measured.sum(), rel=0.15)


def test_the_distance_falls_like_one_over_the_square_root_of_draws() -> None:
    model, shape = NETWORKS["stride"]
    graph = trace(model, shape)
    predicted = field(graph, graph.layers[-1], "energy").full()
    measured = squared_gradients(model, shape, 512, seed=2)
    counts = np.array([4, 16, 64])
    found = [
        np.mean([distance(predicted, part.mean(axis=0)) for part in np.split(measured, 512 // count)])
        for count in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(found), 1)[0]
    assert -0.62 < slope < -0.38, found


def test_a_wrong_energy_is_told_apart() -> None:
    """The tolerance is small enough: paths, which weigh residual branches otherwise, fail it."""
    model, shape = NETWORKS["ReLU stack"]
    graph = trace(model, shape)
    layers = [name for name in graph.layers if name.isdigit()]
    measured = squared_gradients(model, shape, DRAWS, seed=1).mean(axis=0)
    shallower = field(graph, layers[-3], "energy").full()
    assert distance(shallower, measured) > 0.05 or sigma(shallower) < 0.95 * sigma(measured)


def test_averages_in_a_row_are_an_approximation_and_say_so() -> None:
    """Overlapping averages one behind another add gradients that are alike: their squares do not simply add."""
    names = {"overlapping average": "exact", "average pool": "exact", "upsampling": "exact"}
    for name, status in names.items():
        model, shape = NETWORKS[name]
        graph = trace(model, shape)
        assert field(graph, graph.layers[-1], "energy").status == status
    twice = nn.Sequential(nn.AvgPool1d(3, 1, 1), nn.AvgPool1d(3, 1, 1))
    found = field(trace(twice, (1, 2, 21)), "1", "energy")
    assert found.status == "approximation"
    assert "an average made alike" in found.method
