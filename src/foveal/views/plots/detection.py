"""Pictures for detection: the regions of neighbouring outputs on the image, and levels against object sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from foveal.views.pictures import fitted_image
from foveal.views.plots.style import BLUE, GREEN, INK, ORANGE, PALE, PINK, Picture, label_plane, named, picture, styled

if TYPE_CHECKING:
    from foveal.tasks.detection.record import Box, LevelBar, LevelPicture, Region, RegionPicture

COLOURS = (BLUE, ORANGE, GREEN, PINK, "#56b4e9", "#e69f00", "#f0e442", "#999999", INK)
"""One per output; Okabe and Ito's set."""


@styled()
def region_picture(asked: RegionPicture) -> Picture:
    """Neighbouring outputs on the image: on the left each one's theoretical field, on the right the box whose
    Gaussian its energy is, with its label.
    """
    layer, shape, regions = asked.cells.layer, asked.cells.source_shape, asked.cells.regions
    ground = np.full((*shape, 3), 0.92) if asked.image is None else asked.image
    ground = fitted_image(ground, shape) if isinstance(ground, str) else ground
    origin = {"layer": layer, "source_shape": list(shape), "units": [list(item.unit) for item in regions]}
    figure = picture(9.6, 5.8, origin)
    known = any(item.effective is not None for item in regions)
    panels = figure.subplots(1, 1 + known, sharex=True, sharey=True, squeeze=False)[0]
    left, right = panels[0], panels[-1]
    whole = all(item.box == (0, 0, *shape) for item in regions)
    titles = (f"theoretical fields{': each the whole image' if whole else ''}", "what each is made for (2 sigma boxes)")
    for axes, title in zip(panels, titles):
        shown = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
        axes.imshow(ground, extent=shown, interpolation="nearest", alpha=0.85)
        axes.set_title(title)
        label_plane(axes)
        for top, first, height, width, label in asked.objects:
            _box(axes, (top, first, top + height, first + width), INK, ":", 1.4)
            axes.annotate(named(label), (first, top - 1), fontsize=7, va="bottom", color=INK)
    if known:
        right.set_ylabel("")
    fields = [item.box for item in regions], [item.effective for item in regions]
    boxes = [box for box in (*fields[0], *fields[1]) if box is not None]
    rows, columns = _shown(shape, boxes)
    clear = [_clear(boxes, columns) for boxes in fields]
    for index, item in enumerate(regions):
        colour, own = COLOURS[index % len(COLOURS)], f"{item.unit[0]}, {item.unit[1]}"
        _region(left, item.box, colour, own if clear[0] else "")
        if item.effective is not None:
            _region(right, item.effective, colour, item.label or own if clear[1] else item.label)
    right.set_ylim(*rows)
    right.set_xlim(*columns)
    figure.suptitle(f"{named(layer)}: {_named(regions)} and what each sees", fontsize=10)
    return figure


@styled()
def level_picture(shown: LevelPicture) -> Picture:
    """Per level the 2 sigma box, the effective side, the theoretical field and the anchors on a logarithmic axis of
    sizes in pixels; below, where there are objects, how many have which size.
    """
    levels, sizes = shown.levels, shown.sizes
    height = 1.1 + 0.5 * len(levels) + (1.8 if sizes else 0.0)
    figure = picture(8.4, height, {"levels": [level.name for level in levels]})
    heights = [0.5 * len(levels) + 0.6, 1.6]
    if sizes:
        top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": heights})
        edges = 2.0 ** np.arange(np.floor(np.log2(max(min(sizes), 1))), np.ceil(np.log2(max(sizes))) + 0.5, 0.5)
        bottom.hist(sizes, bins=list(edges), color=PALE, edgecolor="white")
        bottom.set_ylabel("objects")
        bottom.set_xlabel("size (pixels, square root of the area)")
    else:
        top = figure.subplots()
        top.set_xlabel("size (pixels)")
    _bars(top, levels)
    return figure


def _bars(axes: Axes, levels: Sequence[LevelBar]) -> None:
    kinds = (("trf", "o", BLUE, "theoretical field"), ("erf", "s", ORANGE, "effective side"))
    for row, level in enumerate(levels):
        ends = [value for value in (level.box, level.trf) if value is not None]
        if len(ends) == 2:
            axes.plot(ends, [row, row], color=PALE, linewidth=1.2, zorder=1)
        for name, marker, colour, _ in kinds:
            if getattr(level, name) is not None:
                axes.plot([getattr(level, name)], [row], marker, color=colour, markersize=7)
        if level.box is not None:
            axes.plot([level.box], [row], "D", color=GREEN, markersize=7)
        axes.plot(list(level.anchors), [row] * len(level.anchors), "|", color=INK, markersize=14, markeredgewidth=1.6)
    for _, marker, colour, text in (*kinds, ("box", "D", GREEN, "2 sigma box"), ("", "|", INK, "anchors")):
        axes.plot([], [], marker, color=colour, label=text, markersize=7)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(levels)), [named(level.name) for level in levels])
    axes.set_ylim(len(levels) - 0.5, -0.5)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_ylabel("level")
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)


def _region(axes: Axes, box: Box, colour: str, text: str) -> None:
    _box(axes, box, colour, "-", 1.6)
    if not text:
        return
    middle = ((box[1] + box[3]) / 2 - 0.5, (box[0] + box[2]) / 2 - 0.5)
    frame = {"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "white", "linewidth": 0.6}
    axes.annotate(named(text), middle, fontsize=6.5, ha="center", va="center", color="white", bbox=frame)


def _named(regions: Sequence[Region]) -> str:
    if len(regions) < 2:
        return f"{len(regions)} output"
    return f"{len(regions)} neighbouring outputs, {regions[0].unit} to {regions[-1].unit},"


def _clear(boxes: Sequence[Box | None], columns: tuple[float, float]) -> bool:
    """Whether names in the middle of the boxes do not cover each other: they take a tenth of the width."""
    middles = {(box[1] + box[3]) / 2 for box in boxes if box is not None}
    apart = [b - a for a, b in pairwise(sorted(middles))]
    return len(boxes) == 1 or min(apart, default=0.0) > 0.1 * abs(columns[1] - columns[0])


def _box(axes: Axes, box: Box, colour: str, line: str, width: float) -> None:
    place, across, down = (box[1] - 0.5, box[0] - 0.5), box[3] - box[1], box[2] - box[0]
    axes.add_patch(Rectangle(place, across, down, edgecolor="#ffffff", linewidth=2.6, fill=False))
    axes.add_patch(Rectangle(place, across, down, fill=False, edgecolor=colour, linewidth=width, linestyle=line))


def _shown(shape: tuple[int, int], boxes: Sequence[Box]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The whole image and as much around it as the boxes need; where they fill less than a third of it, only a square
    about them.
    """
    top, left = (min(box[axis] for box in boxes) for axis in (0, 1))
    bottom, right = (max(box[axis + 2] for box in boxes) for axis in (0, 1))
    side = max(bottom - top, right - left)
    if 3 * side < min(shape):
        middle, half = ((top + bottom) / 2, (left + right) / 2), 1.1 * side
        return (middle[0] + half, middle[0] - half), (middle[1] - half, middle[1] + half)
    rows = (max(bottom, shape[0]) - 0.5, min(top, 0) - 0.5)
    return rows, (min(left, 0) - 0.5, max(right, shape[1]) - 0.5)
