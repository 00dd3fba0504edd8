"""Masks that reach the softmax by other ways than one addition: the boxes against the real model, unit by unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.engine.forward.bounds import bounds
from foveal.fields.receptive_field import ReceptiveField
from foveal.report.findings import findings

LENGTH = 12
LEAST = torch.finfo(torch.float32).min
PLACE = torch.arange(LENGTH)
CAUSAL = PLACE[None] <= PLACE[:, None]
WINDOW = CAUSAL & (PLACE[:, None] - PLACE[None] < 4)
Scores = Callable[[Tensor, Tensor, Tensor], Tensor]
WEIGHTS: dict[str, Scores] = {
    # scores, which keys are no padding (an input), values or anything else of shape (1, LENGTH, 4) -> weights
    "window and padding, where": lambda s, p, v: torch.where(WINDOW & p, s, -torch.inf).softmax(-1),
    "window and padding, masked_fill": lambda s, p, v: s.masked_fill(~(WINDOW & p), -torch.inf).softmax(-1),
    "window or padding": lambda s, p, v: s.masked_fill(torch.logical_or(~WINDOW, ~p), -1e9).softmax(-1),
    "two masks, padding first": lambda s, p, v: s.masked_fill(~p, -1e9).masked_fill(~WINDOW, -1e9).softmax(-1),
    "two masks, padding last": lambda s, p, v: s.masked_fill(~WINDOW, -1e9).masked_fill(~p, -1e9).softmax(-1),
    "an additive mask with padding": lambda s, p, v: (s + additive(WINDOW)[None].masked_fill(~p, LEAST)).softmax(-1),
    "a sum of two": lambda s, p, v: (s + additive(WINDOW) + (1 - p.to(s.dtype)) * -1e4).softmax(-1),
    "a product of masks": lambda s, p, v: (s + (1.0 - WINDOW * p.to(s.dtype)) * -1e4).softmax(-1),
    "a product compared": lambda s, p, v: s.masked_fill((WINDOW.to(s.dtype) * p.to(s.dtype)) == 0, -1e9).softmax(-1),
    "the smaller of two": lambda s, p, v: (s + torch.minimum(additive(WINDOW), additive(p))).softmax(-1),
    "not below the least number": lambda s, p, v: torch.max(s + additive(WINDOW), torch.tensor(LEAST)).softmax(-1),
    "the logarithm of a mask": lambda s, p, v: (s + torch.log((WINDOW & p).to(s.dtype))).softmax(-1),
    "nan_to_num before": lambda s, p, v: torch.nan_to_num(s.masked_fill(~WINDOW, -torch.inf)).softmax(-1),
    "nan_to_num behind": lambda s, p, v: torch.nan_to_num(s.masked_fill(~(WINDOW & p), -torch.inf).softmax(-1)),
    "clamp": lambda s, p, v: s.masked_fill(~WINDOW, -torch.inf).softmax(-1).clamp(min=0),
    "half the scores": lambda s, p, v: (s.masked_fill(~WINDOW, -torch.inf) * 0.5).softmax(-1),
    "an eighth of them, finite": lambda s, p, v: (s.masked_fill(~WINDOW, -1e9) / 8).softmax(-1),
    "without the maximum": lambda s, p, v: without_maximum(s.masked_fill(~WINDOW, -torch.inf)).softmax(-1),
    "less the maximum of all": lambda s, p, v: (s - s.max()).masked_fill(~CAUSAL, -torch.inf).softmax(-1),
    "less each row's mean": lambda s, p, v: (s - s.mean(-1, keepdim=True)).masked_fill(~CAUSAL, -torch.inf).softmax(-1),
    "less the maximum of all, by hand": lambda s, p, v: shares((s - s.max()).exp().masked_fill(~CAUSAL, 0)),
    "less the maximum, closed with 0": lambda s, p, v: torch.where(CAUSAL, s - s.max(), 0.0).softmax(-1),
    "log_softmax": lambda s, p, v: s.masked_fill(~WINDOW, -torch.inf).log_softmax(-1).exp(),
    "log_softmax, finite": lambda s, p, v: (s + additive(WINDOW, -200.0)).log_softmax(-1).exp(),
    "by hand": lambda s, p, v: shares(without_maximum(s.masked_fill(~WINDOW, -torch.inf)).exp()),
    "by hand, finite": lambda s, p, v: shares(without_maximum(s + additive(WINDOW, -1e4)).exp()),
    "by hand, no maximum": lambda s, p, v: shares(s.masked_fill(~WINDOW, -1e9).exp()),
    "by hand, masked behind": lambda s, p, v: shares(s.exp() * (WINDOW & p)),
    "chosen behind the sum, as Keras does": lambda s, p, v: torch.where(WINDOW, s, s - 1e9).softmax(-1),
    "by hand, times one over the sum": lambda s, p, v: one_over(
        (s.masked_fill(~WINDOW, -1e9) - s.masked_fill(~WINDOW, -1e9).max()).exp()
    ),
    "by logsumexp": lambda s, p, v: (s - s.masked_fill(~WINDOW, -torch.inf).logsumexp(-1, keepdim=True)).exp() * WINDOW,
    "exp alone": lambda s, p, v: s.masked_fill(~CAUSAL, -torch.inf).exp(),
    "sigmoid": lambda s, p, v: s.masked_fill(~WINDOW, -torch.inf).sigmoid(),
    "isnan, where": lambda s, p, v: no_nan(s.masked_fill(~(WINDOW & p), -torch.inf).softmax(-1)),
    "only rows with a key": lambda s, p, v: s.masked_fill(~(WINDOW & p), LEAST).softmax(-1) * WINDOW.any(-1)[:, None],
    "segment sums": lambda s, p, v: s * segment_sums(v.mean(-1)).exp(),
    "one row masked wholly": lambda s, p, v: (s + row_closed(additive(WINDOW, -1e9))).softmax(-1),
    "a shift": lambda s, p, v: (s - 128).softmax(-1),
    "a product of two triangles": lambda s, p, v: s.masked_fill(~CAUSAL, 0) @ s.masked_fill(~CAUSAL, 0),
    "a running product": lambda s, p, v: s.masked_fill(~CAUSAL, 0).cumprod(-1),
    "rolled": lambda s, p, v: s.masked_fill(~WINDOW, -torch.inf).roll(1, -1).softmax(-1),
    "padded": lambda s, p, v: F.pad(s[..., :-2], (0, 2), value=-torch.inf).softmax(-1),
}  # fmt: skip
LOST: dict[str, Scores] = {
    "by hand, a mask that is a small number": lambda s, p, v: shares(s.masked_fill(~WINDOW, -300.0).exp()),
    "a threshold at the third largest": lambda s, p, v: above_third(s + additive(WINDOW, -1e9)).softmax(-1),
    "a floor that still counts": lambda s, p, v: s.masked_fill(~WINDOW, -torch.inf).clamp(min=-50).softmax(-1),
    "scores capped behind the mask": lambda s, p, v: (60 * s.masked_fill(~WINDOW, -torch.inf).tanh()).softmax(-1),
    "erfc": lambda s, p, v: torch.erfc(s.masked_fill(~WINDOW, torch.inf)),
    "the smaller of two masks of 0 and 1": lambda s, p, v: torch.minimum(WINDOW.to(s.dtype), p.to(s.dtype)) * s,
}


def additive(mask: Tensor, closed: float = LEAST) -> Tensor:
    return torch.where(mask, 0.0, closed)


def row_closed(mask: Tensor) -> Tensor:
    return mask.index_fill(0, torch.tensor(5), -1e9)


def without_maximum(scores: Tensor) -> Tensor:
    return scores - scores.amax(-1, keepdim=True)


def shares(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


def one_over(weights: Tensor) -> Tensor:
    return weights * (1 / weights.sum(-1, keepdim=True))


def above_third(scores: Tensor) -> Tensor:
    return torch.where(scores < scores.topk(3, -1)[0][..., -1:], -torch.inf, scores)


def no_nan(weights: Tensor) -> Tensor:
    return torch.where(torch.isnan(weights), torch.zeros_like(weights), weights)


def segment_sums(x: Tensor) -> Tensor:
    """As Mamba-2 writes them."""
    below = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril(-1)
    wide = x[:, :, None].expand(1, LENGTH, LENGTH).masked_fill(~below, 0)
    return torch.cumsum(wide, -2).masked_fill(~CAUSAL, -torch.inf)


class Attention(nn.Module):
    """One head over (1, 4, LENGTH); a second input says which keys are no padding."""

    def __init__(self, weights: Scores) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))
        self.weights = weights

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        h = x.transpose(1, 2)
        value = self.value(h)
        scores = self.query(h) @ self.key(h).transpose(1, 2) / 2
        return (self.weights(scores, kept[:, None], value) @ value).transpose(1, 2)


def predicted(model: nn.Module) -> ReceptiveField:
    kept = torch.ones(1, LENGTH, dtype=torch.bool)
    graph = foveal.trace(model, (torch.randn(1, 4, LENGTH), kept))
    return foveal.receptive_field(graph, "output", graph.sources[0].name)


@torch.no_grad()
def measured(model: nn.Module) -> list[tuple[int, int]]:
    """(first, last + 1) of the positions that move each unit, in double precision."""
    model, kept = model.double(), torch.ones(1, LENGTH, dtype=torch.bool)
    generator = torch.Generator().manual_seed(1)
    moved = torch.zeros(LENGTH, LENGTH, dtype=torch.bool)
    for size in (1.0, 3.0, 1.0):
        x = size * torch.randn(1, 4, LENGTH, generator=generator, dtype=torch.float64)
        reference = model(x, kept)
        for position in range(LENGTH):
            changed = x.clone()
            changed[..., position] += 2 * torch.randn(4, generator=generator, dtype=torch.float64)
            moved[:, position] |= ((model(changed, kept) - reference).abs() > 1e-10).any(1)[0]
    places = [row.nonzero().flatten().tolist() for row in moved]
    return [(row[0], row[-1] + 1) if row else (0, 0) for row in places]


def boxes(rf: ReceptiveField) -> list[tuple[int, int]]:
    found = [rf.box((unit,), clip=True)[0] for unit in range(LENGTH)]
    return [(a, b) if a < b else (0, 0) for a, b in found]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_mask_is_known_whatever_way_it_takes(name: str) -> None:
    model = Attention(WEIGHTS[name]).eval()
    rf = predicted(model)
    assert rf.status == "exact"
    assert boxes(rf) == measured(model)


@pytest.mark.parametrize("name", LOST)
def test_a_mask_that_is_lost_makes_a_bound_that_names_the_operation(name: str) -> None:
    model = Attention(LOST[name]).eval()
    rf = predicted(model)
    assert rf.status == "bound"
    assert rf.certainty.causes[0].endswith(" at (top)")
    pairs = zip(boxes(rf), measured(model), strict=True)
    assert all(a <= c and b >= d for (a, b), (c, d) in pairs if c < d)


def test_a_row_filled_with_the_least_number_reads_all_its_keys() -> None:
    """The least number less 100 is the same number, so that no key lies below another."""
    model = Attention(lambda s, p, v: torch.where(WINDOW & (PLACE != 5)[:, None], s, LEAST).softmax(-1)).eval()
    rf = predicted(model)
    assert boxes(rf) == measured(model)
    assert (rf.box((5,), clip=True), rf.status) == (((0, LENGTH),), "bound")


def divided_late(axes: tuple[int, ...], mask: Tensor) -> nn.Module:
    """The sums are divided behind the product with the values, less the maximum along some axes."""

    class Late(nn.Module):
        def forward(self, x: Tensor, kept: Tensor) -> Tensor:
            h = x.transpose(1, 2)
            scores = h @ x / 10 + mask.to(x.dtype)
            weights = (scores - scores.amax(axes, keepdim=True)).exp()
            return ((weights @ h) / weights.sum(-1, keepdim=True)).transpose(1, 2)

    return Late()


def test_a_row_that_finite_numbers_close_wholly_reads_all_its_keys_whatever_maximum_is_taken_away() -> None:
    """Against the largest of its column or of all, e^-300 is as far from 0 for each of its keys."""
    closed = torch.where(WINDOW, 0.0, -300.0).index_fill(0, torch.tensor(5), -300.0)
    for axes in ((2,), (1,), (1, 2)):
        model = divided_late(axes, closed)
        rf = predicted(model)
        assert rf.box((5,), clip=True) == ((0, LENGTH),) == (measured(model)[5],)
        assert rf.status == ("exact" if axes == (2,) else "bound")


def test_a_maximum_is_not_read_where_the_sum_is_divided_behind_the_values() -> None:
    model = divided_late((1, 2), additive(WINDOW, -1e9))
    rf = predicted(model)
    assert (rf.status, boxes(rf)) == ("exact", measured(model))


def test_a_boolean_mask_with_padding_is_known_to_the_fused_attention() -> None:
    class Fused(Attention):
        def forward(self, x: Tensor, kept: Tensor) -> Tensor:
            h = x.transpose(1, 2)
            parts = self.query(h), self.key(h), self.value(h)
            return F.scaled_dot_product_attention(*parts, attn_mask=WINDOW & kept[:, None]).transpose(1, 2)

    model = Fused(WEIGHTS["exp alone"]).eval()
    rf = predicted(model)
    assert (rf.status, boxes(rf)) == ("exact", measured(model))


def test_three_layers_of_a_window_of_eight_see_22_tokens() -> None:
    """Each layer sees 8 tokens, itself the last: unit 39 sees 18 to 39, as tokenizers give masks."""
    place = torch.arange(40)
    window = (place[None] <= place[:, None]) & (place[:, None] - place[None] < 8)

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(32, 4)
            self.layers = nn.ModuleList(nn.Linear(4, 12) for _ in range(3))

        def forward(self, ids: Tensor, kept: Tensor) -> Tensor:
            x = self.embed(ids)
            least = torch.finfo(x.dtype).min
            mask = torch.full((40, 40), least).masked_fill(window, 0)[None]
            mask = mask.masked_fill(kept[:, None] == 0, least)
            for layer in self.layers:
                q, k, v = layer(x).chunk(3, -1)
                x = x + (q @ k.transpose(1, 2) + mask).softmax(-1) @ v
            return x

    ids, kept = torch.randint(0, 32, (1, 40)), torch.ones(1, 40, dtype=torch.long)
    graph = foveal.trace(Layers().eval(), (ids, kept))
    rf = foveal.receptive_field(graph, "output", graph.sources[0].name)
    assert rf.status == "exact"
    assert rf.box((39,), clip=True) == ((18, 40),)
    assert rf.box((20,), clip=True) == ((0, 21),)
    told = [finding for finding in findings(graph) if finding.code == "mask-trusted"]
    assert [finding.layer for finding in told] == ["(top)"]


def test_a_constant_that_shifts_all_scores_closes_none() -> None:
    class Shifted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.softmax(x - 128, 1)

    graph = foveal.trace(Shifted(), (1, 3, 6))
    rf = foveal.receptive_field(graph, "output")
    assert (rf.status, rf.size) == ("exact", (1,))
    assert not bounds(graph).facts.finite


LEVEL = torch.tensor(2000.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.relu(x - LEVEL), lambda x: (x + LEVEL).clamp(max=255), lambda x: torch.sigmoid(x - LEVEL),
        lambda x: torch.maximum(x, LEVEL), lambda x: torch.where(x > LEVEL, x, torch.zeros_like(x)),
        lambda x: F.softplus(x - LEVEL),
    ],
)  # fmt: skip
def test_a_level_that_pictures_of_16_bits_reach_is_no_mask(function: Callable[[Tensor], Tensor]) -> None:
    class Level(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    rf = foveal.receptive_field(foveal.trace(Level(), (1, 1, 6)), "output")
    assert (rf.status, rf.size) == ("exact", (1,))


def test_the_largest_beside_a_number_is_a_bound() -> None:
    class Largest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, torch.full((1, 1, 6), 5000.0)], 1).amax(1)

    rf = foveal.receptive_field(foveal.trace(Largest(), (1, 1, 6)), "output")
    assert (rf.status, rf.size) == ("bound", (1,))


def test_energy_behind_a_masked_softmax_is_shared_by_the_open_keys() -> None:
    """A window of 4 open keys: four weights of 1/4, squared 4 / 16."""

    class Averaged(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h = x.transpose(1, 2)
            scores = (h @ h.transpose(1, 2)).masked_fill(~WINDOW, -torch.inf)
            return (scores.softmax(-1) @ h).transpose(1, 2)

    graph = foveal.trace(Averaged(), (1, 1, LENGTH))
    field = foveal.field(graph, "output", at=(8,), kind="energy")
    total = float(field.values.sum())
    assert total == pytest.approx(0.25)
    assert field.full()[4:10].tolist() == pytest.approx([0, 1 / 16, 1 / 16, 1 / 16, 1 / 16, 0])


@pytest.mark.parametrize("form", ["window and padding, masked_fill", "an additive mask with padding"])
def test_a_row_whose_one_score_padding_may_close_reads_that_padding(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "WINDOW", CAUSAL)
    graph = foveal.trace(Attention(WEIGHTS[form]).eval(), (torch.randn(1, 4, LENGTH), torch.ones(1, LENGTH) > 0))
    field = foveal.receptive_field(graph, "output", source=graph.sources[1].name)
    assert [field.box(unit, clip=True) for unit in (0, 1)] == [((0, 1),), ((0, 2),)]


def test_a_causal_mask_over_padded_chunks_holds_unclipped_too() -> None:
    """As Mamba-2 writes its chunks: nine positions padded to twelve; a chunk's end passes on to later chunks alone."""

    class Chunks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            parts = F.pad(x, (0, 3)).reshape(3, 4)
            within = torch.ones(4, 4, dtype=torch.bool).tril()
            own = (parts[:, None] * parts[:, :, None]).exp().masked_fill(~within, 0) @ parts[..., None]
            level = F.pad(parts.sum(-1), (1, 0))
            sums = level[None, :] - level[:, None] + torch.full((4, 4), -torch.inf).triu(1)
            states = sums.exp() @ torch.cat([torch.zeros(1), parts.sum(-1)])
            return (own[..., 0] + states[:-1, None]).reshape(1, 1, 12)[..., :9]

    rf = foveal.receptive_field(foveal.trace(Chunks(), (1, 1, 9)), "output")
    assert (rf.status, rf.sizes, rf.start) == ("exact", ((1, 9),), (0,))
    assert [rf.box((unit,)) for unit in range(9)] == [((0, unit + 1),) for unit in range(9)]
