"""``verify`` through an embedding: token ids are changed for others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.check.verify import verify

LENGTH = 24


class Model(nn.Module):
    """A window of six tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(50, 8)
        self.parts = nn.Linear(8, 24)
        self.register_buffer("mask", window(6))

    def forward(self, ids: Tensor) -> Tensor:
        q, k, v = self.parts(self.embed(ids)).chunk(3, -1)
        return (q @ k.transpose(1, 2)).masked_fill(~self.mask, -1e9).softmax(-1) @ v


def window(width: int) -> Tensor:
    place = torch.arange(LENGTH)
    return (place[None] <= place[:, None]) & (place[:, None] - place[None] < width)


@pytest.mark.parametrize(("width", "agrees"), [(6, True), (LENGTH, False), (4, False)])
def test_token_ids_are_changed_for_others(width: int, agrees: bool) -> None:
    """The mask is changed behind the trace: a unit that sees more, and an edge that never moves, are contradictions."""
    model = Model().eval()
    graph = foveal.trace(model, torch.randint(0, 50, (1, LENGTH), generator=torch.Generator().manual_seed(0)))
    model.mask.copy_(window(width))
    assert verify(graph, "output").agrees is agrees
