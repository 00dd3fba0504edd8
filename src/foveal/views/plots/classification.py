"""Pictures of a classification audit: growth by depth, sizes over paths by layer, path lengths, gradient by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveal.views.plots.style import BLUE, GREEN, INK, ORANGE, PALE, Picture, named, panel, positions, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from foveal.tasks.classification.record import DepthCurves, GradientCurves, LayerSizes, PathShares

NAMED = 40
"""Up to so many layers are named under the axis."""


@styled()
def depth_curves(shown: DepthCurves) -> Picture:
    """TRF and ERF over depth against the image, and the cost spent up to there."""
    network, lengths, depth = shown.network, shown.lengths, shown.depth
    figure, axes = panel(8.6, 4.6, {"network": network, "audit": "classification"})
    names = [str(name) for name in depth.column("layer")]
    places = range(len(names))
    axes.plot(places, _floats(depth.column("TRF px")), color=BLUE, marker="o", markersize=4, label="TRF")
    axes.plot(places, _floats(depth.column("effective side px")), color=ORANGE, linestyle="--", marker="s",
              markersize=4, label="effective side")  # fmt: skip
    axes.axhline(lengths[-1], color=INK, linewidth=1, linestyle=":", label=f"input: {lengths[-1]}")
    axes.set_ylabel(positions(len(lengths)))
    highest = max([lengths[-1], *(value for value in _floats(depth.column("TRF px")) if value == value)])
    axes.set_ylim(0, 1.35 * highest)
    axes.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    _layer_names(axes, names)
    cost = axes.twinx()
    spent = _floats(depth.column("mult-adds"))
    total = max([value for value in spent if value == value], default=1.0) or 1.0
    cost.fill_between(places, [value / total for value in spent], color=GREEN, alpha=0.13, linewidth=0,
                      label="multiply-adds spent (right)")  # fmt: skip
    cost.set_ylim(0, 1.35)
    cost.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    cost.set_ylabel("share of the multiply-adds so far")
    cost.set_zorder(0)
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    more, words = cost.get_legend_handles_labels()
    axes.legend(handles + more, labels + words, loc="upper left", frameon=False)
    axes.set_title(f"{named(network)}: field and cost by depth")
    return figure


@styled()
def layer_sizes(asked: LayerSizes) -> Picture:
    """For each layer the range from its smallest to its largest path, with border layers marked, against the image."""
    network, lengths, rows = asked.network, asked.lengths, asked.rows
    shown = [row for row in rows if not row.dense]
    figure, axes = panel(min(12.0, max(7.0, 2.0 + 0.16 * len(shown))), 4.6, {"network": network})
    for place, row in enumerate(shown):
        low, high = (float(size[-1] or 0) for size in (row.smallest, row.largest))
        color = ORANGE if row.border else PALE if row.kind == "join" else BLUE
        axes.plot([place, place], [max(low, 1) * 0.97, high * 1.03], color=color, linewidth=3.0, solid_capstyle="butt")
        axes.plot(place, low, marker="v" if row.border else "o", color=color, markersize=4)
    axes.axhline(lengths[-1], color=INK, linewidth=1, linestyle=":")
    axes.set_yscale("log", base=2)
    axes.set_ylabel(f"size over single paths ({positions(len(lengths))})")
    ticks = [2**power for power in range(14) if 2**power <= 2 * max(float(r.largest[-1] or 1) for r in shown)]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    _layer_names(axes, [row.layer for row in shown])
    for color, marker, label in (
        (BLUE, "o", "smallest to largest path"),
        (PALE, "o", "join of branches"),
        (ORANGE, "v", "border layer: can add no context"),
    )[: 3 if any(row.border for row in shown) else 2]:
        axes.plot([], [], color=color, marker=marker, linewidth=3, markersize=4, label=label)
    axes.plot([], [], color=INK, linewidth=1, linestyle=":", label=f"image: {lengths[-1]} px")
    axes.legend(loc="upper left", frameon=False)
    axes.set_title(f"{named(network)}: what each layer sees over its paths")
    return figure


@styled()
def path_lengths(shown: PathShares) -> Picture:
    """Share of the paths by their number of weighted layers."""
    network, paths = shown.network, shown.paths
    figure, axes = panel(6.4, 3.8, {"network": network})
    axes.bar(paths.lengths, paths.shares, color=BLUE, width=0.85)
    axes.axvline(paths.mean, color=ORANGE, linestyle="--", label=f"mean {paths.mean:.1f}")
    axes.axvline(paths.lengths[-1], color=INK, linestyle=":", label=f"depth {paths.lengths[-1]}")
    axes.set_xlabel("weighted layers on a path")
    axes.set_ylabel("share of the paths")
    axes.legend(frameon=False)
    axes.set_title(f"{named(network)}: paths from input to output by length")
    return figure


@styled()
def gradient_reach(shown: GradientCurves) -> Picture:
    """Expected squared gradient by depth, with and without shortcuts."""
    network, reach = shown.network, shown.reach
    figure, axes = panel(6.8, 3.9, {"network": network})
    places = np.arange(len(reach))
    kept = [np.nan if item.with_shortcuts is None else item.with_shortcuts for item in reach]
    cut = [np.nan if item.without is None else item.without for item in reach]
    axes.plot(places, kept, color=BLUE, marker="o", markersize=3, label="with shortcuts")
    axes.plot(places, cut, color=ORANGE, linestyle="--", marker="s", markersize=3, label="without")
    axes.set_ylabel("log10 of the expected squared gradient")
    axes.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    _layer_names(axes, [item.layer for item in reach])
    axes.legend(frameon=False)
    axes.set_title(f"{named(network)}: the output's gradient at each convolution")
    return figure


def _layer_names(axes: Axes, names: Sequence[str]) -> None:
    step = -(-len(names) // NAMED) or 1
    places = range(0, len(names), step)
    short = [name if len(name) <= 30 else f"\u2026{name[-29:]}" for name in (names[place] for place in places)]
    axes.set_xticks(list(places), list(map(named, short)), rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _floats(cells: Sequence[object]) -> list[float]:
    return [float(cell) if isinstance(cell, int | float) else float("nan") for cell in cells]
