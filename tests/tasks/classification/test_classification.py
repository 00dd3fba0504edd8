"""The classification audit: path sizes, border layers, feasible resolutions, coverage, shortcuts, planted faults."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import comb, log10
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn

import foveal
from foveal.ir.graph import Graph
from foveal.tasks.audit import audit
from foveal.tasks.classification.image_coverage import COVERS, image_coverage, last_map
from foveal.tasks.classification.productivity import layer_paths, resolutions
from foveal.tasks.classification.record import LayerPaths, Resolutions
from foveal.tasks.classification.shortcuts import gradient_reach, path_lengths, shortcut_reads
from foveal.tasks.record import Audit
from foveal.views.language.translate import has_pattern

FEATURES = ("convolution", "pooling", "join")


def torchvision_graph(name: str, side: int) -> Graph:
    return foveal.trace(f"torchvision:{name}", (1, 3, side, side))


def rows_of(graph: Graph) -> tuple[LayerPaths, ...]:
    return layer_paths(graph, graph.sources[0])


def limits(graph: Graph) -> Resolutions:
    return resolutions(rows_of(graph))


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [("resnet18", 75, 435), ("resnet50", 75, 427), ("efficientnet_b0", 299, 851), ("vgg16", 212, 212)],
)
def test_feasible_resolutions_of_richter(name: str, smallest: int, largest: int) -> None:
    """The receptive field analysis toolbox (docs/methods.md 4); VGG by hand: 212 at the last pooling."""
    found = limits(torchvision_graph(name, 224))
    assert (found.smallest, found.largest) == ((smallest,) * 2, (largest,) * 2)


def test_window_times_stride_of_resnet50() -> None:
    """3 * 32: smallest resolution of ResNet-50 by the toolbox since it looks at maps too (docs/methods.md 4)."""
    assert limits(torchvision_graph("resnet50", 224)).windows == (96, 96)


def test_vgg16_at_32_pixels_has_ten_border_layers() -> None:
    """conv3_3 to pool5, by hand: fields of 40 to 212 px whose inputs see 32 px or more (docs/methods.md 4)."""
    border = [row for row in rows_of(torchvision_graph("vgg16", 32)) if row.border and row.layer.startswith("features")]
    assert [row.layer.split(".")[1] for row in border] == ["14", "16", "17", "19", "21", "23", "24", "26", "28", "30"]
    assert [row.smallest[0] for row in border] == [40, 44, 60, 76, 92, 100, 132, 164, 196, 212]


def test_resnet18_at_32_pixels_has_ten_border_layers() -> None:
    rows = rows_of(torchvision_graph("resnet18", 32))
    assert sum(row.border for row in rows if row.kind in FEATURES) == 10


def test_resnet101_at_32_pixels_has_58_border_layers() -> None:
    """The toolbox's ResNet-101 has its strides in the first 1x1 convolutions."""
    model = torchvision.models.resnet101(weights=None)
    for block in model.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    rows = rows_of(foveal.trace(model, (1, 3, 32, 32)))
    assert sum(row.border for row in rows if row.kind in FEATURES) == 58


def test_no_layer_of_vgg16_is_critical_on_a_huge_image() -> None:
    rows = rows_of(foveal.trace("torchvision:vgg16", (1, 3, 2048, 2048)))
    assert not any(row.border or row.critical for row in rows)


def test_dilation_counts() -> None:
    """3x3 with dilation 8 after a 3x3: 3 + 16 = 19 > 16 px, then a 3x3 sees nothing new."""
    rows = rows_of(foveal.trace("input=3x16x16 conv3x8 conv3x8,d8 conv3x8 gap fc10"))
    assert [row.smallest[0] for row in rows[:3]] == [3, 19, 21]
    assert [row.reason for row in rows[:3]] == ["", "dense", "context"]


def test_real_lengths_count() -> None:
    """Without padding 20 px shrink to 18, 16 and 4: the last 5-wide window covers its map, which 20 // 4 = 5 hides."""
    rows = rows_of(foveal.trace("input=3x20x20 conv3x8,valid conv3x8,valid pool4 conv5x8 gap fc10"))
    assert rows[3].maps == (4, 4)
    assert rows[3].reason == "dense"


def test_unequal_axes() -> None:
    """A 1x7 stack on a wide strip: along the rows no context is added, so nothing is critical on both axes."""
    rows = rows_of(foveal.trace("input=1x16x16 3*conv(1,7)x4 gap fc3"))
    assert rows[2].smallest == (1, 19)
    assert rows[2].partly
    assert not rows[2].critical


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 3), st.booleans(), st.sampled_from([1, 2])),
        min_size=1,
        max_size=5,
    )
)
def test_sizes_over_paths_by_enumeration(blocks: list[tuple[int, int, bool, int]]) -> None:
    """Blocks of a k x k convolution of dilation d, with or without a shortcut, then pooling: all paths, one by one."""
    text = []
    for k, d, shortcut, pool in blocks:
        conv = f"conv{k}x4,d{d}"
        text += [f"[{conv} | id]" if shortcut else conv, *(["pool2"] if pool == 2 else [])]
    rows = rows_of(foveal.trace(f"input=4x128x128 {' '.join(text)} conv3x4"))
    sizes = []
    for taken in product((True, False), repeat=len(blocks)):
        if any(not take and not shortcut for take, (_, _, shortcut, _) in zip(taken, blocks)):
            continue
        size, stride = 1, 1
        for take, (k, d, _, pool) in zip(taken, blocks):
            size += d * (k - 1) * stride if take else 0
            size, stride = size + (pool - 1) * stride, stride * pool
        sizes.append(size + 2 * stride)
    assert (rows[-1].smallest[0], rows[-1].largest[0]) == (min(sizes), max(sizes))


@pytest.mark.parametrize(("name", "size"), [("vgg13", 348), ("vgg16", 404), ("vgg19", 460)])
def test_the_dense_layer_of_vgg(name: str, size: int) -> None:
    """docs/methods.md 1.6; 348 is the number of the article."""
    table = audit(torchvision_graph(name, 224), "classification").table("coverage")
    assert table.column("TRF px")[1] == str(size)
    assert table.column("where")[1] == "dense layer"


def test_last_map_and_coverage_of_resnet50() -> None:
    graph = torchvision_graph("resnet50", 224)
    layer = last_map(graph, graph.sources[0])
    cover = image_coverage(graph, layer.name, graph.sources[0])
    assert (layer.name, cover.size, cover.covered) == ("layer4", (427, 427), 1.0)
    # A disc of about 221^2 px (docs/methods.md 2.1), of which the image of 224 px takes the edges.
    assert cover.region is not None
    assert 0.8 < cover.region < 0.9


def test_effective_region_of_a_uniform_field() -> None:
    """Two 2x2 poolings and one 3x3 convolution: 12 x 12 equal weights of 32 x 32, all of them above a level below 1."""
    graph = foveal.trace("input=1x32x32 pool2 pool2 conv3x4 gap fc3")
    cover = image_coverage(graph, "conv1", graph.sources[0])
    assert cover.region == pytest.approx(144 / 1024)
    assert cover.sigmas == pytest.approx((((12**2 - 1) / 12) ** 0.5,) * 2)


@pytest.mark.parametrize("blocks", [1, 3, 16])
def test_paths_of_a_residual_stack_are_binomial(blocks: int) -> None:
    """docs/cases.md C41: 16 blocks have 65,536 paths; comb(n, k) have 2 k layers and one more."""
    graph = foveal.trace(f"input=3x8x8 conv3x4 {blocks}*[conv3x4 conv3x4 | id]")
    found = path_lengths(graph, graph.layer(graph.layers[-1]).value)
    assert found.total == 2**blocks
    assert dict(zip(found.lengths, found.counts)) == {1 + 2 * k: comb(blocks, k) for k in range(blocks + 1)}
    assert found.mean == pytest.approx(1 + blocks)
    assert found.deviation == pytest.approx(blocks**0.5)


def test_paths_of_a_dense_block_double() -> None:
    """docs/cases.md C41: 1, 1, 2, 4, 8, 16, 32 paths to the layers of a dense block."""
    text = "input=4x8x8 save=a conv3x4 cat=a save=b conv3x4 cat=b save=c conv3x4 cat=c"
    graph = foveal.trace(text)
    counts = [path_lengths(graph, graph.layer(f"conv{i}").value).total for i in (1, 2, 3)]
    assert counts == [1, 2, 4]


def test_gradient_with_and_without_shortcuts() -> None:
    """Blocks of unit gain: each doubles the expected squared gradient with its shortcut (1 + 1), keeps it without."""
    graph = foveal.trace("input=3x8x8 conv1x4 5*[conv1x4 | id]")
    out = graph.layers[-1]
    reach = gradient_reach(graph, graph.layer(out).value, [("conv1", graph.layer("conv1").value)])[0]
    assert len(shortcut_reads(graph)) == 5
    assert reach.with_shortcuts == pytest.approx(log10(2.0**5))
    assert reach.without == pytest.approx(0.0)


@pytest.mark.parametrize(("depth", "shown"), [(10, True), (400, False)])
def test_gradients_out_of_all_proportion_are_left_out(depth: int, shown: bool) -> None:
    """A block x + f(x) with f of unit gain doubles the energy: 400 blocks make 2^400 = 10^120 at the first."""
    found = audit(foveal.trace(f"conv3x2 {depth}*[conv1x2 | id] gap fc2", (1, 2, 8, 8)), "classification")
    assert any(table.title == "gradient energy" for table in found.tables) is shown
    assert ("gradient" in found.figures) is shown
    assert any("gradient energy left out: numbers such as 10^" in line for line in found.summary) is not shown


def test_the_measured_gradient_agrees_with_the_expected_one() -> None:
    """A linear residual stack with weights of unit gain: mean squared gradient over draws against the closed form."""
    blocks, width, side, draws = 3, 16, 7, 80
    generator = torch.Generator().manual_seed(0)
    found = []
    for shortcut in (True, False):
        total = 0.0
        for _ in range(draws):
            x = torch.zeros(1, width, side, side, dtype=torch.float64, requires_grad=True)
            y = x
            for _ in range(blocks):
                kernel = torch.randn(width, width, 3, 3, generator=generator, dtype=torch.float64) / (9 * width) ** 0.5
                y = nn.functional.conv2d(y, kernel, padding=1) + (y if shortcut else 0)
            (gradient,) = torch.autograd.grad(y[0, 0, side // 2, side // 2], x)
            total += float(gradient.pow(2).sum())
        found.append(log10(total / draws))
    text = " ".join([f"[conv3x{width} | id]"] * blocks)
    graph = foveal.trace(f"input={width}x{side}x{side} conv1x{width} {text}")
    reach = gradient_reach(graph, graph.layer(graph.layers[-1]).value, [("conv1", graph.layer("conv1").value)])[0]
    # Sum over positions and features of one feature's gradient equals the mean over features of all features' gradient.
    assert reach.with_shortcuts is not None
    assert reach.without is not None
    assert np.array(found) == pytest.approx([reach.with_shortcuts, reach.without], abs=0.05)


def test_a_sound_network_gets_no_finding() -> None:
    """1 + 4 + 1 + 8 + 2 + 16 = 32 px at an image of 32: covered, and the layer before saw 24."""
    graph = foveal.trace("input=3x32x32 conv3x8 conv3x8 pool2 conv3x16 conv3x16 pool2 conv5x16 gap fc10")
    found = audit(graph, "classification")
    assert found.table("coverage").column("TRF px")[0] == "32"
    assert codes(found) == []


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "densenet121"])
def test_networks_at_their_own_size_get_no_warning(name: str) -> None:
    assert not audit(torchvision_graph(name, 224), "classification").reaches("warning")


def test_a_field_that_is_too_small_is_found() -> None:
    found = audit(foveal.trace("input=3x64x64 conv3x8 conv3x8 gap fc10"), "classification")
    assert codes(found) == ["CLS01"]
    assert found.findings[0].layer == "conv2"
    assert "5 px spans 8%" in found.findings[0].text
    assert found.findings[0].change
    assert found.findings[0].effect


def test_an_output_that_leaves_the_image_out_is_found() -> None:
    """Cropping to the middle 8 of 32 px: the output reads 12 x 12 px, 14 % of the image."""
    found = audit(foveal.trace("input=3x32x32 conv3x8 crop12:12 conv3x8 gap fc10"), "classification")
    assert "CLS02" in codes(found)
    assert found.findings[0].severity == "error"


def test_an_unproductive_tail_is_found_with_its_cost() -> None:
    """Four poolings of a 16 px image leave one unit: the 3x3 layers behind see nothing new; their share is by hand."""
    graph = foveal.trace("input=3x16x16 conv3x8 pool4 conv3x8 pool4 conv3x8 conv3x8 gap fc10")
    found = next(f for f in audit(graph, "classification").findings if f.code == "CLS03")
    assert found.layer == "conv3"
    assert found.text.startswith("2 layers can add no context at 16x16 px (conv3, conv4)")
    adds = [256 * 9 * 3 * 8, 16 * 9 * 64, 9 * 64, 9 * 64, 80]
    assert f"saves {sum(adds[2:4]) / sum(adds):.0%} of the multiply-adds" in found.effect


def test_one_by_one_layers_behind_the_border_are_only_told() -> None:
    graph = foveal.trace("input=3x16x16 conv3x8 pool2 conv5x8 conv5x8 conv1x8 gap fc10")
    found = audit(graph, "classification")
    assert [(f.code, f.severity) for f in found.findings] == [("CLS04", "info")]


def test_a_window_as_large_as_its_map_is_only_told() -> None:
    """7x7 on a map of 7: as in ConvNeXt at 224 px. Its input sees 8 of 56 px."""
    found = audit(foveal.trace("input=3x56x56 conv8x8,s8,p0 [conv7x8 | id] gap fc10"), "classification")
    assert [(f.code, f.severity) for f in found.findings] == [("CLS05", "info")]
    assert "above 56 px they move over their maps" in found.findings[0].change


def test_single_strong_pixels_do_not_hide_a_covered_image() -> None:
    """A 1x1 of stride 24 beside a 25x25: one pixel in 576 has most of the energy, and yet all of the image counts."""
    graph = foveal.trace("input=3x96x96 [conv25x8,s24 | conv1x8,s24] gap fc10")
    plain = image_coverage(graph, "fc1", graph.sources[0])
    cells = image_coverage(graph, "fc1", graph.sources[0], cell=24)
    assert plain.region is not None
    assert plain.region < COVERS
    assert cells.cells == 1.0
    assert "CLS02" not in codes(audit(graph, "classification"))


def test_tokens_become_a_plane_again() -> None:
    """Attention between a patch embedding and a strided convolution, by the shortcut: 4 + 2 * 4 = 12 px."""
    graph = foveal.trace("input=3x32x32 conv4x16,s4,p0 [ln attention4 | id] conv3x16,s2 gap fc10")
    row = next(row for row in rows_of(graph) if row.layer == "conv2")
    assert row.smallest == (12, 12)


def test_attention_sees_it_all() -> None:
    graph = foveal.trace("input=3x32x32 conv4x16,s4,p0 2*[ln attention4 | id] gap fc10")
    assert "CLS01" not in codes(audit(graph, "classification"))


def test_unlike_channels_of_the_last_map_are_told() -> None:
    """Windows of 3 and 9 equal weights side by side: the sides are those of the windows."""
    graph = foveal.trace("input=3x32x32 save=a conv3x4 save=b from=a conv9x4 save=c from=b cat=c gap fc3")
    (line,) = [line for line in audit(graph, "classification").summary if "channels" in line]
    assert line.startswith("effective side over the channels of that map: 3 to 9 px, of their mean ")
    assert has_pattern(line)


def test_a_line_is_a_classifier_too() -> None:
    found = audit(foveal.trace("input=1x64 conv9x8,s2 conv9x8,s2 conv9x8 gap fc4"), "classification")
    assert found.source_shape == (64,)
    assert found.table("coverage").column("TRF samples")[0] == str(1 + 8 + 16 + 32)


def test_measured_and_weighted_fields() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    graph = foveal.trace(model.eval(), (1, 3, 16, 16))
    for erf, options in (("measured", {"count": 2}), ("weights", {})):
        found = audit(graph, "classification", erf=erf, **options)
        share = found.table("coverage").column("ERF covers")[0]
        assert isinstance(share, float)
        # Linear and 5 x 5: whatever the weights, no more than 25 of 256 positions.
        assert 0 < share <= 25 / 256


def test_what_is_not_available_is_said() -> None:
    """A network without weights of its own: its own weights cannot be asked for."""
    found = audit(foveal.trace("input=3x16x16 conv3x4 gap fc2"), "classification", erf="weights")
    assert found.table("coverage").column("ERF covers") == (None, None)
    assert any(line.startswith("effective field not available: ") for line in found.summary)


def test_classification_report(golden: Callable[[str], None]) -> None:
    graph = foveal.trace("input=3x16x16 conv3x8 [conv3x8 | id] pool4 conv3x8 gap fc10")
    golden(str(audit(graph, "classification")))


@pytest.mark.parametrize("figure", ["depth", "layers", "paths", "gradient"])
def test_pictures(figure: str) -> None:
    found = audit(torchvision_graph("resnet18", 64), "classification")
    drawn = found.figure(figure)
    assert drawn.axes[0].get_title().startswith("resnet18")
    assert drawn.axes[0].has_data()


def test_response_normalization_over_channels_is_no_global_context() -> None:
    """AlexNet as an ONNX file: 11 + 8 * 4 pixels and on to 195, as published; its windows over channels see no more."""
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_bvlc_alexnet.onnx"
    found = audit(foveal.trace(path), "classification")
    assert found.summary[0] == "last map n14: TRF 195 px on a 224x224 image, no unit of a map covers the image"
    assert "without global context" not in found.summary[3]


def test_a_map_of_answers_is_no_classifier() -> None:
    found = audit(foveal.trace("input=3x64x64 conv3x8 conv3x8 conv1x2"), "classification")
    assert codes(found) == ["CLS06"]
    assert "64x64 answers" in found.findings[0].text


def test_the_advice_names_one_size_where_one_is_enough() -> None:
    """ResNet-18: productive from 75 px on, windows move over their maps above 96 px (Richter et al. 2021)."""
    found = audit(torchvision_graph("resnet18", 32), "classification")
    assert found.findings[0].change.startswith("use inputs of more than 96 px, so that no window covers its map; or")


def test_a_function_of_one_operation() -> None:
    found = audit(foveal.trace(nn.Conv2d(3, 4, 3), (1, 3, 16, 16)), "registration")
    assert found.summary[0].startswith("output: unit i looks at pixel 1 + 1 i")
