"""Decoders of tokens: masks by hand, small configurations of transformers, use of the past by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.record import Audit
from foveal.tasks.streaming.tokens.audit import DISTANCES, EXCHANGED, GRADIENT, LAYERS, USE
from foveal.tasks.streaming.tokens.masks import pattern_of
from support.needs import needs
from support.networks.stream_networks import Band, window

COUNT = 24


@pytest.mark.parametrize(
    ("mask", "reads", "kept", "ahead"),
    [
        (lambda q, k: (k <= q) & (k > q - 5), "its own and 4 before", 4, 0),
        (lambda q, k: k <= q, "all before", None, 0),
        (lambda q, k: k >= 0 * q, "all before, and all after", None, COUNT - 1),
        (lambda q, k: (k <= q) & ((k > q - 5) | (k < 2)), "the first 2, its own and 4 before", 6, 0),
        (lambda q, k: (k <= q) & (k // 4 >= q // 4 - 2), "chunks of 4: up to 11 before", 11, 0),
        (lambda q, k: (k // 4 <= q // 4) & (k // 4 >= q // 4 - 2), "chunks of 4: up to 11 before and 3 after", 11, 3),
        (lambda q, k: abs(q - k) < 3, "its own and 2 before and 2 after", 2, 2),
        (lambda q, k: (k <= q) & ((q - k) % 4 == 0), "up to 5 of those before", None, 0),
    ],
)
def test_masks(mask: Any, reads: str, kept: int | None, ahead: int) -> None:
    place = np.arange(COUNT)
    found = pattern_of(np.broadcast_to(mask(place[:, None], place[None]), (COUNT, COUNT)))
    assert (found.text, found.kept, found.ahead) == (reads, kept, ahead)


class Decoder(nn.Module):
    """Token ids, windows of 3 with a residual, scores."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 2)
        self.layers = nn.ModuleList(window(3) for _ in range(2))
        self.head = nn.Linear(2, 5)

    def forward(self, ids: Tensor) -> Tensor:
        return self.scores(self.table(ids))

    def scores(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x.transpose(1, 2)).transpose(1, 2)
        return self.head(x)


def test_what_is_used_by_brute_force() -> None:
    """Two windows of 3 reach 4 before. Gradients and exchanges are made here by plain loops."""
    torch.manual_seed(0)
    model = Decoder().double().eval()
    ids = torch.randint(0, 11, (1, 12))
    found = foveal.audit(model, "tokens", (ids,))
    assert found.table(LAYERS).column("reach") == (2, 4)
    assert found.table(LAYERS).column("tokens kept") == (2, 2)
    assert found.table(LAYERS).column("numbers") == (8, 8)
    assert found.summary[0] == "output: a token sees 4 tokens before it (5 with its own)."
    embedded = model.table(ids).detach().requires_grad_(True)
    scores = model.scores(embedded)
    squares, pairs, moved = np.zeros(12), np.zeros(12), np.zeros(12)
    for query in range(12):
        rows = [torch.autograd.grad(s, embedded, retain_graph=True)[0][0] for s in scores[0, query]]
        for key in range(query + 1):
            # random signs: the expected square of the sum over features is the sum of their squares
            squares[query - key] += sum(float(row[key].square().sum()) for row in rows)
            pairs[query - key] += 1
    shares = (squares / pairs) / (squares / pairs).sum()
    table = found.table(DISTANCES)
    assert table.column("tokens before") == ("0", "1", "2 to 3", "4 to 7", "8 to 11")
    expected = [shares[0], shares[1], shares[2:4].sum(), shares[4:8].sum(), shares[8:].sum()]
    np.testing.assert_allclose(np.array(table.column(GRADIENT), float), expected, rtol=0.5, atol=0.02)
    with torch.no_grad():
        whole = model(ids)
        for key in range(12):
            for other in set(ids[0].tolist()) - {int(ids[0, key])}:
                changed = ids.clone()
                changed[0, key] = other
                effect = (model(changed) - whole)[0].square().mean(1).numpy()
                moved[: 12 - key] += effect[key:]
                assert not effect[:key].any()
                assert not effect[key + 5 :].any()
    mean = moved / pairs / (moved / pairs).sum()
    expected = [mean[0], mean[1], mean[2:4].sum(), mean[4:8].sum(), 0.0]
    np.testing.assert_allclose(np.array(table.column(EXCHANGED), float), expected, rtol=0.5, atol=0.02)
    assert table.column(EXCHANGED)[-1] == table.column(GRADIENT)[-1] == 0
    assert max(int(n) for way in (GRADIENT, EXCHANGED) for n in found.table(USE).column(way)) <= 4  # type: ignore[arg-type]
    assert Audit.from_json(found.to_json()) == found
    assert all(found.figure(name).axes for name in ("reach", "use", "map"))
    given = " ".join(map(str, [*ids[0].tolist(), 3]))
    again = foveal.audit(model, "tokens", (torch.zeros_like(ids),), ids=given, check=False)
    assert again.tables == found.tables
    assert "12 tokens given" in again.summary[-1]


def test_what_is_no_decoder_and_bad_input() -> None:
    graph = foveal.trace(nn.Sequential(nn.Embedding(7, 2), Rows()), (torch.randint(0, 7, (1, 8)),))
    found = foveal.audit(graph, "tokens", static=True)
    assert [f.code for f in found.findings] == ["TOK01"]
    assert "no decoder" in found.summary[0]
    for options, said in (
        ({"ids": "1,2"}, "2 tokens are given and 8 traced"),
        ({"ids": "a b"}, "whole numbers such as 5,17,3"),
        ({"text": "word"}, "--tokenizer"),
        ({"text": "word", "ids": "1"}, "not both"),
    ):
        with pytest.raises(FovealError, match=said):
            foveal.audit(graph, "tokens", **options)


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.band = Band(lambda query, key: key >= 0 * query)

    def forward(self, x: Tensor) -> Tensor:
        return self.band(x.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize(
    ("name", "layers", "reach", "kept", "numbers"),
    [
        ("Mistral", 3, (4, 8, 12), (4, 4, 4), (64, 64, 64)),
        ("Gemma2", 4, (4, "all", "all", "all"), (4, "all", 4, "all"), (64, 16, 64, 16)),
        ("Gemma3", 6, (4, 8, 12, 16, 20, "all"), (4, 4, 4, 4, 4, "all"), (64,) * 5 + (16,)),
        ("Llama", 2, ("all", "all"), ("all", "all"), (16, 16)),
    ],
)
def test_models_of_transformers(name: str, layers: int, reach: Any, kept: Any, numbers: Any) -> None:
    """Windows of 5; one head of keys and values, 8 numbers each, of two heads of queries."""
    needs("transformers")
    import transformers

    options = {"vocab_size": 19, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": layers, "head_dim": 8}
    options |= {"num_attention_heads": 2, "num_key_value_heads": 1} | ({} if name == "Llama" else {"sliding_window": 5})
    configuration = getattr(transformers, f"{name}TextConfig" if name == "Gemma3" else f"{name}Config")(**options)
    model = getattr(transformers, f"{name}ForCausalLM")(configuration).eval()
    found = foveal.audit(model, "tokens", (torch.arange(COUNT)[None] % 19,), check=False, static=True)
    table = found.table(LAYERS)
    assert (table.column("reach"), table.column("tokens kept"), table.column("numbers")) == (reach, kept, numbers)
    assert ("TOK02" in {f.code for f in found.findings}) == ("all" in kept)


def test_a_state_space_model_and_a_window_that_is_not_filled() -> None:
    needs("transformers")
    import transformers

    options = {"vocab_size": 7, "hidden_size": 4, "state_size": 2, "num_hidden_layers": 1, "time_step_rank": 1}
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**options)).eval()
    found = foveal.audit(model, "tokens", (torch.randint(0, 7, (1, 10)),), check=False)
    assert found.table(LAYERS).column("kind") == ("convolution", "loop")
    assert found.table(LAYERS).column("reach") == (3, "all")
    assert found.table(USE).column(EXCHANGED)[-1] < 9  # type: ignore[operator]
    model.config.sliding_window = 64
    assert "TOK05" in {
        f.code for f in foveal.audit(model, "tokens", (torch.zeros(1, 10).long(),), static=True).findings
    }
