"""``verify`` against the user's real model, and the guard for people's own CI."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.check.verify import Check, _moves_after_all, _Session, _targets
from foveal.core.errors import VerificationError
from foveal.ir import ops
from foveal.ir.graph import GraphBuilder
from foveal.ir.rules import registry
from foveal.testing import assert_receptive_field
from support.networks import case_networks as nets

MAP = (1, 2, 12, 32)


def chain() -> nn.Sequential:
    """Receptive field 7 x 7, stride 2."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 2, padding=1)
    ).eval()


def wrong(monkeypatch: pytest.MonkeyPatch, kind: type[ops.Operation], **changes: Any) -> None:
    right = registry.RULES[kind]
    rewritten = lambda op, *rest: right(type(op)(**{**op.__dict__, **changes}), *rest)  # noqa: E731
    monkeypatch.setitem(registry.RULES, kind, rewritten)
    registry._cached_reads.cache_clear()


def test_agreement_says_what_was_compared() -> None:
    check = foveal.verify(foveal.trace(chain(), MAP), "3")
    assert check.agrees
    assert check.layers == ("3",)
    assert str(check).startswith("Sequential: agrees; 476 exact and 0 bounded hulls in 3 against ")
    assert check.forwards <= 28


def test_the_same_seed_gives_the_same_check() -> None:
    graph = foveal.trace(chain(), MAP)
    assert foveal.verify(graph, "3", seed=3) == foveal.verify(graph, "3", seed=3)


def test_default_layers_are_the_last_local_one_and_the_last() -> None:
    model = nn.Sequential(*chain(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert foveal.verify(foveal.trace(model, MAP)).layers == ("3", "output")


def test_a_box_too_small_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = foveal.trace(chain(), MAP)
    wrong(monkeypatch, ops.Pool, kernel=(1, 1))
    check = foveal.verify(graph, "3", units=20, forwards=200)
    registry._cached_reads.cache_clear()
    assert not check.agrees
    first = check.mismatches[0]
    assert first.layer == "3"
    assert first.predicted is not None
    assert "DISAGREES" in str(check)
    assert "predicted positions" in str(check)


def test_a_box_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = foveal.trace(nn.Conv2d(2, 2, 3, padding=1), MAP)
    wrong(monkeypatch, ops.Convolution, kernel=(3, 5), padding=((1, 1), (2, 2)))
    check = foveal.verify(graph, "output", units=20, forwards=200)
    registry._cached_reads.cache_clear()
    assert not check.agrees


def deep() -> nn.Sequential:
    """A chain in which each window has a size of its own: 5, pool 4 at stride 2, 3; ReLUs between."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(2, 4, 5, padding=2), nn.ReLU(), nn.MaxPool1d(4, 2, 1), nn.Conv1d(4, 4, 1), nn.ReLU(),
        nn.Conv1d(4, 8, 3, padding=1), nn.ReLU(),
    ).eval()  # fmt: skip


WINDOWS = {"first": (ops.Convolution, 5, 2, 2), "pool": (ops.Pool, 4, 1, 1), "last": (ops.Convolution, 3, 1, 1)}
"""Kind, size, padding before and after of the windows of ``deep``."""
PLANTED = {"large before": (1, 1, 0), "large after": (1, 0, 1), "small before": (-1, -1, 0), "small after": (-1, 0, -1)}
"""What is added to size, padding before and after: one box edge moves by one, the output keeps its shape."""


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_box_wrong_by_one_on_one_side_is_caught(
    window: str, planted: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """In any window of a chain; behind it lie a maximum and ReLUs, which hide influence from some inputs."""
    request.addfinalizer(registry._cached_reads.cache_clear)
    kind, size, low, high = WINDOWS[window]
    more, before, after = PLANTED[planted]
    right = registry.RULES[kind]

    def rule(op: Any, *rest: Any) -> Any:
        """Wrong for the one window."""
        if op.kernel[-1] != size:
            return right(op, *rest)
        padding = (*op.padding[:-1], (low + before, high + after))
        return right(replace(op, kernel=(*op.kernel[:-1], size + more), padding=padding), *rest)

    graph = foveal.trace(deep(), (1, 2, 40))
    assert foveal.verify(graph, "output", units=20, forwards=200).agrees
    monkeypatch.setitem(registry.RULES, kind, rule)
    registry._cached_reads.cache_clear()
    check = foveal.verify(foveal.trace(deep(), (1, 2, 40)), "output", units=20, forwards=200)
    assert not check.agrees
    found = next(one for one in check.mismatches if one.predicted and one.measured)
    side = 0 if planted.endswith("before") else 1
    beyond = found.measured[side] - found.predicted[side]  # type: ignore[index]
    assert (beyond < 0) == (planted in ("large after", "small before")), str(found)


def test_weights_at_zero_are_a_note_and_no_contradiction() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1)
    conv.weight.data.zero_()
    check = foveal.verify(foveal.trace(conv, MAP), "output")
    assert check.agrees
    assert "were not seen to move" in check.notes[0]


class Shut(nn.Module):
    """One channel, and a ReLU that no ordinary input opens: only the skip moves, then."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        nn.init.constant_(self.conv.weight, 1.0)
        nn.init.constant_(self.conv.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).relu()


def test_a_relu_that_ordinary_inputs_leave_shut_is_no_contradiction() -> None:
    graph = foveal.trace(Shut(-60.0), (1, 1, 9, 9))
    for seed in range(6):
        check = foveal.verify(graph, "output", seed=seed)
        assert check.agrees, str(check)


@pytest.mark.slow
def test_a_box_too_large_is_still_caught_behind_a_relu_that_is_often_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = foveal.trace(Shut(-3.0), (1, 1, 9, 9))
    wrong(monkeypatch, ops.Convolution, kernel=(3, 5), padding=((1, 1), (2, 2)))
    found = [foveal.verify(graph, "output", seed=seed, units=20, forwards=200) for seed in range(3)]
    registry._cached_reads.cache_clear()
    assert [check.agrees for check in found] == [False] * 3


def test_generic_weights_are_given_back() -> None:
    graph = foveal.trace(nn.Conv1d(1, 1, 3, padding=1), (1, 1, 9))
    assert graph.backend is not None
    targets = _targets(graph, None, graph.sources[0], 1, 0)
    session = _Session(graph.backend, graph.sources[0], targets, 0, graph.backend.generic())
    session.start()
    assert not _moves_after_all(session, targets[0], ((0, 0, 4), 0, 0), 3)
    assert session.model is graph.backend
    assert np.array_equal(session.reference["output"], graph.backend.probe(session.inputs, ["output"])["output"])


def test_several_sources() -> None:
    graph = foveal.trace(nets.TwoInputs(), ((1, 2, 6, 32), (1, 1, 6, 32)))
    for source in graph.sources:
        assert foveal.verify(graph, graph.layers[-1], source=source.name).agrees
    with pytest.raises(VerificationError, match="unknown source 'depth'; the sources are"):
        foveal.verify(graph, source="depth")


def test_a_graph_without_a_model_is_an_error() -> None:
    builder = GraphBuilder("sketch")
    builder.layer("input", builder.source((1, 1, 4, 4)))
    with pytest.raises(VerificationError, match="'sketch' has no model to run"):
        foveal.verify(builder.graph)


def test_a_check_is_plain_data() -> None:
    check = Check("net", ("a",), 3, 0, 5)
    assert check.agrees
    assert str(check) == "net: agrees; 3 exact and 0 bounded hulls in a against 5 perturbed inputs"


def test_the_guard_passes_within_its_limits() -> None:
    assert_receptive_field(chain(), "output", MAP, at_least=6, at_most=(7, 7), center_within=1.5)
    assert_receptive_field(nets.causal(False), "output", (1, 2, 32), lookback=4, lookahead=0)


def test_the_guard_fails_readably() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_receptive_field(nets.causal(False).eval(), "output", (1, 2, 32), at_least=9, lookback=3, center_within=1)
    assert str(caught.value).splitlines() == [
        "receptive field of layer 'output' in Sequential:",
        "  it is 5 samples on source axis 0, at least 9 asked for",
        "  it reaches 4 samples back on source axis 0, at most 3 asked for",
        "  it has unit 31 centered 2 positions off its cell on source axis 0, at most 1 asked for",
    ]


def test_the_guard_rejects_what_is_not_exact() -> None:
    with pytest.raises(AssertionError, match="it is not exact but 'data-dependent'"):
        assert_receptive_field(nets.Warp(), "output", (1, 2, 8, 8), at_least=3)


def test_the_models_own_weights_are_left_alone() -> None:
    model = chain()
    before = [p.detach().numpy().copy() for p in model.parameters()]
    foveal.verify(foveal.trace(model, MAP), "3")
    assert all(np.array_equal(a, b.detach().numpy()) for a, b in zip(before, model.parameters(), strict=True))
