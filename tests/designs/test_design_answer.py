"""``design`` from end to end: recognised networks, answers, files, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import FovealError
from foveal.designs import Designs, Settings, design
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import from_yaml
from foveal.designs.recognise import recognise
from foveal.designs.spaces.around import around, changes
from foveal.designs.spaces.space import space_from_yaml
from support.needs import needs

QUICK = Settings(population=20, generations=4)
SPACE = """
input: [3, 32, 32]
stem: {kernel: {choose: [3, 5]}, stride: {choose: [1, 2]}, width: 8}
stages:
  - {block: {choose: [plain, residual], as: block}, width: 8, count: {choose: [1, 2]}}
  - {block: {choose: [plain, residual], as: block}, width: 16, count: {choose: [0, 1, 2]}, stride: {choose: [1, 2]}}
head: {classes: 4}
"""


@pytest.fixture(scope="module")
def small() -> Designs:
    return design(space=space_from_yaml(SPACE))


def test_one_design_is_one_and_the_field_has_its_unit(small: Designs) -> None:
    alone = str(replace(small, designs=small.designs[:1]))
    assert ": 1 design\n" in alone
    assert "RF px" in alone
    assert ": 2 designs\n" in str(replace(small, designs=small.designs[:2]))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "mobilenet_v1"])
def test_networks_are_recognised_to_the_parameter(name: str) -> None:
    graph = foveal.trace(f"gallery:{name}")
    assert evaluate(recognise(graph)).parameters == graph.parameters


@pytest.mark.needs("torchvision")
def test_torchvision_networks_are_recognised_like_the_gallery() -> None:
    own = recognise(foveal.trace("torchvision:resnet18"))
    assert own.stages == recognise(foveal.trace("gallery:resnet18")).stages


@pytest.mark.parametrize("name", ["inception_v3", "mobilenet_v2", "unet"])
def test_other_networks_are_refused_by_name_and_place(name: str) -> None:
    with pytest.raises(FovealError, match=rf"{name} is not made of the design space's blocks: .+; write the network"):
        recognise(foveal.trace(f"gallery:{name}"))


def test_the_space_around_a_network_starts_with_itself() -> None:
    own = recognise(foveal.trace("gallery:resnet18"))
    space = around(own)
    none = (0,) * len(space.choices)
    assert space.network(none) == own
    assert changes(space, none) == []
    names = [choice.name for choice in space.choices]
    one = tuple(int(name == "stages.2.stride") for name in names)
    assert changes(space, one) == ["stage 3 stride 2 to 1"]
    assert space.network(one).stages[2].stride == 1


def test_designs_of_a_written_space(small: Designs) -> None:
    assert small.complete
    front = [one for one in small.designs if one.role == "front"]
    costs = [one.cost for one in front]
    misfits = [one.misfit for one in front]
    assert {one.network.stages[0].block for one in small.designs} == {"plain", "residual"}
    assert costs == sorted(costs)
    assert misfits == sorted(misfits, reverse=True)
    for one in small.designs:
        assert from_yaml(one.network.to_yaml()) == one.network
        graph = foveal.trace(one.specification())
        assert foveal.receptive_field(graph, one.evaluation.levels[0].layer).size[0] == one.evaluation.levels[0].size
    report = small.designs[-1].report()
    assert report.totals.parameters == small.designs[-1].evaluation.parameters


def test_files_of_an_answer(small: Designs, tmp_path: Path) -> None:
    files = small.save(tmp_path / "out")
    names = {"design1.py", "design1.yaml", "design1.network.yaml", "design1.report.txt", "designs.json", "designs.png"}
    assert {file.name for file in files} >= names
    told = json.loads((tmp_path / "out" / "designs.json").read_text(encoding="utf-8"))
    assert len(told["designs"]) == len(small.designs)
    assert told["designs"][0]["evaluation"]["multiply_adds"] == small.designs[0].evaluation.multiply_adds
    with pytest.raises(FovealError, match="cannot be written"):
        small.save(files[0])


def test_the_plot_shows_every_design(small: Designs) -> None:
    axes = small.plot()
    front = [one for one in small.designs if one.role == "front"]
    assert list(axes.lines[0].get_xdata()) == [one.cost for one in front]
    assert list(axes.lines[0].get_ydata()) == [one.misfit for one in front]
    assert {text.get_text() for text in axes.texts} >= {str(n) for n in range(1, len(small.designs) + 1)}


def test_onnx_has_the_stated_field(small: Designs, tmp_path: Path) -> None:
    small.designs[0].to_onnx(tmp_path / "net.onnx")
    onnx = needs("onnx")
    model = onnx.load(tmp_path / "net.onnx")
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    network = small.designs[0].network
    per_block = {"plain": 1, "residual": 2}
    shortcuts = sum(s.block == "residual" and (s.stride > 1 or s.width != 8) for s in network.stages)
    assert len(convolutions) == 1 + shortcuts + sum(per_block[s.block] * s.count for s in network.stages)


@pytest.mark.needs("torchvision")
def test_resnet18_at_32_pixels_loses_its_unproductive_layers() -> None:
    found = design(like="gallery:resnet18", input=32, settings=QUICK)
    assert len(found.known[0].evaluation.unproductive) == 7
    assert found.designs
    assert all(not one.evaluation.unproductive for one in found.designs)
    text = str(found)
    assert "every block stays': stage 3 stride 2 to 1; stage 4 stride 2 to 1" in text
    assert "unproductive layers 7 to 0" in text
    by_hand = found.known[1]
    assert (by_hand.role, by_hand.evaluation.levels[0].size, by_hand.evaluation.unproductive) == ("by hand", 109, ())
    assert "idle layers 7 to 0, multiply-adds 37.5M to 556M (14.8 times)" in text
    assert "the 90 % side is 0.63 of it" in text  # 3.898 / 6.231 in the plane, docs/methods.md 2.2
    assert "≤: limited by the RF" in text


def test_an_impossible_wish_names_the_nearest_design() -> None:
    found = design(space=space_from_yaml(SPACE), multiply_adds=1000)
    assert found.conflict is not None
    assert [one.role for one in found.designs] == ["nearest"]
    assert "multiply-adds" in found.conflict.limits
    assert "nearest design: multiply-adds is" in str(found)


@pytest.mark.needs("torch")
def test_latency_is_measured(tmp_path: Path) -> None:
    space = space_from_yaml(SPACE.replace("choose: [3, 5]", "choose: [3]").replace("choose: [0, 1, 2]", "choose: [1]"))
    journal = str(tmp_path / "journal")
    found = design(space=space, cost="latency", latency=1e6, spend=None, settings=Settings(journal=journal))
    assert all(one.cost > 0 for one in found.designs)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "needs the input"),
        ({"input": (3, 0)}, "expected one length"),
        ({"input": 32, "speed": 3}, "unknown limit 'speed'"),
        ({"like": "gallery:resnet18", "input": 32, "task": "flying"}, "unknown task"),
        ({"like": "gallery:resnet18", "input": 32, "space": space_from_yaml(SPACE)}, "exclude each other"),
    ],
)
def test_faults(how: dict, message: str) -> None:
    with pytest.raises(FovealError, match=message):
        design(**how)


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["design", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_answers_single_questions() -> None:
    code, text, _ = run("--inverse", "tcn", "--past", "4096", "--kernel", "3")
    assert code == 0
    assert "6 blocks of 2 x kernel 3, dilations 1, 5, 25, 125, 625, 243; field 4097" in text
    assert "field 70, stride 8" in run("--inverse", "patchgan", "--field", "70")[1]
    assert "no holes" in run("--inverse", "rates", "--field", "400", "--stride", "16", "--map", "33")[1]
    text = run("--inverse", "productive", "--like", "gallery:resnet18", "--input", "32")[1]
    assert "unproductive layers 7 to 0" in text


@pytest.mark.needs("pymoo")
def test_the_command_reads_boxes(tmp_path: Path) -> None:
    boxes = {
        "images": [{"id": 1, "width": 64, "height": 64, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, s, s], "area": s * s, "iscrowd": 0}
            for i, s in enumerate((8, 16, 32), 1)
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    code, text, _ = run(
        "--task", "detection", "--input", "64", "--objects", str(tmp_path / "boxes.json"), "--budget", "200M",
        "--population", "20", "--generations", "3", "--json",
    )  # fmt: skip
    told = json.loads(text)
    assert told["target"]["objects"] == [8.8, 12.0, 16.0, 24.0, 30.4]  # quantiles of 8, 16, 32
    assert code in (0, 1)


def test_the_command_writes_code_and_files(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    code, text, _ = run("--space", str(tmp_path / "space.yaml"), "--code", "1", "--out", str(tmp_path / "out"))
    assert code == 0
    assert "class Net(nn.Module):" in text
    assert (tmp_path / "out" / "design1.py").read_text(encoding="utf-8") == text


def test_an_impossible_wish_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    code, text, _ = run("--space", str(tmp_path / "space.yaml"), "--budget", "1k")
    assert code == 1
    assert "meets multiply-adds together" not in text
    assert "none of" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "x"), "--input 'x': expected a length"),
        (("--input", "32", "--budget", "5Q"), "--budget '5Q'"),
        (("--inverse", "tcn"), "--inverse tcn needs --past"),
        (("--inverse", "cover"), "needs --like SOURCE"),
        (("--space", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("--json", "--code", "1"), "exclude each other"),
        (("--onnx",), "--onnx needs --out"),
        (("--task", "detection", "--objects", "a.json"), "--objects needs --input"),
        ((), "design needs the input"),
    ],
)
def test_faults_on_the_command_line(arguments: tuple[str, ...], message: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.needs("torchvision")
def test_another_head_changes_the_network() -> None:
    own = recognise(foveal.trace("gallery:resnet18"))
    found = design("segmentation", (3, 64, 64), like=replace(own, input=(3, 64, 64)), settings=QUICK, productive=False)
    assert found.known[0].network.head.task == "segmentation"
