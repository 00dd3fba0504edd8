"""An audit as text for a terminal and as HTML for a notebook: summary, tables, findings, method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from foveal.core.visible import visible
from foveal.views.language.translate import translated
from foveal.views.text.html import table_html
from foveal.views.text.report import SEVERITY, UNLIMITED, empty_grid, plain
from foveal.views.text.table import quantity_text, shape_text

if TYPE_CHECKING:
    from foveal.tasks.record import Audit, AuditFinding, AuditTable, Cell

GAP = 2
WIDTH = 120
"""Columns of text where no terminal says otherwise; tables may be wider, sentences are wrapped."""


def audit_text(audit: Audit) -> str:
    """The whole audit without colours; tables as wide as they need to be, sentences wrapped."""
    parts = [_plain(Text(_title(audit)), WIDTH)]
    parts += [_plain(Text(visible(line)), WIDTH) for line in audit.summary]
    for table in _printed(audit):
        parts += ["", _plain(_grid(table), UNLIMITED)]
    parts += ["", *(_plain(_finding(finding), WIDTH) for finding in audit.findings)]
    if not audit.findings:
        parts.append(translated("no findings"))
    if audit.method:
        parts += ["", _plain(Text(visible(audit.method)), WIDTH)]
    return "\n".join(parts)


def audit_renderable(audit: Audit) -> RenderableType:
    """What a rich console draws."""
    parts: list[RenderableType] = [Text(_title(audit), style="bold"), *(Text(visible(line)) for line in audit.summary)]
    for table in _printed(audit):
        parts += [Text(), _Fitted(table)]
    parts += [Text(), *(_finding(finding) for finding in audit.findings)]
    if not audit.findings:
        parts.append(Text(translated("no findings"), style="green"))
    if audit.method:
        parts += [Text(), Text(visible(audit.method), style="dim")]
    return Group(*parts)


def audit_html(audit: Audit) -> str:
    """Small HTML tables, without style sheet and script."""
    parts = [f"<p><b>{escape(_title(audit))}</b></p>"]
    parts += [f"<p>{escape(visible(line))}</p>" for line in audit.summary]
    parts += [_html_table(table) for table in _printed(audit)]
    parts += [_html_finding(finding) for finding in audit.findings] or [f"<p>{translated('no findings')}</p>"]
    if audit.method:
        parts.append(f"<p><small>{escape(visible(audit.method))}</small></p>")
    return "\n".join(parts)


def cell_text(cell: Cell) -> str:
    """A cell as text: "" for None, a float with four significant digits, a million and more as "25.6 M"."""
    if cell is None:
        return ""
    if isinstance(cell, int) and abs(cell) >= 10**6:
        return quantity_text(cell)
    return f"{cell:.4g}" if isinstance(cell, float) and abs(cell) < 1e6 else visible(str(cell))


def _title(audit: Audit) -> str:
    return visible(f"{audit.task}: {audit.network}, {audit.source} {shape_text(audit.source_shape)}")


def _printed(audit: Audit) -> list[AuditTable]:
    """The tables, long ones as their excerpts with the number of rows left out in the note."""
    tables = []
    for table in audit.tables:
        excerpt = audit.excerpts.get(table.title)
        if excerpt is not None:
            count = len(table.rows)
            left_out = f"{count - len(excerpt.rows)} of {count} rows left out: {excerpt.why}; --json has all"
            note = f"{table.note}\n{left_out}" if table.note else left_out
            table = replace(table, rows=tuple(table.rows[place] for place in excerpt.rows), note=note)
        tables.append(table)
    return tables


@dataclass(frozen=True)
class _Fitted:
    """A table that asks the console how wide it may be."""

    table: AuditTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _grid(self.table, options.max_width)


def _grid(table: AuditTable, width: int = UNLIMITED) -> RenderableType:
    """The table, its last columns left out and named where they do not fit; words are folded, numbers stay whole."""
    cells, limit = [[cell_text(cell) for cell in row] for row in table.rows], max(12, width // 3)
    columns = [(heading, *(row[place] for row in cells)) for place, heading in enumerate(table.columns)]
    widths = [max(len(word) for text in column for word in (text.split() or [""])) for column in columns]
    widths = [
        max(n, *map(len, column[1:]), 0) if right else min(n, limit)
        for n, column, right in zip(widths, columns, _numeric(table))
    ]
    kept = len(widths)
    while kept > 1 and sum(widths[:kept]) + GAP * kept > width:
        kept -= 1
    spare = width - sum(widths[:kept]) - GAP * kept
    for place, column in enumerate(columns[:kept]):
        more = max(0, min(spare, max(map(len, column)) - widths[place]))
        widths[place], spare = widths[place] + more, spare - more
    grid = empty_grid()
    for heading, right, wide in list(zip(table.columns, _numeric(table), widths))[:kept]:
        grid.add_column(Text(visible(heading)), justify="right" if right else "left", width=wide, overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row[:kept]))
    gone = ", ".join(table.columns[kept:])
    parts: list[RenderableType] = [Text(visible(table.title), style="bold"), grid]
    if gone:
        parts.append(Text(visible(f"not shown at this width: {gone}; --json has all"), style="italic"))
    return Group(*parts, *([Text(visible(table.note, "\n"), style="dim")] if table.note else []))


def _numeric(table: AuditTable) -> list[bool]:
    """Columns that hold numbers and nothing else."""
    return [
        any(cell is not None for cell in cells) and all(cell is None or isinstance(cell, int | float) for cell in cells)
        for cells in (tuple(row[index] for row in table.rows) for index in range(len(table.columns)))
    ]


def _finding(finding: AuditFinding) -> RenderableType:
    head = Text.assemble(
        (translated(finding.severity), SEVERITY[finding.severity]), f" {finding.code}  {_sentence(finding)}"
    )
    return Group(head, *(Padding(Text(line), (0, 0, 0, 4), expand=False) for line in _advice(finding)))


def _sentence(finding: AuditFinding) -> str:
    return visible(f"{finding.layer}: {finding.text}" if finding.layer else finding.text)


def _advice(finding: AuditFinding) -> list[str]:
    lines = [(translated("change"), finding.change), (translated("effect"), finding.effect)]
    return [visible(f"{name}: {text}") for name, text in lines if text]


def _html_table(table: AuditTable) -> str:
    rows = [[cell_text(cell) for cell in row] for row in table.rows]
    headings = list(zip(map(visible, table.columns), _numeric(table)))
    cells = table_html(headings, [(row, False) for row in rows])
    note = escape(visible(table.note, keep="\n"))
    told = f"<p><small>{note}</small></p>" if note else ""
    return f"<p><b>{escape(visible(table.title))}</b></p>\n{cells}\n{told}"


def _html_finding(finding: AuditFinding) -> str:
    advice = "".join(f"<br><small>{escape(line)}</small>" for line in _advice(finding))
    return f"<p><b>{translated(finding.severity)} {escape(finding.code)}</b> {escape(_sentence(finding))}{advice}</p>"


def _plain(part: RenderableType, width: int) -> str:
    return plain(lambda console: console.print(part), width)
