"""``foveal serve``: the explorer and the playground as a page on this machine."""

from __future__ import annotations

import signal
import socket
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from foveal.app.options import AxesOption, InputOption, input_axes, input_shapes
from foveal.core.errors import FovealError

PORT = 8017
BACKLOG = 512


def serve(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="a network to open first; without it the playground opens"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help=f"default: {PORT}, or any free port where that is taken"),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="address to listen on; other than loopback, others can reach the page")
    ] = "127.0.0.1",
    folder: Annotated[
        Path, typer.Option("--folder", help="where the page may open ONNX and YAML files by name")
    ] = Path("."),
    image: Annotated[Path | None, typer.Option("--image", help="a photo to draw the first network's fields on")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="open the page in the browser of this machine")] = False,
    shapes: InputOption = None,
    axes: AxesOption = None,
) -> None:
    """The explorer and the playground in the browser, on this machine only."""
    try:
        import uvicorn

        from foveal.app.serve.app import Server, application, network_args
        from foveal.app.serve.security import is_loopback, new_token
    except ModuleNotFoundError as error:
        raise FovealError(
            f"foveal serve needs {error.name}, which is not installed: pip install 'foveal[serve]'"
        ) from error
    if not folder.is_dir():
        raise FovealError(f"--folder {folder}: no such folder")
    if image is not None and not image.is_file():
        raise FovealError(f"--image {image}: no such file")
    given = input_shapes(shapes)
    # Ends the command in order, with its files and workers, before the server takes the signal over and after.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    listening = _listen(host, port)
    number = listening.getsockname()[1]
    server, token = Server(folder), new_token()
    if source is not None:
        photo = None if image is None else (image.resolve(), image.name)
        name = Path(source).name if Path(source).is_file() else source
        server.open(network_args("source", source, given, name, photo, input_axes(axes)))
    loopback = is_loopback(host)
    names = ("127.0.0.1", "localhost", "::1", host, *(() if loopback else (socket.gethostname(),)))
    app = application(server, token, names, not loopback, f"foveal{number}")
    shown = f"[{host}]" if ":" in host else host
    if not loopback:
        print("warning: whoever has this address can use the page from other machines", file=sys.stderr)
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else shown
    address = f"http://{shown}:{number}/?token={token}"
    print(f"{address}\nstop with Ctrl-C", flush=True)
    if open_page and not webbrowser.open(address):
        print("no browser was found here: open the address above", file=sys.stderr)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2, backlog=BACKLOG
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket on that port; where none was asked for, any free one will do. Raises FovealError."""
    wanted = (PORT, 0) if port is None else (port,)
    problem = ""
    for number in wanted:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.socket(family, socket.SOCK_STREAM)
            if sys.platform != "win32":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            # From here on a browser that is too early waits instead of being refused.
            listening.listen(BACKLOG)
            return listening
        except OSError as error:
            listening.close()
            problem = error.strerror or str(error)
    raise FovealError(f"--host {host} --port {wanted[0]}: cannot listen there: {problem}")
