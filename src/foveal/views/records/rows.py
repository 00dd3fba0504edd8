"""Records as rows for a table of pandas, and as plain values where they hold arrays."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from foveal.core.serial import to_plain
from foveal.report.results import Comparison, Growth, Report

if TYPE_CHECKING:
    from foveal.fields.field import Field
    from foveal.fields.receptive_field import ReceptiveField
    from foveal.ir.graph import Graph
    from foveal.tasks.record import Audit
    from foveal.tasks.tiling.record import TilePlan

Rows = list[dict[str, Any]]


def report_rows(report: Report) -> Rows:
    """A row per layer and source, the columns of the CSV, numbers as numbers."""
    return [{name: _number(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(report.to_csv()))]


def comparison_rows(comparison: Comparison) -> Rows:
    """A row per step: the layer of either network, its size and stride along the last axis, what differs."""
    found = []
    for step in comparison.steps:
        row: dict[str, Any] = {}
        for side, grown in (("first", step.first), ("second", step.second)):
            size = grown.size.value[-1] if grown is not None and isinstance(grown.size.value, tuple) else None
            row |= {
                side: grown and grown.name,
                f"{side}_size": size,
                f"{side}_stride": grown and to_plain(grown.stride[-1]),
            }
        found.append(row | {"differs": ", ".join(step.differs)})
    return found


def growth_rows(growth: Growth) -> Rows:
    """A row per layer."""
    rows = zip(growth.layers, growth.trf, growth.erf, growth.sigma)
    return [{"layer": name, "size": trf, "effective": erf, "sigma": sigma} for name, trf, erf, sigma in rows]


def rf_dict(rf: ReceptiveField) -> dict[str, Any]:
    """Size, stride, start and status of all units, without the arrays of every unit."""
    names = ("layer", "source", "source_shape", "grid", "size", "sizes", "clipped_size", "stride", "start", "period")
    plain = {name: to_plain(getattr(rf, name)) for name in names}
    return plain | {
        "center": to_plain(rf.center()),
        "covered": rf.covered,
        "status": rf.status,
        "causes": list(rf.causes),
        "method": rf.method,
        "local": None if rf.local is None else rf_dict(rf.local),
    }


def rf_rows(rf: ReceptiveField) -> Rows:
    """A row per unit: its index and its unclipped box, (first, last) per source axis."""
    found = []
    for unit in np.ndindex(*rf.grid):
        box = rf.box(unit, clip=not all(rf.known) or rf.withheld(unit))
        row: dict[str, Any] = {f"unit{axis}": index for axis, index in enumerate(unit)}
        for axis, (first, end) in enumerate(box):
            row |= {f"first{axis}": first, f"last{axis}": end - 1}
        found.append(row)
    return found


def field_rows(field: Field) -> Rows:
    """A row per position that carries weight: where it lies, and how much."""
    places = np.argwhere(field.values)
    names = [f"axis{axis}" for axis in range(field.values.ndim)]
    return [
        {
            **{name: int(p + first) for name, p, first in zip(names, place, field.origin)},
            "value": field.values[tuple(place)].item(),
        }
        for place in places
    ]


def json_dict(record: Any) -> dict[str, Any]:
    """What the record's JSON holds."""
    found: dict[str, Any] = json.loads(record.to_json())
    return found


def graph_rows(graph: Graph) -> Rows:
    """A row per layer, as traced; what they see is asked by ``analyze``."""
    return [
        {
            "layer": layer.name,
            "type": layer.type,
            "shape": graph.values[layer.value].shape,
            "parameters": layer.parameters,
        }
        for layer in graph.layer_table.values()
    ]


def graph_dict(graph: Graph) -> dict[str, Any]:
    """Name, inputs and layers."""
    sources = {s.name: {"shape": list(graph.values[s.value].shape), "axes": list(s.axes)} for s in graph.sources}
    rows = [row | {"shape": list(row["shape"])} for row in graph_rows(graph)]
    return {"name": graph.name, "sources": sources, "parameters": graph.parameters, "layers": rows}


def audit_rows(audit: Audit) -> Rows:
    """A row per finding."""
    return [to_plain(finding) for finding in audit.findings]


def plan_rows(plan: TilePlan) -> Rows:
    """A row per source axis."""
    return [to_plain(axis) | {"tiles": len(axis.starts)} for axis in plan.axes]


def _number(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell or None
