"""What a person asks first: what the last layer with several units sees and uses."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from foveal.core.errors import FovealError
from foveal.fields.kinds import field
from foveal.fields.metrics import Effective
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.report.results import LayerResult, Verdict

LARGEST = 1 << 21
"""Positions of a source up to which the used part is worked out unasked."""
SMALL = 1 << 18
"""Of a larger source it is, where the middle unit reads at most so many positions."""


def verdict(graph: Graph, rows: Sequence[LayerResult]) -> Verdict | None:
    """The answer for the last of these layers that has several units; None where none has."""
    if not graph.sources:
        return None
    source = graph.sources[0]
    own = [row for row in rows if row.source == source.name and isinstance(row.size.value, tuple)]
    found = (_several(graph, [row for row in own if row.kind == "module" and row.status != "data-dependent"])
             or _several(graph, own))  # fmt: skip
    if found is None:
        return None
    alike = [row for row in own if (row.size, row.stride, row.local) == (found.size, found.stride, found.local)]
    row = min(alike, key=lambda row: row.name.count("."))
    rf = receptive_field(graph, row.name, source=source.name)
    whole = next((other.name for other in own if other.covered == 1 and other.clipped == rf.source_shape), None)
    size = row.size.value if isinstance(row.size.value, tuple) else ()
    least = tuple([pair[0] for pair in row.sizes if pair is not None])
    smallest = least if len(least) == len(size) and least != size else None
    read = prod(b - a for a, b in rf.box(rf.middle, clip=True))
    few = read <= SMALL or prod(rf.source_shape) <= LARGEST
    used = _used(graph, rf) if few else None
    side, side_90, at_border = (None, None, False) if used is None else (used.side, used.side_90, used.at_border)
    return Verdict(
        row.name, source.name, rf.source_shape, size, smallest, row.local, row.stride, row.status, whole,
        side, side_90, at_border, not few,
    )  # fmt: skip


def _several(graph: Graph, rows: Sequence[LayerResult]) -> LayerResult | None:
    """The last of these layers that has several units."""
    for row in reversed(rows):
        if any(row.clipped) and prod(receptive_field(graph, row.name, source=row.source).grid) > 1:
            return row
    return None


def _used(graph: Graph, rf: ReceptiveField) -> Effective | None:
    """The effective size of the middle unit's field; None where no field tells."""
    try:
        return field(graph, rf.layer, kind="energy", source=rf.source).effective()
    except FovealError:
        return None
