"""Matrices of queries by keys that are too large to list: every unit by perturbation, sizes of long ones by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError
from foveal.engine.forward import bounds
from foveal.fields import unit_boxes
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.fields.usage import usage
from foveal.frontends.trace import trace
from foveal.views.page.tables import TablePool


class Attention(nn.Module):
    """Written by hand; in windows of so many tokens, behind a token that reads nothing, or behind a first attention."""

    def __init__(self, dimensions: int = 1, window: int = 0, token: bool = False, twice: bool = False) -> None:
        super().__init__()
        self.patches = (nn.Conv1d, nn.Conv2d)[dimensions - 1](1, 3, 3, stride=2, padding=1)
        self.q, self.k, self.scores, self.again = nn.Linear(3, 3), nn.Linear(3, 3), nn.Identity(), nn.Identity()
        self.token, self.window, self.twice = nn.Parameter(torch.ones(1, int(token), 3)), window, twice

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        x = x.reshape(-1, self.window, 3) if self.window else x
        y = self.scores(self.q(x) @ self.k(x).transpose(1, 2))
        if not self.twice:
            return y
        x = x + y.softmax(-1) @ x
        return self.again(self.q(x) @ self.k(x).transpose(1, 2))


def by_perturbation(model: nn.Module, x: Tensor, unit: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The range along each axis of the input at which the score of this unit moves."""
    x = x.clone().requires_grad_()
    y = model(x).reshape(-1, *model(x).shape[-2:]) if len(unit) == 3 else model(x)[0]
    y[unit].backward()
    assert x.grad is not None
    moved = [index.unique() for index in x.grad[0, 0].nonzero().T]
    return tuple((int(i.min()), int(i.max()) + 1) if i.numel() else (0, 0) for i in moved)


def unlisted(model: nn.Module, x: Tensor, layer: str) -> ReceptiveField:
    rf = receptive_field(trace(model, x), layer)
    assert not rf.listed
    assert rf.status == "exact"
    return rf


CASES = {
    "a line": (Attention(), (16,)),
    "windows": (Attention(window=4), (16,)),
    "a plane": (Attention(dimensions=2), (6, 8)),
    "windows of a plane": (Attention(dimensions=2, window=4), (6, 8)),
    "a token": (Attention(dimensions=2, token=True), (6, 6)),
}


@pytest.mark.parametrize(("model", "shape"), CASES.values(), ids=CASES)
def test_every_unit_of_an_unlisted_matrix_has_its_own_box(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(unit_boxes, "LISTED", 4)
    monkeypatch.setattr(bounds, "LARGE", 4)
    x = torch.randn(1, 1, *shape, dtype=torch.float64)
    rf = unlisted(model.double(), x, "scores")
    boxes = {unit: by_perturbation(model, x, unit) for unit in np.ndindex(rf.grid)}
    assert boxes == {unit: rf.box(unit, clip=True) for unit in boxes}
    lengths = [[b - a for a, b in axis if b > a] for axis in zip(*boxes.values())]
    assert rf.clipped_sizes == tuple((min(axis), max(axis)) for axis in lengths)


def test_sizes_and_boxes_of_long_matrices_by_hand() -> None:
    """Of 4,096 samples and a window of 3 at every other one: a token and itself, and the first and the last token."""
    rf = unlisted(Attention(twice=True), torch.zeros(1, 1, 4096), "scores")
    assert rf.grid == (2048, 2048)
    assert (rf.sizes, rf.clipped_sizes) == (((3, 4097),), ((2, 4096),))
    assert [rf.box(unit) for unit in ((0, 2047), (1000, 1001))] == [((-1, 4096),), ((1999, 2004),)]
    again = unlisted(Attention(twice=True), torch.zeros(1, 1, 4096), "again")
    assert (again.sizes, again.clipped_sizes) == (((4097, 4097),), ((4096, 4096),))
    assert again.local is not None
    assert again.local.sizes == ((3, 4097),)


def test_what_lists_all_units_says_that_a_matrix_has_too_many() -> None:
    graph = trace(Attention(), torch.zeros(1, 1, 4096))
    rf = receptive_field(graph, "scores")
    assert TablePool().layer(rf) is None
    for ask in (lambda: rf.first, lambda: rf.units_of(5), lambda: usage(graph, "scores")):
        with pytest.raises(FovealError, match="2048 x 2048 units is too large to list"):
            ask()
