"""Models by name, from files and as exported or scripted programs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from foveal import receptive_field, trace
from foveal.core.errors import SourceError
from foveal.frontends.torch.files.read import load
from support.networks.plain_factory import Small


@pytest.fixture
def exported() -> torch.export.ExportedProgram:
    return torch.export.export(Small().eval(), (torch.randn(1, 3, 16, 16),))


def test_an_exported_program_keeps_the_names(exported: torch.export.ExportedProgram) -> None:
    graph = trace(exported).verify()
    assert graph.layers == trace(Small(), (1, 3, 16, 16)).layers
    assert graph.layer("head").parameters == 148
    assert receptive_field(graph, "output").size == (7, 7)


def test_a_pt2_file(exported: torch.export.ExportedProgram, tmp_path: Path) -> None:
    path = tmp_path / "small.pt2"
    torch.export.save(exported, path)
    graph = trace(str(path))
    assert (graph.name, receptive_field(graph, "head").size) == ("small", (7, 7))


@pytest.mark.slow
def test_exported_resnet_equals_the_module() -> None:
    model = torchvision.models.resnet18(weights=None).eval()
    graph = trace(torch.export.export(model, (torch.randn(1, 3, 64, 64),)))
    other = trace(model, (1, 3, 64, 64))
    assert graph.layers == other.layers
    assert [receptive_field(graph, f"layer{k}").size for k in (1, 2, 3)] == [
        receptive_field(other, f"layer{k}").size for k in (1, 2, 3)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["trace", "script", "file"])
def test_torchscript(how: str, tmp_path: Path) -> None:
    model = Small().eval()
    scripted = torch.jit.script(model) if how == "script" else torch.jit.trace(model, torch.randn(1, 3, 16, 16))
    if how == "file":
        torch.jit.save(scripted, tmp_path / "small.pt")
    graph = trace(str(tmp_path / "small.pt") if how == "file" else scripted, (1, 3, 16, 16)).verify()
    assert receptive_field(graph, "output").size == (7, 7)
    assert graph.parameters == sum(p.numel() for p in model.parameters())


def one_line(error: pytest.ExceptionInfo[SourceError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_broken_files(exported: torch.export.ExportedProgram, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    for name, data in (("cut.pt2", buffer.getvalue()[:900]), ("text.pt", b"no model"), ("empty.pt2", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match="not a readable") as error:
            trace(str(tmp_path / name))
        one_line(error)
    with pytest.raises(SourceError, match="no such file"):
        trace(str(tmp_path / "none.pt2"))


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(Small(), tmp_path / "pickled.pt")
    with pytest.raises(SourceError, match="holds a pickled module, which could run code: give a factory"):
        trace(str(tmp_path / "pickled.pt"), (1, 3, 16, 16))


def rewrite(data: bytes, path: Path, change: dict[str, bytes], add: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as after:
        for name in before.namelist():
            base = name.rsplit("/", 1)[-1]
            after.writestr(name, change.get(base, before.read(name)))
        for name, content in add.items():
            after.writestr(name, content)


class Marks:
    """A pickle of this creates a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (open, (self.path, "w"))


def test_an_archive_that_would_run_code_is_refused(exported: torch.export.ExportedProgram, tmp_path: Path) -> None:
    buffer, mark = io.BytesIO(), tmp_path / "ran"
    torch.export.save(exported, buffer)
    with zipfile.ZipFile(buffer) as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        model = json.loads(archive.read(name))
    pickled = io.BytesIO()
    torch.save((Marks(str(mark)), {}), pickled)
    expression = {"as_expr": {"expr_str": f"open('{mark}', 'w')", "hint": None}}
    cases = {
        "inputs.pt2": ({"model.pt": pickled.getvalue()}, {}),
        "object.pt2": ({}, {f"{name.split('/')[0]}/data/constants/opaque_obj_0": b"x"}),
        "expression.pt2": ({"model.json": json.dumps({**model, "extra": expression}).encode()}, {}),
        "operator.pt2": (
            {"model.json": json.dumps(model).replace("torch.ops.aten.relu.default", "torch.hub.load").encode()},
            {},
        ),
    }
    for file, (change, add) in cases.items():
        rewrite(buffer.getvalue(), tmp_path / file, change, add)
        with pytest.raises(SourceError) as error:
            trace(str(tmp_path / file))
        one_line(error)
        assert not mark.exists()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("torchvision:resnet5", "torchvision has no model 'resnet5'; closest: resnet50"),
        ("timm:resnet5", "timm has no model 'resnet5'; closest: resnet50"),
        ("plain_factory:mak", "plain_factory has no 'mak'; closest: make"),
        ("plain_factory:io", "could not be built|gives a"),
        ("no_such_package.models:make", "could not be imported: No module named 'no_such_package'"),
        ("net.onnx", "net.onnx: No such file or directory"),
    ],
)
def test_sources_that_cannot_be_read(source: str, text: str) -> None:
    with pytest.raises(SourceError, match=text) as error:
        trace(source)
    one_line(error)


def test_a_factory() -> None:
    graph = trace("plain_factory:make", (1, 3, 16, 16))
    assert (graph.name, receptive_field(graph, "output").size) == ("make", (7, 7))


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ("torchvision:resnet18(num_classes=7)", (1, 3, 224, 224)),
        ("timm:vit_tiny_patch16_224?img_size=64&in_chans=1&num_classes=7", (1, 1, 64, 64)),
    ],
)
def test_names_with_options(source: str, shape: tuple[int, ...]) -> None:
    """A patch of 16 in an image of 64: 16 tokens and the class token."""
    graph = trace(source)
    assert graph.values[graph.sources[0].value].shape == shape
    assert graph.values[graph.layer_table["output"].value].shape == (1, 7)
    assert all(value.shape[1] == 17 for value in graph.values if len(value.shape) == 3 and value.shape[2] == 192 * 3)


@pytest.mark.parametrize("source", ["torchvision:regnet_x_400mf", "torchvision:vgg11", "timm:convnext_atto"])
def test_models_built_by_name_cost_nothing_and_keep_their_tables(source: str) -> None:
    loaded = load(source)
    assert all(parameter.is_meta for parameter in loaded.model.parameters() if parameter.dim() > 1)
    assert not any(buffer.is_meta for buffer in loaded.model.buffers())
    assert trace(source).notes == []


def test_detection_and_video_have_default_inputs() -> None:
    graph = trace("torchvision:r3d_18")
    assert graph.sources[0].axes == (2, 3, 4)
    assert graph.values[graph.sources[0].value].shape == (1, 3, 16, 112, 112)
    loaded = load("torchvision:retinanet_resnet50_fpn")
    assert (loaded.inputs, loaded.axes) == (([(3, 800, 800)],), (1, 2))
    assert load("torchvision:ssd300_vgg16").inputs == ([(3, 300, 300)],)


@pytest.mark.slow
def test_images_have_the_size_of_the_weights_by_default() -> None:
    sizes = {name: load(f"torchvision:{name}").inputs for name in ("resnet50", "swin_v2_t", "inception_v3", "vit_h_14")}
    assert sizes == {
        "resnet50": (1, 3, 224, 224),
        "swin_v2_t": (1, 3, 256, 256),
        "inception_v3": (1, 3, 299, 299),
        "vit_h_14": (1, 3, 224, 224),
    }


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dequant(self.second(self.act(self.first(self.quant(x)))))


@pytest.mark.filterwarnings("ignore")
def test_an_int8_model_has_the_same_receptive_field() -> None:
    model = Convolutions().eval()
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    torch.ao.quantization.prepare(model, inplace=True)
    model(torch.randn(1, 3, 16, 16))
    graph = trace(torch.ao.quantization.convert(model), (1, 3, 16, 16)).verify()
    rf = receptive_field(graph, "output")
    assert (rf.size, rf.status) == ((5, 5), "exact")
    assert [note.code for note in graph.notes] == ["real-tensors"]
