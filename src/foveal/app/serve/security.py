"""Who may ask: the Host header, the token, the origin; and the headers every answer carries.

The page holds whatever its user can read, so it answers nobody else. A web site that lets its name point to this
machine (DNS rebinding) sends that name as Host and is refused; another program on this machine does not know the
token; another site's script cannot post, because its origin differs.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    # Of answers that are no page of ours; pages bring their own.
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def new_token() -> str:
    """192 random bits, as text for an address."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware: lets through what carries the token and is meant for this host.

    names: host names that the server answers to, besides IP addresses where ``any_address`` is set (a server that
    listens on all of them; a rebound name is never an address). cookie: the name of the cookie that keeps the token.
    """

    def __init__(self, app: ASGIApp, token: str, names: Iterable[str], any_address: bool, cookie: str) -> None:
        self.app, self.token, self.cookie, self.any_address = app, token, cookie, any_address
        self.names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = self._refusal(scope)
        handler = self.app if refused is None else refused
        await handler(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.getlist("host")):
            return _line(421, "this server answers to its own address only; open the address that foveal serve printed")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _line(405, f"{scope['method'][:16]} is not used here; GET and POST are")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offered = dict(query).get("token")
        if offered is not None:
            ours = self._matches(offered)
            return self._admitted(scope, query) if ours else _line(403, "this token is not valid here")
        if not self._known(headers):
            return _line(403, "this page needs its server's token: open the address that foveal serve printed, then "
                         "this one again")  # fmt: skip
        if scope["method"] == "POST" and not self._same_origin(headers):
            return _line(403, "requests from other pages are refused")
        return None

    def _admitted(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """The same address without the token, which the browser keeps in a cookie from here on."""
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        # One slash only: "//name" would lead to another server.
        path = "/" + scope["path"].lstrip("/\\")
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), status_code=303)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="lax", path="/")
        return response

    def _known(self, headers: Headers) -> bool:
        kept = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        sort, _, bearer = headers.get("authorization", "").partition(" ")
        return self._matches(kept) or (sort.lower() == "bearer" and self._matches(bearer))

    def _matches(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode("utf-8", "replace"), self.token.encode())

    def _is_ours(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = host_name(hosts[0])
        return name in self.names or (self.any_address and is_address(name))

    def _same_origin(self, headers: Headers) -> bool:
        """Whether a post comes from a page of this server, or from no page at all (a program with the token)."""
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none"):
            return False
        return origin is None or urlsplit(origin).netloc.lower() == headers["host"].lower()


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; "" where there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a server that listens on ``host`` can be reached from this machine only."""
    return host.lower() == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def _line(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
