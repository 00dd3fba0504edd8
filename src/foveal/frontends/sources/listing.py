"""The names behind each prefix, for ``foveal list`` and shell completion."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from foveal.core.errors import SourceError
from foveal.frontends.sources.registry import libraries, loaded


class Shelf(NamedTuple):
    """A prefix, what its networks are, the package they come from, and whether that is installed."""

    prefix: str
    title: str
    package: str
    here: bool


def _gallery() -> list[str]:
    from foveal.frontends.text.gallery import names

    return names()


def _torchvision() -> list[str]:
    from torchvision import models

    return sorted(models.list_models())


def _timm() -> list[str]:
    import timm

    return sorted(timm.list_models())


def _keras() -> list[str]:
    return sorted(import_module("foveal.frontends.keras.trace").applications())


OWN: dict[str, tuple[str, str, Callable[[], list[str]]]] = {
    "gallery": ("networks kept as text", "foveal", _gallery),
    "torchvision": ("torchvision.models", "torchvision", _torchvision),
    "timm": ("image models", "timm", _timm),
    "keras": ("Keras Applications", "keras", _keras),
}
"""Prefixes that front ends read by themselves."""


def shelves() -> list[Shelf]:
    """All prefixes."""
    own = [Shelf(prefix, title, package, _here(package)) for prefix, (title, package, _) in OWN.items()]
    return own + [Shelf(row.prefix, row.title, row.package, _here(row.package)) for row in libraries().values()]


def names(prefix: str, pattern: str = "*") -> list[str]:
    """What stands behind a prefix, as source strings; raises SourceError where the prefix or the package is missing."""
    known = {shelf.prefix: shelf for shelf in shelves()}
    if prefix not in known:
        raise SourceError(f"there is no library '{prefix}'; there are {', '.join(known)}")
    if prefix in OWN:
        if not known[prefix].here:
            package = known[prefix].package
            extra = "keras" if package == "keras" else "torch"
            raise SourceError(f"{package} is not installed: pip install 'foveal[{extra}]'")
        found = OWN[prefix][2]()
    else:
        found = list(getattr(loaded(libraries()[prefix], f"{prefix}:"), "names", list)())
    return [f"{prefix}:{name}" for name in found if fnmatchcase(name, pattern)]


def _here(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ValueError, ModuleNotFoundError):
        return False
