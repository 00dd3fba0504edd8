"""The closed forms against the whole engine on random networks, and against published and hand-made numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import foveal
from foveal.designs.closed.evaluate import effective_sides, evaluate
from foveal.designs.closed.steps import MisfitError
from foveal.designs.closed.supports import SOURCE, joined, repeated, share, window
from foveal.designs.network import Head, Neck, Network, Stage, Stem
from foveal.designs.recognise import recognise
from support.designs.design_engine import differences
from support.drawn.random_designs import random_network

LEVEL = Head("sequence", 2)


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_engine_on_random_networks(seed: int) -> None:
    random = np.random.default_rng(1000 + seed)
    for _ in range(25):
        network = random_network(random)
        assert differences(network, evaluate(network)) == [], network


def test_equal_to_the_engine_in_holes_and_evenness() -> None:
    random = np.random.default_rng(7)
    compared = 0
    while compared < 12:
        network = random_network(random)
        found = evaluate(network)
        if len(network.space) == 3 or found.levels[-1].size > 250:
            continue
        compared += 1
        assert differences(network, found, large=640) == [], network


def test_levels_of_a_pyramid_count_by_their_units() -> None:
    # Two levels read unevenly; the coarser one has a quarter of the units.
    trunk = Stage("bottleneck", 16, 3, 1, 2, (2,))
    network = Network((3, 64, 64), Stem(4, 4, 4), (trunk,), Neck("pyramid", 8, 2), Head("detection", 5))
    assert differences(network, evaluate(network), large=640) == []


def test_a_wrong_closed_form_is_noticed() -> None:
    network = random_network(np.random.default_rng(3))
    found = evaluate(network)
    worse = replace(found.levels[0], size=found.levels[0].size + 1)
    assert differences(network, replace(found, levels=(worse, *found.levels[1:])))
    assert differences(network, replace(found, parameters=found.parameters + 1))
    assert differences(network, replace(found, memory=found.memory + 4))


@pytest.mark.parametrize(
    ("name", "size", "stride", "sigma"),
    [("resnet18", 435, 32, 38.5), ("resnet50", 427, 32, 36.2), ("resnet101", 971, 32, 52.5), ("vgg13", 156, 32, 23.2)],
)
def test_published_networks(name: str, size: int, stride: int, sigma: float) -> None:
    # docs/methods.md 1.6 and 2.3.
    level = evaluate(recognise(foveal.trace(f"gallery:{name}"))).levels[0]
    assert (level.size, level.stride) == (size, stride)
    assert level.sigma == pytest.approx(sigma, abs=0.06)


def test_resnet50_costs_what_is_published() -> None:
    found = evaluate(recognise(foveal.trace("gallery:resnet50")))
    assert found.parameters == 25_557_032  # torchvision
    assert found.multiply_adds == pytest.approx(4.09e9, rel=2e-3)  # torchvision's table: 4.09 GFLOPS


def test_vgg16_at_32_pixels_has_ten_border_layers() -> None:
    # docs/methods.md 4: conv3_3 ... pool5.
    network = replace(recognise(foveal.trace("gallery:vgg16")), input=(3, 32, 32))
    idle = evaluate(network).unproductive
    assert len(idle) == 10
    assert idle[0] == "stage3.2.conv"


@pytest.mark.parametrize(
    ("kernel", "stride", "even"), [(3, 2, 1 / 2), (1, 2, 0), (7, 2, 3 / 4), (4, 2, 1), (11, 4, 2 / 3)]
)
def test_evenness_of_one_strided_layer(kernel: int, stride: int, even: float) -> None:
    # docs/methods.md 2.3: taps per input phase.
    network = Network((1, 64), Stem(kernel, stride, 4), (Stage("plain", 4, 1, 1),), head=LEVEL)
    assert evaluate(network).evenness == pytest.approx(even)


@pytest.mark.parametrize(
    ("dilations", "size", "count"),
    [((2, 4, 8), 29, 15), ((1, 2, 5), 17, 17), ((1, 2, 9), 25, 21), ((3, 4, 5), 25, 21), ((2, 2, 2), 13, 7)],
)
def test_holes_of_dilation_plans(dilations: tuple[int, ...], size: int, count: int) -> None:
    # docs/cases.md C2b, docs/methods.md 6.1.
    network = Network((1, 64), Stem(width=0), (Stage("plain", 4, 3, 3, 1, dilations),), head=LEVEL)
    level = evaluate(network).levels[0]
    assert level.size == size
    assert level.filled == pytest.approx(count / size)
    flat = evaluate(replace(network, input=(1, 64, 64))).levels[0]
    assert flat.filled == pytest.approx((count / size) ** 2)


def test_parallel_dilations_fill_less_of_a_plane_than_of_a_line() -> None:
    # Branches 1-wide and 3-wide at rate 1 and 2: a line of 5 is full, of a plane the 16 positions at a knight's
    # distance from the middle in one axis 1 and in the other 2 (8 of them) are missing: 25 - 8 = 17.
    neck = Neck("parallel-dilations", 4, rates=(1, 2))
    network = Network((1, 32), Stem(width=0), (Stage("plain", 4, 1, 1),), neck, LEVEL)
    assert evaluate(network).levels[0].filled == 1
    flat = evaluate(replace(network, input=(1, 32, 32))).levels[0]
    assert flat.filled == pytest.approx(17 / 25)


@pytest.mark.parametrize(("depth", "halo"), [(1, 8), (2, 24), (3, 48), (4, 96)])
def test_halo_of_padded_encoder_decoders(depth: int, halo: int) -> None:
    # docs/cases.md C23: two 3-wide convolutions per level, pooling by 2, nearest upsampling.
    rest = tuple(Stage("plain", 4, 2, 3, 2, (1,), True) for _ in range(depth))
    network = Network((1, 64, 64), Stem(3, 1, 4), (Stage("plain", 4, 1), *rest), Neck("encoder-decoder"), LEVEL)
    found = evaluate(network)
    assert (found.halo, found.grain) == (halo, 2**depth)


def test_causal_networks_look_back_only() -> None:
    network = Network((1, 64), Stem(width=0), (Stage("residual", 4, 3, 3, 1, (1, 2, 4)),), head=LEVEL, causal=True)
    found = evaluate(network)
    assert (found.levels[0].size, found.lookahead, found.levels[0].lookback) == (29, 0, 28)  # docs/methods.md 8


def test_centers_of_torch_resnets_lie_half_a_cell_off() -> None:
    # docs/methods.md 1.7: center of unit 0 at pixel 0, that of its cell at 15.5.
    assert evaluate(recognise(foveal.trace("gallery:resnet18"))).levels[0].offset == -15.5


@pytest.mark.parametrize(("sigma", "side"), [(5, 31.2), (10, 62.3), (20, 124.6)])
def test_effective_sides_are_those_of_gaussians(sigma: float, side: float) -> None:
    # docs/methods.md 2.2: sqrt(489), sqrt(1941), sqrt(7769) of the energy, by which objects are measured.
    assert effective_sides(sigma, 1000, 2) == pytest.approx((side, side / 2**0.5), abs=0.15)
    assert effective_sides(sigma, 17, 2) == (17, 17)


def test_misfits_say_what_does_not_fit() -> None:
    network = Network((3, 20, 20), Stem(3, 2, 4), (Stage("plain", 4, 1, stride=3),), Neck("encoder-decoder"), LEVEL)
    with pytest.raises(MisfitError, match="maps of 10x10 and 12x12 cannot be joined"):
        evaluate(network)
    with pytest.raises(MisfitError, match="too small"):
        evaluate(Network((3, 4, 4), Stem(3, 2, 4), (Stage("plain", 4, 3, 4, 4),)))


def test_supports_of_unions_count_positions_once() -> None:
    wide, narrow = window(SOURCE, 3, 1, 1, 2), window(SOURCE, 3, 1, 1, 1)
    assert share(joined([wide, narrow]), (0,)) == pytest.approx(4 / 5)  # {-1, 1, 3} and {-1, 0, 1} of -1 .. 3
    assert repeated(narrow, 2).hulls == [(-1, 1), (-1, 1)]
