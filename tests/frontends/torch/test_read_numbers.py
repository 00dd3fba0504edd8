"""Numbers that Python reads and that do nothing in the run at hand (0, a yes), lengths that data set, places."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.fields.receptive_field import unit_bounds

LENGTH = 12


class Net(nn.Module):
    def __init__(self, code: str) -> None:
        super().__init__()
        self.c = nn.Conv1d(1, 1, 3, padding=1)
        self.code = code

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = eval(self.code, {"torch": torch, "F": F}, {"x": x, "y": self.c(x)})
        return found


WHOLE = [
    "y * int(x.sum().item() > 1e3)",
    "torch.addcmul(x, y, y, value=int(x.sum().item() > 1e3))",
    "y * bool((x > 5).any())",
    "y * len((x > 0).nonzero())",
    "y + x[x > 0].numel()",
    "y / (1 + torch.masked_select(x, x > 0).size(0))",
    "y * torch.where(x > 0)[2].shape[0]",
    "F.pad(y, (1, 1), value=x.max().item())[..., :12]",
    "F.threshold(y, x.mean().item(), 0)",
    "y[..., x[0, 0].argmax()].unsqueeze(-1).expand(1, 1, 12)",
    "F.pad(y, (0, 12))[..., x[0, 0].argmax() :][..., :12]",
]


def moving(model: nn.Module) -> Tensor:
    """(input, unit): which inputs move which units."""
    model = model.double()
    seen = torch.zeros(LENGTH, LENGTH, dtype=torch.bool)
    for seed in range(4):
        base = torch.randn(1, 1, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            still = model(base)
            for place in range(LENGTH):
                for change in (-3.0, 0.5, 3.0, 2e3):
                    other = base.clone()
                    other[..., place] += change
                    seen[place] |= ((model(other) - still).abs() > 1e-12).flatten()
    return seen


@pytest.mark.parametrize("code", WHOLE)
def test_the_box_holds_what_a_number_was_computed_from(code: str) -> None:
    torch.manual_seed(0)
    model = Net(code)
    graph = foveal.trace(model, torch.randn(1, 1, LENGTH)).verify()
    ((first, last),) = unit_bounds(graph, "output")
    places = torch.arange(LENGTH)[:, None]
    first, last = (torch.from_numpy(a.copy()).expand(1, 1, LENGTH).reshape(-1) for a in (first, last))
    truth = moving(model)
    assert truth.sum() > 3 * LENGTH  # more than a window of 3
    assert not truth[(places < first) | (places > last)].any()
    assert foveal.receptive_field(graph, "output").status == "data-dependent"


def test_lengths_are_lengths_again_after_the_run() -> None:
    before = {name: getattr(Tensor, name) for name in ("shape", "size", "numel", "nelement", "__len__")}
    graph = foveal.trace(Net("y + 0 * x[x > 0].shape[0]"), torch.randn(1, 1, LENGTH))
    assert {name: getattr(Tensor, name) for name in before} == before
    assert {name for name in before if name in vars(Tensor)} == {"__len__"}
    assert foveal.receptive_field(graph, "c").size == (3,)
