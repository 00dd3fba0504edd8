"""Networks of libraries by name, libraries that packages add, and inputs that stand in files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile
from torch import Tensor, nn
from typer.testing import CliRunner, Result

import foveal
from foveal.app.main import app
from foveal.core.errors import SourceError
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.sources import calls, examples, listing, registry
from support.needs import needs
from support.paths import ROOT

OWN_SOURCE = ROOT / "examples" / "own_source"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": None}, catch_exceptions=False)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/extending.md, installed beside a user's packages."""
    needs("hatchling")
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir"]
    done = subprocess.run(
        [sys.executable, *words, "--target", str(tmp_path), str(OWN_SOURCE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.libraries.cache_clear()
    yield
    registry.libraries.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_package_brings_its_own_prefix() -> None:
    graph = foveal.trace("own:plain5")
    assert receptive_field(graph, "output").size == (11, 11)
    assert (graph.name, graph.values[0].shape) == ("plain5", (1, 3, 64, 64))
    assert receptive_field(foveal.trace("own:plain3", (1, 3, 32, 32)), "output").size == (7, 7)
    assert listing.names("own", "*7") == ["own:plain7"]
    assert "own:" in run("list").output
    assert run("list", "own").output.split() == ["own:plain3", "own:plain5", "own:plain7"]
    with pytest.raises(SourceError, match=r"own:plainx could not be built: invalid literal"):
        foveal.trace("own:plainx")


def test_the_documents_show_the_example() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    code = (OWN_SOURCE / "own_source.py").read_text(encoding="utf-8")
    assert code.strip() in text
    assert '[project.entry-points."foveal.sources"]\nown = "own_source"' in text
    assert len(code.splitlines()) <= 16


@pytest.mark.parametrize("library", registry.OWN, ids=lambda library: library.prefix)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    library: registry.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=f"needs {library.package}, which is not installed: pip install "):
        foveal.trace(f"{library.prefix}:anything")


def test_list_of_libraries_and_of_the_gallery() -> None:
    shown = run("list").output
    assert all(f"{library.prefix}:" in shown for library in registry.OWN)
    assert run("list", "gallery", "vgg1[36]").output.split() == ["gallery:vgg13", "gallery:vgg16"]
    with pytest.raises(SourceError, match="there is no library 'nothing'; there are gallery, torchvision"):
        listing.names("nothing")


@pytest.mark.parametrize(
    ("text", "name", "args", "options"),
    [
        ("Unet(resnet34)", "Unet", ("resnet34",), {}),
        ("Unet('resnet34', in_channels=-1)", "Unet", ("resnet34",), {"in_channels": -1}),
        ("UNet(3, channels=(16, 32), norm=None)", "UNet", (3,), {"channels": (16, 32), "norm": None}),
        ("UNet(act=['relu', {'inplace': True}])", "UNet", (), {"act": ["relu", {"inplace": True}]}),
        ("vit?num_hidden_layers=4&act=gelu&x=true", "vit", (), {"num_hidden_layers": 4, "act": "gelu", "x": True}),
        ("a/b-c?d.e=[1, 2]", "a/b-c", (), {"d.e": [1, 2]}),
        ("yolo11n", "yolo11n", (), {}),
    ],
)
def test_arguments_are_read(text: str, name: str, args: Any, options: Any) -> None:
    assert calls.read(text) == calls.Asked(name, args, options)


@pytest.mark.parametrize(
    "text",
    [
        "UNet(__import__('os').system('x'))", "UNet(open('x'))", "UNet(*[1])", "UNet(**{'a': 1})", "UNet(a.b)",
        "UNet(1", "UNet([i for i in (1, 2)])", "UNet(1 + 1)", "UNet(lambda: 1)", "(lambda: 1)()x", "vit?4", "x" * 3000,
        "UNet(" + "(" * 300 + ")" * 300 + ")",
    ],
)  # fmt: skip
def test_arguments_are_never_run(text: str) -> None:
    with pytest.raises(SourceError):
        calls.read(text)


def test_transformers_by_model_type_and_from_a_folder(tmp_path: Path) -> None:
    needs("transformers")
    small = "num_hidden_layers=1&hidden_size=16&intermediate_size=16&num_attention_heads=2"
    graph = foveal.trace(f"hf:vit?{small}&image_size=64")
    assert graph.values[0].shape == (1, 3, 64, 64)
    assert graph.main == "output.last_hidden_state"
    rf = receptive_field(graph, "embeddings.patch_embeddings.projection")
    assert (rf.size, rf.stride, rf.status) == ((16, 16), (16, 16), "exact")

    config = {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_size": 16, "vocab_size": 50,
              "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16,
              "sliding_window": 8}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    graph = foveal.trace(f"hf:{tmp_path}")
    assert graph.main == "output.logits"
    assert receptive_field(graph, "output").size == (29,)  # four windows of eight tokens
    assert receptive_field(graph, "model.layers.0.self_attn").size == (8,)

    code = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(code), encoding="utf-8")
    with pytest.raises(SourceError, match="code of its own, which is not run"):
        foveal.trace(f"hf:{tmp_path}")
    with pytest.raises(SourceError, match="hf has no network 'vitt'; closest: vit"):
        foveal.trace("hf:vitt")
    with pytest.raises(SourceError, match="hf:vit has no setting 'hidden'; closest: hidden_act, hidden_size"):
        foveal.trace("hf:vit?hidden=3")
    with pytest.raises(SourceError, match=r"not in the cache.*hf:vit\?num_hidden_layers=4"):
        foveal.trace("hf:nobody/nothing")


def test_a_failed_call_says_what_a_model_of_several_inputs_takes() -> None:
    needs("transformers")
    part = "hidden_size=16&{0}.intermediate_size=16&{0}.num_hidden_layers=1&{0}.num_attention_heads=2"
    text, vision = (f"{name}.{part.format(name)}" for name in ("text_config", "vision_config"))
    source = f"hf:clip?{text}&{vision}&vision_config.image_size=64&vision_config.patch_size=32"
    with pytest.raises(foveal.FovealError, match=r"forward takes .*--input input_ids=int:1,64 --input pixel"):
        foveal.trace(source, (1, 3, 64, 64))
    graph = foveal.trace(source)
    assert [item.name for item in graph.sources] == ["input_ids", "pixel_values"]


def test_segmentation_models_by_architecture_and_encoder() -> None:
    needs("segmentation_models_pytorch")
    graph = foveal.trace("smp:Unet(resnet18, encoder_depth=3, decoder_channels=(16, 8, 4))", (1, 3, 64, 64))
    assert receptive_field(graph, "encoder.layer1.0").size == (27, 27)
    with pytest.raises(SourceError, match="smp has no network 'Unett'; closest: Unet"):
        foveal.trace("smp:Unett")


class Ear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 5)
        self.example_input_array = torch.zeros(1, 2, 100)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.words = nn.Conv2d(3, 4, 3), nn.Embedding(300, 4)

    def forward(self, image: Tensor, ids: Tensor, scale: float) -> Tensor:
        found: Tensor = self.conv(image) * scale + self.words(ids).mean(1)[:, :, None, None]
        return found


def test_inputs_from_files(tmp_path: Path) -> None:
    photo, sound, words = tmp_path / "photo.png", tmp_path / "声音 1.wav", tmp_path / "words.txt"
    Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(photo)
    wavfile.write(sound, 8000, np.full(500, 1 << 14, np.int16))
    words.write_text("seven b", encoding="utf-8")
    np.savez(tmp_path / "call.npz", image=np.zeros((1, 3, 20, 24), np.float32), ids=np.ones((1, 5), int))

    shape = {"image": (1, 3, 32, 32), "ids": torch.zeros(1, 9, dtype=torch.int64)}
    read = examples.read({"image": photo, "ids": str(words)}, shape)
    assert read["image"].shape == (1, 3, 32, 32)
    assert read["image"].max() == read["image"].min() == 1
    assert bytes(read["ids"][0].tolist()) == b"seven b"
    graph = foveal.trace(Ear(), example=str(sound))
    assert graph.values[0].shape == (1, 2, 500)
    assert examples.read(sound)[0, 0] == 0.5
    graph = foveal.trace(Both(), example={"image": photo, "ids": words, "scale": 2.0})
    assert [graph.values[item.value].shape for item in graph.sources] == [(1, 3, 224, 224), (1, 7)]
    assert set(examples.read(tmp_path / "call.npz")) == {"image", "ids"}
    for broken, why in (("none.png", "no such file"), ("broken.wav", ""), ("broken.npy", "")):
        if not why:
            (tmp_path / broken).write_bytes(b"nothing of that kind")
        with pytest.raises(SourceError, match=f"{broken}: {why}") as error:
            foveal.trace(Ear(), example=tmp_path / broken)
        assert "\n" not in str(error.value)


def test_whole_numbers_and_constants_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("both.py").write_text(
        "from test_libraries_both import Both\n\n\ndef make():\n    return Both()\n", encoding="utf-8"
    )
    monkeypatch.setitem(sys.modules, "test_libraries_both", sys.modules[__name__])
    call = ("both:make", "--input", "image=1,3,32,32", "--input", "ids=int:1,7", "--input", "scale=const:0.5", "--all")
    shown = run("analyze", *call).output
    assert "ids 1x7" in shown
    assert "scale" not in shown
    assert "ids 1x7" not in run("analyze", *call, "--axes", "ids=", "--axes", "image=NCHW").output
    Path("words.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4))\n",
        encoding="utf-8",
    )
    for call in ((), ("--input", "1,64")):
        assert "input 1x64" in run("analyze", "words:make", *call).output
    for text, why in (("int:1,x", "int: and positive lengths"), ("1,x", "positive lengths such as")):
        failed = run("analyze", "both:make", "--input", text)
        assert failed.exit_code == 2
        assert why in failed.output


def test_a_first_layer_of_other_axes_says_what_it_needs() -> None:
    volume = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU())
    with pytest.raises(foveal.FovealError, match=r"'0' \(Conv3d of 1 channels\) needs 5 dimensions, such as 1,1,64,64"):
        foveal.trace(volume, (4, 4, 32, 32))
    with pytest.raises(foveal.FovealError, match=r"give one, such as \(1, 1, 64, 64, 64\)"):
        foveal.trace(volume)
    with pytest.raises(foveal.FovealError, match="forward takes image, ids, scale"):
        foveal.trace(Both(), (1, 3, 32, 32))
