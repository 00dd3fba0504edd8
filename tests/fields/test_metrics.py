"""Metrics of a field against hand values, closed forms, docs/methods.md 2.2, 2.3, 3.3, 3.5, and against invariances."""

from __future__ import annotations

import json
import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import erfinv

from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.fields.metrics import (
    Effective,
    FieldMetrics,
    angular_spread,
    axial_profiles,
    checkerboard_index,
    decay_rate,
    fit_gaussian,
    gaussian_side,
    gaussian_side_90,
    half_width,
    mass_within,
    moments,
    nearest_position,
    radial_profile,
    region_above,
    replknet_squares,
    squares,
)
from foveal.fields.metrics.support import support
from foveal.frontends.text.trace import trace_spec
from foveal.frontends.trace import trace

MIDDLE = (512, 512)
SHAPE = (1024, 1024)


def gaussian(
    sigma: float, shape: tuple[int, ...] = SHAPE, center: tuple[float, ...] | None = None, amplitude: float = 1.0
) -> np.ndarray:
    middle = tuple(n // 2 for n in shape) if center is None else center
    squared = reduce(np.add, np.ix_(*((np.arange(n) - c) ** 2 for n, c in zip(shape, middle))))
    return amplitude * np.exp(-squared / (2 * sigma**2))


def paths(layers: int, axes: int) -> np.ndarray:
    line = reduce(np.convolve, [np.ones(3)] * layers)
    return reduce(np.multiply.outer, [line] * axes)


def sides(found: tuple) -> list[int | None]:
    return [square.side for square in found]


# --- 4.55 % region (docs/methods.md 2.2, 2.3)


@pytest.mark.parametrize(("sigma", "count", "side"), [(5, 489, 22), (10, 1941, 44), (20, 7769, 88)])
def test_luo_region_of_a_gaussian(sigma: float, count: int, side: int) -> None:
    found = Field.of(gaussian(sigma, (201, 201)), center=(100, 100)).metrics()
    assert found.luo_center is not None
    assert found.effective is not None
    assert (found.luo_center.count, found.effective.count) == (count, count)
    assert int(found.effective.side) == side


@pytest.mark.parametrize(
    ("layers", "line", "plane", "rms_line", "rms_plane"),
    [(5, 9, 69, 11, 109), (10, 13, 137, 17, 241), (20, 19, 261, 25, 517), (40, 25, 517, 35, 1021)],
)
def test_luo_region_of_stacks(layers: int, line: int, plane: int, rms_line: int, rms_plane: int) -> None:
    for axes, count, rms in ((1, line, rms_line), (2, plane, rms_plane)):
        values = paths(layers, axes)
        assert region_above(values, 0.0455 * values.max()).count == count
        root = np.sqrt(values)
        assert region_above(root, 0.0455 * root.max()).count == rms
        energy = Field.of(values, kind="energy").effective()
        assert energy is not None
        assert energy.count == rms  # the gradient is the root of its energy
    found = Field.of(paths(layers, 2)).metrics()
    assert found.sigmas == pytest.approx((math.sqrt(2 * layers / 3),) * 2)


def test_luo_center_is_withheld_where_the_center_has_no_value() -> None:
    values = np.array([1.0, 0, 1])
    found = Field.of(values, center=(1,)).metrics()
    assert found.luo_center is None
    assert found.effective is not None
    assert found.effective.count == 2
    weak = Field.of(np.array([100.0, 1, 100, 0.01]), center=(1,)).metrics()
    assert weak.luo_center is not None
    assert (weak.luo_center.count, weak.effective and weak.effective.count) == (3, 2)


def test_luo_side_in_one_and_three_dimensions() -> None:
    assert region_above(np.ones(7), 0).side == 7
    assert region_above(np.ones((3, 3, 3)), 0).side == pytest.approx(3)


def test_ninety_percent_of_the_energy_need_no_threshold() -> None:
    # Of the energy 9 + 2 x 1 = 11 the middle has 82 %, of gradients that are 9 and 1 it has 81 of 83, 98 %.
    line = np.array([0.0, 1, 9, 1, 0])
    energy, size = Field.of(line, kind="energy", center=(2,)), Field.of(line, center=(2,))
    assert energy.effective() == Effective(3, 3.0, 3, False)
    skirt = np.concatenate([np.full(40, 0.001), line, np.full(40, 0.001)])
    # No position of a skirt counts by itself; one with more than a tenth of the energy is reached into.
    assert Field.of(skirt, kind="energy", center=(42,)).effective() == Effective(3, 3.0, 3, False)
    wide = np.concatenate([np.full(100, 0.01), line, np.full(100, 0.01)])
    found = Field.of(wide, kind="energy", center=(102,)).effective()
    assert found == Effective(3, 3.0, 77, False)  # 11 + 0.02 n > 0.9 x 13 from n = 36 a side, behind a zero
    assert size.effective() == Effective(3, 3.0, 1, False)
    assert Field.of([0.0, 0, 2, 0], kind="energy").effective() == Effective(1, 1.0, 1, False)


@pytest.mark.parametrize(("axes", "per_sigma", "ninety"), [(1, 7.032, 3.290), (2, 6.231, 3.898), (3, 5.668, 4.228)])
def test_a_gaussian_energy_has_the_sides_of_its_closed_form(axes: int, per_sigma: float, ninety: float) -> None:
    # 2.486 sqrt(2) sigma is the radius of a ball of length 2, area pi, volume 4 pi / 3; tables of the error function.
    sigma = (30.0, 12.0, 7.0)[axes - 1]
    assert (gaussian_side(1, axes), gaussian_side_90(1, axes)) == pytest.approx((per_sigma, ninety), abs=1e-3)
    shape = (2 * int(5 * sigma) + 1,) * axes
    found = Field.of(gaussian(sigma, shape), kind="energy", center=tuple(n // 2 for n in shape)).effective()
    assert found is not None
    assert found.side == pytest.approx(per_sigma * sigma, rel=0.01)
    assert found.side_90 == pytest.approx(ninety * sigma, abs=2.1)


def test_the_end_of_the_source_is_told_only_where_what_counts_lies_there() -> None:
    line = np.array([0.0, 1, 5, 9, 5])
    assert [Field.of(v, kind="energy").effective().at_border for v in (line, line[::-1], line[:-1], [[1.0, 0]])] == [
        True, True, True, True,
    ]  # fmt: skip
    assert not Field.of(line, kind="energy", origin=(2,), source_shape=(9,)).effective().at_border
    assert not Field.of(line[None], kind="energy", origin=(0, 1), source_shape=(1, 9)).effective().at_border
    assert Field.of(line > 0, kind="support").effective() is None


def test_published_networks_have_the_side_of_the_gradient_and_not_of_its_square() -> None:
    """docs/methods.md 2.1: VGG16 164.2 px at the last pooling (the energy alone 124)."""
    found = field(trace("gallery:vgg16"), "pool5")
    assert found.effective().side == pytest.approx(164.2, abs=0.05)
    assert Field.of(found.values).effective().side == pytest.approx(123.5, abs=0.1)


# --- squares (docs/methods.md 3.1, 3.3; docs/cases.md C30)

USED = (0.2, 0.3, 0.5, 0.99)


def test_squares_of_an_even_map() -> None:
    found = squares(np.ones(SHAPE), (0, 0), SHAPE, MIDDLE, USED)
    assert sides(found) == [459, 561, 725, 1019]
    assert [round(100 * square.ratio, 2) for square in found] == [20.09, 30.01, 50.13, 99.03]


def test_squares_of_a_gaussian() -> None:
    found = squares(gaussian(100), (0, 0), SHAPE, MIDDLE, USED)
    assert sides(found) == [119, 151, 211, 563]
    for square in found:
        exact = 2 * 100 * math.sqrt(2) * erfinv(math.sqrt(square.share))
        assert 0 <= square.side - exact < 2.5


@pytest.mark.parametrize(
    ("sigma", "amplitude", "expected", "ratios"),
    [
        (100, 1, [129, 163, 225, 575], None),
        (100, 1e4, [253, 315, 425, 839], [6.10, 9.46, 17.23, 67.13]),
        (50, 1e4, [127, 159, 213, 421], None),
        (200, 1e4, [409, 505, 667, 1017], [15.95, 24.32, 42.43, 98.64]),
    ],
)
def test_replknet_squares(sigma: float, amplitude: float, expected: list[int], ratios: list[float] | None) -> None:
    found = replknet_squares(gaussian(sigma, amplitude=amplitude), (0, 0), SHAPE, USED)
    assert sides(found) == expected
    if ratios:
        assert [round(100 * square.ratio, 2) for square in found] == ratios


@pytest.mark.parametrize("factor", [1e-2, 1, 1e2, 1e4, 1e6])
def test_squares_do_not_depend_on_scale(factor: float) -> None:
    """docs/cases.md C30."""
    found = squares(factor * gaussian(20, (224, 224)), (0, 0), (224, 224), (112, 112), USED)
    assert sides(found) == [25, 31, 43, 113]


def test_the_replknet_variant_depends_on_scale() -> None:
    values = gaussian(20, (224, 224))
    found = {tuple(sides(replknet_squares(f * values, (0, 0), (224, 224), USED))) for f in (1e-2, 1, 1e2, 1e4)}
    assert len(found) == 4


def test_a_share_must_be_exceeded_not_met() -> None:
    values = np.array([0, 1.0, 2, 1, 0, 0, 0])
    assert sides(squares(values, (0,), (7,), (2,), (0.99, 0.5))) == [3, 3]
    even = np.ones((4, 4))
    # A 3 x 3 square holds 9 of 16.
    assert sides(squares(even, (0, 0), (4, 4), (2, 2), (9 / 16, 0.5624))) == [5, 3]
    assert sides(squares(even * 0.1, (0, 0), (4, 4), (2, 2), (9 / 16, 0.5624))) == [5, 3]


def test_the_smallest_square_has_side_three() -> None:
    point = np.zeros((9, 9))
    point[4, 4] = 1
    found = squares(point, (0, 0), (9, 9), (4, 4), (0.5,))
    assert found[0].side == 3
    assert found[0].ratio == pytest.approx(9 / 81)


def test_never_reached_is_none() -> None:
    assert sides(squares(np.zeros((5, 5)), (0, 0), (5, 5), (2, 2), (0.5,))) == [None]
    assert sides(squares(np.ones((5, 5)), (0, 0), (5, 5), (2, 2), (1.0,))) == [None]
    # RepLKNet's scripts stop before half the height: half-widths 1 to 3 here.
    corner = np.zeros((8, 8))
    corner[0, 0] = 1
    assert sides(replknet_squares(corner, (0, 0), (8, 8), (0.5,))) == [None]
    assert sides(squares(corner, (0, 0), (8, 8), (4, 4), (0.5,))) == [9]
    assert sides(replknet_squares(np.ones((2, 2)), (0, 0), (2, 2), (0.5,))) == [None]


def test_a_square_at_the_border_counts_its_part_inside() -> None:
    found = squares(np.ones((1, 1)), (0, 0), (10, 10), (0, 0), (0.5,))
    assert (found[0].side, found[0].ratio) == (3, pytest.approx(4 / 100))


def test_the_array_may_be_a_part_of_the_source() -> None:
    whole = np.zeros((40, 50))
    whole[5:12, 20:31] = np.arange(77).reshape(7, 11)
    part = whole[5:12, 20:31]
    assert squares(part, (5, 20), (40, 50), (8, 25)) == squares(whole, (0, 0), (40, 50), (8, 25))
    assert replknet_squares(part, (5, 20), (40, 50)) == replknet_squares(whole, (0, 0), (40, 50))
    a, b = (
        Field.of(whole, center=(8, 25)).metrics(),
        Field.of(part, origin=(5, 20), source_shape=(40, 50), center=(8, 25)).metrics(),
    )
    assert a.to_dict() | {"axial_profiles": 0} == b.to_dict() | {"axial_profiles": 0}


def test_cubes_in_three_dimensions() -> None:
    found = squares(np.ones((9, 9, 9)), (0, 0, 0), (9, 9, 9), (4, 4, 4), (0.1, 0.2))
    assert sides(found) == [5, 7]
    assert found[0].ratio == pytest.approx(125 / 729)


def test_nearest_position() -> None:
    assert nearest_position((15.5, 96.0), (224, 224)) == (16, 96)
    assert nearest_position((-3.5, 300.0), (224, 224)) == (0, 223)
    assert nearest_position(((224 - 1) / 2,), (224,)) == (112,)


# --- disks (docs/methods.md 3.5)


def test_mass_within_a_radius_of_a_gaussian() -> None:
    for radius, share in mass_within(gaussian(30, (401, 401)), (0, 0), (200, 200)):
        # A disk of whole positions strays from the round one by a share of its edge.
        assert share == pytest.approx(1 - math.exp(-(radius**2) / (2 * 30**2)), rel=0.04)
    assert mass_within(np.zeros((3, 3)), (0, 0), (1, 1), (5,)) == ((5.0, 0.0),)
    assert mass_within(np.ones((3, 3)), (0, 0), (1, 1), (1,))[0] == (1.0, pytest.approx(5 / 9))


# --- support


def test_support_of_dilated_stacks() -> None:
    """docs/cases.md C2 and C2b: extent and count."""
    for dilations, extent, count in (((2, 2), 9, 5), ((2, 4, 8), 29, 15), ((1, 2, 5), 17, 17), ((1, 2, 9), 25, 21)):
        line = reduce(np.convolve, [np.bincount([0, d, 2 * d]) for d in dilations])
        found = support(line, (3,))
        assert (found.count, found.hull, found.coverage) == (count, ((3, 3 + extent),), count / extent)
    assert support(np.array([0, 1, 0, 0, 1, 0, 0, 0]), (0,)).largest_gap == (2,)
    assert support(np.array([0, 1, 0, 0, 1, 0, 0, 0]), (0,)).hull == ((1, 5),)


def test_largest_gap_per_axis() -> None:
    values = np.zeros((7, 5), bool)
    values[0, 0] = values[6, 0] = values[6, 2] = True
    assert support(values, (0, 0)).largest_gap == (5, 1)


# --- moments, isotropy


def test_moments_by_hand() -> None:
    found = moments(np.array([[1.0, 1], [1, 1]]), (10, 20))
    assert found is not None
    assert (found.center, found.sigmas, found.isotropy) == ((10.5, 20.5), (0.5, 0.5), pytest.approx(1))
    assert moments(np.zeros((2, 2)), (0, 0)) is None
    line = moments(np.ones((1, 3)), (0, 0))
    assert line is not None
    assert (line.isotropy, line.principal[1]) == (0, 0)
    diagonal = moments(np.eye(5), (0, 0))
    assert diagonal is not None
    assert diagonal.principal == pytest.approx((2.0, 0.0), abs=1e-7)


def test_offset_from_the_rf_center() -> None:
    found = Field.of(gaussian(5, (101, 101), (48, 53)), center=(50, 50)).metrics()
    assert found.offset == pytest.approx((-2, 3), abs=1e-6)
    assert Field.of(gaussian(5, (101, 101))).metrics().offset is None


def test_angular_spread() -> None:
    assert angular_spread(gaussian(20, (201, 201)), (0, 0), (100, 100)) == pytest.approx(0, abs=1e-3)
    half = gaussian(20, (201, 201))
    half[100:] = 0
    # Half of the directions see nothing but for half of the two sectors on the cut.
    assert angular_spread(half, (0, 0), (100, 100)) == pytest.approx(0.9, abs=0.1)
    assert angular_spread(np.array([1.0, 5, 1]), (0,), (1,)) == 0
    assert angular_spread(np.array([3.0, 5, 1]), (0,), (1,)) == pytest.approx(0.5)
    assert angular_spread(np.array([5.0]), (0,), (0,)) is None
    assert angular_spread(gaussian(4, (33, 33, 33)), (0, 0, 0), (16, 16, 16)) == pytest.approx(0, abs=1e-2)


# --- Gaussian fit


def test_fit_of_a_turned_gaussian() -> None:
    y, x = np.indices((161, 181), dtype=float)
    turn = math.radians(30)
    along = (x - 90.5) * math.cos(turn) + (y - 70.25) * math.sin(turn)
    across = -(x - 90.5) * math.sin(turn) + (y - 70.25) * math.cos(turn)
    values = 7 * np.exp(-(along**2) / (2 * 12**2) - across**2 / (2 * 5**2))
    fit = fit_gaussian(values, (100, 200))
    assert fit.reason is None
    assert fit.amplitude == pytest.approx(7)
    assert fit.center == pytest.approx((170.25, 290.5))
    assert fit.sigmas == pytest.approx((12, 5))
    assert fit.angle == pytest.approx(30)
    assert fit.r_squared == pytest.approx(1)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_fit_of_path_counts(axes: int) -> None:
    """Ten 3-wide layers: the central limit has set in; sigma = sqrt(20 / 3) = 2.58."""
    fit = fit_gaussian(paths(10, axes), (0,) * axes)
    assert fit.center == pytest.approx((10,) * axes, abs=1e-6)
    assert fit.axis_sigmas == pytest.approx((math.sqrt(20 / 3),) * axes, rel=0.02)
    assert fit.r_squared is not None
    assert fit.r_squared > 0.99
    assert fit.angle is None, "it is round"


def test_fit_of_a_large_map_works_on_blocks() -> None:
    fit = fit_gaussian(gaussian(150, SHAPE, (400.25, 500)), (0, 0))
    assert fit.sigmas == pytest.approx((150, 150), rel=1e-4)
    assert fit.center == pytest.approx((400.25, 500), abs=1e-2)
    assert fit.amplitude == pytest.approx(1, rel=1e-4)


def test_fit_withstands_noise_and_a_pedestal() -> None:
    values = gaussian(8, (101, 101)) + 0.02 * np.random.default_rng(0).random((101, 101))
    fit = fit_gaussian(values, (0, 0))
    assert fit.sigmas == pytest.approx((8, 8), rel=0.1)
    assert fit.r_squared is not None
    assert fit.r_squared > 0.9


def test_fit_of_a_cut_gaussian_finds_the_whole_one() -> None:
    fit = fit_gaussian(gaussian(6, (40, 81), (-2, 40)), (0, 0))
    assert fit.center == pytest.approx((-2, 40), abs=1e-4)
    assert fit.sigmas == pytest.approx((6, 6), rel=1e-4)


def test_fit_along_one_axis_of_two() -> None:
    fit = fit_gaussian(paths(10, 1)[None], (3, 0))
    assert fit.center == pytest.approx((3, 10))
    assert fit.axis_sigmas is not None
    assert fit.axis_sigmas[0] == 0
    assert fit.sigmas is not None
    assert fit.sigmas[1] == 0


def test_a_fit_that_has_no_sense_says_why() -> None:
    assert fit_gaussian(np.zeros((5, 5)), (0, 0)).reason == "the field is empty"
    assert fit_gaussian(np.ones((5, 5)), (0, 0)).reason == "the field is constant over its hull"
    assert fit_gaussian(np.ones((1, 1)), (0, 0)).reason == "too few positions for a fit: 1"
    bowl = 1.0 - 0.5 * gaussian(5, (41, 41))
    fit = fit_gaussian(bowl, (0, 0))
    assert fit.reason or (fit.r_squared is not None and fit.r_squared < 0.6)


# --- profiles, decay, evenness


def test_radial_profile_by_hand() -> None:
    values = np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert radial_profile(values, (1, 1), (5, 5), (2, 2)) == pytest.approx((4, (4 * 2 + 4 * 1) / 8))
    # At a corner of the source only the positions inside it count.
    assert radial_profile(values[1:, 1:], (0, 0), (5, 5), (0, 0)) == pytest.approx((4, (2 + 2 + 1) / 3))
    assert radial_profile(np.zeros((3, 3)), (0, 0), (3, 3), (1, 1)) == ()


def test_positions_outside_the_array_count_as_zero() -> None:
    ring = radial_profile(np.ones((1, 5)), (2, 0), (5, 5), (2, 2))
    assert ring == pytest.approx((1, 2 / 8, 2 / 12))


def test_axial_profiles() -> None:
    values = np.arange(12.0).reshape(3, 4)
    assert axial_profiles(values, (10, 20), (11, 22)) == ((2, 6, 10), (4, 5, 6, 7))
    assert axial_profiles(values, (10, 20), (9, 22)) == ((2, 6, 10), (0, 0, 0, 0))


def test_half_width() -> None:
    profile = radial_profile(gaussian(20, (201, 201)), (0, 0), (201, 201), (100, 100))
    assert half_width(profile) == pytest.approx(20 * math.sqrt(2 * math.log(2)), rel=0.01)
    assert half_width((4.0, 3.0, 1.0)) == pytest.approx(1.5)
    assert half_width((1.0,)) == pytest.approx(0.5)
    assert half_width(()) is None


def test_decay_rate() -> None:
    assert decay_rate(gaussian(7, (61, 61)), (0, 0), (30, 30)) == pytest.approx(1 / (2 * 49))
    assert decay_rate(np.ones((5, 5)), (0, 0), (2, 2)) == 0
    assert decay_rate(np.array([1.0]), (0,), (0,)) is None
    rising = decay_rate(np.array([2.0, 1, 2]), (0,), (1,))
    assert rising is not None
    assert rising < 0


def test_checkerboard_index_of_tap_counts() -> None:
    """docs/methods.md 2.3: taps per phase of a k-wide convolution with stride s."""
    taps = {(3, 2): [2, 1], (1, 2): [1, 0], (7, 2): [4, 3], (4, 2): [2, 2]}
    expected = {(3, 2): 1 / 3, (1, 2): 1.0, (7, 2): 1 / 7, (4, 2): 0.0}
    for case, counts in taps.items():
        line = np.tile(np.array(counts, float), 21)[:41]
        assert checkerboard_index(line) == pytest.approx(expected[case], rel=0.06), case
        assert checkerboard_index(np.multiply.outer(line, line)) == pytest.approx(expected[case], rel=0.06)
    assert checkerboard_index(np.tile([2.0, 1], 10)[1:-1]) == pytest.approx(1 / 3)
    assert checkerboard_index(np.linspace(5, 9, 20)) == pytest.approx(0, abs=1e-12)
    assert checkerboard_index(gaussian(10, (101,))) < 0.005
    assert checkerboard_index(np.ones(2)) is None
    assert checkerboard_index(np.zeros(5)) is None


# --- fields of the engine


@pytest.mark.parametrize(("layers", "count"), [(5, 109), (10, 241), (20, 517), (40, 1021)])
def test_energy_of_stacks_has_the_known_region_and_spread(layers: int, count: int) -> None:
    graph = trace_spec(f"{layers}*(conv3x1,valid)", (1, 1, 2 * layers + 5, 2 * layers + 5))
    found = field(graph, graph.layers[-1], kind="energy").metrics()
    assert found.luo_center is not None
    assert found.luo_center.count == count
    assert found.sigmas == pytest.approx((math.sqrt(2 * layers / 3),) * 2)
    assert found.offset == pytest.approx((0, 0), abs=1e-9)


def test_resnet50_with_full_branches_spreads_as_derived() -> None:
    """docs/methods.md 2.3: sigma 36.2 for ResNet-50 with a = 1, and a side of about 221 (2.1)."""
    found = field(trace("gallery:resnet50", (1, 3, 512, 512)), "layer4", kind="energy").metrics()
    assert found.sigmas == pytest.approx((36.2, 36.2), abs=0.1)
    assert found.effective is not None
    assert (round(found.effective.side), found.effective.at_border) == (221, False)


def test_strided_3x3_leave_a_checkerboard() -> None:
    graph = trace_spec("conv3x1,s2,valid 4*(conv7x1,valid)", (1, 1, 101))
    found = field(graph, graph.layers[-1], kind="paths").metrics()
    assert found.checkerboard_index == pytest.approx(1 / 3, abs=0.02)


# --- the record


def test_record_travels_as_json_and_has_every_metric() -> None:
    found = Field.of(paths(5, 2), center=(5, 5)).metrics()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(plain) == set(FieldMetrics.__dataclass_fields__)
    assert plain["support"]["count"] == 121
    assert all(value is not None for value in plain.values())


def test_scaled_values_have_no_replknet_variant() -> None:
    values = Field.of(paths(5, 2))
    scaled = Field(
        values.values, (0, 0), (11, 11), "", (), "paths", "input", "exact", "scaled", log_total=900.0
    )  # fmt: skip
    assert values.metrics().replknet is not None
    assert scaled.metrics().replknet is None


# --- invariances

fields = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6), elements=st.integers(0, 9)
)


def shape_numbers(found: FieldMetrics) -> dict[str, object]:
    """All that scaling must leave alone."""
    plain = found.to_dict()
    for name in ("total", "largest", "replknet", "radial_profile", "axial_profiles", "gaussian"):
        del plain[name]
    return plain


def assert_close(a: object, b: object, place: str = "") -> None:
    if isinstance(a, dict) and isinstance(b, dict):
        assert set(a) == set(b)
        for key in a:
            assert_close(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b), place
        for index, (x, y) in enumerate(zip(a, b)):
            assert_close(x, y, f"{place}[{index}]")
    elif isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-6, abs=1e-7), place
    else:
        assert a == b, place


@settings(max_examples=50, deadline=None)
@given(fields, st.sampled_from([2.0, 0.1, 1e-3, 1e6, 3.7]))
def test_scale_changes_no_shape(values: np.ndarray, factor: float) -> None:
    center = tuple((n - 1) / 2 for n in values.shape)
    one, other = Field.of(values, center=center).metrics(), Field.of(values * factor, center=center).metrics()
    assert_close(shape_numbers(one), shape_numbers(other))


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(fields, st.data())
def test_a_shift_moves_the_places_only(values: np.ndarray, data: st.DataObject) -> None:
    assume(values.any())
    length = 30
    shifts = [tuple(data.draw(st.integers(8, 15)) for _ in values.shape) for _ in range(2)]
    found = []
    for shift in shifts:
        field = Field.of(values, origin=shift, source_shape=(length,) * values.ndim)
        plain = shape_numbers(field.metrics())
        for name in ("center", "center_of_mass"):
            plain[name] = [c - s for c, s in zip(plain[name], shift)]  # type: ignore[call-overload]
        plain["support"]["hull"] = [[a - s, b - s] for (a, b), s in zip(plain["support"]["hull"], shift)]  # type: ignore[index]
        # The center of mass moves by rounding errors, which can turn a half up or down.
        del plain["squares"], plain["luo_center"], plain["effective"], plain["half_width"], plain["angular_spread"]
        found.append(plain)
    assert_close(*found)


@settings(max_examples=50, deadline=None)
@given(fields, st.data())
def test_squares_and_profiles_about_a_given_center_move_along(values: np.ndarray, data: st.DataObject) -> None:
    center = tuple(data.draw(st.integers(0, n - 1)) for n in values.shape)
    found = []
    for shift in (8, 13):
        middle = tuple(float(c + shift) for c in center)
        field = Field.of(values, origin=(shift,) * values.ndim, source_shape=(30,) * values.ndim, center=middle)
        plain = field.metrics()
        found.append((plain.luo_center, plain.half_width, plain.angular_spread, sides(plain.squares)))
    assert found[0] == found[1]


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(fields, st.data())
def test_a_mirrored_field_has_mirrored_numbers(values: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, values.ndim - 1))
    center = tuple(float(data.draw(st.integers(0, n - 1))) for n in values.shape)
    mirrored = tuple(n - 1 - c if a == axis else c for a, (c, n) in enumerate(zip(center, values.shape)))
    one = shape_numbers(Field.of(values, center=center).metrics())
    other = shape_numbers(Field.of(np.flip(values, axis), center=mirrored).metrics())
    for plain in (one, other):
        plain["offset"] = plain["offset"] and [abs(o) for o in plain["offset"]]  # type: ignore[union-attr]
        del plain["center"], plain["center_of_mass"], plain["support"]["hull"]  # type: ignore[attr-defined]
    assert_close(one, other)


@settings(max_examples=50, deadline=None)
@given(fields)
def test_transposing_permutes_the_axes(values: np.ndarray) -> None:
    one, other = Field.of(values).metrics(), Field.of(values.T).metrics()
    assert one.support.count == other.support.count
    assert one.support.largest_gap == other.support.largest_gap[::-1]
    assert one.principal == (None if other.principal is None else pytest.approx(other.principal, abs=1e-7))
    assert (one.checkerboard_index is None) == (other.checkerboard_index is None)
