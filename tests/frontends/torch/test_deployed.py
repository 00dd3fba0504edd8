"""What deployed networks do that others do not: fake quantisers, pruned weights, experts chosen by token."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

import foveal
from foveal.check.units import check


def fake_quantised() -> nn.Module:
    from torch.ao import quantization as q

    model = nn.Sequential(q.QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)).train()
    model.qconfig = q.get_default_qat_qconfig("fbgemm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return q.prepare_qat(model).eval()


def test_a_fake_quantiser_keeps_its_range_in_evaluation() -> None:
    model = fake_quantised()
    before = {name: item.clone() for name, item in model.state_dict().items()}
    graph = foveal.trace(model, (1, 3, 16, 16))
    found = foveal.receptive_field(graph, "3")
    assert (found.status, found.size, found.stride) == ("exact", (5, 5), (2, 2))
    assert all(torch.equal(item, before[name]) for name, item in model.state_dict().items())
    assert not [note for note in graph.notes if note.code in ("opaque", "real-tensors", "partial")]


def test_a_fake_quantiser_that_observes_reads_the_whole_tensor() -> None:
    found = foveal.receptive_field(foveal.trace(fake_quantised(), (1, 3, 16, 16), training=True), "3")
    assert (found.status, found.box((4, 4), clip=True)) == ("exact", ((0, 16), (0, 16)))


class Router(nn.Module):
    """Two of four groups of two experts, then two of their experts, weighed by their scores: per token."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.gate, self.out, self.fill = nn.Linear(8, 8), nn.Linear(2, 8), fill

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.gate(x).sigmoid()
        groups = scores.view(-1, 4, 2).sum(-1)
        chosen = torch.zeros_like(groups).scatter_(1, groups.topk(2, -1)[1], 1)
        mask = chosen.unsqueeze(-1).expand(-1, 4, 2).reshape(-1, 8)
        experts = scores.masked_fill(~mask.bool(), self.fill).topk(2, -1)[1]
        return self.out(scores.gather(1, experts))


@pytest.mark.parametrize("fill", [0.0, float("-inf")])
def test_a_router_reads_its_own_token(fill: float) -> None:
    graph = foveal.trace(Router(fill).eval(), (6, 8), axes=(0,))
    found = foveal.receptive_field(graph, "out")
    assert (found.status, found.size) == ("exact", (1,))
    assert check(Router(fill).eval(), (6, 8), axes=(0,)).agrees


class Scattered(nn.Module):
    """Scores of the chosen experts among minus infinities, as in Llama 4."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 3), nn.Parameter(torch.randn(3, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.gate(x)
        best, which = scores.topk(1, -1)
        shares = torch.full_like(scores, -torch.inf).scatter_(1, which, best).T.sigmoid()
        return torch.bmm(x.repeat(3, 1).view(3, -1, 8) * shares[..., None], self.experts).sum(0)


def test_scores_scattered_among_minus_infinities_close_nothing() -> None:
    torch.manual_seed(0)
    graph = foveal.trace(Scattered().eval(), (6, 8), axes=(0,))
    field = foveal.receptive_field(graph, "output")
    assert (field.size, field.status) == ((1,), "exact")
    assert check(Scattered().eval(), (6, 8), axes=(0,)).agrees


class Histogram(nn.Module):
    """Votes of a computed place along features, added to zeros, as in SIFT."""

    def __init__(self, vote: bool) -> None:
        super().__init__()
        self.conv, self.vote = nn.Conv1d(2, 2, 3, padding=1), vote

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        votes = y[:, 1:] if self.vote else torch.ones_like(y[:, 1:])
        return torch.zeros(1, 4, x.shape[2]).to(x).scatter_add(1, (3 * y[:, :1]).long() % 4, votes)


@pytest.mark.parametrize("vote", [True, False])
def test_votes_added_to_zeros_are_read_where_they_are_made(vote: bool) -> None:
    field = foveal.receptive_field(foveal.trace(Histogram(vote), (1, 2, 12)), "output")
    assert (field.size, field.status) == ((3,), "exact")
    assert check(Histogram(vote), (1, 2, 12)).agrees


class Chosen(nn.Module):
    """At each position the sample that its own row says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.gather(2, x.argsort(1) % x.shape[2])


def test_a_gather_along_positions_hangs_on_data_and_stays_on_its_line() -> None:
    graph = foveal.trace(Chosen(), (1, 2, 5, 7), axes=(2, 3))
    found = foveal.receptive_field(graph, graph.layers[-1])
    assert (found.status, found.box((2, 3), clip=True)) == ("data-dependent", ((0, 5), (3, 4)))


def test_a_pruned_network_is_copied_and_has_the_fields_of_its_taps() -> None:
    from torch.nn.utils import prune

    model = nn.Sequential(nn.Conv1d(1, 16, 3, padding=1), nn.Conv1d(16, 16, 3, padding=1)).eval()
    for layer in model:
        mask = torch.ones_like(layer.weight)
        mask[..., 2] = 0  # the tap on the right
        mask[::2, :, 0] = 0  # and for every second filter the one on the left
        prune.custom_from_mask(layer, "weight", mask)
    graph = foveal.trace(model, (1, 1, 12))
    found = foveal.receptive_field(graph, "1")
    assert (found.status, found.box((6,))) == ("exact", ((4, 7),))
    assert [foveal.field(graph, "1", "support", (6,), channel=k).full().nonzero()[0].tolist() for k in (0, 1)] == [
        [5, 6],
        [4, 5, 6],
    ]
    assert not [note for note in graph.notes if note.code == "not-checked"]


def test_a_softmax_of_one_score_is_a_constant_row() -> None:
    model = nn.Sequential(nn.Conv1d(2, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Softmax(-1)).eval()
    rows = foveal.analyze(foveal.trace(model, (1, 2, 9))).layers
    assert [(row.name, row.size.value) for row in rows[:2]] == [("0", (3,)), ("1", (9,))]


TABLES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "rows": lambda table, i: table.index_select(0, i[0]),
    "columns": lambda table, i: table.index_select(1, i[0] % 4).T,
    "entries": lambda table, i: table[i[0], i[0].flip(0) % 4],
    "entries by a computed and a constant place": lambda table, i: table[i[0], torch.arange(12) % 4],
    "columns by two axes": lambda table, i: table[:, i % 4].permute(1, 2, 0),
    "apart": lambda table, i: table.view(9, 2, 2)[i[0] % 9, :, i[0] % 2],
}


@pytest.mark.parametrize("name", TABLES)
def test_an_entry_of_a_table_reads_what_computed_its_place(name: str) -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.table = nn.Conv1d(2, 1, 3, padding=1), nn.Parameter(torch.randn(9, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return TABLES[name](self.table, (5 * self.conv(x)[:, 0]).long() % 9)

    torch.manual_seed(0)
    graph = foveal.trace(Table(), (1, 2, 12))
    assert foveal.receptive_field(graph, "output").status == "exact"
    assert check(Table(), (1, 2, 12)).agrees
