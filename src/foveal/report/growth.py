"""How the receptive field and its effective part grow from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.core.errors import FovealError
from foveal.core.progress import counted
from foveal.engine.profiles import Profile, middle_profiles
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import moments, product_side
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.report.results import Growth
from foveal.report.units import source_info


def growth(graph: Graph, layers: Sequence[str], kind: str = "energy", source: str | None = None) -> Growth:
    """The growth over the given layers, in their order. Energies that are products of profiles (plain chains; anything
    over one axis) come from one pass over the network, others from one per layer.

    Raises UnknownLayerError, and FovealError for a layer whose RF size is withheld or which reads nothing.
    """
    each = [receptive_field(graph, layer, source=source) for layer in layers]
    profiles = _profiles(graph, each) if kind == "energy" else {}
    trf, erf, sigma, unit = [], [], [], ""
    for layer, rf in zip(counted(layers, len(layers)), each):
        size = rf.size[-1]
        if size is None:
            raise FovealError(f"{layer}: its unclipped size is withheld, so its growth cannot be drawn")
        side, spread = _sizes(graph, rf, kind, profiles.get(graph.layer(layer).value))
        unit = unit or next(source_info(graph, one).unit for one in graph.sources if one.name == rf.source)
        trf.append(size)
        erf.append(side)
        sigma.append(spread)
    return Growth(graph.name, kind, tuple(layers), tuple(trf), tuple(erf), tuple(sigma), unit or "px")


def _profiles(graph: Graph, each: Sequence[ReceptiveField]) -> dict[int, tuple[Profile, ...]]:
    """Profiles of the middle units' energies of the layers that have some; none where there is one layer."""
    boxes = [rf.box(rf.middle) for rf in each if rf.source == each[0].source and all(rf.known)]
    if len(boxes) < 2:
        return {}
    reach = [(min(a for a, _ in ends), max(b for _, b in ends)) for ends in zip(*boxes)]
    values = {graph.layer(rf.layer).value for rf in each if rf.source == each[0].source}
    return middle_profiles(graph, values, [s.name for s in graph.sources].index(each[0].source), reach)


def _sizes(graph: Graph, rf: ReceptiveField, kind: str, profiles: tuple[Profile, ...] | None) -> tuple[float, float]:
    """Effective side, and standard deviation along the last axis, of the middle unit's field."""
    if profiles is not None:
        spread, side = moments(profiles[-1][0], (profiles[-1][1],)), product_side([p for p, _ in profiles])
    else:
        found = field_of(graph, rf.layer, kind=kind, source=rf.source)
        counts = found.effective()
        spread, side = moments(found.normalized(), found.origin), 0.0 if counts is None else counts.side
    if spread is None or not side:
        raise FovealError(f"{rf.layer}: its middle unit reads nothing")
    return side, spread.sigmas[-1]
