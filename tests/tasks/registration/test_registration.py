"""The registration audit: places of units by hand arithmetic, placed maps, joins, ports, planted faults."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.core.errors import FovealError, UnknownLayerError
from foveal.ir.graph import Graph
from foveal.tasks.audit import audit
from foveal.tasks.record import Audit
from foveal.tasks.registration.audit import misplaced_joins, placed_layers, ports
from foveal.tasks.registration.placement import place_map, places, resized_map
from foveal.tasks.registration.record import AxisPlaces

SOUND = "input=3x64x64 conv3x8 pool2 conv3x8 pool2 conv3x8 gap fc10"
SHIFTED = "input=3x64x64 conv3x8,s2 conv3x8,s2 conv3x8,s2 gap fc10"


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


def of_layer(graph: Graph, layer: str) -> tuple[AxisPlaces, ...]:
    where = places(foveal.receptive_field(graph, layer))
    assert where is not None
    return where.axes


def test_conventions_by_hand() -> None:
    """Four units of stride 8 on 32 px, as of 3x3 convolutions of stride 2: unit 0 looks at pixel 0."""
    axis = AxisPlaces(4, 8, 0, 32)
    assert axis.centers() == (0, 8, 16, 24)
    assert axis.placed("cell") == (Fraction(7, 2), Fraction(23, 2), Fraction(39, 2), Fraction(55, 2))
    assert axis.placed("grid") == axis.placed("cell")
    assert axis.placed("corners") == (0, Fraction(31, 3), Fraction(62, 3), 31)
    assert axis.placed("edge") == (Fraction(-1, 2), Fraction(15, 2), Fraction(31, 2), Fraction(47, 2))
    assert axis.offsets("cell") == (Fraction(-7, 2),) * 4
    assert axis.nearest(11.9) == 1
    assert AxisPlaces(1, 32, 15, 32).placed("corners") == (0,)
    with pytest.raises(FovealError, match="unknown convention 'middle'; expected one of cell, corners, grid, edge"):
        axis.placed("middle")


@pytest.mark.parametrize(
    ("source", "layer", "first", "stride", "offset"),
    [
        ("torchvision:resnet50", "layer4", 0, 32, Fraction(-31, 2)),
        ("torchvision:vgg16", "features", Fraction(31, 2), 32, 0),
        ("torchvision:mobilenet_v2", "features", 0, 32, Fraction(-31, 2)),
        ("torchvision:densenet121", "features", 14, 32, Fraction(-3, 2)),
        ("torchvision:convnext_tiny", "features", Fraction(31, 2), 32, 0),
    ],
)
def test_published_centers(source: str, layer: str, first: Fraction, stride: int, offset: Fraction) -> None:
    """docs/methods.md 1.7, at 224 px."""
    for axis in of_layer(foveal.trace(source, (1, 3, 224, 224)), layer):
        assert (axis.first, axis.stride) == (first, stride)
        assert set(axis.offsets("cell")) == {offset}


def test_the_middle_cell_of_resnet_at_224_looks_at_96() -> None:
    """docs/methods.md 1.7: 16 px from 224 // 2; at 1024 px it is right for ResNet and 15.5 px off for VGG."""
    assert of_layer(foveal.trace("torchvision:resnet18", (1, 3, 224, 224)), "layer4")[0].centers()[3] == 96
    assert of_layer(foveal.trace("torchvision:resnet18", (1, 3, 1024, 1024)), "layer4")[0].centers()[16] == 512
    assert of_layer(foveal.trace("torchvision:vgg16", (1, 3, 1024, 1024)), "features")[0].centers()[16] == 527.5


def test_a_placed_map_peaks_where_the_unit_looks() -> None:
    """Perturb pixel by pixel a network that reads one pixel a unit: the placed map has its maximum at that pixel."""
    model = nn.Conv2d(1, 1, 1, stride=4, bias=False).eval()
    nn.init.ones_(model.weight)
    graph = foveal.trace(nn.Sequential(model), (1, 1, 16, 16))
    where = places(foveal.receptive_field(graph, "0"))
    assert where is not None
    with torch.no_grad():
        for row, column in ((0, 0), (4, 8), (12, 12)):
            image = torch.zeros(1, 1, 16, 16)
            image[0, 0, row, column] = 1
            placed = place_map(model(image)[0, 0].numpy(), where)
            assert placed.shape == (16, 16)
            assert placed.max() == 1
            assert placed[row, column] == 1
            resized = resized_map(model(image)[0, 0].numpy(), (16, 16), align_corners=False)
            # Resized, the same unit's value stands 1.5 px further on; only the first one's reaches back to its pixel.
            assert (resized[row, column] < 1) == (row > 0)


@pytest.mark.parametrize("align", [True, False])
def test_resized_maps_are_those_of_torch(align: bool) -> None:
    values = np.random.default_rng(0).random((5, 3))
    expected = torch.nn.functional.interpolate(
        torch.tensor(values)[None, None], (20, 12), mode="bilinear", align_corners=align
    )
    assert resized_map(values, (20, 12), align) == pytest.approx(expected[0, 0].numpy())


def test_a_map_of_another_shape_is_refused() -> None:
    where = places(foveal.receptive_field(foveal.trace(SOUND), "conv3"))
    assert where is not None
    with pytest.raises(FovealError, match=r"conv3: a map of its units has shape \(16, 16\), got \(7, 7\)"):
        place_map(np.zeros((7, 7)), where)


def test_layers_without_even_places_have_none() -> None:
    graph = foveal.trace("input=3x30x30 conv3x8,s2 up2 conv3x8 gap fc10")
    assert places(foveal.receptive_field(graph, "fc1")) is None
    assert places(foveal.receptive_field(graph, "conv2")) is None


def test_each_placement_is_shown_once() -> None:
    graph = foveal.trace(SHIFTED)
    assert [where.layer for where in placed_layers(graph, graph.sources[0])] == ["conv1", "conv2", "conv3"]
    assert [where.layer for where in placed_layers(graph, graph.sources[0], "conv*")] == ["conv1", "conv2", "conv3"]
    with pytest.raises(UnknownLayerError):
        audit(graph, "registration", layer="stage*")


def test_a_sound_network_gets_no_finding() -> None:
    """2x2 poolings keep units in the middle of their cells, and 15 units have one that looks at the middle of 60 px."""
    graph = foveal.trace("input=3x60x60 conv3x8 pool2 conv3x8 pool2 conv3x8 gap fc10")
    found = audit(graph, "registration")
    assert found.table("placement").column("to cell") == ("0", "0", "0")
    assert codes(found) == []


def test_units_beside_their_cells_are_found() -> None:
    """Strided 3x3 with padding 1: c0 = 0, the middle of the cell is at (8 - 1) / 2."""
    found = audit(foveal.trace(SHIFTED), "registration")
    first = found.findings[0]
    assert (first.code, first.severity, first.layer) == ("REG01", "warning", "conv3")
    assert "look -3.5 px beside the middle of their cells (stride 8 px)" in first.text
    assert "place unit i at pixel 0 + 8 i" in first.change


def test_a_stretched_map_is_found() -> None:
    """Valid 5x5 poolings of stride 4 on 36 px: 9 units less 2 at either side; cells of 36 / 5 px for a stride of 4."""
    found = audit(foveal.trace("input=3x36x36 conv3x8 pool4 conv5x8,valid gap fc10"), "registration")
    assert "REG03" in codes(found)
    text = next(f.text for f in found.findings if f.code == "REG03")
    assert "a cell gets 7.2 px for a stride of 4 px" in text
    assert "move by 6.4 px" in text


def test_misaligned_branches_are_found() -> None:
    """docs/cases.md C6: a branch padded before and one padded behind look 2 px apart."""
    graph = foveal.trace("input=3x32 conv3x8 [conv3x8,p2:0 | conv3x8,p0:2] gap fc4")
    (join,) = misplaced_joins(graph, graph.sources[0])
    assert join.apart == (2,)
    assert join.layer == "add1"
    found = audit(graph, "registration")
    assert "REG02" in codes(found)


def test_several_joins_make_one_finding() -> None:
    """A 2x2 average beside a strided 3x3, as in many shortcuts: half a stride apart, 0.5 and then 1 px."""
    block = "[conv3x8,s2 | avgpool2 conv1x8]"
    found = audit(foveal.trace(f"input=3x32x32 conv3x8 {block} {block} {block} gap fc10"), "registration")
    (finding,) = [f for f in found.findings if f.code == "REG02"]
    assert found.table("branches apart").column("centers apart px") == ("0.5", "1", "2")
    assert finding.layer == "add3"
    assert "so do 1 other joins" in finding.text


def test_windows_of_attention_have_no_even_places() -> None:
    graph = foveal.trace("torchvision:swin_t", (1, 3, 224, 224))
    shown = {where.layer for where in placed_layers(graph, graph.sources[0])}
    assert shown == {"features.0.0"}


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "googlenet"])
def test_branches_of_known_networks_agree(name: str) -> None:
    graph = foveal.trace(f"torchvision:{name}", (1, 3, 224, 224))
    assert misplaced_joins(graph, graph.sources[0]) == []


def test_two_ports_of_one_model() -> None:
    """docs/cases.md C16: SAME padding of an even length puts the odd pixel behind, so unit o looks at 2 o + 1."""
    here = "input=3x64x64 conv3x8,s2 conv3x8,s2 gap fc10"
    there = "input=3x64x64 conv3x8,s2,same conv3x8,s2,same gap fc10"
    steps = ports(foveal.trace(here), foveal.trace(there))
    assert [(step.first.layer, step.apart) for step in steps] == [("conv1", (1, 1)), ("conv2", (3, 3))]
    found = audit(foveal.trace(here), "registration", other=there)
    finding = next(f for f in found.findings if f.code == "REG05")
    assert finding.layer == "conv1"
    assert "looks 1 px elsewhere" in finding.text
    assert "at conv2 it is 3 px" in finding.text
    assert found.table("ports").column("apart px") == ("1", "3")


def test_equal_ports_agree() -> None:
    found = audit(foveal.trace(SOUND), "registration", other=SOUND)
    assert "REG05" not in codes(found)
    assert "0 of" in found.summary[1]


def test_ports_by_measurement() -> None:
    """The two ports as real modules: the pixels that change a unit are 1 px apart on average."""

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(nn.functional.pad(x, (0, 1, 0, 1)))

    plain = nn.Sequential()
    plain.add_module("conv", nn.Conv2d(1, 1, 3, stride=2, padding=1))
    middles = []
    for model in (plain, Same()):
        image = torch.zeros(1, 1, 16, 16, requires_grad=True)
        model(image)[0, 0, 3, 3].backward()
        assert image.grad is not None
        middles.append(torch.nonzero(image.grad[0, 0]).double().mean(dim=0).tolist())
    steps = ports(foveal.trace(plain, (1, 1, 16, 16)), foveal.trace(Same(), (1, 1, 16, 16)))
    centers = [[float(axis.centers()[3]) for axis in side.axes] for side in steps[0].sides]
    assert centers == middles


def test_inverse_map() -> None:
    """Units 8 px apart with fields of 15 px about 0, 8, ...: pixel 0 is seen by unit 0 alone (7 px reach)."""
    table = audit(foveal.trace(SHIFTED), "registration").table("inverse map")
    assert table.column("pixel")[1] == "32, 32"
    assert table.column("nearest unit") == ("0, 0", "4, 4", "7, 7")
    assert table.column("units that see it")[0] == 1


def test_registration_report(golden: Callable[[str], None]) -> None:
    golden(str(audit(foveal.trace(SHIFTED), "registration")))


@pytest.mark.parametrize("figure", ["places", "offsets"])
def test_pictures(figure: str) -> None:
    drawn = audit(foveal.trace(SHIFTED), "registration").figure(figure)
    assert "conv3" in drawn.axes[0].get_title()
    assert drawn.axes[0].has_data()


def test_no_image_no_places() -> None:
    with pytest.raises(FovealError, match="no layer is a map over 'input' whose units advance evenly"):
        audit(foveal.trace("input=3x8x8 fc10"), "registration")


def test_an_even_number_of_units_has_none_in_the_middle() -> None:
    """Patches of 16 px, 14 units: unit 7 looks at 119.5, half a stride from the middle, as it must."""
    assert "REG04" not in [
        f.code for f in audit(foveal.trace("input=3x224x224 conv16x8,s16,p0"), "registration").findings
    ]
