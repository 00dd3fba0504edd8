"""One field drawn into given axes: the parts that all pictures are put together from.

Every function takes a finished :class:`foveal.field.Field` and draws; weights are shown as shares of their maximum.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter

from foveal.fields.metrics import GaussianFit, checkerboard_index, fit_gaussian, level_of
from foveal.fields.metrics.effective import LEVEL
from foveal.views.plots.style import BLUE, BOX, BOX_TOP, COLOUR_MAP, LINES, ORANGE, PALE, label_plane

if TYPE_CHECKING:
    from foveal.fields.field import Field

Window = tuple[tuple[float, float], ...]
"""First and last coordinate shown, per source axis; pixel i is the interval from i - 1/2 to i + 1/2."""

UNEVEN = 0.02
"""Checkerboard index above which the contours of fields of at least ``SMOOTHED`` positions follow the local mean."""

SMOOTHED = 24

BARS = 64
"""Up to so many positions of a line are drawn as bars."""


def shares(field: Field) -> np.ndarray:
    """The field over the whole source, as shares of its greatest weight; zeros for an empty field."""
    weights = np.abs(np.asarray(field.full(), dtype=float))
    greatest = weights.max(initial=0.0)
    return np.asarray(weights / greatest) if greatest > 0 else weights


def window(*fields: Field) -> Window:
    """What a picture of these fields shows: their RF boxes with a margin, up to a source length beyond the source."""
    sides = []
    for axis, length in enumerate(fields[0].source_shape):
        boxes = [_box(field)[axis] for field in fields]
        first, last = min(b[0] for b in boxes), max(b[1] for b in boxes)
        margin = max(1.0, 0.06 * (last - first))
        low, high = max(first - margin, -length), min(last + margin, 2 * length)
        if first >= 0 and last <= length:
            low, high = max(low, 0), min(high, length)
        sides.append((low - 0.5, high - 0.5))
    return tuple(sides)


def _box(field: Field) -> tuple[tuple[int, int], ...]:
    """The unclipped RF box where it is known, else the hull of the values."""
    if field.box is not None:
        return tuple((int(a), int(b)) for a, b in field.box)
    return tuple((first, first + n) for first, n in zip(field.origin, field.values.shape))


def draw_plane(
    axes: Axes, field: Field, shown: Window | None = None, labels: bool = True, outline: bool = True
) -> AxesImage:
    """A heat map over a plane source; grey ground lies outside the source. Rows run downwards, aspect 1."""
    rows, columns = shown or window(field)
    image = _map(axes, shares(field), rows, columns, ticks=6)
    if outline:
        outlines(axes, field)
    axes.set_aspect("equal")
    if labels:
        label_plane(axes)
    return image


def _map(
    axes: Axes, weights: np.ndarray, rows: tuple[float, float], columns: tuple[float, float], ticks: int
) -> AxesImage:
    height, width = weights.shape
    image = axes.imshow(weights, cmap=COLOUR_MAP, vmin=0, vmax=1, interpolation="nearest",
                        extent=(-0.5, width - 0.5, height - 0.5, -0.5))  # fmt: skip
    axes.set_facecolor("#d9d9d9")
    axes.set_xlim(*columns)
    axes.set_ylim(*rows[::-1])
    axes.locator_params(nbins=ticks, integer=True)
    return image


def outlines(axes: Axes, field: Field, box_label: str = "RF box", contour_label: str = "effective region") -> None:
    """The RF box, the line around the effective region and the RF center, over a plane."""
    (top, bottom), (left, right) = _box(field)
    for style, label in ((BOX, None), (BOX_TOP, box_label)):
        corner = (left - 0.5, top - 0.5)
        axes.add_patch(Rectangle(corner, right - left, bottom - top, label=label, **style))  # type: ignore[arg-type]
    weights = shares(field)
    if min(field.values.shape) >= SMOOTHED and (checkerboard_index(field.values) or 0.0) > UNEVEN:
        # Alternating neighbours would break the contour into crumbs; it follows their local mean instead.
        weights[tuple(slice(*side) for side in field.hull)] = gaussian_filter(
            field.values.astype(float), max(1.0, max(field.values.shape) / 64), mode="nearest"
        )
        contour_label += ", neighbours averaged"
    # Lines run between pixels, where the gradient changes more evenly than its square.
    weights = np.sqrt(weights) if field.squared else weights
    level = LEVEL * weights.max(initial=0.0)
    if field.kind != "support" and min(weights.shape) > 1 and weights.min() <= level < weights.max():
        axes.contour(weights, levels=[level], colors="#ffffff", linewidths=1.2)
        axes.plot([], [], color="#ffffff", linewidth=1.2, label=contour_label)
    if field.center is not None:
        axes.plot(*field.center[::-1], marker="+", markersize=9, color=ORANGE, markeredgewidth=1.6, linestyle="none",
                  label="RF center")  # fmt: skip


def draw_line(axes: Axes, field: Field, shown: Window | None = None, labels: bool = True) -> None:
    """A field over a line source: bars with the values written on them where there are few, else a filled curve."""
    first, last = (shown or window(field))[0]
    values = np.abs(np.asarray(field.full(), dtype=float))
    part = slice(max(0, int(np.ceil(first))), min(len(values), int(np.floor(last)) + 1))
    index = np.arange(len(values))[part]
    if len(index) <= BARS:
        bars = axes.bar(index, values[part], color=BLUE, width=0.8)
        if len(index) <= 24 and field.kind in ("paths", "edges"):
            axes.bar_label(bars, [f"{v:g}" if v else "" for v in values[part]], fontsize=8, padding=2)
    else:
        axes.fill_between(index, values[part], color=BLUE, alpha=0.35, step="mid")
        axes.step(index, values[part], color=BLUE, where="mid", linewidth=1.0)
    axes.set_xlim(first, last)
    axes.set_ylim(0, values.max(initial=1e-300) * 1.12)
    axes.locator_params(axis="x", integer=True)
    if field.center is not None:
        # A marker on the axis hides neither bars nor the numbers on them.
        axes.plot(field.center[0], 0, marker="^", markersize=9, color=ORANGE, clip_on=False, zorder=5, linestyle="none",
                  label="RF center")  # fmt: skip
    if labels:
        axes.set_xlabel("position (samples)")
        axes.set_ylabel(field.kind)


def draw_slices(axes: tuple[Axes, Axes, Axes], field: Field) -> AxesImage:
    """Three central slices of a field over a volume, through its greatest weight."""
    weights = shares(field)
    peak = np.unravel_index(int(weights.argmax()), weights.shape)
    shown = window(field)
    for axis, (drawn, name) in enumerate(zip(axes, "DHW")):
        down, across = (a for a in range(3) if a != axis)
        image = _map(drawn, weights.take(peak[axis], axis=axis), shown[down], shown[across], ticks=5)
        drawn.set_title(f"{name} = {peak[axis]}")
        drawn.set_xlabel(f"{'DHW'[across]} (voxels)")
        drawn.set_ylabel(f"{'DHW'[down]} (voxels)")
    return image


def draw_profile(axes: Axes, field: Field, axis: int, style: int = 0, label: str = "", fitted: bool = True) -> None:
    """Weights along one axis through the greatest one, with the Gaussian that was fitted to the field."""
    weights = shares(field)
    peak = np.unravel_index(int(weights.argmax()), weights.shape)
    line = weights[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))]
    index = np.arange(len(line))
    colour, dashes = LINES[style]
    axes.plot(index, line, color=colour, linestyle=dashes, linewidth=1.5, label=label or field.kind,
              drawstyle="steps-mid" if len(line) <= BARS else "default")  # fmt: skip
    fit = gaussian(field, axis, tuple(int(p) for p in peak)) if fitted else None
    if fit is not None:
        fine, values = fit
        axes.plot(fine, values, color=ORANGE, linestyle="--", linewidth=1.3, label="fitted Gaussian")
    axes.axhline(level_of(bool(field.squared)), color=PALE, linewidth=0.8, linestyle=":")
    first, last = window(field)[axis]
    axes.set_xlim(max(first, -0.5), min(last, len(line) - 0.5))
    axes.set_ylim(0, 1.08)


def gaussian(field: Field, axis: int, peak: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """The fitted Gaussian along ``axis`` through ``peak``: positions and shares of the maximum; None without a fit."""
    fit = _fit(field)
    if fit.amplitude is None or fit.center is None or fit.axis_sigmas is None or fit.sigmas is None:
        return None
    if min(fit.sigmas) <= 0:
        return None
    covariance = np.diag(np.square(fit.axis_sigmas))
    if fit.angle is not None:
        along = np.radians(fit.angle)
        first, second = np.array([np.sin(along), np.cos(along)]), np.array([np.cos(along), -np.sin(along)])
        covariance = fit.sigmas[0] ** 2 * np.outer(first, first) + fit.sigmas[1] ** 2 * np.outer(second, second)
    low, high = window(field)[axis]
    places = np.linspace(max(low, -0.5), min(high, field.source_shape[axis] - 0.5), 400)
    points = np.array([places if a == axis else np.full(len(places), float(p)) for a, p in enumerate(peak)])
    apart = points - np.array(fit.center)[:, None]
    exponent = (apart * np.linalg.solve(covariance, apart)).sum(axis=0)
    return places, fit.amplitude * np.exp(-exponent / 2) / float(np.abs(field.values).max())


@lru_cache(maxsize=16)
def _fit(field: Field) -> GaussianFit:
    return fit_gaussian(field.values, field.origin)
