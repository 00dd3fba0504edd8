"""Tensors made like others keep their order in memory; what a comparison tells Python, and what is fixed, is told; a
trace at another length is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.testing import check

LAST = torch.channels_last


class Made(nn.Module):
    """A convolution whose map goes into a tensor made like it, the first hundred elements of which are cleared."""

    def __init__(self, turn: Callable[[Tensor], Tensor], make: Callable[..., Tensor], **how: Any) -> None:
        super().__init__()
        self.conv, self.turn, self.make, self.how = nn.Conv2d(3, 5, 3, padding=1), turn, make, how

    def forward(self, x: Tensor) -> Tensor:
        y = self.turn(self.conv(x))
        made = self.make(y, **self.how)
        made.copy_(y)
        made.reshape(1, -1)[:, :100] = 0
        return made


@pytest.mark.parametrize("make", [torch.empty_like, torch.zeros_like, torch.rand_like])
@pytest.mark.parametrize("turn", [lambda y: y.contiguous(memory_format=LAST), lambda y: y.transpose(1, 2)])
def test_what_is_made_alike_keeps_the_order_in_memory(turn: Any, make: Any) -> None:
    """Clearing a copy in another order clears nothing of the tensor itself: all 320 units read."""
    model = Made(turn, make)
    assert check(model, (1, 3, 8, 8)).agrees
    graph = foveal.trace(model, (1, 3, 8, 8))
    assert not foveal.receptive_field(graph, "output").nothing.any()


def test_an_order_that_is_asked_for_is_made() -> None:
    model = Made(lambda y: y.contiguous(memory_format=LAST), torch.empty_like, memory_format=torch.contiguous_format)
    assert check(model, (1, 3, 8, 8)).agrees
    graph = foveal.trace(model, (1, 3, 8, 8))
    assert foveal.receptive_field(graph, "output").nothing.any()


class Fixed(nn.Module):
    """One output of the input, and one that is made of its shape alone."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * 2, torch.ones(x.shape)


def test_an_output_that_nothing_can_change_is_told() -> None:
    graph = foveal.trace(Fixed(), (1, 2, 4))
    found = [finding.text for finding in foveal.analyze(graph).findings if finding.layer == "output.1"]
    assert found == ["depends on no source: it is a constant"]


class Vocoder(nn.Module):
    """Frames of a spectrum, put together: PyTorch refuses to do that on stand-ins without numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(8, 18, 3, padding=1)
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.istft(torch.complex(y[:, :9], y[:, 9:]), 16, 4, window=self.window)[:, None]


def test_a_vocoder_is_tiled_at_another_length() -> None:
    plan = foveal.tile(foveal.trace(Vocoder(), (1, 8, 64)), source_size=(128,), tile=(64,))
    assert "128" in str(plan)


class Compared(nn.Module):
    """A factor from whether two tensors are the same."""

    def __init__(self, same: Callable[[Tensor, Tensor], bool]) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv1d(2, 2, 3, padding=1), same

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (1.0 + self.same(x, x.abs()))


@pytest.mark.parametrize("same", [torch.equal, torch.allclose, Tensor.equal])
def test_a_comparison_read_by_python_reads_both(same: Callable[[Tensor, Tensor], bool]) -> None:
    graph = foveal.trace(Compared(same), (1, 2, 20))
    rf = foveal.receptive_field(graph, "output")
    assert rf.status == "data-dependent"
    assert rf.clipped_size == (20,)
