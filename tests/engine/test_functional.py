"""Functional PyTorch code as people write it, element by element against brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.fields.receptive_field import receptive_field, unit_bounds
from fuzz.fuzz_functional import judge


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Of small tensors several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_no_element_moves_outside_its_box(start: int) -> None:
    for number in range(start, start + 20):
        found = judge(number)
        assert found is None or found.small == 0, (number, found)


@pytest.mark.parametrize("number", [2035, 13786, 200357, 203374])
def test_networks_that_failed_once(number: int) -> None:
    """States of a loop in both directions, joined along the channels, behind attention; writes into nothing."""
    found = judge(number)
    assert found is not None
    assert found.small == 0


class Decay(nn.Module):
    """A running sum whose weights are exp of limited differences, the future closed by minus infinity."""

    def __init__(self, limit: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        future = torch.ones(x.shape[-1], x.shape[-1], dtype=torch.bool).triu(1)
        lag = (x.unsqueeze(-1) - x.unsqueeze(-2)).masked_fill(future, -torch.inf)
        return (torch.exp(self.limit(lag)) @ x.unsqueeze(-1)).squeeze(-1)


LIMITS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda z: z.clamp(max=2),
    "clip": lambda z: torch.clip(z, None, 2.0),
    "clamp_max": lambda z: z.clamp_max(2.0),
    "in place": lambda z: z.clone().clamp_(max=2.0),
    "far below": lambda z: z.clamp(-1e30, 2),
    "twice": lambda z: z.clamp(max=3).clamp(max=2) * 0.5,
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_keeps_minus_infinity(name: str) -> None:
    graph = foveal.trace(Decay(LIMITS[name]), (1, 1, 6))
    layer = graph.layers[-1]
    first, last = unit_bounds(graph, layer)[0]
    assert receptive_field(graph, layer).status == "exact"
    assert first.ravel().tolist() == [0] * 6
    assert last.ravel().tolist() == list(range(6))
