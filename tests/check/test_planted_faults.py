"""Faults planted on purpose: ``verify`` and the automatic check must find every one.

Each is a network and what an analysis took it for: the graph is that of the second, the model behind it the first. So
nothing here depends on what the rules say today.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.check import automatic
from foveal.ir.graph import Graph, Note

Function = Callable[[Tensor], Tensor]
T = 16
LINE, PLANE = (1, 4, T), (1, 2, 8, 10)
DRAWN = torch.Generator().manual_seed(1)
WEIGHTS = {k: torch.randn(4, 4, k, generator=DRAWN, dtype=torch.float64) for k in (1, 2, 3, 4, 5)}
PLANES = {k: torch.randn(2, 2, *k, generator=DRAWN, dtype=torch.float64) for k in ((1, 5), (5, 1))}
DENSE = torch.randn(T, T, generator=DRAWN, dtype=torch.float64)
NEXT = torch.eye(T, dtype=torch.float64) + torch.diag(torch.ones(T - 1, dtype=torch.float64), 1)
NEAR = (torch.arange(T)[:, None] - torch.arange(T)).abs() <= 2


def conv(x: Tensor, kernel: int = 3, dilation: int = 1, before: int | None = None) -> Tensor:
    """Zero padded to the same length; ``before``: of it in front."""
    total = dilation * (kernel - 1)
    front = total // 2 if before is None else before
    return F.conv1d(F.pad(x, (front, total - front)), WEIGHTS[kernel].to(x.dtype), dilation=dilation)


def whole(x: Tensor) -> Tensor:
    """Every unit reads everything along the axis."""
    return x * 2 + x.mean(2, keepdim=True)


def frames(x: Tensor) -> list[Tensor]:
    return [x[:, :, t] * 2 for t in range(T)]


def written(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    for t, frame in enumerate(frames(x)):
        out[:, :, t] = frame
    return out


def product(x: Tensor, matrix: Tensor) -> Tensor:
    return x @ matrix.to(x.dtype)


def passed_on(x: Tensor) -> Tensor:
    """Messages over the edges t -> t + 1."""
    return x + torch.zeros_like(x).index_add(2, torch.arange(1, T), x[:, :, :-1])


def scattered(x: Tensor) -> Tensor:
    index = ((torch.arange(T) + 1) % T).expand(*x.shape)
    return torch.zeros_like(x).scatter(2, index, x * 2)


def attention(x: Tensor, open_: Tensor | None = None, value: float = float("-inf")) -> Tensor:
    scores = x.transpose(1, 2) @ x / 4
    if open_ is not None:
        scores = scores.masked_fill(~open_, value)
    return x @ scores.softmax(2).transpose(1, 2)


def segments(x: Tensor) -> Tensor:
    """A product behind exp of -inf."""
    scores = (x.transpose(1, 2) @ x / 40).masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), float("-inf"))
    return x @ scores.exp().transpose(1, 2)


def side_channel(x: Tensor) -> Tensor:
    other = np.apply_along_axis(lambda row: np.convolve(row, np.ones(9), "same"), 2, x.numpy())
    return conv(x) + torch.from_numpy(other)


def read_as_list(x: Tensor) -> Tensor:
    return conv(x) * torch.tensor([sum(row) for row in x[0].tolist()], dtype=x.dtype)[None, :, None]


def through_a_file(x: Tensor) -> Tensor:
    buffer = io.BytesIO()
    np.save(buffer, x.numpy())
    return conv(x) + torch.from_numpy(np.load(io.BytesIO(buffer.getvalue()))).flip(2)


def in_a_thread(x: Tensor) -> Tensor:
    found: list[Tensor] = []
    worker = threading.Thread(target=lambda: found.append(conv(x, 5)))
    worker.start()
    worker.join()
    return found[0]


def written_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y.numpy()[..., 1:] += x.numpy()[..., :-1]
    return y


def foreach(x: Tensor) -> Tensor:
    y = x.clone()
    torch._foreach_add_([y], [x.roll(1, 2)])
    return y


def into_a_buffer(x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.cumsum(x, 2, out=out)
    return out


def branching(x: Tensor) -> Tensor:
    return x * 2 if x.mean() > 0 else x * 3


def masked_assignment(x: Tensor) -> Tensor:
    y = x * 2
    y[y > 0] = 1.0
    return y + x


def resized(x: Tensor, size: int, **how: object) -> Tensor:
    return F.interpolate(x, size=size, **how)  # type: ignore[arg-type]


def antialiased(x: Tensor, taken: bool) -> Tensor:
    return F.interpolate(x[:, :, None], size=(1, 6), mode="bilinear", antialias=taken)[:, :, 0]


def spread(x: Tensor, positive: bool) -> Tensor:
    return torch.fft.irfft(torch.fft.rfft(x) * torch.linspace(1, 2, T // 2 + 1), n=T) if positive else x


def same(x: Tensor) -> Tensor:
    return x * 2


FAULTS: dict[str, tuple[Function, Function]] = {
    # positions
    "frames stacked, taken as whole": (lambda x: torch.stack(frames(x), 2), whole),
    "frames written one by one, taken as whole": (written, whole),
    "frames unsqueezed and joined, taken as whole": (lambda x: torch.cat([f[:, :, None] for f in frames(x)], 2), whole),
    "a sparse matrix as a dense one": (lambda x: product(x, NEXT), lambda x: product(x, DENSE)),
    "a dense matrix as a sparse one": (lambda x: product(x, DENSE), lambda x: x + x.roll(1, 2)),
    "a graph's adjacency as dense": (
        lambda x: torch.einsum("nct,ts->ncs", x, NEAR.to(x.dtype)),
        lambda x: torch.einsum("nct,ts->ncs", x, DENSE.to(x.dtype))),
    "message passing as whole": (passed_on, whole),
    "a scatter index off by one": (scattered, same),
    "an index table off by one": (lambda x: x[:, :, (torch.arange(T) + 1) % T], lambda x: x[:, :, torch.arange(T)]),
    "a norm over positions as one over features": (
        lambda x: F.layer_norm(x, (T,)), lambda x: F.layer_norm(x.transpose(1, 2), (4,)).transpose(1, 2)),
    "a window over the whole map left out of a gate": (lambda x: x * F.avg_pool1d(x, T), lambda x: x * x),
    "overlap-add one tap short": (
        lambda x: F.conv_transpose1d(x, WEIGHTS[5].to(x.dtype), padding=2),
        lambda x: F.conv_transpose1d(x, WEIGHTS[3].to(x.dtype), padding=1)),
    "a circular border as zeros": (
        lambda x: F.conv1d(F.pad(x, (1, 1), mode="circular"), WEIGHTS[3].to(x.dtype)), conv),
    "a stride left out": (lambda x: x[:, :, ::2] * 2, lambda x: x[:, :, : T // 2] * 2),
    "a recurrent loop as pointwise": (lambda x: x.cumsum(2).tanh(), torch.tanh),
    # constants as masks
    "softmax blind to its own axis": (lambda x: (x - 128).softmax(2), lambda x: x.softmax(1)),
    "rows masked wholly, taken as closed": (
        lambda x: attention(x, NEAR & (torch.arange(T) > 7)[:, None], -1e9), lambda x: attention(x, NEAR)),
    "a window mask lost": (lambda x: attention(x, NEAR), attention),
    "a window mask where there is none": (attention, lambda x: attention(x, NEAR)),
    "a triangular mask lost": (lambda x: product(x, DENSE.triu()), lambda x: product(x, DENSE)),
    "known zeros too wide": (lambda x: product(x, DENSE.triu()), same),
    "exp of -inf lost": (segments, attention),
    "a shared scale as pointwise": (lambda x: x / x.abs().amax(2, keepdim=True), same),
    "a minus infinity lost behind a scale": (
        lambda x: x @ ((x.mT @ x).masked_fill(~NEAR, -np.inf) * 0.1).softmax(2).mT, attention),
    # what leaves the dispatcher
    "a side channel through numpy": (side_channel, conv),
    "values read as a list": (read_as_list, conv),
    "values through a file": (through_a_file, conv),
    "work in a thread": (in_a_thread, conv),
    "a buffer written from outside": (written_in_place, lambda x: x.clone()),
    "a list of tensors changed in place": (foreach, lambda x: x.clone()),
    "a result written into a buffer": (into_a_buffer, lambda x: x * 1),
    "a number read by Python": (lambda x: conv(x) * x.abs().max().item(), conv),
    "a branch on data": (branching, same),
    "a length that data set, as a number": (lambda x: conv(x) * len((x > 0).nonzero()), conv),
    "a place that data set": (lambda x: x * 2 + x[:, :, x[0].sum(0).argmax()].unsqueeze(2), same),
    # layout and odd operations
    "another memory order": (lambda x: x.transpose(1, 2).reshape(1, 4, T), lambda x: x.reshape(1, 4, T)),
    "an offset left out": (
        lambda x: x.contiguous().as_strided((1, 4, T - 1), (4 * T, T, 1), 1), lambda x: x[:, :, :-1]),
    "antialiasing ignored": (lambda x: antialiased(x, True), lambda x: antialiased(x, False)),
    "corners not aligned": (
        lambda x: resized(x, 27, mode="linear", align_corners=True), lambda x: resized(x, 27, mode="linear")),
    "nearest by another rule": (lambda x: resized(x, 11, mode="nearest-exact"), lambda x: resized(x, 11)),
    "wrapped first, then cropped": (
        lambda x: F.pad(x[:, :, 2:], (3, 0), mode="circular"), lambda x: F.pad(x, (3, 0), mode="circular")[:, :, 2:]),
    "a sort along another axis": (lambda x: x.sort(2).values, lambda x: x.sort(1).values),
    "a mask assignment as whole": (masked_assignment, whole),
    "roll the other way": (lambda x: x.roll(2, 2), lambda x: x.roll(-2, 2)),
    "flip ignored": (lambda x: x.flip(2), same),
    "a bias of the map's as a weight": (lambda x: F.conv1d(x, WEIGHTS[3].to(x), x.mean((0, 2)), padding=1), conv),
    "a scale of the map's as a weight": (lambda x: F.layer_norm(x.mT, (4,), x.mean((0, 2))).mT * 2,
                                         lambda x: F.layer_norm(x.mT, (4,)).mT * 2),
    "a table's order": (lambda x: F.embedding(torch.arange(T).flip(0), x[0].T).T[None], same),
    "wrong dilation": (lambda x: conv(x, 3, 2), conv),
    "a kernel too large": (conv, lambda x: conv(x, 5)),
    "padding sides swapped": (lambda x: conv(x, 4, 1, 1), lambda x: conv(x, 4, 1, 2)),
    "a pool as pointwise": (lambda x: F.max_pool1d(x, 3, 1, 1), same),
    "phases of upsampling ignored": (
        lambda x: F.conv_transpose1d(x, WEIGHTS[4].to(x.dtype), stride=2, padding=1), lambda x: resized(x, 2 * T)),
    "a sum from the other end": (lambda x: x.flip(2).cumsum(2).flip(2), lambda x: x.cumsum(2)),
    "a filter in the frequency domain as pointwise": (lambda x: spread(x, True), lambda x: spread(x, False)),
    "a gate at another size left out": (lambda x: x + resized(resized(x, 4), T), same),
    "a step that depends on the length": (lambda x: x[:, :, :: T // 4].repeat_interleave(4, 2), same),
    "axes swapped": (
        lambda x: F.conv2d(x, PLANES[1, 5].to(x.dtype), padding=(0, 2)),
        lambda x: F.conv2d(x, PLANES[5, 1].to(x.dtype), padding=(2, 0))),
}  # fmt: skip


class Net(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def planted(name: str) -> Graph:
    """The graph of what the network was taken for, with the network itself behind it."""
    model, taken = (Net(function) for function in FAULTS[name])
    shape = PLANE if name == "axes swapped" else LINE
    graph = foveal.trace(taken, shape)
    assert foveal.receptive_field(graph, "output").status == "exact"
    graph.backend.model.function = model.function  # type: ignore[union-attr]
    graph.notes.append(Note("opaque", "", "planted"))
    return graph


@pytest.mark.parametrize("name", FAULTS)
def test_verify_finds_a_planted_fault(name: str) -> None:
    assert not foveal.verify(planted(name), "output", units=12, forwards=60).agrees


@pytest.mark.parametrize("name", FAULTS)
def test_the_automatic_check_finds_a_planted_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "LEAST", 20.0)  # a busy machine must not decide
    (row,) = [row for row in foveal.analyze(planted(name)).layers if row.name == "output"]
    assert row.status == "contradicted"
    assert row.size.value is None


@pytest.mark.parametrize("name", FAULTS)
def test_the_network_itself_is_not_contradicted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the fault was taken for is right for itself."""
    monkeypatch.setattr(automatic, "LEAST", 20.0)
    taken = Net(FAULTS[name][1])
    graph = foveal.trace(taken, PLANE if name == "axes swapped" else LINE)
    graph.notes.append(Note("opaque", "", "planted"))
    automatic.look(graph)
    assert [note.code for note in graph.notes] == ["opaque"]


def test_there_are_forty() -> None:
    assert len(FAULTS) >= 40
