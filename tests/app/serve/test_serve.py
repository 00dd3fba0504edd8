"""``foveal serve`` as a program meets it: who is let in, what is refused and how, what is answered."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveal.app.main import app
from foveal.app.serve.lanes import BusyError, Lane, WorkerError
from foveal.core.errors import FovealError
from support.serve_process import Running, running

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network in it, and one beside it."""
    root = tmp_path_factory.mktemp("root")
    inside = root / "inside"
    inside.mkdir()
    (inside / "five.yaml").write_text("name: five\ninput: 1x32x32\nlayers:\n  - 5*conv3x2\n", encoding="utf-8")
    (root / "outside.yaml").write_text("name: secret\ninput: 1x32x32\nlayers:\n  - conv3x2\n", encoding="utf-8")
    (inside / "link.yaml").symlink_to(root / "outside.yaml")
    (inside / "weights.pt").write_bytes(b"\x80\x04.")
    return inside


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running(folder) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def one_line(response: httpx.Response, status: int) -> str:
    """The one line of a refusal."""
    assert response.status_code == status, response.text
    text = response.json()["error"]["message"] if "json" in response.headers["content-type"] else response.text.strip()
    assert "\n" not in text
    assert "Traceback" not in text
    return str(text)


def asked(client: httpx.Client, question: str, **body: Any) -> Any:
    response = client.post(f"/api/playground/{question}", json={"shape": "3x64x64"} | body)
    assert response.status_code == 200, response.text
    return response.json()


def opened(client: httpx.Client, **body: Any) -> dict[str, Any]:
    """The job of a network, once it is done or failed."""
    response = client.post("/api/networks", json=body)
    assert response.status_code == 202, response.text
    job = response.json()
    for _ in range(2400):
        job = client.get(f"/api/jobs/{job['id']}").json()
        if job["state"] in ("done", "failed"):
            break
        time.sleep(0.05)
    return dict(job)


# Who is let in.


def test_the_address_with_its_token_opens_the_playground_and_leaves_a_cookie(server: Running) -> None:
    with httpx.Client(trust_env=False) as browser:
        first = browser.get(f"{server.base}/?token={server.token}")
        assert first.status_code == 303
        assert "token" not in first.headers["location"]
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        page = browser.get(f"{server.base}/playground")
        assert page.status_code == 200
        assert "foveal" in page.text


@pytest.mark.parametrize("path", ["/", "/playground", "/explore/1", "/api/jobs/1", "/nothing"])
def test_without_the_token_nothing_is_shown(server: Running, path: str) -> None:
    for cookies in ({}, {f"foveal{server.base.rsplit(':', 1)[1]}": server.token[:-1] + "é"}):
        with httpx.Client(trust_env=False) as browser:
            headers = {"cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()).encode()} if cookies else {}
            text = one_line(browser.get(server.base + path, headers=headers), 403)
            assert "open the address that foveal serve printed" in text


def test_a_wrong_token_is_refused(server: Running) -> None:
    response = httpx.get(f"{server.base}/?token={server.token}x", trust_env=False)
    assert one_line(response, 403) == "this token is not valid here"
    assert "set-cookie" not in response.headers


def test_two_servers_have_two_tokens(server: Running, folder: Path) -> None:
    with running(folder) as other:
        assert other.token != server.token
        assert len(other.token) >= 32


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "127.0.0.2"],
)
def test_another_host_name_is_refused_even_with_the_token(client: httpx.Client, host: str) -> None:
    response = client.get("/playground", headers={"host": host})
    # An empty or broken Host header is refused by the protocol itself.
    assert response.status_code in ((400, 421) if host in ("", "[") else (421,))
    assert len(response.text.strip().splitlines()) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_names_of_this_machine_are_answered(server: Running, client: httpx.Client, host: str) -> None:
    port = server.base.rsplit(":", 1)[1]
    assert client.get("/playground", headers={"host": f"{host}:{port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"origin": "http://127.0.0.1:1"},
     {"sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_posts_from_other_pages_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    body = {"text": "conv3x4", "shape": "3x8x8"}
    response = client.post("/api/playground/summary", json=body, headers=headers)
    assert one_line(response, 403) == "requests from other pages are refused"


def test_every_answer_carries_the_headers_that_keep_others_out(client: httpx.Client) -> None:
    for path in ("/playground", "/nothing", "/api/jobs/1"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_other_methods_and_unknown_pages_get_a_line(client: httpx.Client) -> None:
    assert "is not used here" in one_line(client.request("DELETE", "/playground"), 405)
    assert one_line(client.get("/nothing"), 404) == "there is no such page here"
    assert "no longer open here" in one_line(client.get("/explore/0123"), 404)


@pytest.mark.parametrize("path", ["//evil.example/%2e%2e", "/\\evil.example", "///evil.example"])
def test_the_redirect_stays_on_this_server(server: Running, path: str) -> None:
    response = httpx.get(f"{server.base}{path}?token={server.token}", trust_env=False)
    if response.status_code == 303:
        location = response.headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


# What may be named.


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("../outside.yaml", 403, "outside the folder"),
        ("link.yaml", 403, "outside the folder"),
        ("/etc/passwd", 415, "expected one of"),
        ("/etc/hosts.yaml", 403, "outside the folder"),
        ("x/../../outside.yaml", 403, "outside the folder"),
        ("conv3 ../../../outside.yaml", 403, "outside the folder"),
        ("weights.pt", 415, "never read"),
        ("model.pt2", 415, "never read"),
        ("missing.onnx", 404, "no such file"),
        ("os:getcwd", 403, "would run a program"),
        ("timm:hf_hub:someone/model", 415, "expected one of"),
        ("", 400, "no network given"),
        ("conv3x64 pol2", 400, "unknown layer kind 'pol'"),
        ("five.yaml\x00.onnx", 400, "not a path"),
        ("x" * 100_001, 400, "at most"),
    ],
)
def test_what_may_not_be_opened_is_refused_in_a_line(
    client: httpx.Client, source: str, status: int, words: str
) -> None:
    assert words in one_line(client.post("/api/networks", json={"source": source}), status)


def test_a_network_in_the_folder_opens(client: httpx.Client) -> None:
    assert opened(client, source="five.yaml") | {"id": "", "doing": ""} == {
        "id": "",
        "state": "done",
        "doing": "",
        "error": "",
    }


def test_a_network_that_cannot_be_traced_fails_in_a_line(client: httpx.Client) -> None:
    job = opened(client, source="conv3x4,valid conv3x4,valid", input="1,3,6,6")
    assert job["state"] == "done"
    job = opened(client, source="conv3x4,valid conv9x4,valid", input="1,3,4,4")
    assert job["state"] == "failed"
    assert "gives an empty output" in job["error"]
    page = client.get(f"/explore/{job['id']}")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("shape", ["1,3,-1,4", "a", "1,,3", "0,3,4,4", "1," * 9 + "1", "99999999,1"])
def test_a_wrong_input_shape_is_refused_in_a_line(client: httpx.Client, shape: str) -> None:
    assert "expected positive lengths" in one_line(
        client.post("/api/networks", json={"source": "conv3", "input": shape}), 400
    )


# What may be sent.


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(stream, kind)
    return stream.getvalue()


def test_a_photo_and_a_specification_are_taken(client: httpx.Client) -> None:
    photo = client.post("/api/uploads", params={"name": f"../../{HOSTILE}.png"}, content=picture())
    assert photo.status_code == 200
    assert photo.json()["name"] == f"{HOSTILE}.png"
    text = client.post("/api/uploads", params={"name": "net.yaml"}, content=b"input: 1x16x16\nlayers:\n  - 2*conv3x2\n")
    job = opened(client, upload=text.json()["id"], image=photo.json()["id"])
    assert job["state"] == "done", job


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.pt2", "a.pkl", "A.PT", "a.bin", "a.npy", "a.keras"])
def test_pickles_and_their_like_are_never_taken(client: httpx.Client, name: str) -> None:
    text = one_line(client.post("/api/uploads", params={"name": name}, content=b"\x80\x04."), 415)
    assert "never taken" in text


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("a.png", b"not a picture", 400, "not an image"),
        ("a.png", picture()[:60], 400, "'a.png':"),
        ("a.webp", b"junk", 400, "not an image"),
        ("a.jpg", b"", 400, "empty"),
        ("a.onnx", b"\x80\x04\x95.", 415, "pickle"),
        ("a.onnx", b"PK\x03\x04", 415, "archive"),
        ("a.yaml", b"\xff\xfe", 400, "not text"),
        ("a.yaml", b"layers: [", 400, "not valid YAML"),
        ("a.yaml", b"layers: !!python/object/apply:os.system ['true']", 400, "not valid YAML"),
        ("a.exe", b"MZ", 415, "expected a photo"),
        ("noname", b"x", 415, "expected a photo"),
        ("", b"x", 415, "expected a photo"),
    ],
)
def test_malformed_uploads_get_a_line(client: httpx.Client, name: str, content: bytes, status: int, words: str) -> None:
    assert words in one_line(client.post("/api/uploads", params={"name": name}, content=content), status)


def test_a_broken_onnx_file_fails_in_a_line(client: httpx.Client) -> None:
    sent = client.post("/api/uploads", params={"name": "broken.onnx"}, content=b"\x08\x07garbage" * 9)
    job = opened(client, upload=sent.json()["id"])
    assert job["state"] == "failed"
    assert job["error"]
    assert "\n" not in job["error"]


def test_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    said = client.post("/api/uploads", params={"name": "a.yaml"}, content=b"x" * 300_000)
    assert "larger than 0.25 MB" in one_line(said, 413)

    def parts() -> Iterator[bytes]:  # without a length
        for _ in range(40):
            yield b"x" * 10_000

    assert "larger than 0.25 MB" in one_line(
        client.post("/api/uploads", params={"name": "a.yaml"}, content=parts()), 413
    )
    long = json.dumps({"text": "x" * 300_000, "shape": "3x8x8"})
    assert "at most" in one_line(client.post("/api/playground/summary", content=long), 413)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"text": 1, "shape": ""}', b'{"shape": "3x4x4"}', b"\xff", b"[" * 100_000]
)
def test_malformed_questions_get_a_line(client: httpx.Client, content: bytes) -> None:
    one_line(client.post("/api/playground/summary", content=content), 400)


# What is answered.


def test_five_3_wide_layers_see_11(client: httpx.Client) -> None:
    said = asked(client, "summary", text="conv3x4 conv3x4 conv3x4 conv3x4 conv3x4")
    assert [row["size"] for row in said["layers"]] == [[3, 3], [5, 5], [7, 7], [9, 9], [11, 11]]
    field = asked(client, "field", text="5*conv3x4", layer="conv5", kind="edges")["field"]
    # The middle unit is 32: five positions to each side.
    assert field["hull"] == [[27, 38], [27, 38]]


def test_a_wrong_text_is_an_answer_with_its_place(client: httpx.Client) -> None:
    text = "conv3x64 pol2 conv3x8"
    error = asked(client, "summary", text=text)["error"]
    start, end = error["place"]
    assert text[start:end] == "pol2"
    assert "unknown layer kind 'pol'" in error["message"]


def test_the_field_of_any_unit_of_an_open_network(client: httpx.Client) -> None:
    job = opened(client, source="conv3x4 conv3x4,s2", input="1,1,32,32")
    body = {"layer": "conv2", "source": "input", "kind": "energy", "at": [4, 7]}
    field = client.post(f"/api/networks/{job['id']}/field", json=body).json()["field"]
    # conv2's unit u reads conv1 2u-1 .. 2u+1, which read 2u-2 .. 2u+2.
    assert field["hull"] == [[6, 11], [12, 17]]
    for wrong in ({"layer": "conv9"}, {"at": [99, 0]}, {"at": ["x"]}, {"kind": "colour"}):
        answer = client.post(f"/api/networks/{job['id']}/field", json=body | wrong)
        assert answer.status_code == 400 or "missing" in answer.json()


def test_a_job_tells_how_far_it_is_by_events(client: httpx.Client) -> None:
    job = client.post("/api/networks", json={"source": "gallery:unet"}).json()
    states = []
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line[6:])["state"] for line in events.iter_lines() if line.startswith("data: ")]
    assert states[-1] == "done"


def test_names_that_hold_markup_are_escaped_in_the_page(client: httpx.Client) -> None:
    sent = client.post(
        "/api/uploads", params={"name": f"{HOSTILE}</script>.yaml"}, content=b"input: 1x8x8\nlayers:\n  - conv3x2\n"
    )
    response = client.post("/api/networks", json={"upload": sent.json()["id"]})
    page = client.get(f"/explore/{response.json()['id']}").text
    assert HOSTILE not in page


@pytest.mark.slow
def test_200_requests_at_once_do_not_stop_it(server: Running) -> None:
    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        headers = {"authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(
            base_url=server.base, headers=headers, timeout=60, limits=limits, trust_env=False
        ) as many:
            bodies = ({"text": f"{1 + i % 50}*conv3x4", "shape": "1x32x32"} for i in range(200))
            return await asyncio.gather(*(many.post("/api/playground/summary", json=body) for body in bodies))

    answers = asyncio.run(all_at_once())
    for index, answer in enumerate(answers):
        assert answer.status_code == 200
        assert answer.json()["layers"][-1]["size"] == [2 * (1 + index % 50) + 1] * 2
    with server.client() as client:
        assert client.get("/playground").status_code == 200


def test_waiting_questions_of_one_page_give_way_to_its_last(server: Running) -> None:
    async def typing() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {server.token}", "x-page": "one"}
        async with httpx.AsyncClient(base_url=server.base, headers=headers, timeout=60, trust_env=False) as page:
            bodies = ({"text": f"{900 + i}*conv3x4", "shape": "1x32x32"} for i in range(12))
            return await asyncio.gather(*(page.post("/api/playground/summary", json=body) for body in bodies))

    codes = [answer.status_code for answer in asyncio.run(typing())]
    assert set(codes) <= {200, 409}
    assert codes.count(200) >= 1
    assert 409 in codes


# The worker processes.


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane("test", seconds=60, memory=3 << 30, waiting=4)
    yield made
    made.close()


FIVE = {"text": "5*conv3x4", "shape": "1x32x32"}


def test_a_call_that_takes_too_long_is_stopped_and_the_next_is_answered(lane: Lane) -> None:
    lane.seconds = 0.001
    with pytest.raises(FovealError, match=r"took longer than 0\.001 s and was stopped"):
        lane.submit("summary", FIVE).result(timeout=30)
    lane.seconds = 60
    assert json.loads(lane.submit("summary", FIVE).result(timeout=60))["layers"][-1]["size"] == [11, 11]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(lane: Lane) -> None:
    assert lane.submit("summary", FIVE).result(timeout=60)
    assert lane._process is not None
    lane._process.kill()
    lane._process.wait()
    assert lane.submit("summary", FIVE).result(timeout=60)
    # A call that is not known is a fault of the caller of the lane, not of the browser: the worker ends.
    with pytest.raises(WorkerError):
        lane.submit("nothing", {}).result(timeout=60)
    assert lane.submit("summary", FIVE).result(timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the data of a process")
def test_a_call_that_needs_too_much_memory_gets_a_line() -> None:
    small = Lane("small", seconds=60, memory=600 << 20)
    try:
        with pytest.raises(FovealError, match="memory"):
            small.submit(
                "field", {"text": "conv3x1 gap", "shape": "1x8000x8000", "layer": "gap1", "kind": "energy"}
            ).result()
        assert small.submit("summary", FIVE).result(timeout=60)
    finally:
        small.close()


def test_only_so_many_calls_wait(lane: Lane) -> None:
    slow = {"text": "900*conv3x4", "shape": "1x64x64"}
    calls = [lane.submit("growth", slow)]
    with pytest.raises(BusyError, match="are waiting already"):
        calls += [lane.submit("summary", FIVE) for _ in range(9)]
    lane.close()
    with pytest.raises(BusyError):
        lane.submit("summary", FIVE)
    assert all(call.done() for call in calls[1:])


# The command.


def test_the_command_refuses_what_it_cannot_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--port", port])
    assert "cannot listen there" in str(result.exception or result.output) or result.exit_code == 2
    assert CliRunner().invoke(app, ["serve", "--folder", "/nowhere"]).exit_code == 2
    assert CliRunner().invoke(app, ["serve", "--image", "/nowhere.png"]).exit_code == 2
