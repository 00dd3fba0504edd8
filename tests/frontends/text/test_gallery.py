"""The gallery: hand arithmetic, published values, and agreement with torchvision layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from foveal import receptive_field
from foveal.core.errors import SourceError
from foveal.engine.cost import multiply_adds
from foveal.frontends.text import gallery
from foveal.frontends.text.trace import parse_spec, trace_spec
from foveal.ir.graph import Graph
from support.needs import needs

FROM_TORCHVISION = [
    "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "inception_v3", "mobilenet_v2",
]  # fmt: skip


def network(name: str, *space: int) -> Graph:
    """A network of the gallery, at its own input or at another one."""
    own = parse_spec(gallery.text(name)).input
    assert own is not None
    return trace_spec(f"gallery:{name}", (1, own[0], *space) if space else None)


@pytest.mark.parametrize("name", gallery.names())
def test_every_network_traces_at_its_own_input(name: str) -> None:
    graph = network(name)
    assert graph.name == name
    assert receptive_field(graph, graph.layers[-1]).status == "exact"


def test_unknown_name() -> None:
    with pytest.raises(SourceError, match="no network 'vgg15'; closest: vgg1"):
        trace_spec("gallery:vgg15")


@pytest.mark.parametrize(
    ("name", "pool", "fc"), [("vgg11", 150, 342), ("vgg13", 156, 348), ("vgg16", 212, 404), ("vgg19", 268, 460)]
)
def test_vgg(name: str, pool: int, fc: int) -> None:
    """The last pool, and the first fully connected layer as a 7x7 window on it. Stride 32 (docs/methods.md 1.6)."""
    graph = network(name)
    last = receptive_field(graph, "pool5")
    assert (last.size, last.stride) == ((pool, pool), (32, 32))
    assert receptive_field(graph, "fc1").size == (fc, fc)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", (43, 99, 211, 435)),
        ("resnet34", (59, 179, 547, 899)),
        ("resnet50", (35, 91, 267, 427)),
        ("resnet101", (35, 91, 811, 971)),
        ("resnet152", (35, 155, 1291, 1451)),
    ],
)
def test_resnet_stages(name: str, stages: tuple[int, ...]) -> None:
    """Stage ends with the stride in the 3x3 (docs/methods.md 1.6); centred on multiples of the stride."""
    graph = network(name)
    for index, size in enumerate(stages, 1):
        found = receptive_field(graph, f"layer{index}")
        assert found.size == (size, size)
        assert found.stride == (2 ** (index + 1),) * 2
        assert found.start == (-(size // 2),) * 2


def test_mobilenets() -> None:
    """315 as published for version 1; 491, 32, 245 for version 2 (docs/methods.md 1.6)."""
    first, second = network("mobilenet_v1"), network("mobilenet_v2")
    assert receptive_field(first, "conv27").size == (315, 315)
    found = receptive_field(second, "conv52")
    assert (found.size, found.stride, found.start) == ((491, 491), (32, 32), (-245, -245))


def test_inception_v3() -> None:
    """The published end points of the TF-slim network, which has the same geometry."""
    graph = network("inception_v3")
    expected = {
        "Mixed_5d": (127, 8, 50),
        "Mixed_6a": (159, 16, 58),
        "Mixed_6e": (927, 16, 442),
        "Mixed_7c": (1311, 32, 618),
    }
    for name, (size, stride, padding) in expected.items():
        found = receptive_field(graph, name)
        assert (found.size[0], found.stride[0], found.start[0]) == (size, stride, -padding)


def test_patchgan() -> None:
    """70, jump 8, 30 outputs; unit 15 sees 97 to 166, the border unit 47 pixels (case C25)."""
    found = receptive_field(network("patchgan"), "conv5")
    assert (found.size, found.stride, found.grid) == ((70, 70), (8, 8), (30, 30))
    assert found.box((15, 15)) == ((97, 167), (97, 167))
    assert found.box((0, 0), clip=True) == ((0, 47), (0, 47))


@pytest.mark.parametrize(("layers", "size"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286), (6, 574)])
def test_patchgan_by_depth(layers: int, size: int) -> None:
    graph = trace_spec(f"{layers}*conv4x8,s2 2*conv4x8", (1, 6, 512, 512))
    assert receptive_field(graph, graph.layers[-1]).size == (size, size)


@pytest.mark.parametrize(("name", "size"), [("tcn", 29), ("wavenet_stack", 1024), ("wavenet", 3070)])
def test_causal_networks(name: str, size: int) -> None:
    """Sizes of docs/methods.md 8; nothing is read ahead."""
    graph = network(name)
    found = receptive_field(graph, graph.layers[-1])
    assert (found.size, found.lookback, found.lookahead) == ((size,), (size - 1,), (0,))


def test_unet_phases() -> None:
    """188 to 204 by output phase, between 92 and 107 on either side; 572 gives 388 (docs/methods.md 6.3)."""
    graph = network("unet_valid")
    found = receptive_field(graph, graph.layers[-1])
    assert found.grid == (388, 388)
    assert found.sizes == ((188, 204), (188, 204))
    assert found.period == (16, 16)
    padded = receptive_field(network("unet", 320, 320), "conv1")
    assert padded.grid == (320, 320)
    assert padded.lookback == padded.lookahead == (107, 107)


def test_dilated_stacks() -> None:
    """67 for the context module of Yu and Koltun; 17 for 1 2 5; 13 for 2 2 2."""
    sizes = {
        name: receptive_field(network(name), "conv3" if "dilation" in name else "conv8").size
        for name in ("dilated_context", "hybrid_dilation", "gridding_dilation")
    }
    assert sizes == {"dilated_context": (67, 67), "hybrid_dilation": (17, 17), "gridding_dilation": (13, 13)}


def test_atrous_pyramid() -> None:
    """Each branch adds 2 x rate x stride to the 15 of the encoder."""
    graph = network("mini_aspp")
    sizes = [receptive_field(graph, f"aspp.conv{i}").size[0] for i in (1, 2, 3, 4)]
    assert sizes == [15, 15 + 96, 15 + 192, 15 + 288]
    assert receptive_field(graph, "aspp").size == (303, 303)


def geometry(graph: Graph, names: Iterable[str]) -> list[tuple[Any, ...]]:
    """Size, stride, start and grid of layers."""
    found = [receptive_field(graph, name) for name in names]
    return [(rf.sizes, rf.stride, rf.start, rf.grid) for rf in found]


def of_type(graph: Graph, *types: str) -> list[str]:
    """Names of the layers of those types, in execution order."""
    return [layer.name for layer in graph.layer_table.values() if layer.type in types]


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_same_as_torchvision(name: str) -> None:
    """Every convolution, pool and linear layer of the traced model has the same numbers; so have weights and cost."""
    torch = needs("torch")
    models = needs("torchvision.models")
    from foveal.frontends.torch.trace import trace_module

    options = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
    with torch.device("meta"):
        model = getattr(models, name)(**options)
    ours = network(name)
    theirs = trace_module(model.eval(), ours.values[0].shape)
    assert ours.parameters == theirs.parameters == sum(weight.numel() for weight in model.parameters())
    assert sum(multiply_adds(ours).values()) == sum(multiply_adds(theirs).values())
    assert geometry(ours, of_type(ours, "conv", "fc")) == geometry(theirs, of_type(theirs, "Conv2d", "Linear"))
    if name != "inception_v3":  # its pools inside blocks are function calls, not modules
        assert geometry(ours, of_type(ours, "pool")) == geometry(theirs, of_type(theirs, "MaxPool2d"))
    blocks = [layer for layer in of_type(ours, "scope") if layer in theirs.layer_table]
    assert geometry(ours, blocks) == geometry(theirs, blocks)
    assert len(blocks) == {"resnet": 4, "incept": 11}.get(name[:6], 0)
