"""Audits of detectors: published fields, hand-made pyramids, anchors and objects; planted faults are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.tasks.audit import audit
from foveal.tasks.detection.anchors import best_overlap, centers, offset, overlap_of_sizes, resized
from foveal.tasks.detection.coverage import level_ranges
from foveal.tasks.detection.dense import dense_check
from foveal.tasks.detection.pyramid import Level, head_layers, levels
from foveal.tasks.detection.regions import regions
from foveal.tasks.record import Audit
from foveal.views.plots.detection import _clear
from support.needs import missing
from support.networks.detection_networks import S3FD, Bottleneck, TwoLevels, bottom_up, p_net

ANCHORS = ["16", "32", "64", "128", "256", "512"]


@pytest.fixture(scope="module")
def s3fd() -> Graph:
    return foveal.trace(S3FD().eval(), (1, 3, 640, 640))


@pytest.fixture(scope="module")
def retinanet() -> Graph:
    return foveal.trace("torchvision:retinanet_resnet50_fpn_v2")


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


def test_s3fd_published_fields(s3fd: Graph) -> None:
    found = levels(s3fd)
    assert [level.trf for level in found] == [((r, r), (r, r)) for r in (48, 108, 228, 340, 468, 724)]
    assert [level.stride[0] for level in found] == [4, 8, 16, 32, 64, 128]
    assert [level.grid[0] ** 2 for level in found] == [25600, 6400, 1600, 400, 100, 25]


def test_s3fd_sigmas_by_hand(s3fd: Graph) -> None:
    """Variances add up: (k^2 - 1) / 12 jump^2 per window of k taps."""
    steps = [(3, 1)] * 2 + [(2, 1)] + [(3, 2)] * 2 + [(2, 2)] + [(3, 4)] * 3
    variance = sum((k * k - 1) / 12 * j * j for k, j in [*steps, (3, 4)])
    first = levels(s3fd)[0]
    assert first.sigma == pytest.approx((variance**0.5,) * 2)
    # The published anchor is about the box whose Gaussian this is.
    assert first.box_side == pytest.approx((16, 16), rel=0.12)


def test_s3fd_with_its_anchors_is_sound(s3fd: Graph) -> None:
    found = audit(s3fd, "detection", anchors=ANCHORS, anchors_at="cell", object_size=["20", "100", "400x450"])
    assert codes(found) == []
    assert found.table("Anchors").column("4 x stride (px)") == tuple(float(a) for a in ANCHORS)
    assert found.table("Objects").column("not covered") == (0, 0, 0)


def test_misregistered_anchors_are_found() -> None:
    graph = foveal.trace(S3FD(shifted=True).eval(), (1, 3, 640, 640))
    found = audit(graph, "detection", anchors=ANCHORS, anchors_at="cell")
    # (a - 24)^2 shared of 2 a^2 - (a - 24)^2 is less than a half up to a = 128.
    assert [f.layer for f in found.findings if f.code == "DET03"] == [f"heads.{i}" for i in range(4)]
    assert "centered -24 rows, -24 columns" in found.findings[0].text
    assert found.reaches("warning")


def test_misregistration_without_sizes_goes_by_the_stride() -> None:
    graph = foveal.trace(nn.Conv2d(1, 2, 9, 8, padding=4).eval(), (1, 1, 64, 64))
    # Centers at 8 i; cell centers at 8 i + 3.5, corner anchors at 8 i - 1/2.
    assert codes(audit(graph, "detection", anchors_at="cell")) == ["DET03"]
    assert codes(audit(graph, "detection", anchors_at="corner")) == []
    assert codes(audit(graph, "detection")) == []


def test_anchors_larger_than_the_field_or_the_effective_field(s3fd: Graph) -> None:
    # Heads 1: a TRF of 108 px and a 2 sigma box of 29.3 px (docs/tasks-detection.md), hence a side of 91 px.
    found = audit(s3fd, "detection", anchors=["60", "95", "64", "128", "256", "512"])
    assert [(f.code, f.layer) for f in found.findings] == [("DET04", "heads.0"), ("DET05", "heads.1")]


def test_anchors_that_are_too_small(s3fd: Graph) -> None:
    found = audit(s3fd, "detection", anchors=["16", "8", "64", "128", "256", "512"])
    assert [(f.code, f.severity, f.layer) for f in found.findings] == [("DET06", "info", "heads.1")]


def test_objects_that_no_level_covers(s3fd: Graph) -> None:
    found = audit(s3fd, "detection", object_size=["3", "50", "800x600"])
    assert codes(found) == ["DET01", "DET02"]
    assert "1 of 3 objects" in found.findings[0].text
    assert "up to 800 px, fields up to 724 px" in found.findings[0].text
    # 50 px: the first field is 48 px, and from the fifth on the stride is at least 64.
    assert found.table("Objects").column("levels that see them") == ("", "2, 3, 4", "")


def test_objects_without_a_matching_anchor(s3fd: Graph) -> None:
    found = audit(s3fd, "detection", anchors=ANCHORS, object_size=["10x60"])
    assert codes(found) == ["DET07"]


def test_a_coco_file_end_to_end(s3fd: Graph, tmp_path: Path) -> None:
    boxes = [[100, 80, 60, 60], [300, 200, 400, 300]]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 1280, "height": 1280}],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    found = audit(s3fd, "detection", objects=str(path), anchors=ANCHORS, anchors_at="cell", level=5)
    # Scaled by a half: 30 px and sqrt(200 x 150) = 173 px.
    assert found.table("Objects").column("size (px)") == ("16-32", "128-256")
    assert "face" in found.table("Regions of heads.4").column("label")
    assert Audit.from_json(found.to_json()) == found
    for name in ("regions", "levels"):
        picture = found.figure(name)
        picture.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_bottom_up_fields_of_resnet50() -> None:
    found = levels(foveal.trace(bottom_up(), (1, 3, 512, 512)))
    assert [level.least for level in found] == [(r, r) for r in (35, 91, 267, 427, 555, 811)]


@pytest.mark.slow
@pytest.mark.xdist_group("retinanet")
def test_retinanet_through_the_top_down_path(retinanet: Graph) -> None:
    found = levels(retinanet)
    assert [level.trf for level in found] == [((r, r), (r, r)) for r in (523, 619, 811, 1131, 1899)]
    assert [level.stride[0] for level in found] == [8, 16, 32, 64, 128]
    assert [len(level.heads) for level in found] == [2] * 5
    maps = [foveal.receptive_field(retinanet, level.pyramid) for level in found]
    assert [rf.sizes[0] for rf in maps] == [(427, 459), (459, 459), (491, 491), (491, 491), (619, 619)]
    assert [rf.period[0] for rf in maps] == [4, 2, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.xdist_group("retinanet")
def test_retinanet_own_anchors(retinanet: Graph) -> None:
    found = audit(retinanet, "detection")
    sizes = found.table("Anchors").column("anchors (px)")
    # Bases 32 to 512, each times 1, 2^(1/3) and 2^(2/3), cut to whole pixels.
    assert sizes == ("32-50", "64-101", "128-203", "256-406", "512-812")
    assert "corner" in found.table("Anchors").columns[4]
    # From level 3 on centers are at 32 i against anchors at 32 i - 1/2.
    assert found.table("Anchors").column("offset to corner anchor (px)")[2:] == ("0.5",) * 3
    assert found.table("Anchors").column("offset to cell center (px)")[2:] == ("-15.5", "-31.5", "-63.5")
    assert not any(finding.severity != "info" for finding in found.findings)


def test_anchors_of_a_model_that_resizes_are_in_source_pixels() -> None:
    backbone = nn.Conv2d(3, 8, 4, 4)
    backbone.out_channels = 8  # type: ignore[assignment]
    generator = AnchorGenerator(((16, 32),), ((1.0,),))
    model = RetinaNet(backbone, 3, min_size=64, max_size=64, anchor_generator=generator)
    graph = foveal.trace(model.eval(), (1, 3, 32, 32))
    # 32 px are enlarged to 64: anchors of 16 and 32 are 8 and 16 px of the source, a stride of 4 is 2.
    assert resized(graph) == (2, 2)
    found = audit(graph, "detection")
    assert found.table("Levels").column("stride") == ("2",)
    assert found.table("Anchors").column("anchors (px)") == ("8-16",)


def test_two_level_pyramid_by_hand() -> None:
    graph = foveal.trace(TwoLevels().eval(), (1, 1, 32, 32))
    fine, coarse = levels(graph)
    assert (fine.name, fine.trf, fine.period) == ("p3", ((11, 11), (11, 11)), (2, 2))
    assert (coarse.name, coarse.trf) == ("p4", ((15, 15), (15, 15)))
    rf = foveal.receptive_field(graph, "p3")
    assert [rf.box((8, i))[1] for i in (8, 9)] == [(9, 20), (13, 24)]
    # Unit 0 and 1 are centered at -2 and +2: on average 1 px before their own place (0 and 2).
    assert (fine.center, fine.mean) == ((-2, -2), (-1, -1))


def test_heads_are_the_last_convolutions() -> None:
    graph = foveal.trace(Bottleneck().eval(), (1, 1, 64, 64))
    assert head_layers(graph) == ["score", "box"]
    (level,) = levels(graph)
    assert (level.heads, level.pyramid) == (("score", "box"), "body")
    assert level.center == (5.5, 5.5)


def test_a_patch_embedding_is_no_head() -> None:
    graph = foveal.trace("torchvision:vit_b_16")
    assert head_layers(graph) == []
    with pytest.raises(FovealError, match="name heads"):
        levels(graph)


def test_named_heads_and_layers_without_a_grid() -> None:
    graph = foveal.trace("conv3x4,s2 conv3x4 gap fc10", (1, 3, 32, 32))
    assert [level.name for level in levels(graph, ["conv1"])] == ["conv1"]
    with pytest.raises(FovealError, match="needs a grid of units"):
        levels(graph, ["fc1"])


def a_level(stride: float = 8, grid: int = 4, center: float = 3.5, sigma: float = 10.0, trf: int = 100) -> Level:
    return Level(
        ("head",), "", (grid, grid), (stride, stride), ((trf, trf), (trf, trf)), (1, 1), (center, center),
        (center, center), (sigma, sigma), (0.0, 0.0), "exact",
    )  # fmt: skip


def test_anchor_places_and_offsets() -> None:
    rows, _ = centers(a_level(), "cell")
    assert rows.tolist() == [3.5, 11.5, 19.5, 27.5]
    assert centers(a_level(), "corner")[1].tolist() == [-0.5, 7.5, 15.5, 23.5]
    assert offset(a_level(), "cell") == (0, 0)
    assert offset(a_level(center=0.0), "cell") == (-3.5, -3.5)
    assert offset(a_level(center=0.0), "corner") == (0.5, 0.5)


def test_overlaps_against_counted_pixels() -> None:
    """Boxes on a fine raster: shared area over joint area."""
    for size, side, shift in [((16.0, 8.0), (10.0, 10.0), 3.0), ((4.0, 4.0), (20.0, 12.0), 0.0), ((6, 6), (6, 6), 9)]:
        step = 0.05
        axis = np.arange(-30, 30, step) + step / 2
        inside = [np.abs(axis) < size[0] / 2, np.abs(axis) < size[1] / 2]
        other = [np.abs(axis - shift) < side[0] / 2, np.abs(axis - shift) < side[1] / 2]
        both = np.outer(inside[0] & other[0], inside[1] & other[1]).sum()
        either = np.outer(*inside).sum() + np.outer(*other).sum() - both
        assert overlap_of_sizes(size, *side, shift) == pytest.approx(both / either, abs=0.01)


def test_best_overlap_takes_the_nearest_anchor() -> None:
    # Nearest cell center to (12, 20) is (11.5, 19.5): boxes of 10 half a pixel apart on both axes.
    expected = 9.5**2 / (200 - 9.5**2)
    assert best_overlap(a_level(), ((10, 10),), "cell", (12, 20), (10, 10)) == pytest.approx(expected)


def test_level_ranges_meet_at_geometric_means() -> None:
    found = level_ranges([a_level(sigma=4, trf=60), a_level(sigma=16, trf=200)])
    assert found == ((0, pytest.approx(16)), (pytest.approx(16), 200))


def test_regions_of_nine_outputs() -> None:
    graph = foveal.trace(Bottleneck().eval(), (1, 1, 16, 16))
    (level,) = levels(graph)
    found = regions(graph, level)
    # Units of stride 2 and field 12 on 16 pixels: 0..11, 2..13, 4..15 along each axis.
    expected = [(a, b, a + 12, b + 12) for a in (0, 2, 4) for b in (0, 2, 4)]
    assert [item.box for item in found.regions] == expected
    assert found.overlap == (10, 10)
    assert found.regions[0].label == ""


def test_dense_form_of_a_valid_network() -> None:
    check = dense_check(foveal.trace(Bottleneck().eval(), (1, 1, 40, 40)), "score")
    assert check.same
    assert (check.window, check.grid, check.windows, check.compared) == ((12, 12), (15, 15), 225, 225)
    # By hand: 4 x 9 products at 38 x 38, 4 x 4 x 9 at 17 x 17 and 15 x 15, 6 x 4 at 15 x 15; and for one window.
    assert check.dense == 36 * 38**2 + 144 * (17**2 + 15**2) + 24 * 15**2
    assert check.sliding == 225 * (36 * 10**2 + 144 * (3**2 + 1) + 24)


def test_padding_makes_the_dense_form_another_one() -> None:
    graph = foveal.trace(Bottleneck(padding=1).eval(), (1, 1, 40, 40))
    found = audit(graph, "detection", dense=True)
    assert codes(found) == ["DET09"]


def test_dense_form_is_refused_where_it_has_no_meaning() -> None:
    gated = foveal.trace(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(1, 4), nn.Conv2d(4, 1, 3)).eval(), (1, 1, 32, 32)
    )
    with pytest.raises(FovealError, match="has global context"):
        dense_check(gated, "2")
    with pytest.raises(FovealError, match="no PyTorch model behind it"):
        dense_check(foveal.trace("conv3x4", (1, 3, 32, 32)), "conv1")
    with pytest.raises(FovealError, match="fits nowhere"):
        dense_check(foveal.trace(nn.Conv2d(1, 1, 9, padding=4).eval(), (1, 1, 8, 8)), foveal.trace(
            nn.Conv2d(1, 1, 9, padding=4).eval(), (1, 1, 8, 8)).layers[-1])  # fmt: skip


def test_trained_p_net_dense_and_sliding() -> None:
    model = p_net()
    if model is None:
        missing("facenet-pytorch is not installed")
    graph = foveal.trace(model, (1, 3, 60, 48))
    (level,) = levels(graph)
    assert (level.trf, level.stride, level.center) == (((12, 12), (12, 12)), (2, 2), (5.5, 5.5))
    check = dense_check(graph, "softmax4_1")
    assert check.same
    assert check.windows == 25 * 19
    assert check.cheaper > 4


def test_command_line(tmp_path: Path) -> None:
    line = ["audit", "detection", "conv3x4 pool2 conv3x4", "--input", "1,3,64,64", "--object-size", "4,90"]
    text = CliRunner().invoke(app, line, env={"COLUMNS": None}, catch_exceptions=False)
    # 3, then 4 at stride 2, then 4 more.
    assert text.exit_code == 0
    assert "1 level: TRF 8 px" in text.stdout
    assert "DET01" in text.stdout
    picture = tmp_path / "levels.png"
    more = ["--fail-on", "warning", "--picture", str(picture), "--figure", "levels", "--json"]
    data = CliRunner().invoke(app, [*line, *more], env={"COLUMNS": None}, catch_exceptions=False)
    assert data.exit_code == 1
    assert Audit.from_json(data.stdout).task == "detection"
    assert picture.stat().st_size > 5000
    bad = CliRunner().invoke(app, [*line, "--objects", "none.json"], env={"COLUMNS": None}, catch_exceptions=False)
    assert bad.exit_code == 2
    assert bad.stderr.strip() == "error: none.json: No such file or directory"


def test_bad_options() -> None:
    graph = foveal.trace(TwoLevels().eval(), (1, 1, 32, 32))
    for options, message in [
        ({"anchors": ["16"]}, "anchors for 1 levels, the network has 2"),
        ({"anchors": ["16", "x"]}, "anchor 'x'"),
        ({"level": 3}, "levels 1 to 2"),
        ({"anchors_at": "edge"}, "expected one of cell, corner"),
    ]:
        with pytest.raises(FovealError, match=message):
            audit(graph, "detection", **options)


@pytest.mark.slow
def test_boxes_with_steps_of_their_own() -> None:
    """SSD300: boxes 64, 100 and 300 px apart on its last levels, units 64 px apart. The middle unit of the 3 x 3 level
    is the middle one of the 5 x 5 level: 7.5 + 2 * 64 = 135.5, its box stands at 1.5 * 100 - 0.5 = 149.5.
    """
    found = foveal.audit(foveal.trace("torchvision:ssd300_vgg16"), "detection")
    offsets = found.table("Anchors").column("offset to cell center (px)")
    assert offsets == ("0", "0", "-8", "-24", "-14", "-14")
    assert [f.layer for f in found.findings if f.code == "DET03"] == ["head.regression_head.module_list.3"]


def test_channels_last_has_a_level_too() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = ChannelsLast()

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.body(x).mean((1, 2))
            return found

    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, self.weight, stride=2, padding=1).permute(0, 2, 3, 1) + 1

    assert [level.trf for level in levels(foveal.trace(Last(), (1, 3, 16, 16)))] == [((3, 3), (3, 3))]


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_what_is_no_image_is_refused(task: str) -> None:
    with pytest.raises(FovealError, match="with two axes of positions; the input 1x1x8x8x8 has 3"):
        foveal.audit(foveal.trace("input=1x8x8x8 conv3x4"), task)


def test_names_of_units_only_where_they_fit() -> None:
    """Boxes 8 px apart on 300 px of width have no room for names a tenth as wide; 40 px apart they have."""
    for apart, clear in ((8, False), (40, True)):
        boxes = [(0.0, float(k * apart), 50.0, float(k * apart + 50)) for k in range(3)]
        assert _clear(boxes, (0.0, 300.0)) is clear
