"""``foveal report`` writes one page, and says in one line what is wrong with its options."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveal.app.main import app

LINE = "conv3x4 conv3x4 pool2 conv3x8 gap fc3"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        app(list(words))
    return int(stop.value.code or 0)


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def photo(path: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.full((40, 50, 3), 128, np.uint8)).save(path)
    return path


def test_one_file_with_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    words = ["report", LINE, "--input", "1,3,16,16", "-o", str(out), "--layer", "conv*", "--kind", "energy"]
    assert run(*words, "--image", str(photo(tmp_path / "grey.png")), "--lang", "zh-CN") == 0
    data = data_of(out)
    assert capsys.readouterr().out.startswith(f"{out}: ")
    assert sorted(data["fields"]) == ["conv1@input", "conv2@input", "conv3@input"]
    assert all(list(kinds) == ["energy"] for kinds in data["fields"].values())
    assert data["language"] == "zh-CN"
    assert data["backdrops"][0]["name"] == "grey.png"
    assert len(data["provenance"]["image_sha256"]) == 64
    # Two 3-wide convolutions, a pool of 2, a 3-wide convolution at stride 2: 3, 5, 6, 10.
    sizes = {row["name"]: row["size"] for row in data["layers"]}
    assert [sizes[name] for name in ("conv1", "conv2", "pool1", "conv3")] == [[3, 3], [5, 5], [6, 6], [10, 10]]


def test_nothing_can_be_loaded(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run("report", LINE, "--input", "1,3,16,16", "-o", str(out)) == 0
    text = unescape(out.read_text(encoding="utf-8"))
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["'](?!data:|\#)""", text)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_findings_of_an_audit_come_with_what_to_change(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run("report", LINE, "--input", "1,3,16,16", "-o", str(out), "--task", "streaming") == 0
    # Global pooling reads the whole future.
    found = [finding for finding in data_of(out)["findings"] if finding["code"] == "STR01"]
    assert [finding["severity"] for finding in found] == ["error"]
    assert found[0]["change"]


def test_a_layer_without_a_grid_has_an_edges_field(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    words = ["report", "conv3x4 gap fc3", "--input", "1,1,9", "-o", str(out), "--layer", "fc1", "--kind", "edges"]
    assert run(*words) == 0
    # 3 edges into the convolution (2 at the ends), as many from it into the mean, 1 into the linear layer.
    assert data_of(out)["fields"]["fc1@input"]["edges"]["max"] == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "page.pdf"], "-o page.pdf: the name must end in .html"),
        (["-o", "nowhere/page.html"], "-o nowhere/page.html: there is no folder 'nowhere'"),
        (["--kind", "gradient"], "--kind gradient is measured on photos: name their folder with --images DIR"),
        (["--task", "cooking"], "unknown task 'cooking'; expected one of classification, detection"),
        (["--layer", "nothing*"], "nothing*"),
        (["--image", "absent.jpg"], "absent.jpg"),
        (["--lang", "fr"], "'fr'"),
    ],
)
def test_bad_options_get_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("report", LINE, "--input", "1,3,16,16", *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []
