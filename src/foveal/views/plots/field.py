"""Pictures of one field: heat map, surface, profiles, overlay on an image, foveated views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from foveal.core.errors import FovealError
from foveal.views.plots.axes import draw_line, draw_plane, draw_profile, draw_slices, outlines, shares, window
from foveal.views.plots.style import (
    COLOUR_MAP,
    Picture,
    label_plane,
    origin_of,
    panel,
    picture,
    positions,
    styled,
    title_of,
)

if TYPE_CHECKING:
    from foveal.fields.field import Field

SURFACE_CELLS = 72
"""A surface is drawn with at most so many cells per axis; larger fields are averaged over blocks."""

_AXIS_NAMES = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}


@styled()
def heat_map(field: Field, title: str = "") -> Picture:
    """The field as a picture: bars or a curve over a line, a map over a plane, three central slices over a volume."""
    if field.values.ndim == 1:
        return _line(field, title)
    if field.values.ndim == 3:
        return _slices(field, title)
    _only(field, 2, "a heat map")
    (top, bottom), (left, right) = window(field)
    width = float(np.clip(4.6 * (right - left) / (bottom - top), 3.4, 9.0))
    figure, axes = panel(width + 1.1, 5.3, origin_of([field]))
    image = draw_plane(axes, field, outline=field.kind != "usage")  # of no one unit: no box, no contour
    axes.set_title(title or title_of(field))
    if field.kind != "support":
        figure.colorbar(image, ax=axes, shrink=0.85, label="share of the maximum")
    legend_below(figure, axes)
    return figure


@styled()
def surface(field: Field, title: str = "") -> Picture:
    """The field over a plane as a surface in space, as shares of its maximum."""
    _only(field, 2, "a surface")
    weights, rows, columns = _blocks(field)
    if min(weights.shape) < 2:
        raise FovealError(f"{field.layer}: a surface needs at least two positions along each axis")
    figure = picture(6.0, 4.8, origin_of([field]))
    axes: Any = figure.add_subplot(projection="3d")
    across, down = np.meshgrid(columns, rows)
    axes.plot_surface(
        across, down, weights, cmap=COLOUR_MAP, vmin=0, rstride=1, cstride=1, linewidth=0, antialiased=False
    )
    axes.set_box_aspect((1, 1, 0.6), zoom=0.9)
    axes.view_init(elev=32, azim=-55)
    axes.locator_params(nbins=5)
    label_plane(axes)
    axes.set_zlabel("share of the maximum")
    axes.set_title(title or title_of(field))
    return figure


@styled()
def profiles(field: Field, title: str = "") -> Picture:
    """Weights along each source axis through the greatest one, with the Gaussian that was fitted to the field."""
    names = _AXIS_NAMES.get(field.values.ndim)
    if names is None:
        raise FovealError(f"{field.layer}: profiles are drawn for one to three source axes, not {field.values.ndim}")
    figure = picture(1.2 + 3.6 * len(names), 3.4, origin_of([field]))
    for axis, axes in enumerate(figure.subplots(1, len(names), squeeze=False)[0]):
        draw_profile(axes, field, axis)
        axes.set_xlabel(f"{names[axis] if len(names) > 1 else 'position'} ({positions(len(names))})")
        axes.set_ylabel("share of the maximum" if axis == 0 else "")
    figure.suptitle(title or title_of(field), fontsize=10)
    legend_below(figure, axes)
    return figure


@styled()
def overlay(field: Field, image: np.ndarray, title: str = "") -> Picture:
    """The field over the image (H, W, 3 in 0..1) that the network reads: what carries weight is light, the rest dim."""
    fits(field, image)
    figure, axes = panel(5.4 * min(1.5, image.shape[1] / image.shape[0]), 5.6, origin_of([field]))
    draw_overlay(axes, field, image)
    axes.set_title(title or title_of(field))
    label_plane(axes)
    legend_below(figure, axes)
    return figure


def draw_overlay(axes: Axes, field: Field, image: np.ndarray) -> None:
    """The image, dimmed where the field is weak, with the RF box, the effective region and the center."""
    # The square root lifts the flanks: what carries a tenth of the maximum would otherwise be black.
    light = 0.22 + 0.78 * np.sqrt(shares(field))[..., None]
    axes.imshow(np.asarray(image) * light + 0.10 * (1 - light) * np.array(to_rgb("#335c99")), interpolation="nearest",
                extent=(-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5))  # fmt: skip
    outlines(axes, field)
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)
    axes.locator_params(nbins=6, integer=True)


@styled()
def foveated(field: Field, pictures: Sequence[np.ndarray], titles: Sequence[str], title: str = "") -> Picture:
    """Views of one image beside each other, such as the original, as the unit sees it, as an eye sees it."""
    for image in pictures:
        fits(field, image)
    ratio = field.source_shape[1] / field.source_shape[0]
    figure = picture(3.3 * len(pictures) * min(1.5, ratio), 3.7, origin_of([field]))
    for axes, image, name in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, titles, strict=True):
        draw_image(axes, image, name)
    figure.suptitle(title or title_of(field), fontsize=10)
    return figure


def draw_image(axes: Axes, image: np.ndarray, title: str) -> None:
    """An image without axis labels."""
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])


def legend_below(figure: Picture, *panels: Axes) -> None:
    """One legend under the picture, where it hides nothing; white lines are shown on grey."""
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles))
    if entries:
        figure.legend(list(entries.values()), list(entries), loc="outside lower center",
                      ncols=2 if len(entries) == 4 else 3, facecolor="#8f8f8f", framealpha=0.55)  # fmt: skip


def fits(field: Field, image: np.ndarray) -> None:
    """Raise FovealError unless the image has the field's source shape."""
    _only(field, 2, "an overlay")
    if np.shape(image)[:2] != field.source_shape:
        got, want = ("x".join(map(str, shape)) for shape in (np.shape(image)[:2], field.source_shape))
        raise FovealError(f"{field.layer}: the image is {got}, the source {want}")


def _only(field: Field, axes: int, what: str) -> None:
    if field.values.ndim != axes:
        raise FovealError(f"{field.layer}: {what} needs a source with {axes} axes, this one has {field.values.ndim}")


@styled()
def _line(field: Field, title: str) -> Picture:
    figure, axes = panel(6.4, 3.2, origin_of([field]))
    draw_line(axes, field)
    axes.set_title(title or title_of(field))
    legend_below(figure, axes)
    return figure


@styled()
def _slices(field: Field, title: str) -> Picture:
    figure = picture(10.0, 3.8, origin_of([field]))
    drawn = figure.subplots(1, 3)
    image = draw_slices((drawn[0], drawn[1], drawn[2]), field)
    figure.colorbar(image, ax=list(drawn), shrink=0.8, label="share of the maximum")
    figure.suptitle(title or title_of(field), fontsize=10)
    return figure


def _blocks(field: Field) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block means of the part of the field around its hull, with the coordinates of the blocks' middles."""
    weights = shares(field)
    hull = [slice(max(0, a - 1), min(n, b + 1)) for (a, b), n in zip(field.hull, weights.shape)]
    part = weights[tuple(hull)]
    step = max(1, -(-max(part.shape) // SURFACE_CELLS))
    if min(part.shape) < step:
        step = 1
    rows, columns = (n // step for n in part.shape)
    means = part[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    places = [s.start + step * np.arange(n) + (step - 1) / 2 for s, n in zip(hull, (rows, columns))]
    return means, places[0], places[1]
