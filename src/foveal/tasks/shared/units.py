"""An audit in the words of its source: samples of a signal, tokens of a text, voxels of a volume."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeVar

from foveal.core.finding import Finding
from foveal.ir.graph import Graph
from foveal.report.units import WHOLE, source_info
from foveal.tasks.record import Audit, AuditTable, Cell

_ONE, _PX = re.compile(r"(?<![\w.])pixel(?![\w.]\w|s)"), re.compile(r"(?<![\w.])(?:px|pixels)(?![\w.]\w)")
_IMAGE = re.compile(r"(?<![\w.])image(s?)(?![\w.]\w)")
Found = TypeVar("Found", bound=Finding)


def in_units(audit: Audit, graph: Graph) -> Audit:
    """The audit with pixels and images, of which audits are written, by the names that the source's positions have."""
    source = next((source for source in graph.sources if source.name == audit.source), None)
    unit = "px" if source is None else source_info(graph, source).unit
    return audit if unit == "px" or unit not in WHOLE else _Words(unit).audit(audit)


class _Words:
    def __init__(self, unit: str) -> None:
        self.unit, self.whole = unit, WHOLE[unit]

    def text(self, text: str) -> str:
        text = _PX.sub(self.unit, _ONE.sub(self.unit.removesuffix("s"), text))
        return _IMAGE.sub(rf"{self.whole}\1", text)

    def cell(self, cell: Cell) -> Cell:
        """A cell of several words is no name of a layer."""
        return self.text(cell) if isinstance(cell, str) and " " in cell else cell

    def finding(self, finding: Found) -> Found:
        said = {
            name: self.text(getattr(finding, name)) for name in ("text", "change", "effect") if hasattr(finding, name)
        }
        return replace(finding, **said)

    def table(self, table: AuditTable) -> AuditTable:
        columns = tuple(map(self.text, table.columns))
        rows = tuple(tuple(map(self.cell, row)) for row in table.rows)
        return replace(table, title=self.text(table.title), columns=columns, rows=rows, note=self.text(table.note))

    def audit(self, audit: Audit) -> Audit:
        return replace(
            audit,
            summary=tuple(map(self.text, audit.summary)),
            tables=tuple(map(self.table, audit.tables)),
            findings=tuple(map(self.finding, audit.findings)),
            method=self.text(audit.method),
            excerpts={self.text(title): one._replace(why=self.text(one.why)) for title, one in audit.excerpts.items()},
        )
