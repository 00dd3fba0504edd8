"""A report as a small HTML table, for notebooks."""

from __future__ import annotations

from html import escape

from foveal.report.results import Report
from foveal.views.text.table import Table, table


def html_text(report: Report) -> str:
    """The same cells as the terminal's table, with containers in grey. No style sheet, no script."""
    view = table(report)
    return (
        f"<p><b>{escape(view.title)}</b></p>\n<table>\n{_head(view)}\n{_body(view)}\n</table>\n"
        f"<p>{escape(view.totals)}</p>\n"
        + "".join(f"<p><b>{escape(severity)}</b> {escape(text)}</p>\n" for severity, text in view.findings)
        + f"<p><small>{escape('; '.join(view.legend))}</small></p>"
    )


def _head(view: Table) -> str:
    return "<tr>" + "".join(f"<th>{escape(column.heading)}</th>" for column in view.columns) + "</tr>"


def _body(view: Table) -> str:
    lines = []
    for row in view.rows:
        style = ' style="color:#888"' if row.dim else ""
        cells = "".join(
            f'<td style="text-align:{"right" if column.right else "left"}">{escape(cell)}</td>'
            for column, cell in zip(view.columns, row.cells)
        )
        lines.append(f"<tr{style}>{cells}</tr>")
    return "\n".join(lines)
