"""Positions are the axes along which fields differ, whatever made them: stacked frames, assigned slices, windows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import rnn

import foveal
from foveal.fields.receptive_field import ReceptiveField

FRAMES = (1, 4, 12)


class Net(nn.Module):
    def __init__(self, function: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.cell, self.conv = nn.GRUCell(4, 4), nn.Conv1d(4, 4, 3, padding=1)
        self.lstm, self.frame = nn.LSTM(4, 4, batch_first=True), nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.gru = nn.GRU(4, 4, batch_first=True)
        self.down4, self.down2 = nn.Conv1d(4, 4, 4, stride=4), nn.Conv1d(4, 4, 3, stride=2)
        self.in_time = nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def field(function: Callable[[Net, Tensor], Tensor], shape: tuple[int, ...] = FRAMES) -> ReceptiveField:
    graph = foveal.trace(Net(function), shape)
    return foveal.receptive_field(graph, graph.layers[-1])


def frames(x: Tensor, axis: int = 2) -> Tensor:
    return torch.stack([x[:, :, t] * 2 for t in range(x.shape[2])], axis)


def assigned(x: Tensor) -> Tensor:
    out = torch.zeros(x.shape)
    for t in range(x.shape[2]):
        out[:, :, t] = x[:, :, t] * 2
    return out


def recurrent(net: Net, x: Tensor) -> Tensor:
    state, states = torch.zeros(x.shape[0], 4), []
    for t in range(x.shape[2]):
        state = net.cell(x[:, :, t], state)
        states.append(state)
    return torch.stack(states, 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda net, x: frames(x),
        lambda net, x: frames(x, 0),
        lambda net, x: frames(x, 1),
        lambda net, x: frames(x, -1),
        lambda net, x: assigned(x),
        lambda net, x: torch.cat([(x[:, :, t] * 2).unsqueeze(2) for t in range(12)], 2),
        lambda net, x: torch.cat([x[:, :, t : t + 1] * 2 for t in range(12)], 2),
        lambda net, x: torch.stack([part.squeeze(2) for part in x.split(1, 2)], 2),
        lambda net, x: torch.stack(x.unbind(2), 2),
        lambda net, x: torch.hstack(x[0].split(1, 1))[None],
        lambda net, x: torch.dstack([x[:, :, t] * 2 for t in range(12)]),
        lambda net, x: torch.stack([x[:, :, t] for t in range(12)]).permute(1, 2, 0),
        lambda net, x: torch.cat(x.unbind(2)).t()[None],
    ],
)
def test_selected_and_put_together_again_are_twelve_units_of_one(function: Callable[[Net, Tensor], Tensor]) -> None:
    rf = field(function)
    assert (rf.grid, rf.sizes, rf.stride, rf.start, rf.status) == ((12,), ((1, 1),), (1,), (0,), "exact")
    assert [rf.box((t,)) for t in range(12)] == [((t, t + 1),) for t in range(12)]


def test_a_convolution_over_stacked_frames_sees_its_taps() -> None:
    rf = field(lambda net, x: net.conv(frames(x)))
    assert (rf.grid, rf.size, rf.stride, rf.start) == ((12,), (3,), (1,), (-1,))
    rf = field(lambda net, x: net.conv(frames(x, 0).permute(1, 2, 0)))
    assert (rf.grid, rf.size, rf.stride, rf.start) == ((12,), (3,), (1,), (-1,))


def test_frames_of_a_video_keep_their_time() -> None:
    rf = field(
        lambda net, x: net.in_time(torch.stack([net.frame(x[:, :, t]) for t in range(10)], 2)), (1, 3, 10, 16, 16)
    )
    assert (rf.grid, rf.size, rf.stride, rf.start) == ((10, 8, 8), (3, 3, 3), (1, 2, 2), (-1, -1, -1))


def test_a_loop_over_a_recurrent_cell_is_causal() -> None:
    rf = field(recurrent)
    assert (rf.grid, rf.sizes, rf.lookahead, rf.lookback) == ((12,), ((1, 12),), (0,), (11,))
    assert "output is causal along T" in str(foveal.audit(foveal.trace(Net(recurrent), FRAMES), "streaming"))


def test_a_long_loop_of_writes_is_followed_to_its_start() -> None:
    """Longer than the stack of Python allows, were each value to wait for the one before."""
    rf = field(lambda net, x: assigned(x), (1, 4, 400))
    assert (rf.grid, rf.sizes, rf.stride, rf.status) == ((400,), ((1, 1),), (1,), "exact")


@pytest.mark.parametrize(("lengths", "units"), [((12,), 12), ((9,), 9), ((5, 12), 12)])
def test_a_packed_sequence_keeps_its_time(lengths: tuple[int, ...], units: int) -> None:
    """Unit t of a GRU reads steps 0 to t; a sequence that is over reads nothing, the longest tells the union."""

    def packed(net: Net, x: Tensor) -> Tensor:
        steps = rnn.pack_padded_sequence(x.transpose(1, 2), list(lengths), batch_first=True, enforce_sorted=False)
        return rnn.pad_packed_sequence(net.gru(steps)[0], batch_first=True)[0].transpose(1, 2)

    rf = field(packed, (len(lengths), 4, 12))
    assert (rf.status, rf.grid[-1], rf.sizes) == ("exact", units, ((1, units),))
    last = tuple(n - 1 for n in rf.grid)
    assert rf.box(last) == ((0, units),)
    assert rf.box((*last[:-1], 3)) == ((0, 4),)


def test_groups_of_frames_stride_by_their_step() -> None:
    rf = field(lambda net, x: torch.stack([x[:, :, t : t + 3].mean(2) for t in range(0, 12, 3)], 2))
    assert (rf.grid, rf.size, rf.stride, rf.lookahead) == ((4,), (3,), (3,), (2,))


def test_irregular_elements_are_listed_and_have_no_stride() -> None:
    rf = field(lambda net, x: torch.stack([x[:, :, t : t + 3].mean(2) for t in (0, 5, 1, 2)], 2))
    assert (rf.grid, rf.stride) == ((4,), (None,))
    assert [rf.box((i,))[0][0] for i in range(4)] == [0, 5, 1, 2]


def test_windows_cut_by_hand_or_unfolded_are_positions_twice() -> None:
    for rf in (
        field(lambda net, x: torch.stack([x[:, :, t : t + 4] for t in range(0, 10, 2)], 2)),
        field(lambda net, x: x.unfold(2, 4, 2)),
    ):
        assert (rf.grid, rf.size, rf.stride) == ((5, 4), (1,), (None,))
        assert rf.box((3, 1)) == ((7, 8),)


def test_a_flattened_map_is_a_list_of_units() -> None:
    rf = field(lambda net, x: net.conv(x).flatten(1))
    assert (rf.grid, rf.clipped_sizes, rf.stride) == ((48,), ((2, 3),), (None,))
    assert rf.box((12,), clip=True) == ((0, 2),)
    assert rf.box((25,), clip=True) == ((0, 3),)


def test_branches_joined_as_features_stay_features() -> None:
    assert field(lambda net, x: torch.cat([x, net.conv(x)], 1)).grid == (12,)
    assert field(lambda net, x: torch.stack([x, net.conv(x)], 1).flatten(1, 2)).grid == (12,)
    stacked = field(lambda net, x: torch.stack([x, net.conv(x)], 1))
    assert (stacked.grid, stacked.sizes, stacked.stride) == ((2, 12), ((1, 3),), (1,))


def test_a_stride_is_the_step_of_the_interior() -> None:
    def net(net: Net, x: Tensor) -> Tensor:
        run = net.lstm(net.down4(x).transpose(1, 2))[0].transpose(1, 2)
        return net.down2(F.pad(run, (2, 0), mode="reflect"))

    assert field(net, (1, 4, 256)).stride == (8,)
    assert field(net, (1, 4, 132)).stride == (8,)


def test_a_rate_that_is_not_one_number_is_withheld() -> None:
    rf = field(lambda net, x: x[:, :, torch.tensor([0, 1, 2, 4, 5, 9, 3, 11])])
    assert (rf.grid, rf.stride) == ((8,), (None,))
    assert rf.box((5,)) == ((9, 10),)


class Shifted(nn.Module):
    """Some features come from the frame behind, some from the frame before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.transpose(1, 2).reshape(-1, 4, 8, 8)).view(1, 6, 4, 8, 8)
        z = torch.zeros_like(y)
        z[:, :-1, :1], z[:, 1:, 1:2], z[:, :, 2:] = y[:, 1:, :1], y[:, :-1, 1:2], y[:, :, 2:]
        return z


class ConvolutionalState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        state, states = torch.zeros(1, 4, 8, 8), []
        for t in range(x.shape[2]):
            state = torch.tanh(self.conv(torch.cat([x[:, :, t], state], 1)))
            states.append(state)
        return torch.stack(states, 2)


def test_fields_that_grow_along_an_axis_do_not_move_along_it() -> None:
    graph = foveal.trace(Shifted(), (1, 4, 6, 8, 8))
    rf = foveal.receptive_field(graph, "output")
    assert (rf.grid, rf.size, rf.stride, rf.lookahead) == ((6, 8, 8), (3, 3, 3), (1, 1, 1), (1, 1, 1))
    rf = foveal.receptive_field(foveal.trace(ConvolutionalState(), (1, 2, 6, 8, 8)), "output")
    assert (rf.grid, rf.size, rf.stride, rf.lookahead) == ((6, 8, 8), (6, 13, 13), (1, 1, 1), (0, 6, 6))


def test_crops_in_the_batch_are_positions() -> None:
    def crops(net: Net, x: Tensor) -> Tensor:
        parts = [x[:, :, i : i + 8, j : j + 8] for i in (0, 4, 8) for j in (0, 4, 8)]
        return torch.stack(parts, 1).flatten(0, 1).mean((2, 3)).view(1, 9, 3)

    rf = field(crops, (1, 3, 16, 16))
    assert (rf.grid, rf.size) == ((9,), (8, 8))
    assert rf.box((5,)) == ((4, 12), (8, 16))


class Pooled(nn.Module):
    """Tokens of a small map, their sum over the map, and a padded convolution beside it, as in YOLO11's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.near = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        tokens = x.flatten(2)
        weights = (tokens.transpose(1, 2) @ tokens).softmax(-1)
        return (tokens @ weights).view(x.shape) + self.near(tokens.view(x.shape))


@pytest.mark.parametrize("side", [4, 12])
def test_a_size_that_is_withheld_is_never_zero(side: int) -> None:
    graph = foveal.trace(Pooled(), (1, 3, side, side))
    row = foveal.analyze(graph).layer("output")
    # two columns of tokens tell no step; the map of six reads 13 pixels, its outer units two more
    expected = {4: ((7, 7), None), 12: ((13, 15), (13, 15))}[side]
    assert (row.sizes, row.clipped) == (expected, (side, side))
    assert foveal.receptive_field(graph, "output").sizes == expected
