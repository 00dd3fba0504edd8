"""The web application: pages, their questions, and where each is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette import responses
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from foveal.app.serve.jobs import Job, Jobs
from foveal.app.serve.lanes import BusyError, Key, Lane, SupersededError, WorkerError
from foveal.app.serve.scrub import scrubbed
from foveal.app.serve.security import Guard
from foveal.app.serve.sources import asked, shape_of
from foveal.app.serve.uploads import RefusedError, Uploads, kind_of
from foveal.core.errors import FovealError
from foveal.core.reading import read_text
from foveal.views.page.render import render as render_report
from foveal.views.playground.render import Page, explorer_page, playground_page, waiting_page

GIGABYTE = 1 << 30
LARGEST_REQUEST = 200_000
"""Most bytes of a question."""
BEAT = 0.1
"""Seconds between two looks at a job."""
STATUS: dict[type[FovealError], int] = {SupersededError: 409, BusyError: 503, WorkerError: 500}
FRAMES = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """What the handlers share. folder: where files may be named; first: the job of the network it was started with."""

    def __init__(self, folder: Path, seconds: float = 600, typing_seconds: float = 30) -> None:
        self.folder = folder
        self.quick = Lane("playground", typing_seconds, 3 * GIGABYTE)
        self.slow = Lane("networks", seconds, 16 * GIGABYTE)
        self.checks = Lane("uploads", typing_seconds, 3 * GIGABYTE, waiting=32)
        self.uploads = Uploads()
        self.jobs = Jobs(self.slow, self.told)
        self.first: Job | None = None

    def close(self) -> None:
        """Stop the workers, remove the files."""
        self.quick.close()
        self.slow.close()
        self.checks.close()
        self.uploads.close()

    def told(self, text: str) -> str:
        """What of an error's text a browser may see: no path of this machine."""
        return scrubbed(text, (self.uploads.folder, self.folder))

    def open(self, args: dict[str, Any]) -> None:
        """Begin with a network from the command line, which may be anything that ``foveal.trace`` reads."""
        self.first = self.jobs.start(args, stays=True)


def application(
    server: Server, token: str, names: tuple[str, ...] = ("127.0.0.1", "localhost", "::1"), any_address: bool = False,
    cookie: str = "foveal",
) -> Guard:  # fmt: skip
    """The ASGI application, guarded by the token."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        server.close()

    def told(handler: Callable[[Server, Request], Awaitable[Response]]) -> Handler:
        async def endpoint(request: Request) -> Response:
            try:
                return await handler(server, request)
            except FovealError as error:
                return _refusal(error, server.told, page=not request.url.path.startswith("/api/"))

        return endpoint

    routes = [
        Route("/", told(_home)),
        Route("/playground", told(_playground)),
        Route("/explore/{number}", told(_explore)),
        Route("/report/{number}", told(_report)),
        Route("/api/playground/{question}", told(_question), methods=["POST"]),
        Route("/api/uploads", told(_upload), methods=["POST"]),
        Route("/api/networks", told(_network), methods=["POST"]),
        Route("/api/networks/{number}/field", told(_field), methods=["POST"]),
        Route("/api/jobs/{number}", told(_job)),
        Route("/api/jobs/{number}/events", told(_events)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error})
    return Guard(app, token, names, any_address, cookie)


async def _home(server: Server, request: Request) -> Response:
    return responses.RedirectResponse(f"/explore/{server.first.id}" if server.first is not None else "/playground", 303)


async def _playground(server: Server, request: Request) -> Response:
    return _shown(playground_page())


def _shown(page: Page) -> Response:
    return HTMLResponse(page.html, headers={"content-security-policy": f"{page.policy}; frame-ancestors 'none'"})


async def _explore(server: Server, request: Request) -> Response:
    job = server.jobs.get(request.path_params["number"])
    if job.state != "done":
        return _shown(waiting_page(job.tell(), job.args["name"]))
    # What the playground can take is handed to it by link.
    own = job.args["sort"] == "text" or job.args["source"].startswith("gallery:")
    live = {"network": job.id, "text": job.args["source"] if own else ""}
    html = await run_in_threadpool(explorer_page, job.result | {"live": live})
    # What the page itself may load stands in its own policy.
    return HTMLResponse(html, headers={"content-security-policy": FRAMES})


async def _report(server: Server, request: Request) -> Response:
    """The self-contained report of a network that is open, to look at or to save."""
    job = server.jobs.get(request.path_params["number"])
    if job.state != "done":
        raise RefusedError("this network is not ready yet; open its explorer first", 409)
    html = await run_in_threadpool(render_report, job.result)
    return HTMLResponse(html, headers={"content-security-policy": FRAMES})


async def _question(server: Server, request: Request) -> Response:
    """The questions of the playground; a later one of the same page takes the place of one that still waits."""
    question = request.path_params["question"]
    wanted = {"text": str, "shape": str} | ({"layer": str, "kind": str} if question == "field" else {})
    if question not in ("summary", "growth", "field", "code"):
        raise RefusedError(f"'{question[:40]}' is no question of the playground", 404)
    return await _called(request, server.quick, question, await _said(request, wanted))


async def _upload(server: Server, request: Request) -> Response:
    """Take a file. Photos and texts are read by a worker, which has only so much time for each."""
    upload = await server.uploads.receive(request)
    path, text = str(upload.path), ""
    try:
        if upload.kind == "image":
            await _answer(server.checks, "check_image", {"path": path, "name": upload.name})
        elif upload.kind == "text":
            asks = {"text": "", "path": path, "name": f"'{upload.name}': "}
            text = json.loads(await _answer(server.checks, "check_text", asks))
    except FovealError:
        server.uploads.drop(upload.id)
        raise
    return JSONResponse({"id": upload.id, "name": upload.name, "kind": upload.kind, "text": text})


async def _network(server: Server, request: Request) -> Response:
    """Open a network: {"source" or "upload", "input", "image"}; answers with the job to wait for."""
    said = await _said(request, {"source": str, "upload": str, "input": str, "image": str}, optional=True)
    if said["upload"]:
        upload = server.uploads.get(said["upload"])
        if kind_of(upload.name) == "image":
            raise RefusedError(f"'{upload.name}' is a photo, not a network")
        text = upload.kind == "text"
        found = ("text", read_text(upload.path)) if text else ("source", str(upload.path))
        name = upload.name
    else:
        sort, source, name = await run_in_threadpool(asked, said["source"], server.folder)
        if sort == "text":
            await _answer(server.checks, "check_text", {"text": source, "path": None, "name": ""})
        found = sort, source
    photo = server.uploads.get(said["image"]) if said["image"] else None
    if photo is not None and photo.kind != "image":
        raise RefusedError(f"'{photo.name}' is no photo")
    job = server.jobs.start(
        network_args(*found, shape_of(said["input"]), name, None if photo is None else (photo.path, photo.name))
    )
    return JSONResponse(job.tell(), 202)


def network_args(
    sort: str, source: str, shapes: Any, name: str, photo: tuple[Path, str] | None = None, axes: Any = None
) -> dict[str, Any]:
    """The arguments of ``network_page``. sort: "text" or "source"; photo: where it lies and what it was called."""
    return {
        "sort": sort,
        "source": source,
        "shapes": shapes,
        "axes": axes,
        "name": name,
        "image": None if photo is None else str(photo[0]),
        "image_name": "" if photo is None else photo[1],
        "kinds": [],
    }


async def _field(server: Server, request: Request) -> Response:
    job = server.jobs.get(request.path_params["number"])
    said = await _said(request, {"layer": str, "source": str, "kind": str, "at": list}, optional=True)
    at = said["at"] or None
    if at is not None and (len(at) > 6 or not all(type(n) is int for n in at)):
        raise RefusedError("'at' is a list of unit indices, such as [3, 3]")
    of = {key: job.args[key] for key in ("sort", "source", "shapes", "axes", "name")}
    asks = {"layer": said["layer"], "of": said["source"], "kind": said["kind"], "at": at}
    return await _called(request, server.slow, "network_field", of | asks)


async def _job(server: Server, request: Request) -> Response:
    return JSONResponse(server.jobs.get(request.path_params["number"]).tell())


async def _events(server: Server, request: Request) -> Response:
    """The job's states as server-sent events, until it is done or the page goes away."""
    job = server.jobs.get(request.path_params["number"])

    async def states() -> AsyncIterator[str]:
        last = ""
        while True:
            told = json.dumps(job.tell())
            if told != last:
                last = told
                yield f"data: {told}\n\n"
            if job.state in ("done", "failed"):
                return
            await asyncio.sleep(BEAT)

    return responses.StreamingResponse(states(), media_type="text/event-stream")


async def _answer(lane: Lane, name: str, args: dict[str, Any], key: Key = ()) -> str:
    return await asyncio.wrap_future(lane.submit(name, args, key))


async def _called(request: Request, lane: Lane, name: str, args: dict[str, Any]) -> Response:
    page = request.headers.get("x-page", "")[:40]
    about = str(args.get("text", "")), str(args.get("shape", ""))
    answer = await _answer(lane, name, args, (page, name, *about) if page else ())
    return Response(answer, media_type="application/json")


async def _said(request: Request, wanted: Mapping[str, type], optional: bool = False) -> dict[str, Any]:
    """The body as JSON with these entries; raises RefusedError for anything else."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_REQUEST:
            raise RefusedError(f"a request has at most {LARGEST_REQUEST} bytes", 413)
        parts.append(part)
    try:
        said = json.loads(b"".join(parts))
    except (ValueError, RecursionError):
        raise RefusedError("the request is not JSON") from None
    if not isinstance(said, dict):
        raise RefusedError("the request is not a JSON object")
    found = {}
    for key, kind in wanted.items():
        value = said.get(key, kind() if optional else None)
        if not isinstance(value, kind):
            raise RefusedError(f"'{key}' is missing or no {kind.__name__}")
        found[key] = value
    return found


def _refusal(error: FovealError, told: Callable[[str], str], page: bool) -> Response:
    # What is refused is told in the browser's own words; anything else may quote a file of this machine.
    own = isinstance(error, RefusedError)
    status = error.status if isinstance(error, RefusedError) else STATUS.get(type(error), 400)
    text = " ".join(str(error).split())
    text = text if own else told(text)
    headers = {"retry-after": "2"} if status == 503 else None
    if page:
        return PlainTextResponse(f"{text}\n", status, headers)
    return JSONResponse({"error": {"message": text, "place": None}}, status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "there is no such page here" if error.status_code == 404 else str(error.detail)
    return PlainTextResponse(f"{text}\n", error.status_code)
