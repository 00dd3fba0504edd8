"""Unclipped numbers behind a layout that is not regular: withheld for the units that need it, told for all others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor, nn

import foveal
from foveal.core.errors import FovealError


class Along(nn.Module):
    """A function of the last axis, then a padded convolution."""

    def __init__(self, function: Callable[[Tensor], Tensor], kernel: int) -> None:
        super().__init__()
        self.function, self.conv = function, nn.Conv1d(1, 1, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.function(x))  # type: ignore[no-any-return]


def test_only_units_that_read_padding_behind_an_irregular_layout_are_withheld() -> None:
    """Rolled by one, unit i of 16 holds i - 1 and unit 0 holds 15; the convolution reads one more at both sides."""
    report = foveal.analyze(graph := foveal.trace(Along(lambda x: x.roll(1, -1), 3), (1, 1, 16)))
    field = foveal.receptive_field(graph, "conv")
    assert field.sizes == ((3, 16),)
    assert field.box(5) == ((3, 6),)
    assert field.start == (None,)
    with pytest.raises(FovealError, match="withheld"):
        field.box(0)
    told = [(f.layer, f.text) for f in report.findings if f.code == "withheld"]
    why = "leaves out units near the border: padding after an irregular layout"
    assert told == [("conv", f"the unclipped size of 1 layer from here on {why}")]


def test_a_layer_all_of_whose_units_are_withheld_shows_its_clipped_size() -> None:
    report = foveal.analyze(foveal.trace(Along(lambda x: x.roll(1, -1), 17), (1, 1, 16)))
    assert (report.layers[-1].size.status, report.layers[-1].clipped) == ("unavailable", (16,))
    assert "[16]" in str(report)
    assert [f.layer for f in report.findings if f.code == "withheld"] == ["conv"]


def test_a_running_state_goes_on_at_its_moving_end() -> None:
    """Unit i of a running sum reads 0 to i: where that is padded, the first stays and the last goes on."""
    field = foveal.receptive_field(foveal.trace(Along(lambda x: x.cumsum(-1), 3), (1, 1, 16)), "conv")
    assert field.known == (True,)
    assert [field.box(i) for i in (0, 5, 15)] == [((0, 2),), ((0, 7),), ((0, 17),)]
