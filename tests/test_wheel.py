"""The wheel holds every file of the package, and runs without the sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.paths import ROOT

PACKAGE = ROOT / "src" / "foveal"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("foveal-*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_every_file_is_inside(unpacked: Path) -> None:
    def files(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    assert files(unpacked / "foveal") == files(PACKAGE)
    kinds = {Path(name).suffix for name in files(PACKAGE)}
    assert {".py", ".yaml", ".js", ".css", ".html", ".json"} <= kinds


def test_it_runs(unpacked: Path) -> None:
    def said(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(unpacked)}
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, env=environment, cwd=unpacked, check=True
        ).stdout

    assert Path(said("-c", "import foveal; print(foveal.__file__)").strip()).parent == unpacked / "foveal"
    report = json.loads(said("-m", "foveal", "analyze", "gallery:vgg13", "--json"))
    assert report["layers"][-1]["name"] == "fc3"
