"""The page of ``foveal explain``: a unit on an image, what it sees, what an eye would see, profiles and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from foveal.views.foveate import HALF_RESOLUTION
from foveal.views.plots.axes import draw_profile, window
from foveal.views.plots.field import draw_image, draw_overlay
from foveal.views.plots.style import ORANGE, PALE, Picture, named, origin_of, picture, styled, title_of

if TYPE_CHECKING:
    from foveal.views.explain import Explanation

ZOOM, LEAST = 0.3, 36
"""A field below that share of the image is shown enlarged, with about so many pixels around it at least."""


@styled()
def explanation_page(found: Explanation) -> Picture:
    """One page: the field over the image, the foveated view, the view of an eye, profiles through the peak, numbers."""
    figure = picture(11.0, 8.0, origin_of([found.field]) | {"image": found.image_name, "gamma": found.gamma})
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    top, bottom = parts
    over, seen, human = top.subplots(1, 3)
    draw_overlay(over, found.field, found.image)
    over.set_title("the field over the image")
    draw_image(seen, found.seen, "as the unit sees it")
    draw_image(human, found.human, "with the fall-off of an eye on the cross")
    power = "weight" if found.gamma == 1 else f"weight ** {found.gamma:g}"
    human.plot(*found.fixation[::-1], marker="+", color=ORANGE, markersize=9, markeredgewidth=1.6)
    human.set_xlabel(f"resolution halved at {found.pixels_per_degree * HALF_RESOLUTION:.3g} px, like the weight")
    seen.set_xlabel(f"bandwidth kept = {power}; grey: cannot be seen")
    handles, labels = over.get_legend_handles_labels()
    top.legend(handles, labels, loc="outside lower left", ncols=3, facecolor="#8f8f8f", framealpha=0.55)
    for axes in (over, seen, human):
        _zoom(axes, found)
    curves, numbers = bottom.subplots(1, 2, width_ratios=[1.15, 1])
    _profiles(curves, found)
    _numbers(numbers, found)
    figure.suptitle(f"{named(found.network)}: {title_of(found.field)}", fontsize=12)
    return figure


def _zoom(axes: Axes, found: Explanation) -> None:
    """Show only the surroundings of a field that is small beside the image."""
    lengths = [b - a for a, b in found.field.hull]
    if max(n / whole for n, whole in zip(lengths, found.field.source_shape)) > ZOOM:
        return
    reach = max(*lengths, LEAST // 3)
    (top, bottom), (left, right) = (
        (max(a - reach, 0) - 0.5, min(b + reach, whole) - 0.5)
        for (a, b), whole in zip(found.field.hull, found.field.source_shape)
    )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _profiles(axes: Axes, found: Explanation) -> None:
    draw_profile(axes, found.field, 1, 0, "along the row (columns)")
    draw_profile(axes, found.field, 0, 2, "along the column (rows)", fitted=False)
    shown = window(found.field)
    axes.set_xlim(max(-0.5, min(low for low, _ in shown)), min(max(found.field.source_shape), max(h for _, h in shown)))
    axes.set_ylim(0, 1.3)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_title("profiles through the greatest weight")
    axes.set_xlabel("position (pixels)")
    axes.set_ylabel("share of the maximum")
    axes.legend(loc="upper center", frameon=False, ncols=3)


def _numbers(axes: Axes, found: Explanation) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    step = 1 / max(len(found.rows), 12)
    for index, (name, value) in enumerate(found.rows):
        height = 1 - (index + 0.5) * step
        axes.text(0.02, height, named(name), va="center", fontsize=9)
        axes.text(0.98, height, named(value), va="center", ha="right", fontsize=9, family="monospace")
        axes.plot([0.02, 0.98], [height - step / 2] * 2, color=PALE, linewidth=0.4)
    axes.set_ylim(0, 1)
