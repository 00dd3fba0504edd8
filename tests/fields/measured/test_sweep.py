"""A sweep that is killed and goes on gives what one run gives; what was finished is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveal.core.errors import FovealError
from foveal.core.serial import to_plain
from foveal.fields.measured import sweep
from foveal.fields.measured.measure import Settings
from foveal.fields.measured.request import Request, Result, run
from support.needs import needs
from support.paths import NETWORKS
from support.rounding import close

HERE = NETWORKS
pytestmark = pytest.mark.needs("torch")  # small_factories builds its networks with it
SOURCES = ("small_factories:first", "small_factories:second")


def request(tmp_path: Path, count: int = 6, sources: tuple[str, ...] = SOURCES) -> Request:
    photos = tmp_path / "photos"
    photos.mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{i}.png")
    return Request(
        sources, ("tail", "act"), input=(1, 3, 32, 32), images=(str(photos),), settings=Settings(), threads=1
    )


def same(first: list[Result], second: list[Result]) -> None:
    """Up to rounding: a piece may have been computed in another process, or on another machine of a cluster."""
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        assert (a.source, a.weights) == (b.source, b.weights)
        assert close(a.measured.field.values, b.measured.field.values, dtype=np.float32)
        assert close(a.measured.error, b.measured.error, dtype=np.float32)
        assert a.measured.intervals.keys() == b.measured.intervals.keys()
        for name, one in a.measured.intervals.items():
            other = b.measured.intervals[name]
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-5), name
        assert (a.measured.used, a.measured.skipped) == (b.measured.used, b.measured.skipped)


def test_pieces_give_what_one_run_gives(tmp_path: Path) -> None:
    asked = request(tmp_path)
    found, failed = sweep.run_sweep(asked, tmp_path / "pieces")
    assert failed == []
    same(found, run(asked))


def test_each_network_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who measures it; a resumed run, where only results are put together, needs each once as well."""
    built, true_prepare = [], sweep.prepare
    monkeypatch.setattr(sweep, "prepare", lambda asked, number: built.append(number) or true_prepare(asked, number))
    asked = request(tmp_path)
    for _ in range(2):
        sweep._LAST.clear()
        sweep.run_sweep(asked, tmp_path / "pieces")
    assert built == [0, 1, 0, 1]


def test_one_network_is_shared_out(tmp_path: Path) -> None:
    asked = request(tmp_path, count=12, sources=SOURCES[:1])
    (tmp_path / "pieces").mkdir()
    jobs = sweep._shared_out(asked, tmp_path / "pieces", 2)
    assert [(len(job.images), job.whole) for job in jobs] == [(5, False), (5, False), (2, False)]


def test_finished_pieces_are_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(tmp_path)
    first, _ = sweep.run_sweep(asked, tmp_path / "pieces")
    (tmp_path / "pieces" / "0001-000002.npz").unlink()
    cut = tmp_path / "pieces" / "0000-000004.npz"
    cut.write_bytes(cut.read_bytes()[:100])
    calls = []
    true_work = sweep.work
    monkeypatch.setattr(sweep, "work", lambda *call: calls.append(call[2:4]) or true_work(*call))
    again, _ = sweep.run_sweep(asked, tmp_path / "pieces")
    assert calls == [(0, [4]), (1, [2])]
    same(first, again)


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[3])
from foveal.fields.measured.request import from_plain_request
from foveal.fields.measured.sweep import run_sweep
run_sweep(from_plain_request(json.loads(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.slow
def test_killed_and_resumed(tmp_path: Path) -> None:
    """Killed at a random piece; benchmarks/measured.py does it ten times with real networks."""
    asked = request(tmp_path, 8)
    pieces, rng = tmp_path / "pieces", np.random.default_rng(0)
    there = 0
    for _ in range(2):
        arguments = [sys.executable, "-c", SCRIPT, json.dumps(to_plain(asked)), str(pieces), str(HERE)]
        process = subprocess.Popen(arguments, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, cwd=HERE)
        goal = there + int(rng.integers(1, 4))
        while process.poll() is None and len(list(pieces.glob("0*.npz"))) < goal:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = len(list(pieces.glob("0*.npz")))
        assert now >= there, "a finished piece was lost"
        there = now
    assert there > 0
    found, failed = sweep.run_sweep(asked, pieces)
    assert failed == []
    same(found, run(asked))


@pytest.mark.slow
def test_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("joblib")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    asked = request(tmp_path)
    found, failed = sweep.run_sweep(asked, tmp_path / "pieces", workers=2)
    assert failed == []
    same(found, run(asked))


@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = needs("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        asked = request(tmp_path)
        found, failed = sweep.run_sweep(asked, tmp_path / "pieces", ray_address="local")
    finally:
        ray.shutdown()
    assert failed == []
    same(found, run(asked))


def test_without_ray_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FovealError, match="needs Ray: pip install"):
        sweep.run_sweep(request(tmp_path), tmp_path / "pieces", ray_address="local")


def test_an_unreadable_image_is_reported(tmp_path: Path) -> None:
    asked = request(tmp_path)
    (tmp_path / "photos" / "2.png").write_bytes(b"nothing")
    found, failed = sweep.run_sweep(asked, tmp_path / "pieces")
    assert failed == []
    assert all([name for name, _ in item.measured.skipped] == ["2.png"] for item in found)
    same(found, run(asked))


def test_a_network_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    asked = request(tmp_path, sources=("small_factories:none", *SOURCES))
    found, failed = sweep.run_sweep(asked, tmp_path / "pieces")
    assert [item.source for item in failed] == ["small_factories:none"]
    assert len(found) == 4


def test_a_full_disk_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, pieces = request(tmp_path), tmp_path / "pieces"
    true_sync, left = os.fsync, [7]

    def full(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        true_sync(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FovealError, match="No space left on device; finished pieces stay"):
        sweep.run_sweep(asked, pieces)
    kept = sorted(path.name for path in pieces.glob("0*.npz"))
    assert kept
    assert not list(pieces.glob(".*"))
    monkeypatch.setattr(os, "fsync", true_sync)
    found, _ = sweep.run_sweep(asked, pieces)
    assert set(kept) <= {path.name for path in pieces.glob("0*.npz")}
    same(found, run(asked))


def test_another_request_in_the_same_folder(tmp_path: Path) -> None:
    sweep.run_sweep(request(tmp_path, sources=SOURCES[:1]), tmp_path / "pieces")
    with pytest.raises(FovealError, match="holds the pieces of another request"):
        sweep.run_sweep(request(tmp_path), tmp_path / "pieces")
