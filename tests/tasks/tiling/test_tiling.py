"""Tiling: halos of the U-Nets of case C23, random networks against the whole, what cannot be tiled, bad input."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import Tensor, nn

import foveal
from foveal.core.errors import FovealError
from foveal.core.serial import FormatError
from foveal.engine.forward.hull import Progress, find_period
from foveal.tasks.tiling.grid import plan_axis
from foveal.tasks.tiling.plan import smallest_tile, tile
from foveal.tasks.tiling.record import AxisPlan, TilePlan
from foveal.tasks.tiling.sizes import fewest_positions
from foveal.tasks.tiling.stitching import compared
from support.drawn.random_tilings import random_network
from support.needs import needs
from support.networks.case_networks import UNet, normalised, squeeze_excited
from support.rounding import close

NEEDED = {1: 8, 2: 22, 3: 46, 4: 94, 5: 190}
HALOS = {1: 8, 2: 24, 3: 48, 4: 96, 5: 192}
"""docs/cases.md C23: reach from an aligned tile edge, and rounded up to 2^depth."""


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def double(model: nn.Module) -> nn.Module:
    return model.double().eval()


def narrower(plan: TilePlan, axis: int, side: int) -> TilePlan:
    """The same plan with a halo that is one multiple smaller on one side."""
    chosen = plan.axes[axis]
    halo = list(chosen.halo)
    halo[side] -= chosen.multiple
    changed = replace(chosen, halo=(halo[0], halo[1]), tile=chosen.tile - chosen.multiple)
    return replace(plan, axes=(*plan.axes[:axis], changed, *plan.axes[axis + 1 :]))


@pytest.mark.parametrize("depth", HALOS)
def test_u_nets_of_case_c23(depth: int) -> None:
    torch.manual_seed(depth)
    model, halo, multiple = double(UNet(depth, 2, 1)), HALOS[depth], 2**depth
    length = 5 * halo + 8 * multiple
    plan = tile(foveal.trace(model, (1, 2, length)), tile=2 * halo + 4 * multiple)
    assert plan.exact
    assert plan.halo == ((halo, halo),)
    assert plan.axes[0].need == (NEEDED[depth], NEEDED[depth])
    assert plan.multiple == (multiple,)
    assert plan.smallest == (2 * halo + multiple,)
    assert plan.check(model, image(1, 2, length)).identical


def test_a_halo_below_the_need_and_a_start_off_the_multiple_differ() -> None:
    """docs/methods.md 6.4: halo 20 differs, 24 does not; starts off the multiple differ."""
    torch.manual_seed(0)
    model = double(UNet(2, 2, 2))
    plan = tile(foveal.trace(model, (1, 2, 96, 96)), tile=72)
    picture = image(1, 2, 96, 96)
    assert plan.halo == ((24, 24), (24, 24))
    assert plan.check(model, picture).identical
    assert plan.count == 4
    assert not narrower(plan, 0, 0).check(model, picture).identical
    assert not narrower(plan, 1, 1).check(model, picture).identical
    shifted = model(picture)[..., 32:, :]
    assert close(shifted[..., 24:, :], model(picture[..., 32:, :])[..., 24:, :])
    for off in (1, 2, 3):
        part = model(picture[..., 32 + off : 92 + off, :])[..., 24 : 60 - 24, :]
        assert not close(part, model(picture)[..., 56 + off : 68 + off, :])


def planned(seed: int, length: int, more: int) -> tuple[nn.Module, Tensor, TilePlan] | None:
    """A random network, an image and its plan with ``more`` than the smallest tile; None where there is one tile."""
    model, picture = random_network(seed, 1), image(1, 2, length, seed=seed)
    try:
        whole = model(picture)
    except RuntimeError:
        return None  # too small a map for this network
    if whole.shape[-1] < 8:
        return None
    graph = foveal.trace(model, tuple(picture.shape))
    (smallest,) = smallest_tile(graph)
    plan = tile(graph, tile=smallest)
    plan = tile(graph, tile=smallest + more * plan.multiple[0])
    return None if plan.count == 1 else (model, picture, plan)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), length=st.integers(50, 90), more=st.integers(0, 3))
def test_random_networks_tile_to_zero_error(seed: int, length: int, more: int) -> None:
    made = planned(seed, length, more)
    if made is None:
        return
    model, picture, plan = made
    assert plan.exact, plan.obstacles
    check = plan.check(model, picture)
    assert check.largest <= 1e-12 * max(1.0, check.scale), plan.axes


def test_the_halo_is_tight_for_most_random_networks() -> None:
    """A halo one multiple smaller differs somewhere, for most networks and sides."""
    tried, differ = 0, 0
    for seed in range(30):
        made = planned(seed, 64 + seed, 1)
        if made is None:
            continue
        model, picture, plan = made
        for side in (0, 1):
            if plan.axes[0].need[side] == 0 or plan.halo[0][side] < plan.multiple[0]:
                continue
            try:
                check = narrower(plan, 0, side).check(model, picture)
            except FovealError:
                continue  # units are missing, which is no comparison
            tried += 1
            differ += check.largest > 1e-9 * check.scale
    assert tried >= 15
    assert differ >= 0.7 * tried


@pytest.mark.parametrize("seed", [0, 1, 3, 6, 7, 10, 12, 14, 20, 29])
def test_random_networks_in_two_dimensions(seed: int) -> None:
    model, picture = random_network(seed, 2), image(1, 2, 60, 53, seed=seed)
    graph = foveal.trace(model, (1, 2, 60, 53))
    smallest = smallest_tile(graph)
    plan = tile(graph, tile=tuple(n + 2 * m for n, m in zip(smallest, tile(graph).multiple)))
    check = plan.check(model, picture)
    assert check.largest <= 1e-12 * max(1.0, check.scale)


def test_batch_norm_is_exact_and_instance_norm_is_not() -> None:
    """docs/cases.md C24: no finite halo is exact with InstanceNorm; the layer is named."""
    torch.manual_seed(0)
    plain = foveal.trace(normalised(nn.BatchNorm2d(4)).eval(), (1, 2, 64, 64))
    assert tile(plain, tile=32).exact
    assert tile(plain, tile=32).axes[0].need == (2, 2)
    model = double(normalised(nn.InstanceNorm2d(4)))
    plan = tile(foveal.trace(model, (1, 2, 64, 64)), tile=32)
    assert not plan.exact
    assert plan.error is None  # what the halo leaves out is known, what other statistics change is not
    assert plan.obstacles[0].startswith("instance_norm at 1: mixes the whole map")
    assert "not possible exactly because of" in str(plan)
    check = plan.check(model, image(1, 2, 64, 64))
    assert check.rms > 1e-3  # what no halo can mend


def test_squeeze_and_excitation_is_named() -> None:
    plan = tile(foveal.trace(squeeze_excited(), (1, 2, 32, 32)), tile=16)
    assert not plan.exact
    assert "mean" in plan.obstacles[0]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "other border"),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "align_corners"),
        (nn.AdaptiveAvgPool2d(8), "size of the map"),
        (nn.Upsample(size=(64, 64)), "size"),
    ],
)
def test_what_knows_where_it_stands_is_named(layer: nn.Module, said: str) -> None:
    graph = foveal.trace(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), layer), (1, 2, 32, 32))
    plan = tile(graph, tile=24 if said == "size" else None)
    assert not plan.exact
    assert any(said in text or "units" in text for text in plan.obstacles), plan.obstacles


def test_a_learned_position_is_named() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.randn(1, 2, 32, 32))
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x + self.place)

    with pytest.raises(FovealError, match="does not run with the input 1x2x"):
        tile(foveal.trace(Placed(), (1, 2, 32, 32)), tile=16)
    plan = tile(foveal.trace(Placed(), (1, 2, 32, 32)))
    assert "differ from position to position" in plan.obstacles[0]


def test_a_layer_without_positions_is_refused() -> None:
    graph = foveal.trace("conv3x4 gap fc10", (1, 3, 32, 32))
    with pytest.raises(FovealError, match="has no position along source axis 0"):
        tile(graph, tile=16)


def test_the_erf_gives_a_smaller_halo_with_about_the_error_asked_for() -> None:
    torch.manual_seed(0)
    model = double(nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=1) for _ in range(12))))
    graph = foveal.trace(model, (1, 8, 200))
    exact, near = tile(graph, tile=80), tile(graph, tile=80, error=1e-2)
    assert exact.halo == ((12, 12),)
    assert near.status == "approximate"
    assert 4 <= near.halo[0][0] < 12
    assert 0 < near.check(model, image(1, 8, 200)).rms < 5e-2
    assert tile(graph, tile=80, error=1e-9).exact  # such a halo is the whole reach


@pytest.mark.parametrize("error", [0.3, 0.1, 1e-2])
def test_the_expected_error_is_that_of_units_at_the_edges_of_tiles(error: float) -> None:
    """Zero-mean weights of unit gain and white noise, so that the expectation holds; it is met from below."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Conv1d(16, 16, 3, padding=1, bias=False) for _ in range(12))).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=48**-0.5)
    plan = tile(foveal.trace(model, (1, 16, 240)), tile=80, error=error)
    noise = image(32, 16, 240)
    whole = model(noise).detach()
    edges = [place for core in plan.axes[0].cores[1:] for place in (core - 1, core)]
    apart = (plan.run(model, noise) - whole)[..., edges].square().mean().sqrt()
    assert error / 5 < float(apart / whole[..., edges].square().mean().sqrt()) < error


def test_trinomial_halo() -> None:
    """The energy of two 3-wide layers is 1 2 3 2 1 over 9: the outermost position of a side holds 1/9."""
    graph = foveal.trace("conv3x4 conv3x4", (1, 4, 64))
    assert tile(graph, tile=32, error=0.99).axes[0].need == (0, 0)
    assert tile(graph, tile=32, error=0.5).axes[0].need == (1, 1)  # 1/9 < 0.25 / 2 per side < 3/9
    assert tile(graph, tile=32, error=0.3).axes[0].need == (2, 2)  # 0.09 / 2 < 1/9


def test_another_source_size_and_padding_that_depends_on_it() -> None:
    """TensorFlow's SAME pads by size (docs/cases.md C16): tiles of an odd source have odd lengths and even starts."""
    from support.drawn.random_tilings import SamePad

    torch.manual_seed(1)
    model = double(nn.Sequential(SamePad(2), nn.Conv2d(2, 2, 3, padding=1)))
    graph = foveal.trace(model, (1, 2, 32, 32))
    for height, width in ((65, 80), (64, 81), (71, 77)):
        plan = tile(graph, source_size=(height, width), tile=24)
        assert plan.exact
        assert all(axis.tile % 2 == axis.length % 2 for axis in plan.axes)
        assert all(start % 2 == 0 for axis in plan.axes for start in axis.starts)
        assert plan.check(model, image(1, 2, height, width)).identical


def test_cropped_ends() -> None:
    """Units at the cut end of a tile are missing, and zero padding behind a cut reaches further in."""
    from support.drawn.random_tilings import Crop

    torch.manual_seed(2)
    for model in (
        nn.Sequential(Crop(2, 3), nn.Conv1d(2, 2, 3, padding=1)),
        nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), Crop(1, 4)),
    ):
        double(model)
        graph = foveal.trace(model, (1, 2, 60))
        plan = tile(graph, tile=smallest_tile(graph))
        assert plan.count > 3
        assert plan.check(model, image(1, 2, 60)).identical


def test_functions_sessions_and_several_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # a session needs no more than itself
    torch.manual_seed(0)
    model = double(nn.Conv2d(3, 4, 5, stride=2, padding=2))
    graph = foveal.trace(model, (1, 3, 64, 64))
    plan = tile(graph, tile=32)
    picture = image(1, 3, 64, 64)
    whole = model(picture).detach()
    found = plan.run(model, picture)
    assert isinstance(found, Tensor)
    assert close(found, whole)

    def function(part: np.ndarray) -> dict[str, np.ndarray]:
        return {"a": np.zeros(1), "b": model(torch.from_numpy(part)).detach().numpy()}

    assert close(plan.run(function, picture.numpy(), output="b"), whole)
    assert close(plan.run(lambda p: tuple(function(p).values()), picture.numpy(), output=1), whole)

    class Session:
        def get_inputs(self) -> list[object]:
            return [type("Input", (), {"name": "x"})]

        def get_outputs(self) -> list[object]:
            return [type("Output", (), {"name": name}) for name in ("a", "b")]

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [function(feed["x"])[name] for name in names]

    assert close(plan.run(Session(), picture.numpy(), output="b"), whole)
    with pytest.raises(FovealError, match="output 'c': the session has a, b"):
        plan.run(Session(), picture.numpy(), output="c")


def test_an_inner_layer_of_a_module() -> None:
    torch.manual_seed(0)
    model = double(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3, padding=1)))
    graph = foveal.trace(model, (1, 2, 32, 32))
    plan = tile(graph, "0", tile=16)
    picture = image(1, 2, 32, 32)
    assert plan.axes[0].need == (1, 1)
    assert close(plan.run(model, picture), model[0](picture))


def test_memory_and_overhead_by_hand() -> None:
    """Two 1-channel values of 64 alive at once: 2 x 64 x 4 bytes; 7 tiles of 16 with halo 3 + 3 cover 64."""
    plan = tile(foveal.trace("conv7x1", (1, 1, 64)), tile=16)
    assert plan.memory == (512, 128)
    assert plan.axes[0].starts == (0, 10, 20, 30, 40, 48)
    assert plan.count == 6
    assert plan.overhead == pytest.approx(6 * 16 / 64 - 1)


def test_axis_arithmetic() -> None:
    axis = plan_axis("H", 100, 40, (5, 9), 8, Fraction(4))
    assert axis.halo == (8, 12)  # behind: 12 leaves 100 - 12 a multiple of 8, 9 does not
    assert axis.tile == 36  # at most 40, with the remainder of 100
    assert axis.smallest == 28
    assert axis.starts == (0, 16, 32, 48, 64)
    assert axis.cores == (0, 24, 40, 56, 72)
    assert axis.units(0) == (0, 0, 6)
    assert axis.units(4) == (16, 18, None)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.tuples(st.integers(8, 300), st.integers(8, 300)),
    multiples=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    need=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    share=st.sampled_from([0.1, 0.5, 2.0]),
)
def test_a_tile_that_was_not_asked_for(
    lengths: tuple[int, int], multiples: tuple[int, int], need: tuple[int, int], share: float
) -> None:
    """By trying every length: the first whose tiles, counted start by start, stay within the share."""

    def plans(wanted: int | None) -> list[AxisPlan]:
        least = [plan_axis("H", n, None, need, m, Fraction(1)).smallest for n, m in zip(lengths, multiples)]
        longest = [None if wanted is None else max(wanted, low) for low in least]
        return [plan_axis("H", n, w, need, m, Fraction(1)) for n, w, m in zip(lengths, longest, multiples)]

    whole = plans(None)
    least = tuple(axis.smallest for axis in whole)
    for wanted in range(min(least), max(lengths) + 1):
        axes = plans(wanted)
        fed = axes[0].tile * axes[1].tile * len(axes[0].starts) * len(axes[1].starts)
        if fed <= (1 + share) * lengths[0] * lengths[1] + 1e-6:
            break
    assert fewest_positions(whole, least, share) == tuple(axis.tile for axis in axes)


def test_a_model_that_runs_at_its_own_size_only_is_one_tile() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, 2, 64, 64))
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) * self.scale

    assert tile(foveal.trace(Fixed(), (1, 2, 64, 64))).count == 1


def test_json_both_ways() -> None:
    plan = tile(foveal.trace("conv3x4 pool2 conv3x4", (1, 3, 64, 48)), tile=(32, 24))
    assert TilePlan.from_json(plan.to_json()) == plan
    with pytest.raises(FormatError, match="not JSON"):
        TilePlan.from_json("{")
    with pytest.raises(FormatError, match="unknown schema version"):
        TilePlan.from_json(plan.to_json().replace('"schema": 1', '"schema": 9'))
    assert "<table>" in plan._repr_html_()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": 8}, "the smallest tile is 17"),
        ({"tile": (16, 16, 16)}, "expected 2 positive lengths"),
        ({"tile": 0}, "expected 2 positive lengths"),
        ({"error": 2.0}, "between 0 and 1"),
        ({"layer": "conv9"}, "unknown layer 'conv9'"),
    ],
)
def test_bad_input(options: dict[str, object], said: str) -> None:
    graph = foveal.trace("conv9x4 conv9x4", (1, 3, 64, 64))
    with pytest.raises(FovealError, match=said) as caught:
        tile(graph, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_images_and_models_that_do_not_fit() -> None:
    graph = foveal.trace("conv3x4", (1, 3, 64, 64))
    plan = tile(graph, tile=32)
    with pytest.raises(FovealError, match="image of 1x3x60x64: the plan is for anyxanyx64x64"):
        plan.run(lambda part: part, np.zeros((1, 3, 60, 64)))
    with pytest.raises(FovealError, match="fewer than"):
        plan.run(lambda part: part[..., :10], np.zeros((1, 3, 64, 64)))
    with pytest.raises(FovealError, match="expected a module"):
        plan.run(3, np.zeros((1, 3, 64, 64)))
    assert tile(foveal.trace("conv3x4,s2", (1, 3, 64, 64)), source_size=(65, 64), tile=32).source.lengths == (65, 64)


def test_differences_are_told() -> None:
    whole = np.zeros((1, 4))
    other = whole.copy()
    other[0, 2] = 3.0
    found = compared(whole + 1.0, other + 1.0, 2)
    assert (found.largest, found.where, found.scale) == (3.0, (0, 2), 1.0)
    assert found.rms == pytest.approx(1.5)
    assert "largest difference 3 at (0, 2)" in str(found)
    assert compared(whole, np.full((1, 4), np.nan), 2).largest == np.inf
    assert str(compared(whole, whole, 2)) == "2 tiles: identical to the whole"


@pytest.mark.parametrize(
    ("dtype", "excused", "told"),
    [("float64", 1e-14, 2e-14), ("float32", 7e-6, 1e-5), ("float16", 0, 1e-3), ("int64", 0, 1)],
)
def test_identical_is_up_to_rounding_of_the_precision(dtype: str, excused: float, told: float) -> None:
    """64 units in the last place: 1.4e-14 in double, 7.6e-6 in single precision; none in half or of whole numbers."""
    whole = np.ones((1, 8), dtype)
    found = compared(whole, whole + np.asarray(excused, dtype), 2)
    assert found.identical
    assert ("up to rounding" in str(found)) == (excused > 0)
    assert not compared(whole, whole + np.asarray(told, dtype), 2).identical


def test_a_real_onnx_session(tmp_path: Path) -> None:
    """Two 3-wide convolutions about a pool, through ONNX Runtime in single precision."""
    onnx, runtime = needs("onnx"), needs("onnxruntime")
    make, array = onnx.helper, onnx.numpy_helper.from_array
    drawn = np.random.default_rng(0)
    weights = [array(drawn.standard_normal((2, 2, 3, 3)).astype(np.float32), name) for name in ("w", "v")]
    nodes = [
        make.make_node("Conv", ["x", "w"], ["a"], "first", pads=[1, 1, 1, 1]),
        make.make_node("MaxPool", ["a"], ["b"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        make.make_node("Conv", ["b", "v"], ["y"], "second", pads=[1, 1, 1, 1]),
    ]
    ends = [make.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 2, "H", "W"]) for n in ("x", "y")]
    model = make.make_model(
        make.make_graph(nodes, "net", ends[:1], ends[1:], weights), opset_imports=[make.make_opsetid("", 17)]
    )
    model.ir_version = 8
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    plan = tile(foveal.trace(str(path), (1, 2, 64, 64)), source_size=(128, 96), tile=48)
    assert plan.exact
    assert plan.axes[0].need == (3, 3)  # 1, and 1 more at stride 2, from a pair: 2 + 1
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = drawn.standard_normal((1, 2, 128, 96)).astype(np.float32)
    assert plan.check(session, picture).largest < 1e-4
    for other in (path, str(path), path.read_bytes(), model):
        assert plan.check(other, picture).largest < 1e-4
    assert narrower(narrower(plan, 0, 0), 0, 0).check(session, picture).largest > 1e-2


class Upsampled(nn.Module):
    """Three strided layers, resized to the source's own length."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*(nn.Conv2d(2, 2, 3, 2, 1) for _ in range(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.body(x), size=x.shape[-2:], mode="bilinear")


def test_a_step_that_depends_on_the_source_is_refused_with_the_size_that_works() -> None:
    """401 / 51 and 65 / 9 positions per unit are not the same step; 408 / 51 and 160 / 20 are."""
    model = Upsampled().double().eval()
    graph = foveal.trace(model, (1, 2, 64, 64))
    with pytest.raises(FovealError, match=r"depends on the source's length.* multiples of 8x8, such as 408x400"):
        tile(graph, source_size=(401, 400), tile=160)
    plan = tile(graph, source_size=(408, 400), tile=160)
    assert plan.check(model, torch.randn(1, 2, 408, 400, dtype=torch.float64)).identical


def test_a_source_smaller_than_the_field_is_told() -> None:
    layers = " ".join(["conv3x4"] * 12)
    said = str(tile(foveal.trace(f"input=1x16x16 {layers}"), source_size=64, tile=48, error=0.1))
    assert "expected relative error 0.1 or more" in said
    assert "give a larger input" in said
    assert "larger input" not in str(tile(foveal.trace(f"input=1x64x64 {layers}"), tile=48, error=0.1))


def test_the_period_of_a_long_irregular_axis_is_looked_for_at_few_places_first() -> None:
    """Stretches of different strides, as of a detector's boxes side by side: no period, and no quadratic search."""
    first = np.concatenate([np.arange(60_000) * 8, np.arange(15_000) * 16, np.arange(3_000) * 32])
    assert find_period(np.stack([first, -first, first, -first]), 0) is None
    again = np.arange(60_000) // 3 * 5
    assert find_period(np.stack([again, -again, again, -again]), 0) == Progress(3, 5)


def test_what_data_chooses_is_refused_at_once() -> None:
    class Best(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(2)
            return flat.gather(2, flat.topk(3, dim=2).indices)

    with pytest.raises(FovealError, match=r"has no position along source axis 0 .*gather"):
        tile(foveal.trace(Best(), (1, 2, 8, 8)), tile=4)
