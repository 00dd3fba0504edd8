"""Holes of dilation plans against listing every sum of taps, the published rule beside it, and lattices of networks."""

from __future__ import annotations

from itertools import combinations_with_replacement, permutations, product

import numpy as np
import pytest
from torch import nn

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.segmentation.gridding import dilated_convolutions, grids
from foveal.tasks.segmentation.holes import dilation_plan, filling_rates, hdc_distance, lattice
from support.networks.case_networks import dilated_lines


def sums(rates: tuple[int, ...], kernels: tuple[int, ...]) -> set[int]:
    """Every position that one tap of each layer adds up to."""
    return {sum(t * r for t, r in zip(taps, rates)) for taps in product(*map(range, kernels))}


@pytest.mark.parametrize(
    ("rates", "taps", "extent", "gap"),
    [
        ((2, 2, 2), 7, 13, 2),
        ((2, 4, 8), 15, 29, 2),
        ((1, 2, 9), 21, 25, 3),
        ((5, 9, 17), 27, 63, 5),
        ((1, 2, 4), 15, 15, 1),
        ((1, 2, 5), 17, 17, 1),
        ((1, 2, 5, 9, 17), 69, 69, 1),
        ((3, 4, 5), 21, 25, 3),
    ],
)
def test_known_plans(rates: tuple[int, ...], taps: int, extent: int, gap: int) -> None:
    plan = dilation_plan(rates)
    assert (plan.taps, plan.extent, plan.largest_gap) == (taps, extent, gap)
    assert plan.holes == extent - taps
    assert (plan.blocker is None) == (taps == extent)
    assert f"{taps} of {extent}" in str(plan)


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_criterion_against_every_sum(kernel: int) -> None:
    for count in (1, 2, 3, 4):
        for rates in combinations_with_replacement(range(1, 9), count):
            found = sums(rates, (kernel,) * count)
            plan = dilation_plan(rates, kernel)
            assert plan.taps == len(found)
            assert plan.extent == max(found) + 1
            assert (plan.blocker is None) == (len(found) == max(found) + 1)


def test_criterion_for_mixed_kernels_in_any_order() -> None:
    for layers in combinations_with_replacement([(k, r) for k in (1, 2, 3, 5) for r in (1, 2, 3, 5, 7)], 3):
        reference = sums(tuple(r for _, r in layers), tuple(k for k, _ in layers))
        for order in permutations(layers):
            plan = dilation_plan([r for _, r in order], [k for k, _ in order])
            assert plan.taps == len(reference)
            assert (plan.blocker is None) == (plan.taps == plan.extent)


def test_hdc_worked_values() -> None:
    assert hdc_distance([1, 2, 5]) == 2
    assert hdc_distance([1, 2, 9]) == 5
    assert hdc_distance([2, 2, 2]) == 2
    assert dilation_plan([1, 2, 5]).hdc_passes is True
    assert dilation_plan([1, 2, 9]).hdc_passes is False


@pytest.mark.parametrize("kernel", [3, 5])
def test_hdc_is_sufficient_from_rate_one(kernel: int) -> None:
    for count in (2, 3, 4):
        for rates in product(range(1, 8), repeat=count - 1):
            plan = dilation_plan([1, *rates], kernel)
            assert not (plan.hdc_passes and plan.holes)


def test_hdc_is_exact_for_ascending_triples_of_three_taps() -> None:
    triples = [(1, a, b) for a in range(2, 11) for b in range(a + 1, 12)]
    assert len(triples) >= 45
    for rates in triples:
        plan = dilation_plan(rates)
        assert plan.hdc_passes == (plan.holes == 0)


def test_hdc_passes_plans_with_holes_without_rate_one() -> None:
    for rates in ([2, 2, 2], [2, 3, 5]):
        plan = dilation_plan(rates)
        assert plan.hdc_passes is True
        assert plan.holes > 0


def test_hdc_rejects_a_sound_plan() -> None:
    plan = dilation_plan([1, 5, 2])
    assert plan.holes == 0
    assert plan.hdc_passes is False


def test_widest_plans_have_no_holes_and_none_wider_does() -> None:
    for kernel in (2, 3, 5):
        rates = filling_rates(3, kernel)
        assert rates == (1, kernel, kernel**2)
        assert dilation_plan(rates, kernel).holes == 0
        assert dilation_plan([*rates[:-1], rates[-1] + 1], kernel).holes > 0


def test_common_step() -> None:
    assert dilation_plan([2, 4, 8]).common == 2
    assert dilation_plan([6, 3, 12]).common == 3
    assert dilation_plan([2, 3]).common == 1


@pytest.mark.parametrize(("rates", "kernel"), [((), 3), ((0,), 3), ((1, 2), (3,)), ((1,), 0)])
def test_bad_plans_are_refused(rates: tuple[int, ...], kernel: int | tuple[int, ...]) -> None:
    with pytest.raises(FovealError, match="dilation plan: rates"):
        dilation_plan(rates, kernel)


def test_hdc_needs_two_rates() -> None:
    with pytest.raises(FovealError, match="at least two rates"):
        hdc_distance([3])


def test_lattice_of_a_map() -> None:
    read = np.zeros((5, 9), bool)
    read[1, [2, 4, 8]] = True
    found = lattice(read)
    assert (found.extent, found.taps, found.largest_gap, found.common) == ((1, 7), (1, 3), (1, 4), (1, 2))
    assert found.holes == (0, 4)
    assert lattice(np.zeros((3, 3), bool)).extent == (0, 0)


@pytest.mark.parametrize("rates", [(2, 4, 8), (1, 2, 5), (1, 2, 9), (3, 4, 5)])
def test_lattice_of_a_network_is_the_plan(rates: tuple[int, ...]) -> None:
    graph = foveal.trace(dilated_lines(*rates), (1, 1, 64))
    found = grids(graph, graph.layers[-1])
    reference = sums(rates, (3,) * len(rates))
    assert found.source.taps == (len(reference),)
    assert found.source.extent == (max(reference) + 1,)
    assert found.chained == sum(rate > 1 for rate in rates)


def test_lattice_after_a_stride() -> None:
    """3 taps, then rate 2 at stride 2: source positions -1..1 about 0, -4, +4; on the map itself every second one."""
    model = nn.Sequential(nn.Conv1d(1, 2, 3, 2, 1), nn.Conv1d(2, 2, 3, 1, 2, 2)).eval()
    found = grids(foveal.trace(model, (1, 1, 64)), "1")
    assert (found.source.extent, found.source.taps, found.source.largest_gap) == ((11,), (9,), (2,))
    assert found.entry is not None
    assert (found.entry.extent, found.entry.taps, found.entry.common) == ((5,), (3,), (2,))


def test_global_context_does_not_hide_a_hole() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spread = nn.Conv1d(1, 1, 3, padding=2, dilation=2)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.spread(x) + x.mean(dim=-1, keepdim=True)

    found = grids(foveal.trace(Gated().eval(), (1, 1, 32)), foveal.trace(Gated().eval(), (1, 1, 32)).layers[-1])
    assert found.source.taps == (3,)


def test_c22_no_tap_but_the_middle_one_meets_the_map() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=24, dilation=24)).eval()
    (item,) = dilated_convolutions(foveal.trace(model, (1, 1, 17, 17)), "0")
    assert (item.span, item.map, item.degenerate) == ((49, 49), (17, 17), True)
    assert item.alive == pytest.approx(1 / 9)
    assert item.lone == 1.0


def test_rate_36_on_65_cells_by_hand() -> None:
    """Per axis units 0..28 reach +36 and 36..64 reach -36: 58 of 65 have two taps, 7 have one."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=36, dilation=36)).eval()
    (item,) = dilated_convolutions(foveal.trace(model, (1, 1, 65, 65)), "0")
    assert item.degenerate
    assert item.alive == pytest.approx(((2 * 58 + 7) / 65) ** 2 / 9)
    assert item.lone == pytest.approx((7 / 65) ** 2)
