"""The pages of ``foveal serve`` besides the report page: the playground, and the page that waits for a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from foveal.frontends.text import gallery
from foveal.frontends.text.kinds import KINDS
from foveal.views.page.render import SHARED, asset, content_policy, embedded, render, wrapped

PLAYGROUND = (
    "server", "state", "editor", "palette", "numbers", "field", "layers", "dialogs", "open", "playground",
)  # fmt: skip
WAITING = ("server", "waiting")
"""Parts of the scripts, in order; later ones use what earlier ones define."""


class Page(NamedTuple):
    """A page and the content policy that it needs."""

    html: str
    policy: str


@cache
def playground_page() -> Page:
    """The playground; what it shows comes from the address and from the server's answers."""
    examples = [{"name": name, "text": gallery.text(name)} for name in gallery.names()]
    kinds = {name: {"size": kind.size, "channels": kind.channels, "options": sorted(kind.options)}
             for name, kind in KINDS.items()}  # fmt: skip
    return _page("playground.html", PLAYGROUND, {"examples": examples, "kinds": kinds})


def waiting_page(job: dict[str, str], name: str) -> Page:
    """The page that tells how far a network is, and loads itself again when it is there."""
    return _page("waiting.html", WAITING, {"job": job, "name": name})


def explorer_page(data: dict[str, Any]) -> str:
    """The report page as the server shows it: it asks for fields of any unit.

    data: that of the report page, and under "live" the "network" to ask about and the "text" for the playground.
    """
    return render(data, (_script("live"),), "'self'")


def messages() -> dict[str, dict[str, str]]:
    """Language -> key -> text."""
    found: dict[str, dict[str, str]] = json.loads(asset("playground/messages.json"))
    return found


def _page(template: str, scripts: Sequence[str], data: Any) -> Page:
    from jinja2 import Environment

    script = wrapped([*map(asset, SHARED), *map(_script, scripts)])
    style = asset("shared/base.css") + asset("playground/playground.css")
    parts = {"style": style, "script": script, "data": embedded(data), "messages": embedded(messages())}
    text = Environment(autoescape=True).from_string(asset(f"playground/{template}")).render(**parts)
    return Page(text, content_policy(script, style, "'self'"))


def _script(name: str) -> str:
    return asset(f"playground/scripts/{name}.js")
