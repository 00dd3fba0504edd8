"""Pictures of several fields: units or layers in a grid, two networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveal.core.errors import FovealError
from foveal.views.plots.axes import draw_line, draw_plane, draw_profile, window
from foveal.views.plots.field import legend_below
from foveal.views.plots.style import Picture, named, origin_of, picture, styled

if TYPE_CHECKING:
    from foveal.fields.field import Field

PANEL_LETTERS = 28
"""Longest layer name over a panel."""


@styled()
def unit_grid(
    fields: Sequence[Field], columns: int = 3, titles: Sequence[str] | None = None, title: str = ""
) -> Picture:
    """Several units, layers or networks, each as shares of its own maximum.

    Fields over one source share one window of it; fields over sources of different shape have a window each.
    """
    ndim = _same_axes(fields)
    alike = len({field.source_shape for field in fields}) == 1
    names = [_short(field) for field in fields] if titles is None else list(titles)
    kinds = sorted({field.kind for field in fields})
    rows, columns = -(-len(fields) // columns), min(columns, len(fields))
    figure = picture(2.9 * columns + 0.9, (2.9 if ndim == 2 else 2.0) * rows + 0.7, origin_of(fields))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=alike, sharey=alike and ndim == 2)
    together = window(*fields) if alike else None
    for index, axes in enumerate(grid.flat):
        if index >= len(fields):
            axes.set_axis_off()
            continue
        if ndim == 2:
            image = draw_plane(axes, fields[index], together, labels=False)
            axes.set_xlabel("column (pixels)" if index + columns >= len(fields) else "")
            axes.set_ylabel("row (pixels)" if index % columns == 0 else "")
        else:
            draw_line(axes, fields[index], together, labels=index + columns >= len(fields))
        axes.set_title(names[index], fontsize=9)
        axes.tick_params(labelbottom=not alike or index + columns >= len(fields))
    if ndim == 2:
        figure.colorbar(image, ax=list(grid.flat), shrink=0.8, label="share of each maximum")
    figure.suptitle(title or ", ".join(kinds), fontsize=10)
    legend_below(figure, *grid.flat)
    return figure


@styled()
def side_by_side(first: Field, second: Field, names: tuple[str, str], title: str = "") -> Picture:
    """Two networks over the same window: their maps above, their profiles through the maximum in one plot below."""
    ndim = _same_axes([first, second])
    if len({field.source_shape for field in (first, second)}) != 1:
        shapes = ", ".join("x".join(map(str, np.atleast_1d(f.source_shape))) for f in (first, second))
        raise FovealError(f"two networks side by side need one source shape; got {shapes}")
    figure = picture(7.6, 7.0 if ndim == 2 else 4.6, origin_of([first, second]))
    grid = figure.subplot_mosaic([["a", "b"], ["c", "c"]], height_ratios=[1.6, 1] if ndim == 2 else [1, 1])
    shown = window(first, second)
    for key, field, name in zip("ab", (first, second), map(named, names), strict=True):
        if ndim == 2:
            image = draw_plane(grid[key], field, shown)
        else:
            draw_line(grid[key], field, shown)
        grid[key].set_title(name)
    if ndim == 2:
        figure.colorbar(image, ax=[grid["a"], grid["b"]], shrink=0.85, label="share of each maximum")
    for style, (field, name) in enumerate(zip((first, second), map(named, names))):
        draw_profile(grid["c"], field, ndim - 1, style, name, fitted=False)
    grid["c"].set_xlim(*shown[-1])
    grid["c"].set_xlabel("column (pixels), through the maximum" if ndim == 2 else "position (samples)")
    grid["c"].set_ylabel("share of the maximum")
    grid["c"].set_ylim(0, 1.3)
    grid["c"].set_yticks([0, 0.5, 1])
    grid["c"].legend(loc="upper center", frameon=False, ncols=2)
    if title:
        figure.suptitle(title, fontsize=10)
    legend_below(figure, grid["a"], grid["b"])
    return figure


def _short(field: Field) -> str:
    """Layer and unit on two lines that fit a panel; the middle of a long name is left out."""
    name = field.layer if len(field.layer) <= PANEL_LETTERS else f"{field.layer[:13]}…{field.layer[-14:]}"
    name = named(name)
    return f"{name}\nunit ({', '.join(map(str, field.unit))})" if field.unit else name


def _same_axes(fields: Sequence[Field]) -> int:
    if not fields:
        raise FovealError("no fields to draw")
    axes = {field.values.ndim for field in fields}
    if not axes <= {1, 2} or len(axes) != 1:
        raise FovealError(f"fields over one or two axes, all alike, can be drawn together; got {sorted(axes)}")
    return axes.pop()
