"""What bad input gets: one line that says what, where and what to do next; nothing that a file brings along is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import SourceError, TraceError, UnknownLayerError, UnknownOperationError

SHAPE = (1, 3, 16, 16)


def conv(inputs: int, outputs: int, taps: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, taps, padding=taps // 2)


def small() -> nn.Sequential:
    return nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 4))


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    return text


def test_an_unknown_layer_names_the_closest_three() -> None:
    graph = foveal.trace(small(), SHAPE)
    with pytest.raises(UnknownLayerError) as caught:
        foveal.receptive_field(graph, "11")
    assert one_line(caught.value) == "unknown layer '11'; closest: 1, output, 2"


def test_a_wrong_input_shape_names_the_layer_and_the_shape() -> None:
    with pytest.raises(TraceError) as caught:
        foveal.trace(small(), (1, 5, 16, 16))
    text = one_line(caught.value)
    assert text.startswith("Sequential: Given groups=1, weight of size [4, 3, 3, 3]")
    assert text.endswith("(at layer '0' (Conv2d), input shape 1x5x16x16)")


class Undone(nn.Module):
    """An operation that no one has a rule for: a triangular factor of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = conv(3, 4), conv(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        return self.after(x + torch.linalg.qr(x).R.sum())


def test_an_operation_without_a_rule_is_a_bound_that_the_report_lists() -> None:
    graph = foveal.trace(Undone(), SHAPE)
    report = foveal.analyze(graph)
    assert report.layer("before").status == "exact"
    assert report.layer("after").status == "bound"
    assert report.layer("after").covered == 1
    found = [finding for finding in report.findings if finding.code == "operation-without-rule"]
    assert len(found) == 1
    assert found[0].text == "aten::linalg_qr has no rule (once); it and what follows are bounds"
    with pytest.raises(UnknownOperationError) as caught:
        foveal.analyze(graph, strict=True)
    assert str(caught.value) == "Undone: operations without a rule: aten::linalg_qr at (top) (1x)"


class Warp(nn.Module):
    """A 3x3 convolution predicts where the sampler reads."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = conv(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        where = self.offsets(x).permute(0, 2, 3, 1)
        return nn.functional.grid_sample(x, where, align_corners=False)


def test_sampling_where_data_says_is_data_dependent_and_names_the_operation() -> None:
    report = foveal.analyze(foveal.trace(nn.Sequential(Warp()), SHAPE))
    row = report.layer("0")
    assert row.status == "data-dependent"
    assert row.covered == 1
    assert any("grid" in cause for cause in row.causes)
    assert "data-dependent" in [finding.code for finding in report.findings]


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = conv(3, 3), conv(3, 3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(x) if float(x.mean()) > 1e9 else self.large(x)


def test_a_branch_on_data_is_traced_for_the_input_given_and_said_to_be_so() -> None:
    report = foveal.analyze(foveal.trace(nn.Sequential(Branch()), SHAPE))
    row = report.layer("0")
    assert row.status == "data-dependent"
    assert "data-dependent" in [finding.code for finding in report.findings]


class Gate(nn.Module):
    """A 7x7 gate behind ``detach`` on a 3x3 path, then hard rounding: the gradient stops, the information does not."""

    def __init__(self) -> None:
        super().__init__()
        self.path, self.gate = conv(3, 3), conv(3, 3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(self.path(x) * torch.sigmoid(self.gate(x)).detach())


def test_detach_and_rounding_stay_in_the_receptive_field() -> None:
    graph = foveal.trace(nn.Sequential(Gate(), conv(3, 3)), SHAPE)
    assert foveal.receptive_field(graph, "0").size == (7, 7)
    assert foveal.receptive_field(graph, "1").size == (9, 9)
    assert foveal.receptive_field(graph, "1").status == "exact"


def test_a_receptive_field_larger_than_the_source_shows_both_sizes() -> None:
    report = foveal.analyze(foveal.trace(nn.Sequential(*(conv(3, 3, 7) for _ in range(4))), SHAPE))
    row = report.layer("3")
    assert (row.size.value, row.clipped) == ((25, 25), (16, 16))
    assert report.findings == ()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    torch.export.save(torch.export.export(small().eval(), (torch.zeros(SHAPE),)), path)
    return path


def test_an_exported_program_is_read(exported: Path) -> None:
    graph = foveal.trace(str(exported))
    assert any(foveal.receptive_field(graph, name).size == (5, 5) for name in graph.layers)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_a_one_line_error(exported: Path, tmp_path: Path, share: float) -> None:
    data = exported.read_bytes()
    path = tmp_path / "cut.pt2"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SourceError) as caught:
        foveal.trace(str(path))
    assert one_line(caught.value).startswith(f"{path}: not a readable torch.export file (")
    result = CliRunner().invoke(app, ["analyze", str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


class Bomb:
    """Unpickling this makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_the_bomb_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "fired")))
    assert (tmp_path / "fired").exists()


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "fired"
    plain = tmp_path / "plain.pt2"
    plain.write_bytes(pickle.dumps(Bomb(target)))
    saved = tmp_path / "saved.pt2"
    torch.save(Bomb(target), saved)
    for path in (plain, saved):
        with pytest.raises(SourceError) as caught:
            foveal.trace(str(path))
        one_line(caught.value)
    assert not target.exists()


def test_no_part_of_an_exported_program_runs_code(exported: Path, tmp_path: Path) -> None:
    """Each member of the archive in turn is replaced by a bomb, as a plain pickle and in torch's own container."""
    target = tmp_path / "fired"
    container = tmp_path / "bomb.pt"
    torch.save(Bomb(target), container)
    payloads = {"pickle": pickle.dumps(Bomb(target)), "container": container.read_bytes()}
    with zipfile.ZipFile(exported) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for changed in members:
        for kind, payload in payloads.items():
            path = tmp_path / f"{kind}.pt2"
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members.items():
                    archive.writestr(name, payload if name == changed else data)
            try:
                foveal.trace(str(path))
            except foveal.FovealError as error:
                one_line(error)
            assert not target.exists(), f"{changed} as {kind} was run"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torchvision:resnet51", "torchvision has no model 'resnet51'; closest: resnet50, resnet18, resnet152"),
        ("timm:no_such_net", "timm has no model 'no_such_net'; closest: "),
        ("gallery:vgg12", "the gallery has no network 'vgg12'; closest: vgg19, vgg16, vgg13"),
        ("missing.pt2", "missing.pt2: no such file"),
        ("no.such.module:factory", "no.such.module:factory could not be imported: No module named 'no'"),
        ("conv3y", "specification, token 1 'conv3y' at character 1: 'y' after 'conv3' is not understood; "),
    ],
)
def test_an_unknown_source_is_a_one_line_error(source: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        foveal.trace(source)
    text = one_line(caught.value)
    assert text.startswith(message) if message.endswith(" ") else text == message
    result = CliRunner().invoke(app, ["analyze", source])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {text}\n")


def test_what_is_no_model_is_a_one_line_error() -> None:
    with pytest.raises(SourceError) as caught:
        foveal.trace(3)
    assert one_line(caught.value).startswith("cannot trace a int: give a torch.nn.Module")
    with pytest.raises(SourceError) as caught:
        foveal.trace(small())
    assert str(caught.value) == "no input shape: give one, such as (1, 3, 224, 224)"
