"""Exact receptive fields of any network, layer by layer.

Names are loaded when they are first used, so that ``import foveal`` costs next to nothing and loads no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from foveal.core import show as _show
from foveal.core.version import __version__ as __version__

if TYPE_CHECKING:
    from foveal.check.analyze import analyze
    from foveal.check.verify import verify
    from foveal.core.errors import FovealError
    from foveal.designs import design
    from foveal.fields.kinds import field
    from foveal.fields.receptive_field import receptive_field
    from foveal.frontends.trace import trace
    from foveal.ir.graph import Graph
    from foveal.report.compare import compare
    from foveal.report.results import Report
    from foveal.tasks.audit import audit
    from foveal.tasks.streaming.plan import stream
    from foveal.tasks.tiling.plan import tile
    from foveal.views.records.explore import explore

__all__ = [
    "FovealError",
    "Graph",
    "Report",
    "analyze",
    "audit",
    "compare",
    "design",
    "explore",
    "field",
    "receptive_field",
    "stream",
    "tile",
    "trace",
    "verify",
]

_HOMES = {
    "FovealError": "core.errors",
    "Graph": "ir.graph",
    "Report": "report.results",
    "analyze": "check.analyze",
    "audit": "tasks.audit",
    "compare": "report.compare",
    "design": "designs.answer",
    "explore": "views.records.explore",
    "field": "fields.kinds",
    "receptive_field": "fields.receptive_field",
    "stream": "tasks.streaming.plan",
    "tile": "tasks.tiling.plan",
    "trace": "frontends.trace",
    "verify": "check.verify",
}


_show.views = "foveal.views.show"  # above all rooms, so that no record names views


_MEANT = {
    "erf": "foveal.field(model, layer, shape) is the expected one, kind='gradient' the measured one",
    "rf": "foveal.receptive_field(model, layer, shape)",
    "plot": "each result has .plot(), such as foveal.field(model, layer, shape).plot()",
    "show": "each result has .plot(), such as foveal.field(model, layer, shape).plot()",
    "summary": "foveal.analyze(model, shape)",
    "load": "foveal.trace(source)",
}
"""Names that people guess, and what they mean."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        hint = f"; {_MEANT[name]}" if name in _MEANT else ""
        raise AttributeError(f"module 'foveal' has no attribute '{name}'{hint}")
    import random

    stream = random.getstate()
    import_module("rich.style")  # draws a number where it is loaded; the user's stream does not move
    random.setstate(stream)
    value = getattr(import_module(f"foveal.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
