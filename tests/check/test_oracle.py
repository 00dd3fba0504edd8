"""The oracle itself, against hand arithmetic: it must be right before it may judge anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.check.oracle import dependency, prepare, support
from foveal.check.perturbation import hulls, moved
from foveal.core.errors import FovealError, VerificationError
from support.drawn.random_steps import Attention, Recurrent


def boxes(model: nn.Module, shape: tuple[int, ...], layer: str = "output", **settings: object) -> list[tuple[int, int]]:
    """(first, last) per unit along the last axis, over all channels, of a 1-D network."""
    moves = dependency(model, shape, weights="generic", **settings)  # type: ignore[arg-type]
    first, last = hulls(moves[layer][-1])
    return [(int(a), int(b)) for a, b in zip(first[0].min(0), last[0].max(0), strict=True)]


def test_two_three_wide_convolutions_see_five() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv1d(2, 1, 3, padding=1))
    expected = [(max(0, i - 2), min(9, i + 2)) for i in range(10)]
    assert boxes(model, (1, 1, 10)) == expected
    assert boxes(model, (1, 1, 10), "0") == [(max(0, i - 1), min(9, i + 1)) for i in range(10)]


def test_a_unit_that_reads_only_padding_sees_nothing() -> None:
    assert boxes(nn.Conv1d(1, 1, 1, padding=2), (1, 1, 4)) == [
        (4, -1),
        (4, -1),
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (4, -1),
        (4, -1),
    ]


def test_maxima_and_gates_hide_nothing() -> None:
    model = nn.Sequential(*(m for _ in range(3) for m in (nn.Conv1d(2, 2, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2))))
    assert boxes(model, (1, 2, 32), rounds=4)[2] == (16 - 7, 16 + 14)


def test_groups_are_seen_per_channel() -> None:
    model = nn.Conv1d(2, 2, 3, padding=1, groups=2)
    (moves,) = dependency(model, (1, 2, 8))["output"]
    assert moves[4, 0].all(axis=0).tolist() == [False, False, False, True, True, True, False, False]


def test_holes_are_in_the_support_only() -> None:
    seen = support(nn.Conv2d(1, 1, 3, dilation=2, padding=2), (1, 1, 9, 9), "output", np.s_[0, :, 4, 4])
    assert np.argwhere(seen).tolist() == [[r, c] for r in (2, 4, 6) for c in (2, 4, 6)]


def test_causal_attention_and_recurrence() -> None:
    for model in (
        Attention(4, causal=True, fused=False),
        Attention(4, causal=True, fused=True),
        Recurrent(4, 2, "gru", False),
    ):
        assert boxes(model, (1, 4, 9)) == [(0, i) for i in range(9)]


class Mixed(nn.Module):
    """Not a batch of copies: each item sees the mean over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.5 * x.mean(dim=0, keepdim=True)


def test_a_model_that_mixes_its_batch_is_run_copy_by_copy() -> None:
    assert boxes(Mixed(), (1, 1, 6)) == [(i, i) for i in range(6)]


class SequenceFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(2, 0, 1).cumsum(0)


def test_the_batch_axis_may_stand_anywhere() -> None:
    (moves,) = dependency(SequenceFirst(), (1, 2, 5))["output"]
    assert moves.shape == (5, 5, 1, 2)
    assert moves[:, :, 0, 0].tolist() == np.triu(np.ones((5, 5), bool)).tolist()


def test_several_sources_and_reused_modules() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            return self.conv(self.conv(a)) + b, b

    first = dependency(Shared(), ((1, 1, 9), (1, 1, 9)), source=0)
    second = dependency(Shared(), ((1, 1, 9), (1, 1, 9)), source=1)
    assert set(first) == {"conv", "conv#2", "output.0", "output.1"}
    assert np.flatnonzero(first["output.0"][0][:, 0, 0, 4]).tolist() == [2, 3, 4, 5, 6]
    assert not first["output.1"][0].any()
    assert np.flatnonzero(second["output.0"][0][:, 0, 0, 4]).tolist() == [4]


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3), nn.BatchNorm1d(1)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    dependency(model, (1, 1, 8), weights="generic")
    assert model.training
    assert not model[0]._forward_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_rounding_does_not_count_as_a_move() -> None:
    reference = np.array([1.0, -2.0])
    assert moved(reference[None] * (1 + 1e-13), reference).tolist() == [[False, False]]
    assert moved(reference[None] * (1 + 1e-9), reference).tolist() == [[True, True]]


def test_unknown_names_are_errors() -> None:
    with pytest.raises(VerificationError, match="no module output is named 'head'"):
        dependency(nn.Conv1d(1, 1, 3), (1, 1, 8), ["head"])
    with pytest.raises(VerificationError, match="unknown source 'mask'"):
        dependency(nn.Conv1d(1, 1, 3), (1, 1, 8), source="mask")


def test_inputs_in_every_form() -> None:
    model = nn.Identity()
    forms = [(1, 1, 4), ((1, 1, 4), (1, 4)), {"x": (1, 1, 4)}, torch.zeros(1, 1, 4), [np.zeros((1, 1, 4), np.float32)]]
    assert [list(prepare(model, form).arrays) for form in forms] == [["0"], ["0", "1"], ["x"], ["0"], ["0"]]


def test_a_copy_that_does_not_fit_into_memory_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 x 128 x 3 weights and 16 biases take 49,280 bytes in double precision; four fifths of 60 kB are 49,152."""
    graph = foveal.trace(nn.Conv1d(128, 16, 3), (1, 128, 16))
    told = tmp_path / "meminfo"
    monkeypatch.setattr("foveal.frontends.torch.run.MEMORY", told)
    told.write_text("MemTotal: 99 kB\nMemAvailable:    60 kB\n", encoding="ascii")
    with pytest.raises(
        FovealError, match=r"a copy of the model takes 0\.0 GB, 0\.0 GB of memory are free: take a smal"
    ):
        foveal.verify(graph)
    told.write_text("MemTotal: 99 kB\nMemAvailable:    61 kB\n", encoding="ascii")
    assert foveal.verify(graph)
    told.unlink()  # no system but Linux tells
    assert foveal.verify(foveal.trace(nn.Conv1d(128, 16, 3), (1, 128, 16)))
