"""Pictures of a registration audit: where units look on the image, and how far that is from where they are put."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foveal.views.plots.style import (
    BLUE,
    INK,
    LINES,
    ORANGE,
    PALE,
    Picture,
    label_plane,
    named,
    panel,
    positions,
    styled,
)

if TYPE_CHECKING:
    from foveal.tasks.registration.record import OffsetCurves, UnitPlaces

LABELS = {
    "cell": "cell of the resized map (align_corners=False)",
    "corners": "resized map with align_corners=True",
    "grid": "grid point (i + 1/2) stride",
    "edge": "anchor at i stride",
}
FEW = 24
"""Of maps with more units a side only those about the middle are drawn."""


@styled()
def unit_places(shown: UnitPlaces) -> Picture:
    """The image with the cells of the resized map, their centers, and what the units really look at."""
    network, last = shown.network, shown.last
    figure, axes = panel(6.2, 6.4, {"network": network, "layer": last.layer})
    rows, columns = last.axes
    axes.set_xlim(min(-0.5, float(columns.first) - 4), columns.length - 0.5)
    axes.set_ylim(rows.length - 0.5, min(-0.5, float(rows.first) - 4))
    axes.set_aspect("equal")
    for along, line in ((columns, axes.axvline), (rows, axes.axhline)):
        for i in range(along.units + 1):
            line(i * along.length / along.units - 0.5, color=PALE, linewidth=0.7)
    ys, xs = ([float(p) for p in axis.placed("cell")] for axis in (rows, columns))
    v, u = ([float(p) for p in axis.centers()] for axis in (rows, columns))
    picked = [(i, j) for i in _few(rows.units) for j in _few(columns.units)]
    for i, j in picked:
        if abs(u[j] - xs[j]) + abs(v[i] - ys[i]) > 0.5:
            axes.annotate("", (u[j], v[i]), (xs[j], ys[i]), arrowprops={"arrowstyle": "-", "color": PALE, "lw": 0.8})
    axes.plot([xs[j] for _, j in picked], [ys[i] for i, _ in picked], "o", markerfacecolor="white",
              markeredgecolor=BLUE, markersize=6, linestyle="none", label="middle of the cell")  # fmt: skip
    axes.plot([u[j] for _, j in picked], [v[i] for i, _ in picked], "x", color=ORANGE, markersize=6,
              markeredgewidth=1.8, linestyle="none", label="what the unit looks at (RF center)")  # fmt: skip
    label_plane(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2)
    axes.set_title(f"{named(f'{network}: {last.layer}')}, {rows.units}x{columns.units} units")
    return figure


@styled()
def offset_curves(shown: OffsetCurves) -> Picture:
    """RF center minus the place by each convention, unit by unit along the last axis."""
    network, last = shown.network, shown.last
    figure, axes = panel(6.8, 4.0, {"network": network, "layer": last.layer})
    along = last.axes[-1]
    for (convention, label), (color, dashes) in zip(LABELS.items(), LINES):
        values = [float(value) for value in along.offsets(convention)]
        width = 4.0 if convention == "cell" else 1.5  # it may lie under the grid's line
        axes.plot(range(along.units), values, color=color, linestyle=dashes, linewidth=width, marker="o",
                  markersize=3, label=label)  # fmt: skip
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("unit")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel(f"RF center minus its place ({positions(len(last.axes))})")
    axes.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=2)
    axes.set_title(f"{named(f'{network}: {last.layer}')}, stride {float(along.stride):g}")
    return figure


def _few(units: int) -> range:
    if units <= FEW:
        return range(units)
    start = (units - FEW) // 2
    return range(start, start + FEW)
