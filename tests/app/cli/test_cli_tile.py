"""``foveal tile``, ``foveal stream`` and ``foveal audit streaming`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foveal.app.main import app
from foveal.tasks.streaming.record import StreamPlan
from foveal.tasks.tiling.record import TilePlan

NET = ("conv3x4 pool2 conv3x4 up2 conv3x4", "--input", "1,3,64,64")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": None}, catch_exceptions=False)


def test_the_plan_as_text() -> None:
    """Reach from an aligned edge: 1, then 2 more at stride 2, then 1, and the pool's second sample: 1 + 2 + 1 + 1."""
    result = run("tile", *NET, "--tile", "32", "--size", "128x96")
    assert result.exit_code == 0
    lines = dict(line.rsplit("  ", 1) for line in result.output.splitlines() if "  " in line)
    lines = {name.strip(): text for name, text in lines.items()}
    assert lines["tiling"] == "exact"
    assert lines["source"] == "H 128, W 96"
    assert lines["starts are multiples of"] == "2"
    assert lines["of which needed"] == "5 + 5"
    assert lines["halo (before + after)"] == "6 + 6"
    assert lines["smallest tile"] == "14"


def test_json_is_the_plan() -> None:
    result = run("tile", *NET, "--tile", "32", "--json")
    plan = TilePlan.from_json(result.output)
    assert (plan.tile, plan.exact, plan.layer) == ((32, 32), True, "conv3")


def test_without_a_tile_the_smallest_that_computes_at_most_half_twice() -> None:
    """Halo 6 + 6: 2 tiles of 38 per axis, (2 x 38 / 64)^2 = 1.41; 3 of 30 would be (90 / 64)^2 = 1.98."""
    plan = TilePlan.from_json(run("tile", *NET, "--json").output)
    assert (plan.tile, plan.smallest, plan.count) == ((38, 38), (14, 14), 4)
    assert plan.overhead == pytest.approx((76 / 64) ** 2 - 1)


def test_where_each_tile_computes_too_much_twice_there_is_one() -> None:
    plan = TilePlan.from_json(run("tile", NET[0], "--input", "1,3,16,16", "--json").output)
    assert (plan.tile, plan.smallest, plan.count) == ((16, 16), (14, 14), 1)


def test_a_layer_and_an_error() -> None:
    assert TilePlan.from_json(run("tile", *NET, "--layer", "conv1", "--json").output).axes[0].need == (1, 1)
    near = TilePlan.from_json(run("tile", *NET, "--error", "0.3", "--json").output)
    assert near.status == "approximate"
    assert near.axes[0].need[0] < 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tile", "wide"), "--tile 'wide': expected positive lengths"),
        (("--tile", "8"), "the smallest tile is 14"),
        (("--size", "64x64x64"), "expected 2 positive lengths"),
        (("--layer", "conv7"), "unknown layer 'conv7'"),
        (("--error", "3"), "between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(options: tuple[str, ...], said: str) -> None:
    result = run("tile", *NET, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_streaming_on_the_command_line() -> None:
    net = ("conv3x4,valid", "--input", "1,1,64")
    result = run("audit", "streaming", *net, "--rate", "16000", "--json")
    assert result.exit_code == 0
    assert [finding["code"] for finding in json.loads(result.output)["findings"]] == ["STR02"]
    assert run("audit", "streaming", *net, "--fail-on", "warning").exit_code == 1
    assert run("audit", "streaming", *net, "--lookahead", "2", "--fail-on", "warning").exit_code == 0


def test_a_stream_on_the_command_line(tmp_path: Path) -> None:
    """Windows of 10 and 3 by 5 and 2: 20 samples every 10, 10 behind a chunk; 100 samples a second, 0.1 s a unit."""
    net = ("conv10x2,s5,valid conv3x2,s2,valid", "--input", "1,1,200", "--rate", "100")
    picture = tmp_path / "chunks.svg"
    result = run("stream", *net, "--chunk", "0.35s", "--timeline", str(picture))
    assert result.exit_code == 0
    for said in (
        "20 samples = 2 frames = 200 ms", "10 samples; 10 units per second", "40 samples = 4 frames = 400 ms",
        "0 before + 10 behind; 10 read again", "10 i to 10 i + 20, center 10 i + 10 = 100 i to 100 i + 200 ms",
        "a network without weights cannot be run",
    ):  # fmt: skip
        assert said in result.output
    assert "context, computed again" in picture.read_text(encoding="utf-8")
    plan = StreamPlan.from_json(run("stream", *net, "--json").output)
    assert (plan.left, plan.right, plan.step, plan.units(200), plan.units(400)) == (0, 10, 10, 19, 39)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--chunk", "80ms"), "is a time: give the rate too"),
        (("--rate", "100", "--chunk", "30ms"), "advances by 10 samples (100 ms)"),
        (("--chunk", "0"), "expected a positive length"),
        (("--timeline", "chunks.txt"), "must end in one of .png, .svg, .pdf"),
        (("--axis", "H"), "expected one of T"),
    ],
)
def test_bad_input_of_a_stream(options: tuple[str, ...], said: str) -> None:
    result = run("stream", "conv10x2,s5,valid conv3x2,s2,valid", "--input", "1,1,200", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
