"""The command line: golden texts, exit codes, streams, and an invariant on the same output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import foveal
from foveal.app.hints import SOURCE
from foveal.app.main import app
from foveal.app.options import input_shapes
from foveal.check.verify import Check, Mismatch

Golden = Callable[[str], None]

LINE = "conv3x8 conv3x8 pool2 conv3x16 [conv3x16 | id] gap fc10"
SMALL = ["--input", "1,3,32,32"]


def run(*arguments: str, **environment: str) -> Result:
    # click would otherwise take the width from the terminal that runs the tests.
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": None, **environment}, catch_exceptions=False)


def check_table(text: str, source: str, shape: tuple[int, ...] | None) -> int:
    """Each row of a printed table says what ``receptive_field`` says; returns the number of rows."""
    graph = foveal.trace(source, shape)
    lines = text.splitlines()
    heading = next(line for line in lines if line.startswith("layer "))
    end = heading.index("RF") + 2
    count = 0
    for line in lines[lines.index(heading) + 2 :]:
        name = re.sub(r" x\d+$", "", line.split("  ")[0])
        if name not in graph.layers:
            break
        count += 1
        rf = foveal.receptive_field(graph, name)
        cell = line[:end].split()[-1].lstrip("\u2264~")
        assert str(rf.size[0]) in re.split("[-x]", cell), line
    return count


def test_version() -> None:
    assert run("--version").output == f"foveal {foveal.__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(command in result.output for command in ("analyze", "compare", "verify"))


def test_analyze_a_line(golden: Golden) -> None:
    result = run("analyze", LINE, *SMALL)
    assert result.exit_code == 0
    golden(result.output)
    assert check_table(result.output, LINE, (1, 3, 32, 32)) > 5


@pytest.mark.parametrize("width", [80, 120, 200])
def test_analyze_fits(width: int, golden: Golden) -> None:
    result = run("analyze", "gallery:unet", COLUMNS=str(width))
    assert result.exit_code == 0
    golden(result.output)
    assert max(len(line) for line in result.output.splitlines()) <= width
    assert check_table(result.output, "gallery:unet", None) > 20


@pytest.mark.needs("torchvision")
def test_analyze_resnet_from_the_top(golden: Golden) -> None:
    result = run("analyze", "torchvision:resnet50", "--depth", "1")
    assert result.exit_code == 0
    golden(result.output)
    row = next(line for line in result.output.splitlines() if line.startswith("layer4"))
    assert re.search(r"\s427\s+32\s+-213\s", row)
    assert "25.6 M parameters, 4.09 G multiply-adds" in result.output


@pytest.mark.needs("torchvision")
def test_rows_are_chosen_by_pattern_and_depth() -> None:
    rows = json.loads(run("analyze", "torchvision:resnet18", "--layer", "layer1.*", "--depth", "2", "--json").output)
    assert [row["name"] for row in rows["layers"]] == ["layer1.0", "layer1.1"]


def test_json_reads_back() -> None:
    text = run("analyze", LINE, *SMALL, "--json").output
    report = foveal.Report.from_json(text)
    assert report.to_json() == text.rstrip("\n")
    assert report == foveal.analyze(foveal.trace(LINE, (1, 3, 32, 32)))


def test_csv_has_the_same_rows() -> None:
    text = run("analyze", LINE, *SMALL, "--csv").output
    report = foveal.analyze(foveal.trace(LINE, (1, 3, 32, 32)))
    assert text == report.to_csv()
    assert len(text.splitlines()) == 1 + len(report.layers)


def test_compare_finds_where_two_networks_part(golden: Golden) -> None:
    result = run("compare", "conv3x8 conv3x8,s2 conv3x8", "conv3x8 conv3x8 conv3x8,s2", *SMALL)
    assert result.exit_code == 0
    golden(result.output)
    assert result.output.startswith("they part at ")


def test_compare_a_network_with_itself() -> None:
    assert "agree at every layer" in run("compare", LINE, LINE, *SMALL).output


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A factory in the user's own code: two 3x3 convolutions."""
    (tmp_path / "tiny_network.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_network", raising=False)
    return "tiny_network:build"


@pytest.mark.needs("torch")
def test_verify_agrees(tiny: str) -> None:
    result = run("verify", tiny, "--layer", "0", "--layer", "1", "--input", "1,1,9,9")
    assert result.exit_code == 0
    assert ": agrees; " in result.output


@pytest.mark.needs("torch")
def test_analyze_can_verify_what_it_shows(tiny: str) -> None:
    result = run("analyze", tiny, "--input", "1,1,9,9", "--layer", "1", "--csv", "--verify")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].startswith("1,input,module,Conv2d,")
    assert ": agrees; " in result.stderr


@pytest.mark.needs("torch")
def test_a_disagreement_is_exit_code_1(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Mismatch("1", (0, 0, 4, 4), 0, (2, 6), (1, 6))
    found = Check("tiny", ("1",), 1, 0, 1, (wrong,))
    monkeypatch.setattr("foveal.check.verify.verify", lambda graph, layers: found)
    result = run("verify", tiny, "--input", "1,1,9,9")
    assert result.exit_code == 1
    assert "DISAGREES" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze"], f"Missing argument 'SOURCE'. It is {SOURCE}"),
        (["analyze", LINE, "--bogus"], "No such option: --bogus"),  # newer releases of click: '--bogus'.
        (["analyze", LINE, "--json", "--csv"], "--json and --csv exclude each other"),
        (["analyze", LINE, "--input", "1,3,x"], "--input '1,3,x': expected positive lengths such as 1,3,224,224"),
        (
            ["analyze", LINE, "--input", "1,3,8,8", "--input", "a=1,3,8,8"],
            "several --input options need a name each: --input image=1,3,64,64 --input mask=1,1,64,64",
        ),
        (["verify", LINE, *SMALL], None),
        (["analyze", LINE, *SMALL, "--layer", "conv9"], None),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str | None) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    said = result.stderr.replace("option '--bogus'.", "option: --bogus")
    assert message is None or said == f"error: {message}\n"


def test_input_shapes() -> None:
    assert input_shapes(None) is None
    assert input_shapes(["1,3,8,8"]) == (1, 3, 8, 8)
    assert input_shapes(["1x3x8x8"]) == (1, 3, 8, 8)
    assert input_shapes(["a=1,3,8", "b=1,2"]) == {"a": (1, 3, 8), "b": (1, 2)}


@pytest.mark.needs("torch")
def test_findings_at_the_level_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "warped.py").write_text(
        "import torch\n"
        "class Warp(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.nn.functional.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    shape = ["--input", "1,3,8,8"]
    assert run("analyze", "warped:Warp", *shape).exit_code == 0
    assert run("analyze", "warped:Warp", *shape, "--fail-on", "error").exit_code == 0
    assert run("analyze", "warped:Warp", *shape, "--fail-on", "warning").exit_code == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m foveal analyze gallery:resnet152 --csv | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("layer,source,kind")


def test_nothing_but_the_result_goes_to_a_pipe() -> None:
    done = subprocess.run([sys.executable, "-m", "foveal", "analyze", LINE, *SMALL], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
