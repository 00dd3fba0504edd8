"""``foveal.field``: what each source position contributes to one unit of a layer, counted or expected."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward.algebra import ENERGY, PATHS, SUPPORT
from foveal.engine.backward.cropped import LONG
from foveal.engine.backward.edges import count_edges
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.pull import over_source, pull, seed
from foveal.engine.certainty import Certainty, certainty
from foveal.engine.roles import roles
from foveal.fields.field import Field
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.frontends.trace import is_file, is_input, layer_of
from foveal.ir.graph import Graph
from foveal.ir.rules import traits

PLAIN = 200.0
"""Expected squared gradients are given as they are while their logarithm is smaller than this, else as shares."""
KINDS = ("support", "paths", "edges", "energy", "gradient")
METHODS = {
    "support": "which positions can change the unit: backward pass with (or, and)",
    "paths": "number of paths to the unit, alike channels counted once: backward pass with (+, x)",
    "edges": "number of distinct edges on the paths to the unit: boxes of the units in its cone, added up",
    "energy": "expected squared gradient of a feature",
}
WEIGHTS = {
    "unit": "for independent zero-mean weights of unit gain (Luo et al. 2016)",
    "model": "for random weights with the model's own mean square per tap, norm and activation",
    "squares": "for the model's own weights with random signs, channel by channel",
}


def field(
    model: Any,
    layer: Any,
    inputs: Any = None,
    kind: Any = "energy",
    at: Sequence[int] | int | None = None,
    *,
    channel: int | None = None,
    source: str | None = None,
    weights: str = "unit",
    images: Any = None,
    protocol: str = "foveal",
    axes: Any = None,
) -> Field:
    """The field of one unit of ``layer`` over ``source``.

    model, inputs: as for :func:`foveal.trace`, or a graph; layer: a name, a number or the model's own module.
    kind: "support", "paths", "edges", "energy" or "gradient" (docs/fields.md). at: the unit, default the middle one
    (n // 2 per grid axis). channel: one feature of the unit instead of all together. weights, for "energy": "unit"
    (all layers pass the same), "model" (each kernel by its mean square per tap) or "squares" (each weight by its
    square, channel by channel). Values cover the clipped hull. For "gradient", ``images`` (a folder, files, a tensor,
    or None for seeded noise) and ``protocol`` are those of :func:`foveal.fields.measured.measure.measure`, which
    tells more than the field.

    Raises UnknownLayerError, and FovealError where the kind has no meaning for the network (the message names the
    operation and the layer).
    """
    if isinstance(inputs, str) and not is_input(layer) and not is_file(inputs):  # of a graph, the kind may come third
        inputs, kind, at = None, inputs, at if isinstance(kind, str) else kind
    graph, layer = layer_of(model, layer, inputs, axes)
    if kind not in KINDS:
        raise FovealError(f"unknown kind of field '{kind}'; known: {', '.join(KINDS)}")
    if weights not in WEIGHTS or (weights != "unit" and kind != "energy"):
        raise FovealError(
            f"kind='{kind}' has no weights='{weights}'; 'energy' has {', '.join(WEIGHTS)}, others have unit"
        )
    if kind == "gradient":
        from foveal.fields.measured.measure import measure

        return measure(graph, layer, images=images, protocol=protocol, at=at, channel=channel, source=source)[0].field
    rf = receptive_field(graph, layer, source)
    unit = rf.middle if at is None else rf.unit(at)
    value = graph.layer(layer).value
    index = [s.name for s in graph.sources].index(rf.source)
    sure = certainty(graph, value)
    if kind == "edges":
        _refuse_unknown(graph, value, sure, kind)
        edges = count_edges(graph, value, unit, index, channel)
        notes = [] if edges.exact else ["boxes stand in for receptive fields with holes: an upper bound"]
        pulled = Pulled(edges.counts[tuple(slice(a, b) for a, b in rf.box(unit, clip=True))], None, notes)
    else:
        pulled = _pulled(graph, value, rf, unit, kind, channel, sure, weights)
        _refuse_empty(pulled, rf, unit, kind)
    method = f"{METHODS[kind]} {WEIGHTS[weights]}" if kind == "energy" else METHODS[kind]
    return _over_hull(rf, unit, kind, channel, pulled, method, sure)


class Pulled(NamedTuple):
    """values over the clipped box; log_total where they are scaled; notes on approximations; ways not followed."""

    values: np.ndarray
    log_total: float | None
    notes: list[str]
    dropped: Sequence[str] = ()


def _pulled(
    graph: Graph,
    value: int,
    rf: ReceptiveField,
    unit: tuple[int, ...],
    kind: str,
    channel: int | None,
    sure: Certainty,
    weights: str,
) -> Pulled:
    algebra = {"support": SUPPORT, "paths": PATHS, "energy": ENERGY}[kind]
    gain: Gains | None = None
    carry = None
    if kind != "support":
        _refuse_unknown(graph, value, sure, kind)
        gain = Gains(graph, kind)
        if weights != "unit":
            from foveal.engine.backward.own_gains import OwnGains  # SciPy's functions take a tenth of a report's start

            gain = own = OwnGains(graph, weights)
            carry = own.carry
    start = seed(graph, value, unit, algebra, channel, cropped=prod(rf.source_shape) >= LONG)
    flows = pull(graph, {value: start}, algebra, gain, carry=carry)
    chosen = next(source for source in graph.sources if source.name == rf.source)
    flow = flows.get(chosen.value)
    box = rf.box(unit, clip=True)
    full = over_source(flow, graph.values[chosen.value].shape, chosen.axes, algebra, box)
    full = full.astype(np.float64) if kind == "energy" else full
    if kind == "energy" and channel is None:
        full = full / _features(graph, value)
    notes = [] if gain is None else sorted(gain.notes)
    dropped = [] if gain is None else gain.dropped
    return Pulled(*_scaled(full, 0.0 if flow is None else flow.scale, kind), notes, dropped)


def _features(graph: Graph, value: int) -> int:
    """How many features a unit has."""
    pairs = zip(roles(graph)[value], graph.values[value].shape, strict=True)
    return max(1, prod(n for role, n in pairs if role == "c"))


def _scaled(full: np.ndarray, scale: float, kind: str) -> tuple[np.ndarray, float | None]:
    """Counts beyond whole numbers as shares of the largest; the logarithm of the true sum where values are scaled."""
    largest = float(full.max(initial=0)) if full.dtype.kind == "f" else 0.0
    if largest == 0 or not (scale or kind == "paths"):
        return full, None
    if kind == "energy" and abs(scale + float(np.log(largest))) < PLAIN:
        return full * float(np.exp(scale)), None
    full = full / largest
    return full, scale + float(np.log(largest) + np.log(full.sum()))


def _refuse_empty(pulled: Pulled, rf: ReceptiveField, unit: tuple[int, ...], kind: str) -> None:
    if kind == "support" or not pulled.dropped or pulled.values.any():
        return
    if all(b > a for a, b in rf.box(unit, clip=True)):
        why = f"every path to '{rf.layer}' runs through {pulled.dropped[-1]}, which has no fixed weights"
        raise FovealError(f"'{kind}' is not available here: {why}; use kind='support'")


def _refuse_unknown(graph: Graph, value: int, sure: Certainty, kind: str) -> None:
    if sure.causes and sure.status != "contradicted":
        why = f"{sure.causes[0]} reads in a way that has no fixed weights"
        raise FovealError(f"'{kind}' is not available here: {why}; use kind='support'")
    if kind != "energy":
        return
    for node in graph.behind(value):
        if not traits(node.op).gain(node.op):
            raise FovealError(f"'energy' is not available here: {node.place} has no fixed gain; use kind='paths'")


def _over_hull(
    rf: ReceptiveField,
    unit: tuple[int, ...],
    kind: str,
    channel: int | None,
    pulled: Pulled,
    method: str,
    sure: Certainty,
) -> Field:
    clipped = rf.box(unit, clip=True)
    values, scale, notes = pulled[:3]
    known = all(rf.known) and not rf.withheld(unit)
    center = rf.center(unit) if known else None
    status = sure.status
    if status == "contradicted":
        raise FovealError(f"no field: {'; '.join(sure.causes)}")
    if notes and status == "exact":
        status = "bound" if any("upper bound" in note for note in notes) else "approximation"
    return Field(
        values=values,
        origin=tuple(a for a, _ in clipped),
        source_shape=rf.source_shape,
        layer=rf.layer,
        unit=unit,
        kind=kind,
        source=rf.source,
        status=status,
        method="; ".join([method, *notes, *filter(None, [rf.stopped])]),
        box=rf.box(unit) if known else None,
        center=None if center is None or None in center else tuple(float(c) for c in center if c is not None),
        log_total=scale,
        channel=channel,
    )
