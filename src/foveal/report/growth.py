"""How the receptive field and its effective part grow from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.core.errors import FovealError
from foveal.core.progress import counted
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import moments
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph
from foveal.report.results import Growth
from foveal.report.units import source_info


def growth(graph: Graph, layers: Sequence[str], kind: str = "energy", source: str | None = None) -> Growth:
    """The growth over the given layers, in their order.

    Raises UnknownLayerError, and FovealError for a layer whose RF size is withheld or which reads nothing.
    """
    trf, erf, sigma, unit = [], [], [], ""
    for layer in counted(layers, len(layers)):
        rf = receptive_field(graph, layer, source=source)
        size = rf.size[-1]
        if size is None:
            raise FovealError(f"{layer}: its unclipped size is withheld, so its growth cannot be drawn")
        found = field_of(graph, layer, kind=kind, source=source)
        spread, counts = moments(found.normalized(), found.origin), found.effective()
        if spread is None or counts is None:
            raise FovealError(f"{layer}: its middle unit reads nothing")
        unit = unit or next(source_info(graph, one).unit for one in graph.sources if one.name == rf.source)
        trf.append(size)
        erf.append(counts.side)
        sigma.append(spread.sigmas[-1])
    return Growth(graph.name, kind, tuple(layers), tuple(trf), tuple(erf), tuple(sigma), unit or "px")
