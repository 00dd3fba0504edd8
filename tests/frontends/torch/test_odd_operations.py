"""Operations with a rule of their own at odd settings, against the real ones: by perturbation, or tap by tap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveal.check.units import check
from foveal.engine.cost import cost
from foveal.fields.kinds import field
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.trace import trace
from foveal.ir import ops
from foveal.ir.relation import Table
from foveal.ir.rules import reads
from foveal.ir.rules.resampling import resample


class Behind(nn.Module):
    """A convolution, then a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 3, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.first(x))


def unpooled(size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        y, index = F.max_pool2d(x.reshape(1, 3, 6, 6), 2, return_indices=True)
        return F.max_unpool2d(y, index, 2, output_size=size)

    return function


def masked(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, x[0, 0] > 0] = 0.0
    return y


WEIGHT = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "kthvalue over the last axis": lambda x: x.transpose(1, 2).kthvalue(2)[0],
    "mode over the last axis": lambda x: torch.mode(x.transpose(1, 2))[0],
    "matrix_norm over the last two axes": lambda x: torch.linalg.matrix_norm(x.reshape(1, 3, 6, 6).transpose(1, 2)),
    "determinants": lambda x: torch.linalg.det(x.reshape(1, 3, 4, 9)[..., :3].transpose(1, 2)),
    "inverses": lambda x: torch.linalg.inv(x.reshape(1, 3, 4, 9)[..., :3].transpose(1, 2)),
    "singular values": lambda x: torch.linalg.svdvals(x.reshape(1, 3, 4, 9)[..., :3].transpose(1, 2)),
    "block_diag": lambda x: torch.block_diag(x[0, 0], x[0, 1:] * 2),
    "hstack": lambda x: torch.hstack([x, x.flip(2)]),
    "column_stack": lambda x: torch.column_stack([x[0, 0], x[0, 1].flip(0)]),
    "bucketize": lambda x: torch.bucketize(x, torch.linspace(-1, 1, 7)) * x,
    "searchsorted": lambda x: torch.searchsorted(torch.linspace(-1, 1, 7).to(x), x) * x,
    "huber": lambda x: F.huber_loss(x, torch.ones_like(x), reduction="none"),
    "mse": lambda x: F.mse_loss(x, torch.ones_like(x), reduction="none"),
    "cross entropy": lambda x: F.cross_entropy(x, torch.zeros(1, 36, dtype=torch.long), reduction="none"),
    "cross": lambda x: torch.linalg.cross(x, torch.full_like(x, 2) + x.abs(), dim=1),
    "renorm": lambda x: torch.renorm(x[0].T, 2, 0, 0.1),
    "special function": lambda x: torch.special.i1(x),
    "mask over positions": masked,
    "circular with a negative side": lambda x: F.pad(x, (-3, 2), mode="circular"),
    "a table from the map": lambda x: F.embedding(torch.arange(36).flip(0), x[0].T),
    "bags": lambda x: F.embedding_bag(torch.arange(36), x[0].T, torch.tensor([0, 3, 3, 20]), mode="max"),
    "bags but for one": lambda x: F.embedding_bag(torch.arange(36).view(18, 2), x[0].T, mode="mean", padding_idx=4),
    "segments": lambda x: torch.segment_reduce(x[0].T.contiguous(), "min", lengths=torch.tensor([3, 20, 13])),
    "weights of classes": lambda x: F.nll_loss(
        x, torch.zeros(1, 36, dtype=torch.long), x.mean((0, 2)), reduction="none"
    ),
    "a recurrent layer with generated weights": lambda x: torch.gru(
        x[:, :2].mT,
        torch.zeros(1, 1, 3).to(x),
        [x.mean(2).expand(9, 3)[:, :2], *(torch.ones(9, *shape).to(x) for shape in ((3,), (), ()))],
        True,
        1,
        0.0,
        False,
        False,
        True,
    )[0],
    "a bias from the map": lambda x: F.conv1d(x, WEIGHT.to(x), x.mean((0, 2)), padding=1),
    "a transposed bias from the map": lambda x: F.conv_transpose1d(x, WEIGHT.to(x), x.mean((0, 2))),
    "a bias of one sample": lambda x: F.conv1d(x[0], WEIGHT.to(x), x.mean((0, 2))),
    "a linear bias from the map": lambda x: F.linear(x.mT, WEIGHT[..., 0].to(x), x.mean((0, 2))),
    "a fixed norm's mean": lambda x: F.batch_norm(x, x.mean((0, 2)), torch.ones(3).to(x)),
    "a fixed norm's scale": lambda x: F.batch_norm(x, torch.zeros(3).to(x), torch.ones(3).to(x), x.mean((0, 2))),
    "a norm over features, shifted": lambda x: F.layer_norm(x.mT, (3,), None, x.mean((0, 2))),
    "a norm over features, scaled": lambda x: F.rms_norm(x.mT, (3,), x.mean((0, 2))),
    "a slope from the map": lambda x: F.prelu(x, x.mean((0, 2))),
    "nothing but padding": lambda x: F.conv1d(x, WEIGHT.to(x), padding=4) * x.mean(2, keepdim=True),
    "nothing but padding, dilated": lambda x: (
        F.conv1d(x[:, :, :1], WEIGHT.to(x), padding=2, dilation=2) * x[:, :, 9:10]
    ),
    "nothing but padding, twice": lambda x: (
        F.conv1d(F.conv1d(x, WEIGHT.to(x), padding=5).relu(), WEIGHT.to(x), padding=1) * x.mean(2, keepdim=True)
    ),
    "nothing but gaps": lambda x: F.conv_transpose1d(x, WEIGHT.to(x), stride=5) * x.mean(2, keepdim=True),
    "a bias over padding": lambda x: (
        F.conv1d(x, WEIGHT.to(x), torch.ones(3).to(x), padding=4) * x.mean(2, keepdim=True)
    ),
    "unpooled to its own size": unpooled((6, 6)),
    "unpooled to another width": unpooled((6, 7)),
    "unpooled to another height": unpooled((7, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_operation_reads_what_perturbation_moves(name: str) -> None:
    model = Behind(CASES[name])
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    graph = trace(model, (1, 3, 36))
    assert not graph.notes
    assert check(model, (1, 3, 36)).agrees


def test_the_distance_of_a_pair_reads_both_rows() -> None:
    class Pairs(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pdist(x[0].T)

    rf = receptive_field(trace(Pairs(), (1, 3, 4)), "output")
    assert (rf.status, rf.grid) == ("exact", (6,))
    assert [rf.box(unit) for unit in range(6)] == [((i, j + 1),) for i in range(4) for j in range(i + 1, 4)]


def taps(op: ops.Resample, n_in: int, n_out: int) -> np.ndarray:
    """Row per output: the weight of each input."""
    (read,) = reads(op, ((1, 1, 5, n_in),), (1, 1, 5, n_out))
    matrix = np.eye(n_in)
    for step in read.relation:
        if isinstance(step, Table) and step.axis == 3:
            weights = np.ones(step.clipped.shape) if step.weights is None else step.weights
            matrix = np.zeros((n_out, n_in))
            for o, k in zip(*np.nonzero(step.clipped >= 0), strict=True):
                matrix[o, step.clipped[o, k]] += weights[o, k]
    return matrix


@pytest.mark.parametrize("factor", [0.3, 0.5, 2 / 3, 1.1, 1.37, 2.0, 2.3])
@pytest.mark.parametrize(
    ("mode", "antialias"),
    [(m, a) for a in (False, True) for m in ("nearest", "bilinear", "bicubic") if not (a and m == "nearest")],
)
def test_resizing_weighs_as_pytorch_does(mode: str, antialias: bool, factor: float) -> None:
    class Resize(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=(1.0, factor), mode=mode, antialias=antialias)

    for n in (n for n in (2, 4, 5, 9) if int(n * factor) > 0):
        wanted = F.interpolate(
            torch.eye(n, dtype=torch.float64).reshape(n, 1, 1, n).expand(n, 1, 5, n),
            scale_factor=(1.0, factor), mode=mode, antialias=antialias,
        )[:, 0, 2].T.numpy()  # fmt: skip
        if wanted.shape[0] in (0, 1):
            continue
        nodes = [node.op for node in trace(Resize(), (1, 1, 5, n)).nodes if isinstance(node.op, ops.Resample)]
        found = taps(nodes[0], n, wanted.shape[0]) if nodes else np.eye(n)
        assert np.abs(found - wanted).max() < 1e-6


def test_antialiased_taps_go_on_beyond_the_border() -> None:
    (read,) = resample(ops.Resample((2,), "linear", antialias=True), ((1, 1, 16),), (1, 1, 8), ())
    (step,) = read.relation
    assert isinstance(step, Table)
    used = np.sort(step.unclipped[step.unclipped >= -100].reshape(8, -1), axis=1)
    assert (used == 2 * np.arange(8)[:, None] + np.array([-1, 0, 1, 2])).all()


class Sum(nn.Module):
    """A function of two convolutions of kernel 3."""

    def __init__(self, function: Callable[[Sum, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv1d(1, 1, 3, padding=1) for _ in range(2))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x + 0.1 * m.a(x),
        lambda m, x: x + m.a(x) / 10,
        lambda m, x: torch.add(x, m.a(x), alpha=0.1),
        lambda m, x: torch.sub(x, m.a(x), alpha=0.1),
        lambda m, x: x + m.a(x) * torch.tensor(0.1),
    ],
)
def test_energy_counts_fixed_factors(function: Callable[[Sum, Tensor], Tensor]) -> None:
    graph = trace(Sum(function), (1, 1, 16))
    found = field(graph, graph.layers[-1], "energy")
    assert found.status == "exact"
    assert np.allclose(found.values, [0.01 / 3, 1 + 0.01 / 3, 0.01 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda m, x: m.a(m.a(m.a(x))), "approximation"),
        (lambda m, x: (x - m.a(x)) - (m.a(x) - m.b(x)), "approximation"),
        (lambda m, x: x + x.relu(), "approximation"),
        (lambda m, x: x + m.b(m.a(x)), "exact"),
        (lambda m, x: m.a(x) + m.b(x), "exact"),
    ],
)
def test_energy_says_where_it_takes_ways_as_independent(function: Callable[[Sum, Tensor], Tensor], status: str) -> None:
    graph = trace(Sum(function), (1, 1, 16))
    assert field(graph, graph.layers[-1], "energy").status == status


def test_the_cost_of_a_recurrent_run_is_not_zero() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0]

    graph = trace(Recurrent(), (1, 8, 4), axes=(1,))
    runs = [node for node in graph.nodes if isinstance(node.op, ops.Scan)]
    assert runs
    assert all(cost(graph, node) != 0 for node in runs)
