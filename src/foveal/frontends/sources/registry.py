"""Which libraries a source string may name by a prefix, and how packages add their own.

A library is a module with ``build(name, pretrained)``, which returns a model of any framework, or a model and what to
call it with, and ``names()``. A package adds one by an entry point of the group ``foveal.sources`` whose name is the
prefix. No library is imported before its prefix is used.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

from foveal.core.errors import FovealError, SourceError, first_line

GROUP = "foveal.sources"
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_\-]+):(?!\\)")


class Library(NamedTuple):
    """A prefix: the module that builds its networks, the package they come from, and the line that installs that."""

    prefix: str
    module: str
    package: str
    install: str
    title: str


_HERE = "foveal.frontends.sources"
OWN = (
    Library("hf", f"{_HERE}.huggingface", "transformers", "pip install transformers", "Hugging Face transformers"),
    Library("diffusers", f"{_HERE}.diffusers", "diffusers", "pip install diffusers", "Hugging Face diffusers"),
    Library("ultralytics", f"{_HERE}.ultralytics", "ultralytics", "pip install ultralytics", "YOLO and RT-DETR"),
    Library("monai", f"{_HERE}.monai", "monai", "pip install monai", "networks of medical images"),
    Library("smp", f"{_HERE}.segmentation", "segmentation_models_pytorch",
            "pip install segmentation-models-pytorch", "segmentation_models_pytorch"),
    Library("open_clip", f"{_HERE}.open_clip", "open_clip", "pip install open_clip_torch", "CLIP models"),
    Library("torchaudio", f"{_HERE}.torchaudio", "torchaudio", "pip install torchaudio", "networks of sound"),
)  # fmt: skip
"""Those that foveal knows."""
TAKEN = ("gallery", "torchvision", "timm", "keras")
"""Prefixes that front ends of their own read."""


class Built(NamedTuple):
    """A model of a library, what to call it with unless the caller says, and what to call it."""

    model: Any
    inputs: Any
    name: str


@cache
def libraries() -> dict[str, Library]:
    """All libraries by prefix; one of a package takes the place of foveal's own."""
    found = {library.prefix: library for library in OWN}
    for point in metadata.entry_points(group=GROUP):
        if point.name in TAKEN:
            continue
        package = "" if point.dist is None else point.dist.name
        root = point.value.partition(".")[0].partition(":")[0]
        found[point.name] = Library(point.name, point.value, root, f"pip install {package or root}", package or root)
    return found


def library_of(source: str) -> Library | None:
    """The library whose prefix a source string begins with."""
    prefix = _PREFIX.match(source.strip())
    return None if prefix is None else libraries().get(prefix[1])


def build(library: Library, source: str, pretrained: bool = False) -> Built:
    """The network that ``source`` names, without weights and without the network unless ``pretrained``.

    Raises SourceError in one line: the package is missing (with the line that installs it), there is no such name.
    """
    name = source.strip().partition(":")[2].strip()
    if not name:
        raise SourceError(f"{source}: names no network; foveal list {library.prefix} shows those that there are")
    module = loaded(library, source)
    made = _made(source, module, name, pretrained)
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    return Built(model, inputs, name)


def _made(source: str, module: Any, name: str, pretrained: bool) -> Any:
    if "torch" in sys.modules:
        weightless = import_module("foveal.frontends.torch.files.build")
        return weightless.make(source, lambda: module.build(name, pretrained), pretrained)
    try:
        return module.build(name, pretrained)
    except FovealError:
        raise
    except Exception as error:
        raise SourceError(f"{source} could not be built: {first_line(error)}") from error


def loaded(library: Library, what: str) -> Any:
    """The module that builds a library's networks; raises SourceError where the package is missing."""
    try:
        if library in OWN and find_spec(library.package) is None:
            raise ModuleNotFoundError(name=library.package)
        return import_module(library.module)
    except ModuleNotFoundError as error:
        missing = error.name or library.package
        line = library.install if missing == library.package else f"pip install {missing.partition('.')[0]}"
        raise SourceError(f"{what} needs {missing}, which is not installed: {line}") from error
    except Exception as error:
        raise SourceError(f"{what}: {library.package} cannot be imported: {first_line(error)}") from error


def unknown(prefix: str, name: str, known: Iterable[str], what: str = "network") -> SourceError:
    """That a library has no such network, with the closest three."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.3)
    hint = f"closest: {', '.join(close)}" if close else f"foveal list {prefix} shows what there is"
    return SourceError(f"{prefix} has no {what} '{name}'; {hint}")
