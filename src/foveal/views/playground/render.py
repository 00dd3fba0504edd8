"""The pages of ``foveal serve`` besides the report page: the playground, and the page that waits for a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from foveal.frontends.text import gallery
from foveal.frontends.text.kinds import KINDS
from foveal.views.page.render import asset, content_policy, embedded, render, wrapped

SHARED = ("i18n.js", "dom.js", "colour.js")
"""Parts of the report page that these pages begin with: texts, elements, colours."""
COMMON = ("server.js",)
PLAYGROUND = (
    *COMMON, "state.js", "editor.js", "palette.js", "numbers.js", "chart.js", "heat.js", "field.js", "layers.js",
    "dialogs.js", "open.js", "playground.js",
)  # fmt: skip
WAITING = (*COMMON, "waiting.js")
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
    return render(data, (_asset("live.js"),), "'self'")


def messages() -> dict[str, dict[str, str]]:
    """Language -> key -> text."""
    found: dict[str, dict[str, str]] = json.loads(_asset("messages.json"))
    return found


def _page(template: str, scripts: Sequence[str], data: Any) -> Page:
    from jinja2 import Environment

    script = wrapped([*map(asset, SHARED), *map(_asset, scripts)])
    style = asset("base.css") + _asset("playground.css")
    parts = {"style": style, "script": script, "data": embedded(data), "messages": embedded(messages())}
    text = Environment(autoescape=True).from_string(_asset(template)).render(**parts)
    return Page(text, content_policy(script, style, "'self'"))


@cache
def _asset(name: str) -> str:
    return resources.files("foveal.views.playground").joinpath(name).read_text(encoding="utf-8")
