"""How all pictures look: one colour map, one set of lines, one kind of figure that knows where it came from.

Cividis grows evenly in lightness, so it reads the same in grey and for colour-blind eyes; lines differ in colour (Okabe
and Ito's set) and in dashes. Figures are made without pyplot: no global state, no window, nothing is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from foveal.core.errors import FovealError, writing
from foveal.core.language import language
from foveal.core.version import __version__
from foveal.core.visible import visible
from foveal.report.results import unit_of
from foveal.views.language.translate import translated

if TYPE_CHECKING:
    from foveal.fields.field import Field

COLOUR_MAP = "cividis"
DPI = 100

INK, PALE = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PINK, ":"), (INK, "-"))
"""Colour and dashes of the first, second, ... curve of a picture."""

BOX = {"edgecolor": "#ffffff", "linewidth": 2.6, "fill": False}
BOX_TOP = {"edgecolor": ORANGE, "linewidth": 1.3, "fill": False, "linestyle": "--"}
"""A box is drawn twice, white under colour, so that it shows on dark and on bright ground."""

_SETTINGS: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "axes.edgecolor": PALE,
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "svg.hashsalt": "foveal",
}

FORMATS = (".png", ".svg", ".pdf")
CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei",
    "SimHei",
)  # fmt: skip
"""Those that are looked for, in this order; without one, pictures stay English."""


@cache
def _chinese_font() -> str | None:
    known = {each.name for each in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE_FONTS if name in known), None)


def _settings() -> dict[Any, Any]:
    font = _chinese_font() if language() == "zh-CN" else None
    return _SETTINGS if font is None else _SETTINGS | {"font.family": ["DejaVu Sans", font]}


class Picture(Figure):
    """A figure that carries where its numbers came from and writes that into the file."""

    provenance: Mapping[str, Any]

    def draw(self, renderer: RendererBase) -> None:
        """As any figure, with its texts in the reader's language where a font has its signs."""
        if language() == "zh-CN" and _chinese_font() is not None:
            for axis in (axis for axes in self.get_axes() for axis in (axes.xaxis, axes.yaxis)):
                named_ticks: Any = getattr(getattr(axis.get_major_formatter(), "func", None), "args", ({},))[0]
                if isinstance(named_ticks, dict):  # of several words: others are names of layers
                    named_ticks |= {at: translated(text) for at, text in named_ticks.items() if " " in text}
            for item in self.findobj(Text):
                assert isinstance(item, Text)
                item.set_text(translated(item.get_text()))
        super().draw(renderer)

    def save(self, path: str | Path, dpi: float = DPI) -> None:
        """Write a PNG, SVG or PDF; the same picture gives the same bytes. Raises FovealError where that fails.

        The file's metadata hold the version of foveal and, as JSON, layer, unit, kind and status of every field drawn.
        """
        kind = Path(path).suffix.lower()
        if kind not in FORMATS:
            raise FovealError(f"{path}: a picture is written as one of {', '.join(FORMATS)}")
        drawn = BytesIO()
        with mpl.rc_context(_settings()):
            self.savefig(drawn, format=kind[1:], dpi=dpi, metadata=self._metadata(kind))
        with writing(path) as place:
            place.write_bytes(drawn.getvalue())

    def _metadata(self, kind: str) -> dict[str, Any]:
        text = json.dumps(dict(self.provenance), sort_keys=True)
        if kind == ".png":
            return {"Software": f"foveal {__version__}", "Description": text}
        if kind == ".svg":
            return {"Creator": f"foveal {__version__}", "Description": text, "Date": None}
        return {"Creator": f"foveal {__version__}", "Subject": text, "CreationDate": None}


def picture(width: float, height: float, provenance: Mapping[str, Any]) -> Picture:
    """An empty figure of that size in inches (100 dots each)."""
    with mpl.rc_context(_settings()):
        figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.06)
    figure.provenance = {"foveal": __version__, **provenance}
    return figure


def panel(width: float, height: float, provenance: Mapping[str, Any]) -> tuple[Picture, Axes]:
    """As :func:`picture`, with one pair of axes."""
    figure = picture(width, height, provenance)
    return figure, figure.subplots()


@contextmanager
def styled() -> Iterator[None]:
    """The settings of all pictures, around a function or as a context; text takes its size when it is made."""
    with mpl.rc_context(_settings()):
        yield


def origin_of(fields: Sequence[Field]) -> dict[str, Any]:
    """What a picture of these fields must say about itself."""
    return {"fields": [_record(field) for field in fields]}


def _record(field: Field) -> dict[str, Any]:
    return {
        "layer": field.layer,
        "source": field.source,
        "source_shape": list(field.source_shape),
        "unit": list(field.unit),
        "kind": field.kind,
        "status": field.status,
        "method": field.method,
        "total": float(abs(field.values).sum()),
    }


def named(text: str) -> str:
    """A name as a picture may hold it: visible, and no formula between dollars."""
    return visible(text, keep="\n").replace("$", r"\$")


def title_of(field: Field) -> str:
    """``layer4, unit (3, 3): paths``, with the status where it is not exact."""
    unit = ", ".join(map(str, field.unit))
    where = named(f"{field.layer}, unit ({unit})" if field.unit else field.layer)
    return f"{where}: {field.kind}" + ("" if field.status == "exact" else f" ({field.status})")


def positions(axes: int) -> str:
    """What the positions of a source with so many axes are called in a picture."""
    return unit_of(axes).replace("px", "pixels")


def label_plane(axes: Axes, of: int = 2) -> None:
    """Axis labels of a picture over a plane of a source with ``of`` axes."""
    axes.set_xlabel(f"column ({positions(of)})")
    axes.set_ylabel(f"row ({positions(of)})")
