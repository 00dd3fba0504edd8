"""Records as a notebook shows them: the answer as text beside a picture."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from typing import Any

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.views.plots.style import panel, styled

SIZES = (4.6, 3.4)
"""Width and height of the picture in inches."""


def card(record: Any) -> str:
    """The lines of ``repr`` and what ``.plot()`` draws, as an image inside the HTML."""
    text = f"<pre>{escape(show.short(record))}</pre>"
    try:
        with styled():
            figure, axes = panel(*SIZES, {})
            record.plot(ax=axes)
            drawn = BytesIO()
            figure.savefig(drawn, format="png", dpi=100)
    except FovealError:
        return text
    data = base64.b64encode(drawn.getvalue()).decode("ascii")
    return f'{text}\n<img alt="{escape(show.short(record).splitlines()[0])}" src="data:image/png;base64,{data}">'


def report_card(report: Any) -> str:
    """Card and table of the stages."""
    from foveal.views.text.html import html_text

    return f"{card(report)}\n{html_text(report)}"


def field_card(field: Any) -> str:
    """Card and the table of what and where."""
    from foveal.views.text.field import field_html

    return f"{card(field)}\n{field_html(field)}"
