"""A report as a small HTML table, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from foveal.report.results import Report
from foveal.views.text.table import table

GREY = ' style="color:#888"'


def html_text(report: Report) -> str:
    """The same cells as the terminal's table, with containers in grey. No style sheet, no script."""
    view = table(report)
    columns = [(column.heading, column.right) for column in view.columns]
    return (
        f"<p><b>{escape(view.title)}</b></p>\n{table_html(columns, [(row.cells, row.dim) for row in view.rows])}\n"
        f"<p>{escape(view.totals)}</p>\n"
        + "".join(f"<p><b>{escape(severity)}</b> {escape(text)}</p>\n" for severity, text in view.findings)
        + f"<p><small>{escape('; '.join(view.legend))}</small></p>"
    )


def table_html(columns: Sequence[tuple[str, bool]], rows: Iterable[tuple[Sequence[str], bool]]) -> str:
    """A table: heading and whether it stands on the right, by column; cells and whether they are grey, by row."""
    lines = ["<tr>" + "".join(f"<th>{escape(heading)}</th>" for heading, _ in columns) + "</tr>"]
    for cells, dim in rows:
        parts = (
            f'<td style="text-align:{"right" if right else "left"}">{escape(cell)}</td>'
            for (_, right), cell in zip(columns, cells)
        )
        lines.append(f"<tr{GREY if dim else ''}>{''.join(parts)}</tr>")
    return "\n".join(("<table>", *lines, "</table>"))
