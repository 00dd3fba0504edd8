"""``foveal field`` and ``foveal explain``: tables, files, pictures, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import foveal
from foveal.app.main import app
from foveal.fields.field import Field

Golden = Callable[[str], None]

STACK = (
    "conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid",
    "--input",
    "1,1,15",
    "--layer",
    "conv5",
)
EDGES = [5, 13, 24, 31, 36, 37, 36, 31, 24, 13, 5]
NET = ("conv3x4 pool2 conv3x4 conv3x4", "--input", "1,3,48,64", "--layer", "conv3")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": None}, catch_exceptions=False)


def photo(path: Path) -> Path:
    rows, columns = np.ogrid[:60, :90]
    pixels = np.stack(np.broadcast_arrays(rows * 4, columns * 2, (rows + columns) % 8 * 30), axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_the_essays_stack(golden: Golden) -> None:
    result = run("field", *STACK, "--kind", "edges")
    assert result.exit_code == 0
    golden(result.output)


def test_a_plane_at_a_border_unit(golden: Golden) -> None:
    result = run("field", *NET, "--kind", "paths", "--at", "0,3")
    assert result.exit_code == 0
    golden(result.output)


@pytest.mark.parametrize("kind", ["support", "paths", "edges", "energy"])
def test_json_holds_the_metrics(kind: str) -> None:
    result = run("field", *NET, "--kind", kind, "--json")
    assert result.exit_code == 0
    record = json.loads(result.output)
    assert (record["layer"], record["kind"], record["unit"]) == ("conv3", kind, [12, 16])
    assert record["box"] == [list(side) for side in rf_box((12, 16))]
    assert record["metrics"]["support"]["count"] == 144


def rf_box(unit: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return foveal.receptive_field(foveal.trace(NET[0], (1, 3, 48, 64)), "conv3").box(unit)


def test_files(tmp_path: Path) -> None:
    npy, as_json = tmp_path / "field.npy", tmp_path / "field.json"
    assert run("field", *STACK, "--kind", "edges", "--out", str(npy)).exit_code == 0
    assert run("field", *STACK, "--kind", "edges", "-o", str(as_json)).exit_code == 0
    assert np.load(npy).tolist() == [0, 0, *EDGES, 0, 0]
    found = Field.from_json(as_json.read_text(encoding="utf-8"))
    assert found.values.tolist() == EDGES
    assert found.origin == (2,)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"field.{suffix}"
    assert run("field", *NET, "--out", str(out)).exit_code == 0
    assert out.stat().st_size > 2000


def test_an_overlay_on_a_photo(tmp_path: Path) -> None:
    out = tmp_path / "over.png"
    result = run("field", *NET, "--image", str(photo(tmp_path / "photo.png")), "--out", str(out))
    assert result.exit_code == 0
    with Image.open(out) as picture:
        said = json.loads(picture.info["Description"])
    assert said["fields"][0]["kind"] == "energy"


def test_explain_writes_a_page(tmp_path: Path, golden: Golden) -> None:
    out = tmp_path / "page.png"
    result = run("explain", *NET, "--image", str(photo(tmp_path / "photo.png")), "-o", str(out))
    assert result.exit_code == 0
    with Image.open(out) as picture:
        assert picture.size == (1100, 800)
        assert json.loads(picture.info["Description"])["image"] == "photo.png"
    golden(result.output.replace(str(out), "page.png"))


def test_explain_without_an_image_uses_the_chart(tmp_path: Path) -> None:
    out = tmp_path / "page.png"
    assert run("explain", *NET, "--at", "0,0", "--gamma", "0.5", "-o", str(out)).exit_code == 0
    with Image.open(out) as picture:
        said = json.loads(picture.info["Description"])
    assert (said["image"], said["gamma"]) == ("built-in eye chart", 0.5)


BAD = [
    (("field", NET[0], "--input", "1,3,8,8", "--layer", "conv9"), "unknown layer 'conv9'"),
    (("field", *NET, "--at", "1,2,3"), "a unit has 2 indices"),
    (("field", *NET, "--at", "99,0"), "outside the grid"),
    (("field", *NET, "--at", "left"), "expected the index of a unit"),
    (("field", *NET, "--kind", "strength"), "strength"),
    (("field", *NET, "--kind", "paths", "--weights", "model"), "kind='paths' has no weights='model'"),
    (("field", *NET, "--out", "field.bmp"), "must end in one of"),
    (("field", *NET, "--out", "/nowhere/field.npy"), "cannot be written"),
    (("field", *NET, "--out", "/nowhere/field.png"), "cannot be written"),
    (("field", *NET, "--image", "photo.png"), "give a picture to write"),
    (("field", *NET, "--image", "missing.png", "--out", "{tmp}/f.png"), "no such file"),
    (("field", *NET, "--image", "{tmp}/text.png", "--out", "{tmp}/f.png"), "text.png"),
    (("field", *STACK, "--image", "{tmp}/text.png", "--out", "{tmp}/f.png"), "only a source with two"),
    (("explain", *STACK), "only a unit that looks at an image"),
    (("explain", *NET, "--out", "page.json"), "must end in one of"),
    (("explain", *NET, "--image", "missing.png", "-o", "{tmp}/p.png"), "no such file"),
    (("explain", *NET, "--gamma", "-1"), "gamma"),
    (("field", "no-such-thing:net", "--layer", "x"), ""),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_bad_input_is_one_line(arguments: tuple[str, ...], text: str, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    result = run(*(part.replace("{tmp}", str(tmp_path)) for part in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert text in lines[0]


def test_usage_counts_all_units(tmp_path: Path) -> None:
    out, picture = tmp_path / "usage.npy", tmp_path / "usage.png"
    line = "conv3x1,valid,s5"
    result = run("field", line, "--input", "1,1,15", "--layer", "conv1", "--usage", "--out", str(out))
    assert "positions (40 %) are never read" in result.output
    assert np.load(out).tolist() == [1, 1, 1, 0, 0] * 3
    told = json.loads(run("field", *NET, "--usage", "--json", "--out", str(picture)).output)
    assert told["source_shape"] == [48, 64]
    assert told["never_read"] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_usage_is_about_no_single_unit() -> None:
    result = run("field", *NET, "--usage", "--at", "3,3")
    assert result.exit_code == 2
    assert "goes without --at" in result.output


def test_growth_is_drawn_beside_the_table(tmp_path: Path) -> None:
    out = tmp_path / "growth.png"
    result = run("analyze", *NET[:3], "--growth", str(out))
    assert result.exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    refused = run("analyze", *NET[:3], "--growth", "growth.txt")
    assert refused.exit_code == 2
    assert "--growth growth.txt: the name must end in" in refused.output
