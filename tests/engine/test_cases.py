"""Cases with a known right answer: written down by hand, held against the engine and against the black-box oracle.

Each case states, along the last source axis, inclusive clipped boxes of a few units, and where it matters the unclipped
size (smallest, largest), the stride and the furthest reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import foveal
from foveal.check.oracle import dependency, support
from foveal.testing import check, hulls
from support.networks import case_networks as nets

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
MAP = (1, 2, 6, 32)
LINE = (1, 2, 32)
WHOLE = (0, 31)


@dataclass(frozen=True)
class Case:
    """``boxes``: unit along the last grid axis -> (first, last) along the last source axis, clipped, inclusive."""

    name: str
    make: Callable[[], nn.Module]
    shape: Any
    boxes: dict[int, tuple[int, int]]
    size: int | tuple[int, int] | None = None
    stride: int | None = None
    reach: tuple[int, int] | None = None
    layer: str = "output"
    status: str = "exact"
    local: int | None = None
    source: int = 0
    full: bool = field(default=True)
    """Whether every unit of every layer is compared (small networks)."""


def one(**settings: Any) -> Callable[[], nn.Module]:
    return partial(nets.convolutions, settings)


def patch(strided: int, size: int, length: int) -> Case:
    make = partial(nets.patch_discriminator, strided)
    return Case(f"C25 PatchGAN {strided}", make, (1, 1, length), {}, size, stride=2**strided, full=False)


CASES = [
    Case("C2 two dilated", partial(nets.convolutions, *[{"dilation": 2, "padding": 2}] * 2), MAP, {16: (12, 20)}, 9, 1),
    Case("C2b dilations 2 4 8", partial(nets.dilated_lines, 2, 4, 8), (1, 1, 64), {32: (18, 46)}, 29),
    Case("C2b dilations 1 2 5", partial(nets.dilated_lines, 1, 2, 5), (1, 1, 64), {32: (24, 40)}, 17),
    Case("C2b dilations 1 2 9", partial(nets.dilated_lines, 1, 2, 9), (1, 1, 64), {32: (20, 44)}, 25),
    Case("C2b dilations 3 4 5", partial(nets.dilated_lines, 3, 4, 5), (1, 1, 64), {32: (20, 44)}, 25),
    Case("C3 one dilated", one(dilation=2, padding=2), MAP, {8: (6, 10), 0: (0, 2)}, 5, 1, (2, 2)),
    Case("C4 even kernel, same", one(kernel_size=4, padding="same"), MAP, {8: (7, 10), 31: (30, 31)}, 4, 1, (1, 2)),
    Case("C6 misaligned branches", nets.misaligned, MAP, {8: (6, 10)}, 5, 1, (2, 2)),
    Case("C7 parallel 3 and 5", nets.parallel, MAP, {8: (6, 10)}, 5),
    Case("C8 1x7", one(kernel_size=(1, 7), padding=(0, 3)), MAP, {8: (5, 11)}, 7),
    Case("C8 7x1", one(kernel_size=(7, 1), padding=(3, 0)), MAP, {8: (8, 8)}, 1),
    Case("C9 mini U-Net", partial(nets.UNet, 1, 1, 2), MAP, {16: (11, 20), 17: (13, 22)}, (10, 10), reach=(5, 5)),
    Case("C10 strided and back", nets.strided_and_back, MAP, {8: (7, 9), 9: (7, 11)}, (3, 5), reach=(2, 2)),
    Case("C12 slices", nets.SpaceToDepth, MAP, {8: (14, 19)}, 6, 2),
    Case("C12 PixelUnshuffle", lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(8, 2, 3, padding=1)), MAP,
         {8: (14, 19)}, 6, 2),
    Case("C13 P3", nets.Pyramid, (1, 2, 8, 32), {8: (9, 19), 9: (13, 23)}, (11, 11), 2, layer="output.p3"),
    Case("C13 P4", nets.Pyramid, (1, 2, 8, 32), {4: (9, 23)}, 15, 4, layer="output.p4"),
    Case("C14 image", nets.TwoInputs, (MAP, (1, 1, 6, 32)), {8: (7, 9)}, 3),
    Case("C14 mask", nets.TwoInputs, (MAP, (1, 1, 6, 32)), {8: (5, 11)}, 7, source=1),
    Case("C15 causal", partial(nets.causal, False), LINE, {8: (4, 8)}, 5, 1, (4, 0)),
    Case("C15 causal by chomp", partial(nets.causal, True), LINE, {8: (4, 8)}, 5, 1, (4, 0)),
    Case("C16 SAME, even", nets.SameAsTensorFlow, (1, 2, 6, 32), {8: (16, 18), 15: (30, 31)}, 3, 2),
    Case("C16 SAME, odd", nets.SameAsTensorFlow, (1, 2, 7, 31), {8: (15, 17), 0: (0, 1)}, 3, 2),
    Case("C19 squeeze and excitation", nets.squeeze_excited, MAP, {0: WHOLE, 16: WHOLE}, local=3),
    Case("C19b group norm", lambda: nets.normalised(nn.GroupNorm(2, 4)), MAP, {16: WHOLE}, local=5),
    Case("C19b instance norm", lambda: nets.normalised(nn.InstanceNorm2d(4)), MAP, {16: WHOLE}, local=5),
    Case("C19b batch norm, eval", lambda: nets.normalised(nn.BatchNorm2d(4)), MAP, {16: (14, 18)}, 5),
    Case("C19b batch norm, train", lambda: nets.normalised(nets.BatchStatistics()), MAP, {16: WHOLE}, local=5),
    Case("C20 adaptive 11 to 4", lambda: nn.AdaptiveAvgPool1d(4), (1, 2, 11),
         {0: (0, 2), 1: (2, 5), 2: (5, 8), 3: (8, 10)}, (3, 4)),
    Case("C20 adaptive 10 to 4", lambda: nn.AdaptiveAvgPool1d(4), (1, 2, 10),
         {0: (0, 2), 1: (2, 4), 2: (5, 7), 3: (7, 9)}, (3, 3)),
    Case("C21 never read", nets.strided_classifier, (1, 1, 16), {0: (0, 14)}, 15),
    Case("C22 dilation beyond the map", one(dilation=24, padding=24), (1, 2, 17, 17), {8: (8, 8), 0: (0, 0)}, 49),
    Case("C25 PatchGAN", partial(nets.patch_discriminator, 3), (1, 1, 256), {15: (97, 166), 0: (0, 46)}, 70, 8),
    Case("C25 PatchGAN, instance norm", partial(nets.patch_discriminator, 3, 1, True), (1, 1, 256), {15: (0, 255)},
         local=70),
    Case("C25 PatchGAN, four strided", partial(nets.patch_discriminator, 4, 0), (1, 1, 256), {}, 94, 16),
    patch(1, 16, 64), patch(2, 34, 128), patch(4, 142, 512), patch(5, 286, 1024), patch(6, 574, 2048),
    Case("C26 conv conv pool", partial(nets.conv_conv_pool, 2, nn.MaxPool2d), (1, 2, 8, 48), {6: (18, 33)}, 16, 4),
    Case("C27b detached gate", nets.DetachedGate, MAP, {16: (13, 19)}, 7),
    Case("C27b rounding", nets.rounded, MAP, {16: (14, 18)}, 5),
    Case("C27b quantiser", nets.Quantiser, MAP, {16: (13, 19)}, 7),
    Case("C29 whole image", partial(nets.conv_conv_pool, 4, nn.AvgPool2d), (1, 2, 32, 32), {0: WHOLE, 1: WHOLE},
         76, 16),
    Case("C35 warp", nets.Warp, MAP, {16: WHOLE}, status="data-dependent", full=False),
    Case("C35 Fourier layer", nets.Spectrum, MAP, {16: WHOLE}),
    Case("C35 unpooling", nets.Unpool, MAP, {8: (8, 9), 9: (8, 9)}, 2),
    Case("C39 windows", partial(nets.windows, 1, False), (1, 4, 32), {0: (0, 3), 14: (12, 15)}, 4),
    Case("C39 a masked pair", partial(nets.windows, 1), (1, 4, 32),
         {14: (12, 19), 17: (12, 19), 13: (8, 15), 0: (0, 3), 31: (28, 31)}),
    Case("C39 two masked pairs", partial(nets.windows, 2), (1, 4, 32), {16: (8, 23)}),
    Case("C39 unmasked roll", partial(nets.windows, 1, True, False), (1, 4, 32), {0: WHOLE, 14: (12, 19)}),
    Case("C40 bilinear x2", partial(nets.resized, scale_factor=2, mode="bilinear"), (1, 1, 4, 12),
         {0: (0, 0), 1: (0, 1), 2: (0, 1), 11: (5, 6), 23: (11, 11)}),
    Case("C40 bilinear x2, corners", partial(nets.resized, scale_factor=2, mode="bilinear", align_corners=True),
         (1, 1, 4, 12), {0: (0, 0), 1: (0, 1), 22: (10, 11), 23: (11, 11)}),
    Case("C40 bilinear x1/4", partial(nets.resized, scale_factor=0.25, mode="bilinear"), (1, 1, 8, 32), {2: (9, 10)},
         2, 4),
    Case("C40 bilinear x1/4, antialias", partial(nets.resized, scale_factor=0.25, mode="bilinear", antialias=True),
         (1, 1, 8, 32), {3: (10, 17)}, 8, 4),
    Case("C40 nearest x3/2", partial(nets.resized, scale_factor=1.5, mode="nearest"), (1, 1, 4, 12),
         {0: (0, 0), 1: (0, 0), 2: (1, 1), 3: (2, 2), 4: (2, 2), 5: (3, 3)}, 1),
]  # fmt: skip

REACHES = {1: 9, 2: 23, 3: 51, 4: 107, 5: 219}

named = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def unit_of(grid: tuple[int, ...], last: int) -> tuple[int, ...]:
    """The middle unit, moved to ``last`` along the last axis."""
    return (*(n // 2 for n in grid[:-1]), last) if grid else ()


@named
def test_engine_gives_the_known_answer(case: Case) -> None:
    graph = foveal.trace(case.make().eval(), case.shape)
    rf = foveal.receptive_field(graph, case.layer, graph.sources[case.source].name)
    assert rf.status == case.status
    for unit, (first, last) in case.boxes.items():
        assert rf.box(unit_of(rf.grid, unit), clip=True)[-1] == (first, last + 1), unit
    if case.size is not None:
        expected = (case.size, case.size) if isinstance(case.size, int) else case.size
        assert rf.sizes[-1] == expected
    if case.stride is not None:
        assert rf.stride[-1] == case.stride
    if case.reach is not None:
        assert (rf.lookback[-1], rf.lookahead[-1]) == case.reach
    if case.local is not None:
        assert rf.local is not None
        assert rf.local.size[-1] == case.local


@named
def test_oracle_gives_the_known_answer(case: Case) -> None:
    if not case.full:
        pytest.skip("too large, or moved by no generic input")
    moves = dependency(case.make(), case.shape, [case.layer], source=case.source, rounds=4, weights="generic")
    first, last = hulls(moves[case.layer][-1])
    for unit, box in case.boxes.items():
        index = (0, slice(None), *unit_of(first.shape[2:], unit))
        assert (first[index].min(), last[index].max()) == box, unit


@pytest.mark.parametrize("case", [c for c in CASES if c.full], ids=lambda case: case.name)
def test_every_unit_of_every_layer(case: Case) -> None:
    found = check(case.make(), case.shape)
    assert found.agrees, str(found)
    assert found.exact > 0


def test_c35_where_data_says_the_bound_holds_what_moves() -> None:
    found = check(nets.Warp(), (1, 2, 6, 12))
    assert found.agrees, str(found)
    assert found.bound > 0


@pytest.mark.parametrize(
    ("make", "shape", "unit", "count"),
    [
        (partial(nets.convolutions, *[{"dilation": 2, "padding": 2}] * 2), (1, 2, 3, 32), np.s_[0, :, 1, 16], 5),
        (partial(nets.dilated_lines, 2, 4, 8), (1, 1, 64), np.s_[0, :, 32], 15),
        (partial(nets.dilated_lines, 1, 2, 5), (1, 1, 64), np.s_[0, :, 32], 17),
        (partial(nets.dilated_lines, 1, 2, 9), (1, 1, 64), np.s_[0, :, 32], 21),
        (partial(nets.dilated_lines, 3, 4, 5), (1, 1, 64), np.s_[0, :, 32], 21),
        (partial(nets.causal, False), (1, 2, 32), np.s_[0, :, 16], 3),
        (nets.strided_classifier, (1, 1, 16), np.s_[0, :], 12),
        (partial(nets.windows, 1, True, False), (1, 4, 32), np.s_[0, :, 0], 8),
        (partial(nets.resized, scale_factor=0.25, mode="bilinear"), (1, 1, 4, 32), np.s_[0], 16),
    ],
)
def test_oracle_counts_the_holes(make: Callable[[], nn.Module], shape: tuple[int, ...], unit: Any, count: int) -> None:
    seen = support(make(), shape, "output", unit, weights="generic", rounds=1)
    assert np.count_nonzero(seen.reshape(-1, seen.shape[-1]).any(axis=0)) == count


@pytest.mark.parametrize("depth", REACHES)
def test_c23_reach_of_a_padded_unet(depth: int) -> None:
    graph = foveal.trace(nets.UNet(depth, 2, 1), (1, 2, 512 if depth > 3 else 128))
    rf = foveal.receptive_field(graph, "output")
    assert max(rf.lookback[0], rf.lookahead[0]) == REACHES[depth]


@pytest.mark.parametrize(("patch", "length", "unit", "center"), [(16, 224, 6, 103.5), (32, 1024, 16, 527.5)])
def test_c32_centers_of_an_even_grid(patch: int, length: int, unit: int, center: float) -> None:
    rf = foveal.receptive_field(foveal.trace(nn.Conv2d(1, 1, patch, patch), (1, 1, length, length)), "output")
    assert rf.center((unit, unit)) == (center, center)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.parametrize("form", ["module", "exported", "traced"])
def test_c36_any_form_of_the_same_network(form: str) -> None:
    model: Any = nets.convolutions({"padding": 1}, {"padding": 1}).eval()
    example = torch.zeros(MAP)
    if form == "exported":
        model = torch.export.export(model, (example,))
    elif form == "traced":
        model = torch.jit.trace(model, example)
    graph = foveal.trace(model, MAP)
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert (rf.size, rf.status) == ((5, 5), "exact")
