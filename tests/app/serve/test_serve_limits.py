"""What keeps ``foveal serve`` answering: texts are read elsewhere, uploads have a total, its first network stays."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from foveal.app.serve import jobs as jobs_module, uploads as uploads_module
from foveal.app.serve.jobs import KEPT, Jobs
from foveal.app.serve.lanes import Lane
from foveal.app.serve.scrub import scrubbed
from foveal.app.serve.uploads import AT_ONCE, RefusedError, Uploads
from support.serve_process import Running, running

SPEC = "input: 1x16x16\nlayers:\n  - 2*conv3x2\n"
SLOW = "name: x\ninput: 1x16x16\nlayers:\n" + "".join(f"  - {{name: a{i}, layers: 'conv3x2'}}\n" for i in range(6100))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("folder"), "conv3x2", "--input", "1,1,8,8") as found:
        yield found


def told(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"]["message"])


def test_the_first_network_outlives_many_others(server: Running) -> None:
    with server.client() as client:
        first = client.get("/").headers["location"]
        for number in range(KEPT + 4):
            assert client.post("/api/networks", json={"source": f"conv3x{number + 1}", "input": "1,1,8,8"}).is_success
        for _ in range(600):
            if client.get(f"/api/jobs/{first.rpartition('/')[2]}").json()["state"] == "done":
                break
            time.sleep(0.1)
        page = client.get("/", follow_redirects=True)
    assert page.status_code == 200
    assert str(page.url).endswith(first)


def test_a_large_text_holds_nobody_up(server: Running) -> None:
    assert 200_000 < len(SLOW) < 250_000
    with server.client() as client, ThreadPoolExecutor() as pool:
        sent = pool.submit(client.post, "/api/uploads", params={"name": "slow.yaml"}, content=SLOW.encode(), timeout=60)
        waits = []
        while not sent.done():
            start = time.perf_counter()
            assert client.get("/playground").status_code == 200
            waits.append(time.perf_counter() - start)
        assert sent.result().status_code in (200, 400), sent.result().text
    assert max(waits) < 2.5


def test_many_uploads_at_once_are_each_answered(server: Running) -> None:
    def send(number: int) -> int:
        with server.client() as client:
            name = {"name": f"net{number}.yaml"}
            return int(client.post("/api/uploads", params=name, content=SPEC.encode()).status_code)

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(send, range(40)))
    assert set(codes) <= {200, 503}
    assert 200 in codes


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_byte_order_mark_is_no_error(server: Running, mark: bytes) -> None:
    with server.client() as client:
        sent = client.post("/api/uploads", params={"name": "net.yaml"}, content=mark + SPEC.encode())
        assert sent.status_code == 200, sent.text
        assert sent.json()["text"] == SPEC
        assert client.post("/api/networks", content=mark + b'{"source": "\\ufeffconv3x2 conv3x2"}').status_code == 202


def test_other_encodings_get_a_line(server: Running) -> None:
    with server.client() as client:
        for name in ("utf-16", "utf-32"):
            sent = client.post("/api/uploads", params={"name": "net.yaml"}, content=SPEC.encode(name))
            assert told(sent, 400) == f"'net.yaml': not text in UTF-8 but in {name.upper()}; save it as UTF-8"


def test_no_error_text_holds_a_path_of_the_server(server: Running) -> None:
    with server.client() as client:
        sent = client.post("/api/uploads", params={"name": "broken.onnx"}, content=b"\x08\x07garbage" * 9).json()
        job = client.post("/api/networks", json={"upload": sent["id"]}).json()
        for _ in range(600):
            job = client.get(f"/api/jobs/{job['id']}").json()
            if job["state"] == "failed":
                break
            time.sleep(0.1)
    assert job["state"] == "failed"
    assert "/" not in job["error"]
    assert "file.onnx" in job["error"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/foveal-serve-x/ab/file.onnx: damaged", "file.onnx: damaged"),
        ("cannot read '/usr/lib/python3/site.py', line 3", "cannot read 'site.py', line 3"),
        ("layer '/layer1/conv/Conv' has no rule", "layer '/layer1/conv/Conv' has no rule"),
        ("expected 3/2, got a/b", "expected 3/2, got a/b"),
        (r"C:\Users\me\net.onnx: damaged", "net.onnx: damaged"),
        ("/my own/nets/a b.onnx: damaged", "a b.onnx: damaged"),
    ],
)
def test_paths_are_named_by_their_last_part(text: str, shown: str) -> None:
    assert scrubbed(text, [Path("/my own/nets")]) == shown


class Request:
    """What ``Uploads`` asks of a request."""

    def __init__(self, name: str, *parts: bytes) -> None:
        self.query_params, self.headers, self.parts = {"name": name}, {}, parts

    async def stream(self) -> Any:
        for part in self.parts:
            yield part


@pytest.mark.anyio
async def test_uploads_have_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "TOTAL", 1000)
    kept = Uploads()
    found = [await kept.receive(Request("a.yaml", b"x" * 400)) for _ in range(4)]  # type: ignore[arg-type]
    assert [upload.path.exists() for upload in found] == [False, False, True, True]
    with pytest.raises(RefusedError, match="no longer here"):
        kept.get(found[0].id)
    with pytest.raises(RefusedError, match="no room: all files that are sent") as caught:
        await kept.receive(Request("b.yaml", b"x" * 600, b"x" * 600))  # type: ignore[arg-type]
    assert caught.value.status == 507
    assert sum(path.stat().st_size for path in kept.folder.rglob("*") if path.is_file()) <= 1000
    kept._coming = dict.fromkeys("abcdefgh", 0)
    assert len(kept._coming) == AT_ONCE
    with pytest.raises(RefusedError, match="being received already") as caught:
        await kept.receive(Request("b.yaml", b"x"))  # type: ignore[arg-type]
    assert caught.value.status == 503
    kept.close()


@pytest.mark.anyio
async def test_a_full_disk_refuses_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Uploads()
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(RefusedError, match="the server cannot keep it: No space left on device") as caught:
        await kept.receive(Request("a.yaml", b"x"))  # type: ignore[arg-type]
    assert caught.value.status == 507
    kept.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_jobs_that_stay_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "KEPT", 2)
    lane = Lane("none", 1, 1 << 30)
    lane._closed = False
    monkeypatch.setattr(lane, "_answer", lambda call: "{}")
    found = Jobs(lane)
    first = found.start({}, stays=True)
    others = [found.start({}) for _ in range(5)]
    assert found.get(first.id) is first
    assert [found.get(job.id) for job in others[-2:]] == others[-2:]
    with pytest.raises(RefusedError, match="no longer open"):
        found.get(others[0].id)
    lane.close()
