"""Inverse design against published networks, hand arithmetic and brute force."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

import foveal
from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.inverse import DilationPlan, PatchPlan, hole_free, patchgan, rates, smallest_change, tcn
from foveal.designs.network import Network
from foveal.designs.recognise import recognise
from foveal.frontends.text.trace import trace_spec


def support(dilations: tuple[int, ...], kernel: int) -> set[int]:
    """All sums of one multiple (0 .. kernel - 1) of each dilation."""
    return {sum(t * d for t, d in zip(taps, dilations)) for taps in product(range(kernel), repeat=len(dilations))}


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_the_criterion_for_holes_is_exact(kernel: int) -> None:
    for dilations in product(range(1, 8), repeat=3):
        seen = support(dilations, kernel)
        assert hole_free(dilations, kernel) == (len(seen) == max(seen) + 1), dilations


def test_tcn_of_the_literature() -> None:
    doubled = tcn(past=28, kernel=3)[0]
    assert (doubled.dilations, doubled.field) == ((1, 2, 4), 29)  # docs/methods.md 8


def test_wavenet_of_the_literature() -> None:
    doubled = tcn(past=3069, kernel=2, per_block=1, longest=512)[0]
    assert doubled.dilations == tuple(2**i for i in range(10)) * 3
    assert doubled.field == 3070  # docs/methods.md 8


@pytest.mark.parametrize(
    ("past", "kernel", "per_block", "longest"), [(50, 3, 2, None), (40, 2, 1, 8), (7, 5, 1, None), (1, 2, 2, None)]
)
def test_plans_reach_the_past_without_holes(past: int, kernel: int, per_block: int, longest: int | None) -> None:
    for plan in tcn(past, kernel, per_block, longest):
        assert plan.field > past
        assert plan.whole
        graph = trace_spec(plan.specification(2), (1, 1, 256))
        rf = foveal.receptive_field(graph, graph.layers[-1])
        assert (rf.size, rf.lookahead, rf.lookback) == ((plan.field,), (0,), (plan.field - 1,))
        assert foveal.field(graph, graph.layers[-1], "support", at=255).values.all()


def test_no_plan_has_fewer_blocks() -> None:
    fewest = tcn(past=60, kernel=3)[-1]
    assert len(fewest.dilations) == 3
    # Two blocks reach 4 (1 + 5) = 24 at most, since the second dilation is at most 5.
    reached = [
        4 * sum(pair) for pair in product(range(1, 40), repeat=2) if hole_free((pair[0], pair[0], pair[1], pair[1]), 3)
    ]
    assert max(reached) == 24


def test_holes_are_said() -> None:
    assert "holes" in str(DilationPlan(3, 1, (2, 4), "given"))
    assert not DilationPlan(3, 1, (2, 4), "given").whole


@pytest.mark.parametrize(("strided", "field"), list(enumerate([7, 16, 34, 70, 142, 286])))
def test_patch_discriminators(strided: int, field: int) -> None:
    assert patchgan(field) == (PatchPlan(strided),)  # docs/methods.md 8
    graph = trace_spec(PatchPlan(strided).specification(2), (1, 3, 512, 512))
    assert foveal.receptive_field(graph, graph.layers[-1]).size == (field, field)


def test_the_nearest_patch_discriminators() -> None:
    assert [plan.field for plan in patchgan(100)] == [70, 142]
    with pytest.raises(FovealError, match="at least 7"):
        patchgan(5)


def test_rates_of_a_head() -> None:
    series, parallel = rates(stride=16, field=400, length=33)
    assert series.whole
    assert (series.field - 1) * 16 >= 400
    assert all(2 * rate < 33 for rate in parallel)  # a window of 2 rate + 1 fits the map (docs/methods.md 6.2)
    with pytest.raises(FovealError, match="use a larger input"):
        rates(stride=16, field=1000, length=33)


@pytest.fixture(scope="module")
def resnet18() -> Network:
    return replace(recognise(foveal.trace("gallery:resnet18")), input=(3, 32, 32))


@pytest.mark.parametrize("how", [{}, {"only": "counts"}, {"keep_blocks": True}])
def test_unproductive_layers_are_removed(resnet18: Network, how: dict) -> None:
    change = smallest_change(resnet18, "productive", **how)
    assert len(change.before.unproductive) == 7
    assert evaluate(change.network).unproductive == ()
    if how.get("keep_blocks"):
        assert [s.count for s in change.network.stages] == [2, 2, 2, 2]
    if how.get("only"):
        assert [s.stride for s in change.network.stages] == [
            s.stride for s in resnet18.stages[: len(change.network.stages)]
        ]
    assert f"{change.after.multiply_adds:,}" in str(change)


def test_the_smallest_change_that_covers_the_image(resnet18: Network) -> None:
    large = replace(resnet18, input=(3, 512, 512))
    assert evaluate(large).covered < 1
    change = smallest_change(large, "covered")
    assert len(change.changed) == 1
    assert evaluate(change.network).covered == 1
    assert smallest_change(resnet18, "covered").changed == ()


def test_impossible_wishes_are_refused(resnet18: Network) -> None:
    with pytest.raises(FovealError, match="unknown wish"):
        smallest_change(resnet18, "better")
    with pytest.raises(FovealError, match="needs more than 64 blocks"):
        tcn(past=10**30, kernel=2, per_block=1)
    with pytest.raises(FovealError, match="kernel of at least 2"):
        tcn(past=5, kernel=1)
