"""The PyTorch front end: names, constants, containers, fallbacks, and that the model comes back as it was."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from foveal import receptive_field, trace
from foveal.core.errors import TraceError, UnknownLayerError
from foveal.frontends.torch.files.read import load
from foveal.frontends.torch.trace import trace_module
from foveal.ir.graph import Graph
from foveal.ir.ops import Place, Sample

IMAGE = (1, 3, 32, 32)


def op_names(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return torchvision.models.resnet50(weights=None)


def test_layer_names_of_resnet50(resnet: nn.Module) -> None:
    graph = trace(resnet, (1, 3, 224, 224)).verify()
    assert graph.layers[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert graph.layers[-5:] == ["layer4", "avgpool", "flatten", "fc", "output"]
    block = [name for name in graph.layers if name.startswith("layer1.1")]
    expected = ["conv1", "bn1", "relu", "conv2", "bn2", "relu#2", "conv3", "bn3", "add", "relu#3"]
    assert block == [f"layer1.1.{name}" for name in expected] + ["layer1.1"]
    layer = graph.layer("layer1.1.conv2")
    assert (layer.kind, layer.type, layer.parameters, layer.leaf) == ("module", "Conv2d", 36864, True)
    assert (graph.layer("layer1.1.add").kind, graph.layer("layer1").leaf) == ("operation", False)
    assert graph.parameters == sum(p.numel() for p in resnet.parameters())
    assert graph.notes == []


def test_receptive_fields_of_resnet50(resnet: nn.Module) -> None:
    graph = trace(resnet, (1, 3, 224, 224))
    assert [receptive_field(graph, f"layer{k}").size[0] for k in (1, 2, 3, 4)] == [35, 91, 267, 427]


def snapshot(model: nn.Module) -> dict[str, Any]:
    state: dict[str, Any] = {name: (id(item), item.clone()) for name, item in model.state_dict(keep_vars=True).items()}
    state["flags"] = [module.training for module in model.modules()]
    state["attributes"] = [{key: id(item) for key, item in vars(module).items()} for module in model.modules()]
    hooks = torch.nn.modules.module
    state["hooks"] = (len(hooks._global_forward_hooks), len(hooks._global_forward_pre_hooks))
    state["fused"] = torch.backends.mha.get_fastpath_enabled()
    return state


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for name, item in before.items():
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Tensor):
            assert item[0] == after[name][0]
            assert torch.equal(item[1], after[name][1])
        else:
            assert item == after[name], name


class Counting(nn.Module):
    """Writes a buffer and sets attributes while it runs; stops where it is told."""

    def __init__(self, error: type[BaseException] | None = None) -> None:
        super().__init__()
        self.norm = nn.utils.weight_norm(nn.Conv2d(3, 4, 3)) if error is None else nn.Conv2d(3, 4, 3)
        self.batch = nn.BatchNorm2d(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.register_buffer("calls", torch.zeros(1))
        self.table = torch.zeros(3)
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.table.add_(1)
        self.seen = x.shape
        y = self.batch(self.norm(x)).flatten(2).transpose(1, 2)
        if self.error is not None:
            raise self.error("stop")
        return self.attention(y, y, y)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [False, True])
def test_the_model_comes_back_as_it_was(training: bool) -> None:
    model = Counting()
    model.batch.eval()
    before = snapshot(model)
    trace(model, IMAGE, training=training)
    assert_same(before, snapshot(model))
    assert torch.equal(model.table, torch.zeros(3))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_model_comes_back_after_an_exception(error: type[BaseException]) -> None:
    model = Counting(error)
    before = snapshot(model)
    with pytest.raises(TraceError if error is ValueError else error):
        trace(model, IMAGE)
    assert_same(before, snapshot(model))
    assert torch.equal(model.table, torch.zeros(3))


def test_a_wrong_shape_names_the_layer_and_the_shape(resnet: nn.Module) -> None:
    with pytest.raises(
        TraceError, match=r"expected input\[1, 4, 64, 64\].*at layer 'conv1' \(Conv2d\), input shape 1x4x64x64"
    ):
        trace(resnet, (1, 4, 64, 64))


def test_unknown_layer_names_the_closest(resnet: nn.Module) -> None:
    with pytest.raises(UnknownLayerError, match=r"layer4"):
        trace(resnet, (1, 3, 64, 64)).layer("layer5")


Pair = namedtuple("Pair", "low high")


@dataclasses.dataclass
class Output:
    logits: Tensor
    extra: Tensor | None = None


class Containers(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.body = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Any:
        y = self.body(x)
        made = {
            "dict": {"out": y + 1, "aux": y * 2},
            "list": [y + 1, y * 2],
            "tuple": (y + 1, (y * 2,)),
            "namedtuple": Pair(y + 1, y * 2),
            "dataclass": Output(y + 1),
        }
        return made[self.kind]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("dict", ["output.out", "output.aux"]),
        ("list", ["output.0", "output.1"]),
        ("tuple", ["output.0", "output.1.0"]),
        ("namedtuple", ["output.low", "output.high"]),
        ("dataclass", ["output.logits"]),
    ],
)
def test_output_containers(kind: str, names: list[str]) -> None:
    assert [name for name in trace(Containers(kind), IMAGE).layers if name.startswith("output")] == names


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(torch.relu(self.conv(x)))) + self.conv(x)


def test_reused_modules_and_operations_count() -> None:
    graph = trace(Reused(), IMAGE)
    assert graph.layers == ["conv", "relu", "conv#2", "relu#2", "conv#3", "output"]
    assert receptive_field(graph, "output").size == (5, 5)


def test_tied_weights_are_one_parameter() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
    model[1].weight = model[0].weight
    graph = trace(model, IMAGE)
    kernels = {node.inputs[1] for node in graph.nodes if len(node.inputs) > 1}
    assert len(kernels) == 1
    assert model[1].weight is model[0].weight


class Constants(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(x.shape[-1], device=x.device)
        table = torch.tensor([1.0, 0.0], device=x.device)
        if (place > 3).any() and table.sum().item() == 1:
            chosen = place[place % 2 == 0]
            x = x[..., chosen]
        mask = x.new_zeros(x.shape[-1]).to(x.device)
        mask[: len(torch.nonzero(place > 29))] = -100.0
        return (x + mask.type_as(x)).softmax(-1)


def test_constants_are_known_by_value() -> None:
    graph = trace(Constants(), IMAGE)
    assert graph.notes == []
    assert "Take" in op_names(graph)
    masks = [value.data for value in graph.values if value.kind == "constant" and value.data is not None]
    assert any(np.array_equal(mask, [-100.0, -100.0] + [0.0] * 14) for mask in masks)


@pytest.mark.parametrize("source", ["torchvision:swin_t", "timm:swin_tiny_patch4_window7_224"])
def test_swin_masks_are_known_by_value(source: str) -> None:
    graph = trace(source)
    assert graph.notes == []
    masks = [v.data for v in graph.values if v.kind == "constant" and v.data is not None and v.data.ndim >= 3]
    assert any(set(np.unique(mask)) == {-100.0, 0.0} for mask in masks)


def test_published_sizes_of_swin_t() -> None:
    graph = trace("torchvision:swin_t", (1, 3, 1344, 1344))
    found = [receptive_field(graph, f"features.{k}").size[0] for k in (1, 3, 5, 7)]
    assert found == [56, 168, 840, 1288]


def test_weights_by_value() -> None:
    model = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        model.weight.zero_()
        model.weight[0, 0, 1, 1] = 1
    assert receptive_field(trace(model, (1, 1, 8, 8)), "output").size == (3, 3)
    assert receptive_field(trace(model, (1, 1, 8, 8), weights="values"), "output").size == (1, 1)


class Promoted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out = x.new_zeros(x.shape)
        out[:, :, 1:] = x[:, :, :-1]
        view = out[:, :, :, 2:]
        out.mul_(2)
        view.relu_()
        return out


def test_in_place_writes_into_views_and_constants() -> None:
    graph = trace(Promoted(), IMAGE)
    assert op_names(graph).count("Place") == 2
    assert all(isinstance(node.op, Place) or node.output for node in graph.nodes)
    rf = receptive_field(graph, "output")
    assert rf.size == (1, 1)
    assert rf.box((5, 5)) == ((4, 5), (5, 6))


class Reads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y * 2 if y.mean() > 1e9 else y[y > 0].sum() + y


def test_a_model_that_reads_data_runs_on_real_tensors() -> None:
    graph = trace(Reads(), IMAGE)
    assert graph.notes[0].code == "real-tensors"
    assert "data-dependent" in {note.code for note in graph.notes}
    assert receptive_field(graph, "conv").size == (3, 3)
    assert any(isinstance(node.op, Sample) for node in graph.nodes)


class OnlyOnAnotherDevice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.conv(x)
        raise NotImplementedError("no kernel for this device")


def test_what_comes_before_a_refusal_is_kept() -> None:
    graph = trace(OnlyOnAnotherDevice(), IMAGE)
    assert graph.layers == ["conv"]
    assert [note.code for note in graph.notes] == ["partial"]
    assert "no kernel for this device" in graph.notes[-1].text


class TwoInputs(nn.Module):
    def forward(self, image: Tensor, mask: Tensor, scale: float = 1.0) -> Tensor:
        return image * scale + nn.functional.avg_pool2d(mask, 3, 1, 1)


@pytest.mark.parametrize(
    "inputs",
    [
        ((1, 1, 8, 8), (1, 1, 8, 8)),
        {"image": (1, 1, 8, 8), "mask": (1, 1, 8, 8)},
        (torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), 2.0),
        {"a": (1, 1, 8, 8), "b": (1, 1, 8, 8)},
    ],
)
def test_several_inputs(inputs: Any) -> None:
    graph = trace(TwoInputs(), inputs)
    assert [receptive_field(graph, "output", source=s.name).size for s in graph.sources] == [(1, 1), (3, 3)]


def test_axes_may_be_named() -> None:
    graph = trace(nn.Linear(3, 4), (1, 8, 9, 3), axes="NHWC")
    assert graph.sources[0].axes == (1, 2)
    assert trace(nn.Embedding(10, 4), torch.zeros(1, 8, dtype=torch.long)).sources[0].axes == (1,)


MODELS = [
    "resnet18",
    "swin_t",
    "densenet121",
    "googlenet",
    "mobilenet_v3_small",
    "lraspp_mobilenet_v3_large",
    "shufflenet_v2_x0_5",
]


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes_equal_those_of_a_real_run(name: str) -> None:
    model = load(f"torchvision:{name}").model
    graph = trace_module(model, (1, 3, 64, 64)).verify()
    found = graph.backend.run(graph.backend.example(0), graph.layers, dtype="float32")
    assert [found[name].shape for name in graph.layers] == [
        graph.values[graph.layer(name).value].shape for name in graph.layers
    ]


def test_runner_reads_layers_before_they_are_overwritten() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    graph = trace(model, IMAGE)
    found = graph.backend.run(graph.backend.example(0), ["0", "1"])
    assert found["0"].dtype == np.float64
    assert found["0"].min() < 0
    assert np.array_equal(np.maximum(found["0"], 0), found["1"])
