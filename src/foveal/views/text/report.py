"""Tables for a terminal: a report or a comparison, drawn with rich.

Where a line would be too long, whole columns go, the least important first, and the line below the table names them;
nothing is wrapped. Colours appear on a terminal only. ``plain_text`` has neither limit nor colour and never changes
with the terminal.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from foveal.report.results import Report
from foveal.report.summary import stages
from foveal.views.language.translate import translated
from foveal.views.records.verdict import verdict_lines
from foveal.views.text.table import Column, Row, Table, table, totals

_GAP = 2  # one of padding, one of the column divider
_STYLES = {"bound": "yellow", "data-dependent": "magenta", "unavailable": "red", "contradicted": "bold red"}
SEVERITY = {"error": "bold red", "warning": "yellow", "info": "cyan"}
UNLIMITED = 10_000
"""Columns where nothing is cut or wrapped."""


def plain_text(report: Report, every: bool = False, width: int | None = None) -> str:
    """Verdict and stages, or every layer, without colours; as wide as it needs to be where no width is given."""
    return fitted_text(view_of(report, every), width)


def view_of(report: Report, every: bool = False) -> Table:
    """The table of all rows, or of the stages, with the verdict above it."""
    view = table(report if every else stages(report))
    shown = len({row.name for row in report.layers})
    hidden = shown - len(view.rows)
    hint = (
        f"{hidden} rows that change neither size nor stride, or repeat, are left out: --all shows them"
        if hidden > 0
        else ""
    )
    return replace(view, verdict=tuple(verdict_lines(report)), totals=totals(report), hint=hint)


def fitted_text(view: Table, width: int | None) -> str:
    """The table without colours, at most ``width`` characters wide where one is given."""
    return plain(lambda console: console.print(rich_table(view, width), soft_wrap=width is None), width or UNLIMITED)


def plain(draw: Callable[[Console], None], width: int) -> str:
    """What ``draw`` prints, without colours and without blanks at the ends of lines."""
    buffer = io.StringIO()
    draw(Console(file=buffer, width=width, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def empty_grid() -> RichTable:
    """A table without columns, in the one style of all tables."""
    return RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


def rich_table(view: Table, width: int | None = None) -> RenderableType:
    """What a rich console draws: title, table, totals, findings, legend."""
    heads = tuple(replace(column, heading=translated(column.heading)) for column in view.columns)
    names = _shortened([row.cells[0] for row in view.rows], width)
    rows = [Row((name, *row.cells[1:]), row.dim, row.status) for name, row in zip(names, view.rows)]
    kept = _fitting(heads, rows, width)
    gone = [column.heading for index, column in enumerate(view.columns) if index not in kept]
    parts: list[RenderableType] = [Text(translated(line), style="bold") for line in view.verdict]
    parts += [*([Text()] if view.verdict else []), Text(translated(view.title), style="" if view.verdict else "bold")]
    parts += [_Grid(heads, rows, kept), Text(translated(view.totals))]
    if view.hint:
        parts.append(Text(translated(view.hint), style="italic"))
    if gone:
        names_gone = ", ".join(map(translated, gone))
        parts.append(Text(translated(f"not shown at this width: {names_gone}"), style="italic"))
    parts += [Text.assemble((translated(s), SEVERITY[s]), "  ", translated(text)) for s, text in view.findings]
    headings = {view.columns[index].heading for index in kept}
    parts += [
        Text(translated(line), style="dim") for line in view.legend if line.split(":")[0] not in set(gone) - headings
    ]
    return Group(*parts)


@dataclass(frozen=True)
class _Grid:
    """The rows below their headings as rich's own table draws them, which takes milliseconds for each row."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    kept: Sequence[int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = [self.columns[index] for index in self.kept]
        if not shown:
            yield Segment.line()
            return
        lines = [[row.cells[index] for index in self.kept] for row in self.rows]
        titles = [column.heading for column in shown]
        widths = [max(map(cell_len, cells)) for cells in zip(titles, *lines, strict=True)]
        total = sum(widths) + _GAP * (len(widths) - 1)
        if total > options.max_width:  # rich shortens cells
            yield _grid(self.columns, self.rows, self.kept)
            return
        bold, dim, plain_style = console.get_style("table.header"), Style(dim=True), Style()
        marks = {status: Style.parse(style) for status, style in _STYLES.items()}
        marked = [column.heading in (translated("RF"), translated("status")) for column in shown]
        rights, ends = [column.right for column in shown], [" " * _GAP] * (len(shown) - 1) + [""]
        yield from _line(titles, widths, rights, ends, [bold] * len(shown))
        yield Segment("\u2500" * total)
        yield Segment.line()
        for row, cells in zip(self.rows, lines, strict=True):
            own = dim if row.dim else plain_style
            mark = own + marks[row.status] if row.status in marks else own
            yield from _line(cells, widths, rights, ends, [mark if here else own for here in marked])


def _line(
    cells: Sequence[str], widths: Sequence[int], rights: Sequence[bool], ends: Sequence[str], styles: Sequence[Style]
) -> Iterator[Segment]:
    """One line of a table; cells of one style are one segment."""
    text, style = "", styles[0]
    for cell, width, right, end, own in zip(cells, widths, rights, ends, styles, strict=True):
        if own is not style:
            yield Segment(text, style)
            text, style = "", own
        cell = cell.rstrip() if right else cell
        blank = " " * (width - cell_len(cell))
        text += (blank + cell if right else cell + blank) + end
    yield Segment(text, style)
    yield Segment.line()


def _grid(columns: Sequence[Column], rows: Iterable[Row], kept: Sequence[int]) -> RichTable:
    grid = empty_grid()
    for index in kept:
        grid.add_column(columns[index].heading, justify="right" if columns[index].right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(row.cells[index], style="dim" if row.dim else "") for index in kept))
    return grid


def _fitting(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[int]:
    """Indices of the columns that fit into ``width``: the highest rank goes first, the last column of equal rank
    first.
    """
    kept = list(range(len(columns)))
    widths = [
        max([cell_len(column.heading), *(len(row.cells[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]
    while width is not None and len(kept) > 2 and sum(widths[index] + _GAP for index in kept) > width:
        kept.remove(max(kept, key=lambda index: (columns[index].rank, index)))
    return kept


def _shortened(names: list[str], width: int | None) -> list[str]:
    """Names of at most two fifths of the width; the end of a module path says more than its beginning."""
    if width is None:
        return names
    limit = max(16, 2 * width // 5)
    return [name if len(name) <= limit else f"\u2026{name[-limit + 1 :]}" for name in names]
