"""Files are written beside and renamed: what stood there stays where writing fails, and nothing else is left."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import FovealError, writing

GOOD = b"a good report"
LINE = ["conv3x8 conv3x8", "--input", "1,3,24,24"]
WRITERS = {
    "report": ["report", *LINE, "-o", "out.html"],
    "picture": ["field", *LINE, "--layer", "conv2", "-o", "out.png"],
    "drawing": ["field", *LINE, "--layer", "conv2", "-o", "out.svg"],
    "page": ["field", *LINE, "--layer", "conv2", "-o", "out.pdf"],
    "array": ["field", *LINE, "--layer", "conv2", "-o", "out.npy"],
    "json": ["field", *LINE, "--layer", "conv2", "-o", "out.json"],
    "explain": ["explain", *LINE, "--layer", "conv2", "-o", "out.png"],
    "growth": ["analyze", *LINE, "--growth", "out.png"],
    "audit": ["audit", "classification", *LINE, "--picture", "out.png"],
    "code": ["code", *LINE, "-o", "out.py"],
}


@contextmanager
def full(size: int = 200) -> Iterator[None]:
    """No file may grow beyond that."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_the_good_file(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / words[-1]
    out.write_bytes(GOOD)
    with full():
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert f"{words[-1]}: cannot be written" in done.output
    assert "Traceback" not in done.output
    assert out.read_bytes() == GOOD
    assert os.listdir(tmp_path) == [out.name]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert out.read_bytes() != GOOD
    assert os.listdir(tmp_path) == [out.name]


def test_designs_are_whole_or_not_there(tmp_path: Path) -> None:
    words = ["design", "--task", "segmentation", "--input", "64", "--generations", "1", "--population", "4"]
    with full(1000):
        done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "d")])
    assert done.exit_code == 2, done.output
    assert "cannot be written" in done.output
    for path in (tmp_path / "d").iterdir():
        assert not path.name.startswith(".")
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [["analyze", *LINE], ["analyze", *LINE, "--json"], ["--help"], ["code", *LINE]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as gone:
        done = subprocess.run([sys.executable, "-m", "foveal", *words], stdout=gone, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


def test_the_file_keeps_mode_and_links(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "l.txt"
    path.write_bytes(GOOD)
    path.chmod(0o640)
    link.symlink_to(path)
    with writing(link) as place:
        assert (place.parent, place.suffix) == (tmp_path, ".txt")
        place.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "new"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError("own"), KeyboardInterrupt(), FovealError("own")])
def test_what_else_goes_wrong_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(GOOD)

    def fail() -> None:
        with writing(path) as place:
            place.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_bytes() == GOOD
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "Is a directory"), ("no/a.txt", "No such file"), ("a\0b", "not a path"), ("x" * 300, "name too long")],
)
def test_where_nothing_can_be_written(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(FovealError, match=why) as caught, writing(f"{tmp_path}/{name}") as place:
        Path(place).write_text("x", encoding="utf-8")
    assert len(str(caught.value).splitlines()) == 1


def test_a_device_is_written_to_as_it_is() -> None:
    with writing(os.devnull) as place:
        assert str(place) == os.devnull


def test_exported_networks_move_whole(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from foveal.designs.network import Network  # noqa: F401  (the room loads)
    from foveal.frontends.torch.emitted import export_onnx

    code = "import torch\nfrom torch import nn\nclass Net(nn.Sequential):\n    def __init__(self):\n"
    code += "        super().__init__(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))\n"
    path = tmp_path / "net.onnx"
    export_onnx(code, (3, 16, 16), path)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert foveal.receptive_field(foveal.trace(path), foveal.trace(path).layers[-1]).size == (5, 5)
    before = path.read_bytes()
    with full(100), pytest.raises(FovealError):
        export_onnx(code, (3, 16, 16), path)
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_arrays_come_back(tmp_path: Path) -> None:
    values: Any = np.arange(6.0)
    with writing(tmp_path / "a.npy") as place:
        np.save(place, values)
    assert np.array_equal(np.load(tmp_path / "a.npy"), values)
