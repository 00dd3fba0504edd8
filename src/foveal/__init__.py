"""Exact receptive fields of any network, layer by layer.

Names are loaded when they are first used, so that ``import foveal`` costs next to nothing and loads no framework.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foveal.version import __version__ as __version__

if TYPE_CHECKING:
    from foveal.analyze import analyze
    from foveal.compare import compare
    from foveal.design import design
    from foveal.errors import FovealError
    from foveal.fields import field
    from foveal.frontends import trace
    from foveal.graph import Graph
    from foveal.receptive_field import receptive_field
    from foveal.results import Report
    from foveal.tasks.audit import audit
    from foveal.tasks.tiling import tile
    from foveal.verify import verify

__all__ = [
    "FovealError",
    "Graph",
    "Report",
    "analyze",
    "audit",
    "compare",
    "design",
    "field",
    "receptive_field",
    "tile",
    "trace",
    "verify",
]

_HOMES = {
    "FovealError": "errors",
    "Graph": "graph",
    "Report": "results",
    "analyze": "analyze",
    "audit": "tasks.audit",
    "compare": "compare",
    "design": "design",
    "field": "fields",
    "receptive_field": "receptive_field",
    "tile": "tasks.tiling",
    "trace": "frontends",
    "verify": "verify",
}


class _Package(ModuleType):
    """The package as a module whose public names win over submodules of the same name.

    The import system binds ``foveal.analyze`` to the *module* analyze.py as soon as anything imports it; the public
    name means the function in it.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'foveal' has no attribute '{name}'")
    value = getattr(import_module(f"foveal.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _Package
