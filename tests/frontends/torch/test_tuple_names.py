"""An element of a tuple that is named like a child module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import foveal
from foveal.check.verify import verify


class Cells(nn.Sequential):
    """Returns what both of its children made."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        first = self[0](x)
        second = self[1](first)
        return second, first


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = Cells(nn.Conv1d(2, 2, 3, padding=1), nn.Conv1d(2, 2, 5, padding=2))

    def forward(self, x: Tensor) -> Tensor:
        wide, narrow = self.cells(x)
        return wide + 2 * narrow


def test_an_element_named_like_a_child_module_stands_in_brackets() -> None:
    torch.manual_seed(0)
    graph = foveal.trace(Net().eval(), (1, 2, 24))
    sizes = {name: foveal.receptive_field(graph, name).size for name in graph.layers if "cells" in name}
    assert sizes == {"cells.0": (3,), "cells.1": (7,)} | {name: s for name, s in sizes.items() if "[" in name}
    check = verify(graph, list(sizes))
    assert check.agrees
    assert set(check.layers) == set(sizes)


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, 3 * x


def test_other_elements_keep_their_plain_names() -> None:
    graph = foveal.trace(nn.Sequential(nn.Conv1d(2, 2, 3), Split()), (1, 2, 24))
    assert {"1.0", "1.1"} <= set(graph.layers) or {"output.0", "output.1"} <= set(graph.layers)
