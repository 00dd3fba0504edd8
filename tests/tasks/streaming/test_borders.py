"""Units that padding lets see further than the steady ones, against perturbation and by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.tasks.streaming.audit import NEEDS
from foveal.tasks.streaming.reach_in_time import Border, Reach, reach_of
from foveal.testing import assert_receptive_field


class Padded(nn.Module):
    def __init__(self, widths: tuple[int, int], mode: str, kernel: int = 5, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.widths, self.mode = widths, mode
        self.conv = nn.Conv1d(2, 2, kernel, stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.widths, mode=self.mode))


class Running(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(2, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cell(x.transpose(1, 2))[0].transpose(1, 2)


def encoder() -> nn.Module:
    """As Encodec's: causal convolutions padded by reflection, an LSTM at the end."""
    return nn.Sequential(
        Padded((6, 0), "reflect", 7), Padded((2, 0), "reflect", 4, 2), Padded((4, 0), "reflect", 8, 4), Running(),
        Padded((6, 0), "reflect", 7),
    )  # fmt: skip


def reach(model: nn.Module, length: int = 96) -> Reach:
    graph = foveal.trace(model, (1, 2, length))
    found = reach_of(graph, graph.layer("output").value, 0, 0)
    assert found is not None
    return found


def ahead(model: nn.Module, stride: int, length: int = 96) -> np.ndarray:
    """By perturbation: how far each unit reads behind its own position."""
    torch.manual_seed(0)
    model = copy.deepcopy(model).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.1, 0.3)
    x = torch.randn(1, 2, length, dtype=torch.float64)
    with torch.no_grad():
        whole = model(x)
        last = np.full(whole.shape[-1], -1)
        for place in range(length):
            moved = x.clone()
            moved[..., place] += 1.0
            last[((model(moved) - whole).abs().amax((0, 1)) > 1e-12).numpy()] = place
    return last - np.arange(last.size) * stride


@pytest.mark.parametrize(
    ("model", "steady", "begin"),
    [
        (Padded((4, 0), "reflect"), 0, (4, 4)),
        (Padded((4, 0), "circular"), 0, (4, None)),
        (Padded((4, 0), "replicate"), 0, None),
        (Padded((4, 0), "constant"), 0, None),
        (Padded((8, 0), "reflect", 5, dilation=2), 0, (8, 8)),
        (Padded((2, 2), "reflect"), 2, None),
        (Padded((6, 0), "reflect", 8, 4), 1, (2, 6)),
        (nn.Sequential(Padded((4, 0), "constant"), Padded((2, 0), "circular", 3)), 0, (6, None)),
        (nn.Sequential(Padded((4, 0), "reflect"), Padded((4, 0), "replicate")), 0, (8, 4)),
        (nn.Sequential(Padded((4, 0), "reflect"), Running()), 0, (4, 4)),
    ],
)
def test_the_first_units(model: nn.Module, steady: int, begin: tuple[int, int | None] | None) -> None:
    found = reach(model)
    assert found.ahead == steady
    assert found.begin == (None if begin is None else Border(*begin))
    measured = ahead(model, int(found.stride or 1))
    first = 0 if begin is None else begin[0]
    assert measured[first:].max() == steady
    if begin is not None:
        assert measured[:first].max() == (begin[1] if begin[1] is not None else measured.max())
        assert measured.max() > steady


def test_an_encoder_with_a_running_cell() -> None:
    """Stride 8, the cell's last position 7 ahead; what the first see through reflected padding stands apart."""
    model = encoder()
    found = reach(model, 320)
    assert (found.back, found.ahead, found.stride) == (None, 7, 8)
    measured = ahead(model, 8, 320)
    assert found.begin is not None
    assert measured[found.begin.units :].max() == 7
    assert measured.max() == found.begin.reach
    audit = foveal.audit(foveal.trace(model, (1, 2, 320)), "streaming")
    table = audit.table(NEEDS)
    numbers = dict(zip(table.column("quantity"), table.column("positions")))
    assert (numbers["lookahead"], numbers["latency"], numbers["stride"]) == (7, 7, 8)
    assert numbers[f"latency, first {found.begin.units} units"] == found.begin.reach


@pytest.mark.parametrize(("mode", "said"), [("reflect", "4"), ("circular", "all")])
def test_the_audit_and_the_guard_tell(mode: str, said: str) -> None:
    model = Padded((4, 0), mode)
    audit = foveal.audit(foveal.trace(model, (1, 2, 64)), "streaming")
    assert f"(steady: 0; first 4 units: {said})" in audit.summary[0]
    assert [finding.code for finding in audit.findings] == ["STR06"]
    with pytest.raises(AssertionError, match=r"first [42] unit"):
        assert_receptive_field(model, "output", (1, 2, 64), lookahead=0)


@pytest.mark.parametrize("mode", ["constant", "replicate"])
def test_padding_that_repeats_tells_nothing(mode: str) -> None:
    model = Padded((4, 0), mode)
    assert foveal.audit(foveal.trace(model, (1, 2, 64)), "streaming").findings == ()
    assert_receptive_field(model, "output", (1, 2, 64), lookahead=0)


def test_the_last_units_and_the_past() -> None:
    """Padded behind: unit n - 1 reads 4 back, past its own position, where the others read none."""
    model = Padded((0, 4), "reflect")
    found = reach(model)
    assert (found.back, found.ahead, found.end) == (0, 4, Border(4, 4))
    with pytest.raises(AssertionError, match=r"last \d unit"):
        assert_receptive_field(model, "output", (1, 2, 64), lookback=0)
