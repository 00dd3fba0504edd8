"""``foveal list [LIBRARY] [PATTERN]``: which networks can be named."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foveal.app.options import JsonOption
from foveal.core.progress import progress


def list_(
    library: Annotated[str | None, typer.Argument(metavar="[LIBRARY]", help="a prefix, such as timm or hf")] = None,
    pattern: Annotated[str, typer.Argument(metavar="[PATTERN]", help="names that match, such as 'resnet*'")] = "*",
    as_json: JsonOption = False,
) -> None:
    """The networks of a library as SOURCE takes them, one a line; without a library, the libraries."""
    from foveal.frontends.sources.listing import names, shelves

    if library is None and as_json:
        print(json.dumps([{"prefix": one.prefix, "title": one.title, "installed": one.here} for one in shelves()]))
        return
    if library is None:
        for shelf in shelves():
            missing = "" if shelf.here else "  (not installed)"
            print(f"{shelf.prefix + ':':<14}{shelf.title}{missing}")
        return
    with progress(f"listing {library}"):
        found = names(library.removesuffix(":"), pattern)
    print(json.dumps(found) if as_json else "\n".join(found))
