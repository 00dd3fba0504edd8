"""Well-known networks kept as text: ``foveal analyze gallery:vgg13`` needs no framework.

Each file is a text specification (docs/specification.md). Where torchvision has the network, the file follows
torchvision: same padding, same places of the strides, same parameter count.
"""

from __future__ import annotations

from importlib import resources

from foveal.core.errors import SourceError
from foveal.frontends.text.kinds import closest


def names() -> list[str]:
    """Names of the networks, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def text(name: str) -> str:
    """The specification of one network; raises SourceError naming the closest three."""
    known = names()
    if name not in known:
        word = " ".join(name[:60].split())
        raise SourceError(f"the gallery has no network {word!r}; {closest(word, known)}")
    return resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
