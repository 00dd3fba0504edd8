"""Long axes kept as border, interior and border: the same hulls as the dense ones, unit by unit, in constant memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.engine.forward import folded
from foveal.engine.forward.bounds import Bounds, bounds
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph
from support.drawn.random_networks import build, random_recipe

NEVER = 1 << 60


class WaveNet(nn.Module):
    """Two stacks of dilations 1, 2, 4 ... 128, gated, with residual and skip sums."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv1d(2, 4, 2, dilation=2 ** (i % 8)) for i in range(16))
        self.mixes = nn.ModuleList(nn.Conv1d(2, 2, 1) for _ in range(16))
        self.first, self.last = nn.Conv1d(1, 2, 1), nn.Conv1d(2, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Causal: all padding stands before."""
        x = self.first(F.pad(x, (1, 0))[..., :-1])
        skip = torch.zeros(())
        for gates, mix in zip(self.filters, self.mixes, strict=True):
            a, b = gates(F.pad(x, (gates.dilation[0], 0))).chunk(2, 1)
            h = torch.tanh(a) * torch.sigmoid(b)
            skip, x = skip + h, x + mix(h)
        return self.last(skip)


class Branches(nn.Module):
    """Pooling, strides, upsampling, dilation, concatenation, a gate over all positions, an axis put in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(1, 2, 5, padding=3), nn.Conv1d(2, 2, 3, stride=3, padding=1)
        self.up, self.mix = nn.ConvTranspose1d(2, 2, 4, stride=3), nn.Conv1d(6, 2, 3, dilation=4, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        """All at one length in the end."""
        x = self.a(x)
        low = F.max_pool1d(self.b(x), 2, padding=1)
        n = x.shape[-1]
        wide = [self.up(self.b(x)), F.interpolate(low, size=n, mode="linear"), F.interpolate(low, scale_factor=6.0)]
        x = self.mix(torch.cat([F.pad(w, (0, n - w.shape[-1])) for w in wide], 1))
        x = x * torch.sigmoid(x.mean(-1, keepdim=True)) + x.cumsum(-1)
        return F.avg_pool1d(x.unsqueeze(1).squeeze(1), 3, 2)


def assert_same(graph: Graph, long: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Hulls with and without folding; how many are folded."""
    monkeypatch.setattr(folded, "LONG", NEVER)
    expected = Bounds(graph).states
    monkeypatch.setattr(folded, "LONG", long)
    found, count = Bounds(graph).states, 0
    assert found.keys() == expected.keys()
    for value, states in expected.items():
        for source, state in states.items():
            boxes = zip(
                (*state.strict, *state.local), (*found[value][source].strict, *found[value][source].local), strict=True
            )
            for one, other in boxes:
                for a, b in zip(one, other, strict=True):
                    assert np.array_equal(a.data, b.data)
                    assert (a.steps, a.runs, a.context, a.known) == (b.steps, b.runs, b.context, b.known)
                    count += isinstance(b, folded.Folded)
    return count


def test_folded_hulls_of_random_networks_are_the_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    for number in range(30):
        recipe = random_recipe(number)
        model = build(recipe)
        if len(model):
            count += assert_same(trace(model, recipe.shape), 3, monkeypatch)
    assert count > 200


@pytest.mark.parametrize("n", [97, 600, 601, 602, 603, 604, 605])
def test_folded_hulls_of_branches_are_the_dense_ones(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trace(Branches().eval(), (1, 1, n))
    assert assert_same(graph, 8, monkeypatch) > (15 if n >= 600 else 2)


def test_receptive_fields_read_from_folded_hulls_are_those_of_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(graph: Graph) -> list[object]:
        graph.cache.clear()
        found = [foveal.receptive_field(graph, layer) for layer in graph.layers]
        return [
            (rf.sizes, rf.clipped_sizes, rf.stride, rf.period, rf.start, rf.lookback, rf.lookahead, rf.covered,
             rf.known, rf.box(rf.middle, clip=True), [a.tolist() for a in (*rf.first, *rf.last, rf.nothing)],
             None if rf.local is None else (rf.local.sizes, rf.local.start))
            for rf in found
        ]  # fmt: skip

    graph = trace(Branches().eval(), (1, 1, 602))
    monkeypatch.setattr(folded, "LONG", NEVER)
    expected = read(graph)
    monkeypatch.setattr(folded, "LONG", 8)
    assert read(graph) == expected


@pytest.mark.parametrize("n", [10**6, 10**9])
def test_bounds_and_energy_of_a_long_signal_take_no_memory_of_its_length(n: int) -> None:
    graph = trace(WaveNet().eval(), (1, 1, n))
    tracemalloc.start()
    try:
        bounds(graph)
        rf = foveal.receptive_field(graph, graph.layers[-1])
        seen = foveal.field(graph, graph.layers[-1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    short = foveal.field(trace(WaveNet().eval(), (1, 1, 2000)), graph.layers[-1], at=1500)
    assert seen.origin == (n // 2 - 511,)
    assert seen.values.tolist() == short.values.tolist()
    # two stacks of dilations 1 to 128 with two taps, and one sample of delay
    assert (rf.sizes, rf.clipped_sizes, rf.stride) == (((511, 511),), ((1, 511),), (1,))
    assert rf.box(n - 1) == ((n - 512, n - 1),)
    assert (rf.lookback, rf.lookahead) == ((511,), (-1,))


def test_a_receptive_field_of_a_long_list_is_no_copy_and_kept_for_layers_alike() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.ReLU()).eval(), (1, 1, 302, 302))
    rf, same = (foveal.receptive_field(graph, layer) for layer in graph.layers[-2:])
    state = bounds(graph).states[graph.layer("1").value][0]
    assert rf.grid == (90000,)
    assert all(np.shares_memory(a, hull.data) for a, hull in zip(rf.first, state.strict[0], strict=True))
    assert same.memo is rf.memo


class Padded(nn.Module):
    """Causal layers that double their reach, each behind padding of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(1, 1, 2, dilation=2**i) for i in range(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, layer in enumerate(self.layers):
            x = x + torch.tanh(layer(nn.functional.pad(x, (2**i, 0))))
        return x


def test_a_billion_padded_samples_need_no_more_than_a_thousand() -> None:
    """Padding, receptive fields, the energy of the middle unit and its sides: nothing is kept for each position."""
    said, peaks = [], []
    for length in (2000, 2000, 1_000_000_000):
        tracemalloc.start()
        report = foveal.analyze(foveal.trace(Padded(), (1, 1, length)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.verdict is not None
        said.append((report.verdict.size, report.verdict.effective, report.verdict.side_90))
    assert said[0] == said[2]
    assert said[0][0] == (256,)
    assert peaks[2] < 2 * peaks[1] + 1e6, peaks
