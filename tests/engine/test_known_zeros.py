"""Zeros that are known before any input is seen: what is divided or scaled there reads nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import foveal


class NormOverPadding(nn.Module):
    """Padded columns are picked out by a pool and divided by what stands in the channel beside them."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        picked = self.pool(nn.functional.pad(x, (2, 0)))
        return picked / (1 + x[..., : picked.shape[-1]].square())


def boxes(pool: nn.Module) -> list[tuple[int, int]]:
    graph = foveal.trace(NormOverPadding(pool), (1, 1, 12))
    rf = foveal.receptive_field(graph, "output")
    return [rf.box((i,), clip=True)[0] for i in range(rf.grid[0])]


def test_zero_over_anything_reads_nothing() -> None:
    # a pool of one tap and stride 2: unit 0 is a padded column and stays zero; unit 1 reads pixel 0, and divides by 1
    found = boxes(nn.AvgPool1d(1, 2))
    assert found[0] == (0, 0)
    assert found[1] == (0, 2)


def test_a_maximum_of_zeros_is_zero() -> None:
    # windows of two, stride 2: unit 0 sees the two padded columns alone; unit 1 sees pixels 0 and 1, and divides by 1
    found = boxes(nn.MaxPool1d(2, 2))
    assert found[0] == (0, 0)
    assert found[1] == (0, 2)


class MaskedScores(nn.Module):
    """Scores of which the last two are switched off."""

    def __init__(self, logarithm: bool) -> None:
        super().__init__()
        self.logarithm = logarithm
        self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, 0.0, -1e9, -1e9]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x + self.mask
        return scores.log_softmax(-1) if self.logarithm else scores.softmax(-1)


@pytest.mark.parametrize(("logarithm", "last"), [(False, (0, 0)), (True, (0, 6))])
def test_a_score_switched_off_is_zero_but_its_logarithm_is_not(logarithm: bool, last: tuple[int, int]) -> None:
    graph = foveal.trace(MaskedScores(logarithm), (1, 1, 6))
    rf = foveal.receptive_field(graph, "output")
    assert rf.box((0,), clip=True) == ((0, 4),)  # the scores that are on
    assert rf.box((5,), clip=True) == (last,)  # log_softmax: its own score minus the logarithm of the others' sum
