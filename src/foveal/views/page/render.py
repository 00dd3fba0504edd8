"""One HTML file from the page's data: style, scripts and data inlined, and nothing that could load anything.

The data stand in a script element of type application/json with every ``<`` escaped, so that no name can end it; the
scripts put them on the page as text only. A content security policy names the hashes of the one style sheet and the
one script and forbids everything else: no request leaves the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from foveal.core.visible import visible

SHARED = ("shared/i18n.js", "shared/dom.js", "shared/colour.js", "shared/chart.js", "shared/heat.js")
"""Parts that the playground begins with as well: texts, elements, colours, chart, heat map."""
SCRIPTS = (
    *SHARED, "shared/foveate.js", "page/sections/data.js", "page/sections/export.js", "page/sections/tables.js",
    "page/sections/state.js", "page/explorer/stage.js", "page/explorer/stage_moves.js", "page/explorer/grid.js",
    "page/explorer/surface.js", "page/explorer/eye.js", "page/explorer/readout.js", "page/explorer/explorer.js",
    "page/network/network_layout.js", "page/network/network_view.js", "page/network/network.js",
    "page/sections/growth.js", "page/sections/timeline.js", "page/sections/layer_table.js", "page/sections/sections.js",
    "page/sections/main.js",
)  # fmt: skip
"""Parts of the script, in order; later ones use what earlier ones define."""
STYLES = ("shared/base.css", "page/styles/page.css", "page/styles/explorer.css")


def render(data: dict[str, Any], extra: Sequence[str] = (), connect: str = "'none'") -> str:
    """The page. extra: more script parts, put before ``main.js``; connect: what the page may talk to (the server)."""
    from jinja2 import Environment

    *parts, last = SCRIPTS
    script = wrapped([*(asset(name) for name in parts), *extra, asset(last)])
    style = "\n".join(asset(name) for name in STYLES)
    template = Environment(autoescape=True).from_string(asset("page/template.html"))
    text: str = template.render(
        policy=content_policy(script, style, connect),
        style=style,
        script=script,
        title=visible(data["name"]),
        data=embedded(data),
        messages=embedded(json.loads(asset("page/messages.json"))),
        language=data.get("language", ""),
    )
    return text


def wrapped(parts: Iterable[str]) -> str:
    """Script parts as one script in a scope of its own."""
    return "\n".join(["(() => {", '"use strict";', *parts, "})();"])


def content_policy(script: str, style: str, connect: str) -> str:
    """What a page with this one script and this one style sheet may do: run them, and talk to ``connect``."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element: no ``<``, ``>`` or ``&``, nothing that acts or hides."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return re.sub("[^ -~]", lambda one: one[0] if one[0].isprintable() else json.dumps(one[0])[1:-1], text)


@cache
def asset(name: str) -> str:
    """A file of the views, by its path there, as text."""
    return resources.files("foveal.views").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
