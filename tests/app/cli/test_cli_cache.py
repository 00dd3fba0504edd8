"""Reports kept on disk: what is kept, what is not, and that nothing but a report comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveal.app import cache
from foveal.app.main import app
from foveal.report.results import SCHEMA
from support.reports import report

NAME = "torchvision:squeezenet1_1"
SMALL = ["--input", "1,3,64,64"]


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["analyze", *arguments], env={"COLUMNS": None}, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOVEAL_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_the_second_time_nothing_is_traced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(NAME, *SMALL)
    assert len(list(home.iterdir())) == 1
    other = run(NAME, *SMALL, "--layer", "features.0")
    assert other != first
    assert len(list(home.iterdir())) == 2

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("traced")

    with monkeypatch.context() as within:
        within.setattr("foveal.app.cli.analyze.trace_source", refuse)
        assert run(NAME, *SMALL) == first
        assert run(NAME, *SMALL, "--layer", "features.0") == other
        for arguments in ([NAME, "--input", "1,3,65,64"], [NAME, *SMALL, "--no-cache"], [NAME, *SMALL, "--verify"]):
            with pytest.raises(AssertionError, match="traced"):
                run(*arguments)


def test_only_what_the_key_holds_is_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = tmp_path / "inside.onnx", tmp_path / "beside.onnx"
    inside.write_bytes(b"graph")
    beside.write_bytes(b"graph location weights.bin")
    first = cache.place(str(inside), {})
    assert first is not None
    assert first.path.parent == home
    inside.write_bytes(b"another")
    second = cache.place(str(inside), {})
    assert second is not None
    assert len({first.path, second.path, second._replace(key="").path}) == 2
    for source in (str(beside), "package.module:factory", "keras:ResNet50", "conv3x64", "missing.onnx", "torchvision:"):
        assert cache.place(source, {}) is None
    monkeypatch.setenv("FOVEAL_CACHE_DIR", "")
    assert cache.place(str(inside), {}) is None


def test_the_folder_has_a_limit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = report()
    monkeypatch.setattr(cache, "MOST", 3)
    for number in range(5):
        cache.Place(home / f"{number}.json", "key").write(made)
    assert sorted(path.name for path in home.iterdir()) == ["2.json", "3.json", "4.json"]
    assert cache.Place(home / "4.json", "key").read() == made
    assert cache.Place(home / "4.json", "other key").read() is None
    whole = (home / "4.json").read_text(encoding="utf-8")
    for broken in (
        "",
        whole[:-9],
        whole.replace(f'"schema": {SCHEMA}', '"schema": "x"'),
        "key\n" + "[" * 9999,
        f"{{}}{whole}",
    ):
        (home / "4.json").write_text(broken, encoding="utf-8")
        assert cache.Place(home / "4.json", "key").read() is None
    monkeypatch.setattr(cache, "LARGEST", 10)
    cache.Place(home / "5.json", "key").write(made)
    assert not (home / "5.json").exists()
