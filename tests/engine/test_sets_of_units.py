"""Supports of 64 units in one pass, a bit for each: what one pass for each unit finds; edges that are counted so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foveal.engine.backward import edges
from foveal.engine.backward.algebra import SETS, SUPPORT
from foveal.engine.backward.pull import over_source, pull, seed
from foveal.engine.roles import grid_axes
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph
from support.drawn.random_networks import build, random_recipe


class Windows(nn.Module):
    """Tokens of two pixels; attention within windows of 4 tokens, then within windows moved by 2, around the end."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(2, 4), nn.LayerNorm(4)
        self.qkv = nn.ModuleList(nn.Linear(4, 12) for _ in range(3))
        self.out = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(1, 1, 48) to (1, 24, 4)."""
        x = self.embed(x.reshape(1, 24, 2))
        for block, (qkv, out) in enumerate(zip(self.qkv, self.out, strict=True)):
            y = torch.roll(self.norm(x), -2 * (block % 2), 1).reshape(6, 4, 4)
            q, k, v = qkv(y).chunk(3, -1)
            y = out(torch.softmax(q @ k.transpose(1, 2), -1) @ v).reshape(1, 24, 4)
            x = x + torch.roll(y, 2 * (block % 2), 1)
        return x


def support(graph: Graph, value: int, unit: tuple[int, ...]) -> np.ndarray:
    source = graph.sources[0]
    found = pull(graph, {value: seed(graph, value, unit, SUPPORT)}, SUPPORT).get(source.value)
    return over_source(found, graph.values[source.value].shape, source.axes) > 0


def test_each_bit_is_the_support_of_one_unit() -> None:
    compared = 0
    for number in range(15):
        recipe = random_recipe(number)
        model = build(recipe)
        if not len(model):
            continue
        graph = trace(model, recipe.shape)
        source, value = graph.sources[0], graph.layer(graph.layers[-1]).value
        lengths = tuple(graph.values[value].shape[axis] for axis in grid_axes(graph, value))
        start = seed(graph, value, None, SETS)
        count = min(64, start.data.size)
        start.data.reshape(-1)[:] = 0
        start.data.reshape(-1)[:count] = np.uint64(1) << np.arange(count, dtype=np.uint64)
        flow = pull(graph, {value: start}, SETS).get(source.value)
        found = over_source(flow, graph.values[source.value].shape, source.axes, SETS).astype(np.uint64)
        for bit in range(0, count, 3):
            unit = tuple(int(i) for i in np.unravel_index(bit, lengths)) if lengths else ()
            expected = support(graph, value, unit)
            assert np.array_equal(found >> np.uint64(bit) & np.uint64(1) > 0, expected), (number, unit)
            compared += 1
    assert compared > 60


@pytest.mark.parametrize("unit", [0, 9, 23])
def test_edges_of_windows_are_those_of_one_pass_for_each_unit(unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trace(Windows().eval(), (1, 1, 48))
    value, passes, units = graph.layer(graph.layers[-1]).value, [], []

    def one_by_one(graph: Graph, holed: dict[int, np.ndarray], source: int, axes: tuple[int, ...]) -> np.ndarray:
        total = np.zeros(48, dtype=np.int64)
        for operand, weight in holed.items():
            for place in np.argwhere(weight):
                index = tuple(int(i) for i in place)
                total += int(weight[index]) * support(graph, operand, index)
                units.append(index)
        return total

    def counted(*args: object, **options: object) -> object:
        passes.append(1)
        return pull(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(edges, "pull", counted)
    found = edges.count_edges(graph, value, (unit,), 0)
    assert len(passes) <= 4
    monkeypatch.setattr(edges, "_supports", one_by_one)
    expected = edges.count_edges(graph, value, (unit,), 0)
    assert np.array_equal(found.counts, expected.counts)
    assert (found.exact, expected.exact) == (True, True)
    assert len(units) > 64
    assert expected.counts.any()
