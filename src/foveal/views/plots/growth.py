"""Growth of the receptive field and of its effective part over the layers of one or more networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from foveal.core.errors import FovealError
from foveal.views.plots.style import BLUE, LINES, ORANGE, PALE, Picture, named, panel, styled

if TYPE_CHECKING:
    from foveal.report.results import Growth

NAMED = 40
"""Up to so many layers are named under the axis; of more, some are left out evenly."""


@styled()
def growth_curves(growths: Growth | Sequence[Growth], title: str = "") -> Picture:
    """Theoretical and effective side, layer by layer: one network by names, several by layer count."""
    rows = [growths] if not isinstance(growths, Sequence) else list(growths)
    if not rows or not all(row.layers for row in rows):
        raise FovealError("no layers to draw")
    several = len(rows) > 1
    most = max(len(row.layers) for row in rows)
    figure, axes = panel(6.8 if several else min(11.0, max(6.0, 2.0 + 0.26 * most)), 4.2,
                     {"growth": [{"network": row.network, "kind": row.kind} for row in rows]})  # fmt: skip
    for index, row in enumerate(rows):
        own = LINES[index % len(LINES)][0] if several else None
        _curves(axes, row, f"{named(row.network)}: " if several else "", own)
    if several:
        axes.set_xlabel("layer")
        axes.locator_params(axis="x", integer=True)
    else:
        _names(axes, rows[0])
    _finish(axes, rows[0].unit)
    axes.set_title(title or f"{', '.join(named(row.network) for row in rows)}: growth of the receptive field")
    return figure


def draw_growth(axes: Axes, row: Growth) -> None:
    """One network's growth into given axes."""
    _curves(axes, row, "", None)
    _names(axes, row)
    _finish(axes, row.unit)
    axes.set_title(f"{named(row.network)}: growth of the receptive field")


def _curves(axes: Axes, row: Growth, name: str, own: str | None) -> None:
    place = range(1, len(row.layers) + 1)
    axes.plot(place, row.trf, color=own or BLUE, marker="o", markersize=3.5, label=f"{name}theoretical (TRF)")
    axes.plot(place, row.erf, color=own or ORANGE, marker="s", markersize=3.5, linestyle="--",
              label=f"{name}effective side")  # fmt: skip


def _finish(axes: Axes, unit: str) -> None:
    axes.set_ylabel(f"side ({unit.replace('px', 'pixels')})")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
    axes.legend(loc="upper left", frameon=False)


def _names(axes: Axes, row: Growth) -> None:
    step = -(-len(row.layers) // NAMED)
    places = range(1, len(row.layers) + 1, step)
    axes.set_xticks(
        list(places), [named(row.layers[i - 1]) for i in places], rotation=60, ha="right", rotation_mode="anchor"
    )
