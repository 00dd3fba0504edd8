"""``foveal erf``: tables, files, figures that are made again, weights side by side, sweeps, exit codes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from foveal.app.main import app
from support.networks.small_factories import first, second
from support.paths import NETWORKS

NET = ("small_factories:first", "--input", "1,3,48,48", "--layer", "tail", "--count", "3", "--threads", "1")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factories are found in their folder."""
    monkeypatch.chdir(NETWORKS)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (60, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["erf", *map(str, arguments)], env={"COLUMNS": None}, catch_exceptions=False)


def test_a_table() -> None:
    result = run(*NET)
    assert result.exit_code == 0
    header, row = result.stdout.splitlines()
    assert header.split("  ")[0] == "network"
    cells = [cell.strip() for cell in row.split("  ") if cell]
    assert cells[:6] == ["small_factories:first", "random", "tail", "6,6", "3", "19x19"]
    assert all("[" in cell for cell in cells[6:8])


def test_the_last_map_is_the_default(photos: Path) -> None:
    result = run("small_factories:first", "--input", "1,3,32,32", "--images", photos)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split()[2] == "tail"


@pytest.mark.parametrize("suffix", ["png", "json"])
def test_again_is_bit_for_bit(suffix: str, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / f"figure.{suffix}"
    asked = (*NET, "--images", photos, "--protocol", "luo2016", "--seed", "3", "--energy", "--out", out)
    assert run(*asked).exit_code == 0
    result = run("--again", out)
    assert result.exit_code == 0
    assert (tmp_path / f"figure-again.{suffix}").read_bytes() == out.read_bytes()
    assert "the same bytes" in result.stderr


def test_again_says_what_has_changed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    assert run(*NET, "--images", photos, "--out", out).exit_code == 0
    (photos / "1.png").write_bytes((photos / "0.png").read_bytes())
    result = run("--again", out)
    assert result.exit_code == 1
    assert "differs: image 1.png has changed" in result.stderr
    assert "other bytes" in result.stderr


def test_the_record(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    assert run(*NET, "--images", photos, "--out", out).exit_code == 0
    with Image.open(out) as picture:
        record = json.loads(picture.info["Description"])["erf"]
    assert [item["name"] for item in record["images"]] == ["0.png", "1.png", "2.png"]
    assert all(len(item["sha256"]) == 64 for item in record["images"])
    assert record["request"]["settings"]["seed"] == 0
    assert record["protocol"]["name"] == "foveal"
    assert record["measured"][0]["unit"] == [6, 6]
    assert {"foveal", "numpy", "torch", "pillow"} <= set(record["versions"])


def test_json(photos: Path) -> None:
    result = run(*NET, "--images", photos, "--json")
    data = json.loads(result.stdout)
    row = data["results"][0]
    assert row["status"] == "data-dependent"
    assert row["intervals"]["sigma"]["low"] <= row["intervals"]["sigma"]["value"] <= row["intervals"]["sigma"]["high"]
    assert row["crop"] is not None
    assert data["erf"]["request"]["sources"] == ["small_factories:first"]


def test_weights_side_by_side(tmp_path: Path) -> None:
    torch.save(first().state_dict() | {"head.extra": torch.zeros(2)}, tmp_path / "w1.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in second().state_dict().items()}}, tmp_path / "w2.pt")
    out = tmp_path / "both.png"
    result = run(*NET, "--weights", tmp_path / "w1.pt", "--weights", tmp_path / "w2.pt", "--out", out)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["w1.pt", "w2.pt"]
    assert lines[1].split("  ")[3:] != lines[2].split("  ")[3:]
    alone = run("small_factories:second", *NET[1:]).stdout.splitlines()[1]
    assert alone.split()[-6:] == lines[2].split()[-6:]
    assert run("--again", out).exit_code == 0
    assert result.stderr.count("w1.pt: the network has no place for 'head.extra'") == 1


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('executed')",))


def bad_weights(folder: Path) -> dict[str, str]:
    """File name -> what the error says."""
    state = first().state_dict()
    (folder / "code.pt").write_bytes(pickle.dumps({"a": Harmful()}))
    (folder / "text.pt").write_text("no weights", encoding="utf-8")
    torch.save({k: v for k, v in state.items() if k != "tail.bias"}, folder / "less.pt")
    torch.save({**state, "tail.bias": torch.zeros(3)}, folder / "shape.pt")
    torch.save({"epoch": 3}, folder / "none.pt")
    return {
        "code.pt": "not a readable file of weights",
        "text.pt": "not a readable file of weights",
        "less.pt": "has no weights for 'tail.bias'",
        "shape.pt": "'tail.bias' has another shape: (3,), the model takes (16,)",
        "none.pt": "holds no table of weights",
        "missing.pt": "no such file",
    }


def test_bad_weights_are_one_line(tmp_path: Path) -> None:
    for name, text in bad_weights(tmp_path).items():
        result = run(*NET, "--weights", tmp_path / name)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert text in result.stderr


def test_maps_as_an_array(tmp_path: Path) -> None:
    out = tmp_path / "map.npy"
    assert run(*NET, "--layer", "act", "--out", out).exit_code == 0
    assert np.load(out).shape[1:] == (48, 48)


def test_a_sweep(tmp_path: Path) -> None:
    pieces = tmp_path / "pieces"
    asked = ("small_factories:first", "small_factories:second", *NET[1:])
    plain, kept = run(*asked), run(*asked, "--sweep", pieces)
    assert kept.exit_code == 0
    assert plain.stdout == kept.stdout
    assert len(list(pieces.glob("0*.npz"))) == 6
    failing = run("small_factories:none", *asked, "--sweep", tmp_path / "other")
    assert failing.exit_code == 1
    assert "failed: small_factories:none (random)" in failing.stderr
    assert failing.stdout == kept.stdout


def test_the_replknet_areas_are_shown() -> None:
    result = run(*NET, "--protocol", "replknet")
    assert "areas of log10(1 + map), which depend on the gradients' scale" in result.stdout


BAD = [
    ((), "name a network"),
    ((*NET, "--protocol", "luo"), "unknown protocol 'luo'"),
    (("small_factories:first", "--layer", "tial"), "unknown layer 'tial'; closest: tail"),
    ((*NET, "--at", "99,0"), "outside the grid"),
    ((*NET, "--images", "nowhere"), "no such folder"),
    ((*NET, "--out", "figure.bmp"), "must end in one of"),
    ((*NET, "--out", "/nowhere/figure.png"), "cannot be written"),
    ((*NET, "--workers", "2"), "need a folder"),
    ((*NET, "--sweep", "{tmp}/s", "--tolerance", "0.1"), "without --tolerance"),
    (("--again", "nowhere.png"), "No such file"),
    (("--again", __file__), "holds no record"),
    (("conv3x4 conv3x4", "--input", "1,3,16,16", "--layer", "conv1"), "needs a PyTorch model"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_bad_input_is_one_line(arguments: tuple[str, ...], text: str, tmp_path: Path) -> None:
    result = run(*(part.replace("{tmp}", str(tmp_path)) for part in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert text in lines[0]


def test_help_names_the_protocols() -> None:
    assert "replknet" in run("--help").stdout


def test_occlusion_stands_beside_the_gradient(tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    asked = (*NET, "--protocol", "occlusion", "--signed", "--patch", "8", "--out", out)
    result = run(*asked)
    assert result.exit_code == 0
    rows = result.stdout.splitlines()
    assert [line.split("  ")[2].strip() for line in rows[1:5]] == [
        "tail", "tail, its gradient", "tail, supports", "tail, opposes",
    ]  # fmt: skip
    assert out.is_file()
    assert rows[5].startswith("tail: occlusion and gradient: ")
    assert "of the weight lies at other patches" in rows[5]
    data = json.loads(run(*asked[:-2], "--json").stdout)["results"]
    assert [item["answers"] for item in data] == ["", "supports", "opposes"]
    assert {"apart", "chance", "ratio", "verdict"} == set(data[0]["gradient"]["reading"])


def test_patches_are_of_occlusion() -> None:
    result = run(*NET, "--patch", "8")
    assert result.exit_code == 2
    assert "of the protocols of occlusion" in result.stderr


def test_over_checkpoints(tmp_path: Path) -> None:
    """Epoch 9 comes before epoch 10; the log has a line for each."""
    for number, factory in ((10, second), (9, first)):
        torch.save(factory().state_dict(), tmp_path / f"epoch{number}.pt")
    result = run(*NET, "--checkpoints", tmp_path / "*.pt", "--log", tmp_path / "log")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["epoch9.pt", "epoch10.pt"]
    assert lines[3].startswith("tail: effective side ")
    assert "the intervals over the images " in lines[3]
    rows = (tmp_path / "log" / "effective.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["9", "tail"], ["10", "tail"]]
    assert list((tmp_path / "log").glob("events.out.tfevents.*"))
    assert "no file matches" in run(*NET, "--checkpoints", tmp_path / "none*.pt").stderr
    assert "give both" in run(*NET, "--log", tmp_path / "log").stderr
