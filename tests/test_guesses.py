"""What a newcomer types first, without having read anything, and what it should do: 70 guesses, all of which hold.

Eight more, of the page, stand in tests/views/page. Written down before the work; a guess that fails is a stiff door.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import nn
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.app.options import complete_layer, complete_source

matplotlib.use("Agg")
S = (1, 3, 64, 64)


class Net(nn.Module):
    """Sizes by hand: stem 3, layer1 3 + 2 * 2 = 7, layer4 7 + 2 * 2 = 11; strides 2, 2, 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.bn = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())
        self.layer4 = nn.Conv2d(8, 8, 3, 2, 1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer4(self.layer1(self.bn(self.stem(x)))).mean((2, 3)))


class Guess(NamedTuple):
    """typed: an expression; does: another one about ``got``, or for ``fails`` what the one line of the error says."""

    number: int
    typed: str
    does: str
    fails: bool = False


PYTHON = [
    Guess(1, "foveal.analyze(model, S)", "got.layer('layer4').size.value == (11, 11)"),
    Guess(2, "foveal.analyze(model, (3, 64, 64))", "got.sources[0].shape == S"),
    Guess(3, "foveal.analyze(model, torch.rand(S))", "got.verdict.layer == 'layer4' and got.verdict.size == (11, 11)"),
    Guess(4, "foveal.receptive_field(model, 'layer4', S)", "got.size == (11, 11) and got.stride == (4, 4)"),
    Guess(5, "foveal.receptive_field(model, model.layer4, S)", "got.layer == 'layer4' and got.size == (11, 11)"),
    Guess(6, "foveal.receptive_field(model, -1, S)", "got.layer == foveal.trace(model, S).layers[-1]"),
    Guess(7, "foveal.receptive_field(model, S, 'layer1')", "got.size == (7, 7)"),
    Guess(8, "foveal.receptive_field(model, 'layer9', S)", "unknown layer 'layer9'; closest: layer4", True),
    Guess(9, "foveal.receptive_field(model, nn.ReLU(), S)", "layer: a ReLU that is no part of Net", True),
    Guess(10, "foveal.receptive_field(model, 99, S)", "layer 99: Net has 9 layers, the last is -1", True),
    Guess(11, "foveal.field(model, 'layer4', S)", "got.kind == 'energy' and got.values.shape == (11, 11)"),
    Guess(12, "foveal.field(graph, 'layer4', 'paths')", "got.kind == 'paths'"),
    Guess(13, "foveal.audit(model, 'classification', S)", "got.task == 'classification'"),
    Guess(14, "foveal.audit(graph, 'clasification')", "unknown task 'clasification'; expected one of", True),
    Guess(15, "foveal.tile(model, 'layer1', (2048, 1024), 512, inputs=S)", "got.exact and got.count == 5 * 3"),
    Guess(16, "foveal.compare('gallery:vgg16', 'gallery:vgg13')", "'only the first has conv7' in repr(got)"),
    Guess(17, "foveal.verify(model, 'layer1', (1, 3, 16, 16))", "got.agrees"),
    Guess(18, "foveal.trace('resnet18')", "write gallery:resnet18, torchvision:resnet18 or timm:resnet18", True),
    Guess(19, "foveal.trace('nowhere:google/vit')", "there is no source 'nowhere:'", True),
    Guess(20, "graph", "len(str(got).splitlines()) <= 5 and 'Net' in str(got)"),
    Guess(21, "foveal.receptive_field(graph, 'layer4')", "'sees 11 px' in repr(got) and 'stride 4' in repr(got)"),
    Guess(22, "foveal.analyze(graph).to_pandas()", "list(got.layer)[0] == 'stem' and list(got.size_H)[0] == 3"),
    Guess(23, "foveal.receptive_field(graph, 'layer4').to_dict()", "got['size'] == [11, 11] and json.dumps(got)"),
    Guess(24, "foveal.field(graph, 'layer4').plot(ax=ax)", "got is ax"),
    Guess(25, "foveal.explore(graph)", "'<iframe' in got._repr_html_()"),
    Guess(41, "foveal.receptive_field(model, 'layer4', picture)", "got.size == (11, 11)"),
    Guess(42, "foveal.receptive_field(model, 'layer4', np.zeros((64, 64, 3)))", "channels come before positions", True),
    Guess(43, "foveal.trace(model, {'x': S})", "got.sources[0].name == 'x'"),
    Guess(44, "foveal.trace(enlarging, (3, 16, 16))", "got.values[got.layer('output').value].shape == (1, 4, 32, 32)"),
    Guess(45, "foveal.receptive_field(nn.Conv1d(1, 4, 3), -1, (1, 400))", "got.size == (3,)"),
    Guess(46, "foveal.analyze(Net, S)", "Net is a class: give an instance of it, such as Net()", True),
    Guess(47, "foveal.analyze(maker, S)", "maker is a function without arguments; where it makes the network", True),
    Guess(48, "foveal.analyze(model.state_dict())", "these are weights, not a network", True),
    Guess(49, "foveal.analyze(graph)['layer4']", "got.size.value == (11, 11)"),
    Guess(50, "foveal.audit(model, S)", "it comes second: foveal.audit(model, 'classification', shape)", True),
    Guess(51, "foveal.audit(graph, 'segment')", "closest: segmentation", True),
    Guess(52, "foveal.audit(graph, 'classification').plot()", "isinstance(got, type(ax))"),
    Guess(53, "foveal.verify(model, 'layer1', (1, 3, 16, 16)).plot()", "Check has nothing to draw: print it", True),
    Guess(54, "foveal.tile(model, 'fc', 512, 64, inputs=S)", "ask for a layer before it, such as 'layer4'", True),
    Guess(55, "foveal.receptive_field(graph, 'Layer4')", "closest: layer4", True),
    Guess(56, "foveal.receptive_field(graph, nn.Conv2d)", "a type that is no part of Net; give a layer's name", True),
    Guess(57, "foveal.trace('gallery:vgg99')", "closest: vgg19, vgg16, vgg13", True),
]  # fmt: skip

COMMANDS = [
    Guess(26, "-h", "Commands:"),
    Guess(27, "analyze -h", "Examples:"),
    Guess(28, "audit", "classification"),
    Guess(
        29,
        "analyze gallery:vgg16",
        "212 of the 224 px of the image; it uses about 164 of them (effective side before training; 90 % side 107)",
    ),
    Guess(30, "analyze gallery:resnet18 --all", "layer4.relu4"),
    Guess(31, "analyze resnet18", "write gallery:resnet18, torchvision:resnet18", True),
    Guess(32, "analyze weights.pth", "this holds weights, not a network: give a factory", True),
    Guess(33, "analyze pickled.pth", "holds a pickled module, which could run code", True),
    Guess(34, "analyze photo.png", "is a picture, not a network", True),
    Guess(35, "analyze folder/", "is a folder", True),
    Guess(36, "analyze yolo.cfg", "a Darknet configuration; load it in PyTorch", True),
    Guess(37, "design --inverse tcn --past 40 --json", '"question": "tcn"'),
    Guess(38, "tile gallery:unet --size 4000x3008", "H 4000, W 3008"),
    Guess(39, "tile gallery:unet --size 4000x3000", "such as --size 4000x3008", True),
    Guess(40, "compare gallery:vgg16 gallery:vgg13", "they part at conv7, which the first has and the second has not"),
    Guess(58, "analyze", "It is the network, such as gallery:resnet50", True),
    Guess(59, "analyze gallery:vgg13 1,3,64,64", "an input's shape is given as --input 1,3,64,64", True),
    Guess(
        60, "analyze gallery:vgg13 --size 64x64", "No such option: --size; an input's shape is given as --input", True
    ),
    Guess(61, "analyze mine.py:make --input (3,32,32) --layer 0", "a unit of 0 sees 3 of the 32 px of the image"),
    Guess(62, "analyze mine", "give the function that makes the network behind it: mine.py:factory", True),
    Guess(63, "audit gallery:vgg16", "the task comes before the network", True),
    Guess(64, "field gallery:vgg13 --layer pool5 --kind erf", "A measured field is foveal erf", True),
    Guess(65, "verify mine.py:make --input 3,32,32 --json", '"agrees": true'),
    Guess(66, "list gallery --json", '"gallery:vgg16"'),
    Guess(67, "analyze weights.safetensors", "is weights, not a network", True),
    Guess(68, "analyze archive.zip", "an archive; unpack it", True),
    Guess(69, "analyze graph.pb", "a TensorFlow graph; convert it", True),
    Guess(70, "anlyze gallery:vgg13", "Did you mean 'analyze'?", True),
]


@pytest.fixture(scope="module")
def typed() -> dict[str, Any]:
    from matplotlib import pyplot

    model = Net()
    from PIL import Image

    enlarging = nn.Sequential(
        nn.Conv2d(3, 4, 3, 1, 1), nn.Upsample(scale_factor=2)
    )  # by its axes: one image, not three
    names = {"enlarging": enlarging, "picture": Image.new("RGB", (90, 70)), "Net": Net, "maker": lambda: None}
    names["maker"].__name__ = "maker"
    names |= {"foveal": foveal, "torch": torch, "nn": nn, "np": np, "json": json, "S": S, "model": model}
    return names | {"graph": foveal.trace(model, S), "ax": pyplot.subplots()[1]}


@pytest.mark.parametrize("guess", PYTHON, ids=lambda guess: str(guess.number))
def test_python(guess: Guess, typed: dict[str, Any]) -> None:
    if "to_pandas" in guess.typed:
        pytest.importorskip("pandas")
    if guess.fails:
        with pytest.raises(foveal.FovealError, match=re.escape(guess.does)) as raised:
            eval(guess.typed, typed)
        assert len(str(raised.value).splitlines()) == 1
        return
    got = eval(guess.typed, typed)
    assert eval(guess.does, typed | {"got": got})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("typed")
    torch.save(nn.Conv2d(1, 1, 3).state_dict(), place / "weights.pth")
    torch.save(nn.Conv2d(1, 1, 3), place / "pickled.pth")
    (place / "folder").mkdir()
    (place / "mine.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Conv2d(3, 2, 3))\n"
    )
    return place


@pytest.mark.parametrize("guess", COMMANDS, ids=lambda guess: str(guess.number))
def test_command(guess: Guess, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, guess.typed.split(), env={"COLUMNS": None}, catch_exceptions=False)
    assert result.exit_code == (2 if guess.fails else 0), result.output
    assert guess.does in (result.stderr if guess.fails else result.stdout)
    if guess.fails:
        assert len(result.stderr.splitlines()) == 1


def test_all_are_there_once() -> None:
    assert sorted(guess.number for guess in (*PYTHON, *COMMANDS)) == list(range(1, 71))


def test_each_result_answers_in_five_lines_draws_and_becomes_a_table(typed: dict[str, Any]) -> None:
    graph = typed["graph"]
    plan = foveal.tile(typed["model"], "layer1", (2048, 1024), 512, inputs=S)
    results = [graph, foveal.receptive_field(graph, "layer4"), foveal.field(graph, "layer4"), foveal.analyze(graph)]
    for result in (*results, plan, foveal.compare(graph, graph), foveal.audit(graph, "classification")):
        assert 1 <= len(repr(result).splitlines()) <= 5
        assert json.dumps(result.to_dict())
        assert result._repr_html_()
    for result in results:
        assert "data:image/png" in result._repr_html_()
        assert isinstance(result.plot(), Axes)


def test_the_shell_completes_sources_and_layers() -> None:
    assert "gallery:vgg16" in complete_source("gallery:vg")
    assert "torchvision:" in complete_source("torch")

    class Context:
        params = {"source": "gallery:vgg16"}  # noqa: RUF012

    assert complete_layer(Context(), "pool") == [f"pool{n}" for n in range(1, 6)]  # type: ignore[arg-type]
