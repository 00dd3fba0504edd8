"""Published and derived values of torchvision's networks, read from layer names, unclipped, at the default input size.

Sizes, strides and effective paddings follow the chain recursion of Araujo et al. 2019 (doi 10.23915/distill.00021) over
each network's own layer list. A stride is read off the result like every other number.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from torch import nn

import foveal
from foveal import Graph
from foveal.fields.receptive_field import ReceptiveField
from foveal.frontends.torch.files.read import load
from support.networks.published_networks import RetinaNetMaps, ValidUNet, paper_googlenet, patch_gan
from support.networks.swin_windows import stage_boxes

HALF = Fraction(1, 2)

# model, layer, size, stride, start, center of unit 0
CHAINS: list[tuple[str, str, int, int, int, Any]] = [
    ("resnet18", "layer4", 435, 32, -217, 0),
    ("resnet34", "layer4", 899, 32, -449, 0),
    ("resnet50", "layer1", 35, 4, -17, 0),
    ("resnet50", "layer2", 91, 8, -45, 0),
    ("resnet50", "layer3", 267, 16, -133, 0),
    ("resnet50", "layer4", 427, 32, -213, 0),
    ("resnet101", "layer3", 811, 16, -405, 0),
    ("resnet101", "layer4", 971, 32, -485, 0),
    ("resnet152", "layer4", 1451, 32, -725, 0),
    ("vgg11", "features", 150, 32, -59, 15 + HALF),
    ("vgg13", "features", 156, 32, -62, 15 + HALF),
    ("vgg16", "features", 212, 32, -90, 15 + HALF),
    ("vgg19", "features", 268, 32, -118, 15 + HALF),
    ("alexnet", "features", 195, 32, -66, 31),
    ("densenet121", "features", 2071, 32, -1021, 14),
    ("densenet169", "features", 3351, 32, -1661, 14),
    ("densenet201", "features", 3863, 32, -1917, 14),
    ("mobilenet_v2", "features", 491, 32, -245, 0),
    ("convnext_tiny", "features", 1688, 32, -828, 15 + HALF),
    ("convnext_small", "features", 3416, 32, -1692, 15 + HALF),
    ("convnext_base", "features", 3416, 32, -1692, 15 + HALF),
    ("inception_v3", "Mixed_5d", 127, 8, -50, 13),
    ("inception_v3", "Mixed_6e", 927, 16, -442, 21),
    ("inception_v3", "Mixed_7c", 1311, 32, -618, 37),
    # Its fourth pooling is 2x2, not the paper's 3x3, and its 5x5 branches are 3x3.
    ("googlenet", "inception5b", 379, 32, -167, 22),
    ("vit_b_16", "conv_proj", 16, 16, 0, 7 + HALF),
]


@cache
def traced(name: str) -> Graph:
    return foveal.trace(f"torchvision:{name}")


def both(number: Any) -> tuple[Any, Any]:
    return number, number


def numbers(rf: ReceptiveField) -> tuple[Any, ...]:
    return rf.status, rf.size, rf.stride, rf.start, rf.center()


@pytest.mark.parametrize(("model", "layer", "size", "stride", "start", "center"), CHAINS)
def test_chains(model: str, layer: str, size: int, stride: int, start: int, center: Any) -> None:
    rf = foveal.receptive_field(traced(model), layer)
    assert numbers(rf) == ("exact", both(size), both(stride), both(start), both(center))
    assert rf.sizes == both((size, size)), "unclipped, all units are alike"
    assert rf.period == (1, 1)
    unit = tuple(n // 2 for n in rf.grid)
    assert rf.center(unit) == tuple(center + stride * i for i in unit)


@pytest.mark.parametrize(("model", "size"), [("vgg11", 342), ("vgg13", 348), ("vgg16", 404), ("vgg19", 460)])
def test_first_fully_connected_layer_of_vgg(model: str, size: int) -> None:
    """One unit that sees what the 7x7 map of the last pooling sees: six strides of 32 more. There is no stride."""
    rf = foveal.receptive_field(traced(model), "classifier.0")
    assert rf.grid == ()
    assert (rf.size, rf.stride, rf.clipped_size) == (both(size), both(None), both(224))


def test_efficientnet_has_a_local_rf_beside_its_gates() -> None:
    rf = foveal.receptive_field(traced("efficientnet_b0"), "features")
    assert rf.clipped_sizes == both((224, 224)), "squeeze-and-excitation sees the whole image"
    assert rf.local is not None
    assert numbers(rf.local) == ("exact", both(851), both(32), both(-425), both(0))


@pytest.mark.parametrize(("five", "size"), [(False, 395), (True, 715)])
def test_googlenet_as_in_the_paper(five: bool, size: int) -> None:
    rf = foveal.receptive_field(foveal.trace(paper_googlenet(five), (1, 3, 224, 224)), "inception5b")
    assert (rf.status, rf.size, rf.stride) == ("exact", both(size), both(32))


STAGES = ("features.1", "features.3", "features.5", "features.7")


@pytest.mark.slow
@pytest.mark.parametrize(("length", "largest"), [(224, (56, 168, 224, 224)), (1792, (56, 168, 840, 1288))])
def test_swin_stages(length: int, largest: tuple[int, ...]) -> None:
    """Every unit of every stage equals plain window arithmetic; shifted windows do not wrap, thanks to the mask."""
    graph = foveal.trace("torchvision:swin_t", (1, 3, length, length))
    for layer, size, boxes in zip(STAGES, largest, stage_boxes(length)):
        rf = foveal.receptive_field(graph, layer)
        assert (rf.status, rf.size, rf.clipped_size) == ("exact", both(size), both(size)), layer
        assert len(boxes) == rf.grid[0] == rf.grid[1]
        for i, (first, last) in enumerate(boxes):
            assert rf.box((i, i), clip=True) == both((first, last + 1)), (layer, i)


def test_swin_at_its_default_size_varies_from_unit_to_unit() -> None:
    """Stage 2: 140 to 168 inside, 84 in the cut windows at both ends."""
    graph = foveal.trace("torchvision:swin_t")
    rf = foveal.receptive_field(graph, "features.3")
    lengths = [rf.box((i, 14), clip=True)[0] for i in range(28)]
    sizes = [last - first for first, last in lengths]
    assert sorted(set(sizes[3:24])) == [140, 168]
    assert set(sizes[:3] + sizes[24:]) == {84}


def test_patch_gan() -> None:
    """pix2pix: 4, 7 (backwards) ... forwards 4, 10, 22, 46, 70, stride 8, 30 x 30 outputs at 256."""
    graph = foveal.trace(patch_gan(), (1, 3, 256, 256))
    assert [foveal.receptive_field(graph, layer).size for layer in "01234"] == [both(n) for n in (4, 10, 22, 46, 70)]
    rf = foveal.receptive_field(graph, "4")
    assert (rf.grid, rf.stride) == ((30, 30), (8, 8))
    assert rf.box((15, 15))[0] == (97, 167)
    assert rf.box((0, 0), clip=True)[0] == (0, 47)


@pytest.mark.parametrize(("strided", "size"), [(0, 7), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_patch_gan_family(strided: int, size: int) -> None:
    """One to six strided layers before the two last ones: each more doubles what the last ones see."""
    graph = foveal.trace(patch_gan(strided), (1, 3, 256, 256))
    rf = foveal.receptive_field(graph, str(strided + 1))
    assert (rf.size, rf.stride) == (both(size), both(2**strided))


def test_patch_gan_counted_backwards() -> None:
    """What one output sees of the maps before it: 4, 7, 16, 34, 70 (the tails of the network, traced alone)."""
    layers = list(patch_gan())
    sizes = []
    for tail in range(1, 6):
        first = nn.Sequential(*layers[-tail:])
        graph = foveal.trace(first, (1, first[0].in_channels, 96, 96))
        sizes.append(foveal.receptive_field(graph, str(tail - 1)).size[0])
    assert sizes == [4, 7, 16, 34, 70]


RETINANETS = [
    # Levels P3 to P7 as (smallest, largest); then after the five 3x3 of a head.
    (
        "retinanet_resnet50_fpn_v2",
        [(427, 459), (459,) * 2, (491,) * 2, (491,) * 2, (619,) * 2],
        [523, 619, 811, 1131, 1899],
    ),
    # The older one derives P6 from P5 instead of C5: 64 pixels more.
    (
        "retinanet_resnet50_fpn",
        [(427, 459), (459,) * 2, (491,) * 2, (555,) * 2, (683,) * 2],
        [523, 619, 811, 1195, 1963],
    ),
]


@pytest.mark.parametrize(("name", "levels", "heads"), RETINANETS)
def test_retinanet_pyramid(name: str, levels: list[tuple[int, int]], heads: list[int]) -> None:
    """The union over the top-down path: P3 does not see 91 pixels but 427 to 459, by phase."""
    graph = foveal.trace(RetinaNetMaps(name), (1, 3, 512, 512))
    for level, (key, sizes) in enumerate(zip(("0", "1", "2", "p6", "p7"), levels)):
        rf = foveal.receptive_field(graph, f"backbone.{key}")
        assert (rf.status, rf.sizes, rf.stride) == ("exact", both(sizes), both(8 * 2**level)), key
    for level, size in enumerate(heads):
        call = "" if level == 0 else f"#{level + 1}"
        rf = foveal.receptive_field(graph, f"head.regression_head.bbox_reg{call}")
        rf = rf.local or rf
        assert (rf.sizes, rf.stride) == (both((size, size)), both(8 * 2**level)), level


def test_first_u_net_has_two_sizes() -> None:
    """572 -> 388: 188 or 204 by output phase; the context around an output pixel is 92 to 107."""
    rf = foveal.receptive_field(foveal.trace(ValidUNet(4), (1, 1, 572, 572)), "head")
    assert rf.grid == (388, 388)
    assert (rf.status, rf.sizes, rf.period, rf.stride) == ("exact", both((188, 204)), both(16), both(1))
    boxes = [rf.box((i, 0))[0] for i in range(388)]
    shift = (572 - 388) // 2
    assert min(i + shift - first for i, (first, _) in enumerate(boxes)) == 92
    assert max(last - 1 - i - shift for i, (_, last) in enumerate(boxes)) == 107


def test_default_inputs_are_those_of_the_weights() -> None:
    assert load("torchvision:inception_v3").inputs == (1, 3, 299, 299)
    assert load("torchvision:resnet50").inputs == (1, 3, 224, 224)
