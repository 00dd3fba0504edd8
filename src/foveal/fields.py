"""``foveal.field``: what each source position contributes to one unit of a layer, counted or expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal import ops
from foveal.analyses.algebra import ENERGY, PATHS, SUPPORT
from foveal.analyses.backward import over_source, pull, seed
from foveal.analyses.bounds import bounds
from foveal.analyses.certainty import Certainty, certainty
from foveal.analyses.edges import count_edges
from foveal.errors import FovealError
from foveal.field import Field
from foveal.graph import Graph, Node
from foveal.receptive_field import ReceptiveField, receptive_field
from foveal.relation import Read
from foveal.rules import has_rule

KINDS = ("support", "paths", "edges", "energy")
METHODS = {
    "support": "which positions can change the unit: backward pass with (or, and)",
    "paths": "number of paths to the unit, alike channels counted once: backward pass with (+, x)",
    "edges": "number of distinct edges on the paths to the unit: boxes of the units in its cone, added up",
    "energy": "expected squared gradient for independent zero-mean weights of unit gain (Luo et al. 2016)",
}


def field(
    graph: Graph,
    layer: str,
    kind: str = "paths",
    at: Sequence[int] | int | None = None,
    *,
    channel: int | None = None,
    source: str | None = None,
) -> Field:
    """The field of one unit of ``layer`` over ``source``.

    kind: "support", "paths", "edges" or "energy" (DESIGN section 2). at: the unit, default the middle one (n // 2 per
    grid axis). channel: one feature of the unit instead of all together. Values cover the clipped hull.

    Raises UnknownLayerError, and FovealError where the kind has no meaning for the network (the message names the
    operation and the layer).
    """
    if kind not in KINDS:
        raise FovealError(f"unknown kind of field '{kind}'; known: {', '.join(KINDS)}")
    rf = receptive_field(graph, layer, source)
    unit = _unit(rf, at)
    value = graph.layer(layer).value
    index = [s.name for s in graph.sources].index(rf.source)
    sure = certainty(graph, value)
    scale: float | None = None
    notes: list[str] = []
    if kind == "edges":
        _refuse_unknown(graph, value, sure, kind)
        edges = count_edges(graph, value, unit, index, channel)
        full = edges.counts
        notes += [] if edges.exact else ["boxes stand in for receptive fields with holes: an upper bound"]
    else:
        full, scale, notes = _pulled(graph, value, unit, index, kind, channel, sure)
    return _over_hull(rf, unit, kind, channel, full, scale, notes, sure)


def _pulled(
    graph: Graph, value: int, unit: tuple[int, ...], index: int, kind: str, channel: int | None, sure: Certainty
) -> tuple[np.ndarray, float | None, list[str]]:
    algebra = {"support": SUPPORT, "paths": PATHS, "energy": ENERGY}[kind]
    gain = None
    notes: list[str] = []
    if kind != "support":
        _refuse_unknown(graph, value, sure, kind)
        gain = Gains(graph, kind)
    flows = pull(graph, {value: seed(graph, value, unit, algebra, channel)}, algebra, gain)
    if gain is not None:
        notes = sorted(gain.notes)
    chosen = graph.sources[index]
    flow = flows.get(chosen.value)
    full = over_source(flow, graph.values[chosen.value].shape, chosen.axes)
    scale = None
    if flow is not None and flow.scale:
        total = float(full.sum())
        scale = flow.scale + float(np.log(total)) if total > 0 else None
    return full, scale, notes


class Gains:
    """The factor of each way of reading, and notes on what was approximated."""

    def __init__(self, graph: Graph, kind: str) -> None:
        self.graph, self.kind = graph, kind
        self.signals = set(bounds(graph).states)
        self.notes: set[str] = set()

    def __call__(self, node: Node, way: Read) -> float:
        """0 for statistics and for weights that the signal sets: they are not followed."""
        if way.kind == "weights":
            self.notes.add("attention and computed kernels as fixed uniform weights on the value path")
            return 0.0
        if way.kind == "statistics":
            self.notes.add("statistics (norms, variances) left out")
            return 0.0
        if self.kind == "paths" or way.fan == 1:
            return 1.0
        partners = [i for k, i in enumerate(node.inputs) if k != way.operand and i in self.signals]
        if partners and isinstance(node.op, ops.Contract):
            self.notes.add("a product of two signals with the other one taken as uniform weights")
            return 1.0 / way.fan**2
        return 1.0 / way.fan**2 if way.averaged else 1.0 / way.fan


def _refuse_unknown(graph: Graph, value: int, sure: Certainty, kind: str) -> None:
    if sure.causes:
        why = f"{sure.causes[0]} reads in a way that has no fixed weights"
        raise FovealError(f"'{kind}' is not available here: {why}; use kind='support'")
    if kind != "energy":
        return
    behind, producers = {value}, graph.producers()
    stack = [value]
    while stack:
        node = producers.get(stack.pop())
        if node is None:
            continue
        if isinstance(node.op, ops.Scan) or not has_rule(node.op):
            where = f"{node.origin} at {node.scope or '(top)'}"
            raise FovealError(f"'energy' is not available here: {where} has no fixed gain; use kind='paths'")
        fresh = [i for i in node.inputs if i not in behind]
        behind.update(fresh)
        stack += fresh


def _unit(rf: ReceptiveField, at: Sequence[int] | int | None) -> tuple[int, ...]:
    if at is None:
        return tuple(n // 2 for n in rf.grid)
    index = (at,) if isinstance(at, int) else tuple(at)
    rf.box(index, clip=True)
    return tuple(i % n for i, n in zip(index, rf.grid, strict=True))


def _over_hull(
    rf: ReceptiveField,
    unit: tuple[int, ...],
    kind: str,
    channel: int | None,
    full: np.ndarray,
    scale: float | None,
    notes: list[str],
    sure: Certainty,
) -> Field:
    clipped = rf.box(unit, clip=True)
    values = full[tuple(slice(a, b) for a, b in clipped)]
    known = all(rf.known)
    center = rf.center(unit) if known else None
    status = sure.status
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
        method="; ".join([METHODS[kind], *notes]),
        box=rf.box(unit) if known else None,
        center=None if center is None or None in center else tuple(float(c) for c in center if c is not None),
        log_total=scale,
        channel=channel,
    )
