"""How often each source position is read by the units of a layer, and what is wasted or neglected.

The count at a position is the number of units whose receptive field, clipped to the source, holds it. Where receptive
fields have no holes their boxes are added up; where they may have holes the support of each unit is worked out, as
long as there are few; else the boxes give an upper bound, with the positions that no path reaches set to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from foveal.core import show
from foveal.core.finding import Finding
from foveal.core.serial import to_plain
from foveal.engine.backward.algebra import SUPPORT
from foveal.engine.backward.pull import over_source, pull, seed, usage_counts
from foveal.engine.backward.solidity import solid_values
from foveal.fields.field import Field
from foveal.fields.idle_taps import IdleTaps, idle_taps
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph

AFFORDABLE = 60_000
"""Units times operations for which supports are still worked out one by one (some seconds)."""

UNDER_READ = 0.5
"""A border read by less than this share of what the middle gets is a finding."""

UNEVEN = 0.8
"""Neighbouring positions whose counts differ by more than this ratio are a finding."""

RESTORED = 0.9
"""Share of the middle's count at which a border counts as left behind."""


@dataclass(frozen=True)
class Border:
    """Use of one end of a source axis, from the counts averaged over the other axes and over one stride of the layer.

    share: count in the outermost stride over the median count of the axis's middle half; width: positions from the end
    to the first stride with 90 % of that median.
    """

    share: float
    width: int


@dataclass(frozen=True)
class Gridding:
    """A pattern that repeats along a source axis where no border interferes.

    period: in positions; ratio: smallest over largest count in one period (0: some positions are never read).
    """

    period: int
    ratio: float


@dataclass(frozen=True, eq=False, repr=False)
class Usage(show.Shown):
    """How the units of a layer use a source. ``str(usage)`` is the text; per-axis tuples follow the source axes."""

    layer: str
    source: str
    units: int
    """How many units the layer has (positions, not channels)."""
    counts: np.ndarray = field(repr=False)
    """(source axes) int64: the number of units that read each position; read-only."""
    status: str
    """"exact", "bound" (counts are never too small) or "data-dependent"."""
    method: str
    borders: tuple[tuple[Border, Border], ...]
    """Per axis the first and the last end."""
    gridding: tuple[Gridding | None, ...]
    """Per axis; None where counts are even, or where the receptive field is too wide to tell from the borders."""
    idle_taps: tuple[IdleTaps, ...]
    """Convolutions on the way to the layer with taps that only ever meet padding."""
    findings: tuple[Finding, ...]

    @property
    def never_read(self) -> int:
        """Source positions that no unit reads."""
        return int(np.count_nonzero(self.counts == 0))

    def as_field(self) -> Field:
        """The counts as a field over the whole source, to be drawn or written like one unit's."""
        shape = self.counts.shape
        return Field(
            self.counts, (0,) * len(shape), shape, self.layer, (), "usage", self.source, self.status, self.method
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, without the counts themselves."""
        names = ("layer", "source", "units", "status", "method", "borders", "gridding", "idle_taps", "findings")
        return {"source_shape": list(self.counts.shape), "never_read": self.never_read} | {
            name: to_plain(getattr(self, name)) for name in names
        }


def usage(graph: Graph, layer: str, source: str | None = None) -> Usage:
    """How often each position of a source is read by all units of ``layer`` together.

    Raises UnknownLayerError, and FovealError where the layer depends on no such source.
    """
    rf = receptive_field(graph, layer, source)
    counts, status, method = _counts(graph, rf)
    counts.flags.writeable = False
    profiles = [counts.mean(axis=tuple(a for a in range(counts.ndim) if a != axis)) for axis in range(counts.ndim)]
    patterns = tuple(_gridding(p, _free_of_borders(rf, axis)) for axis, p in enumerate(profiles))
    smooth = [_smooth(p, stride, pattern) for p, stride, pattern in zip(profiles, rf.stride, patterns)]
    borders = tuple((_border(p), _border(p[::-1])) for p in smooth)
    taps = idle_taps(graph, graph.layer(layer).value)
    found = _findings(rf, counts, borders, patterns, taps)
    return Usage(layer, rf.source, prod(rf.grid), counts, status, method, borders, patterns, taps, found)


def box_counts(rf: ReceptiveField) -> np.ndarray:
    """Units whose clipped box holds each source position: a difference array over all boxes, summed up once."""
    grid = rf.grid
    shapes = [np.broadcast_to(array[0], grid).ravel() for array in (*rf.first, *rf.last, rf.nothing)]
    axes = len(rf.source_shape)
    seen = ~shapes[-1]
    difference = np.zeros(tuple(n + 1 for n in rf.source_shape), np.int64)
    for corner in product((0, 1), repeat=axes):
        index = tuple(shapes[axes + a][seen] + 1 if high else shapes[a][seen] for a, high in enumerate(corner))
        np.add.at(difference, index, -1 if sum(corner) % 2 else 1)
    for axis in range(axes):
        difference = difference.cumsum(axis=axis)
    return difference[tuple(slice(0, n) for n in rf.source_shape)].copy()


def _counts(graph: Graph, rf: ReceptiveField) -> tuple[np.ndarray, str, str]:
    value = graph.layer(rf.layer).value
    index = [s.name for s in graph.sources].index(rf.source)
    if solid_values(graph, index).get(value, False):
        return box_counts(rf), rf.status, "boxes of all units added up; no receptive field has holes"
    if prod(rf.grid) * len(graph.nodes) <= AFFORDABLE:
        return _support_counts(graph, rf, value, index), rf.status, "supports of all units added up"
    counts = box_counts(rf)
    counts[usage_counts(graph, rf.layer, rf.source) == 0] = 0
    status = "bound" if rf.status == "exact" else rf.status
    return counts, status, "boxes of all units added up, an upper bound: receptive fields may have holes"


def _support_counts(graph: Graph, rf: ReceptiveField, value: int, index: int) -> np.ndarray:
    chosen = graph.sources[index]
    shape = graph.values[chosen.value].shape
    total = np.zeros(rf.source_shape, np.int64)
    for unit in np.ndindex(rf.grid):
        flows = pull(graph, {value: seed(graph, value, unit, SUPPORT)}, SUPPORT)
        total += over_source(flows.get(chosen.value), shape, chosen.axes).astype(bool)
    return total


def _smooth(profile: np.ndarray, stride: int | Fraction | None, pattern: Gridding | None) -> np.ndarray:
    """Means over one stride (one period where the layer has no stride), so that gridding is not taken for a border."""
    width = ceil(stride) if stride is not None else pattern.period if pattern is not None else 1
    width = min(max(width, 1), max(len(profile) // 2, 1))
    return np.convolve(profile, np.full(width, 1 / width), "valid")


def _border(profile: np.ndarray) -> Border:
    n = len(profile)
    middle = float(np.median(profile[n // 4 : n - n // 4]))
    if middle == 0:
        return Border(1.0, 0)
    reached = np.flatnonzero(profile >= RESTORED * middle)
    return Border(float(profile[0] / middle), int(reached[0]))


def _free_of_borders(rf: ReceptiveField, axis: int) -> slice:
    """The positions that would be read alike if the grid went on for ever; the middle half where that is not known.

    Unit -1 would end at start + size - stride, the unit after the last one would start at start + grid x stride.
    """
    n = rf.source_shape[axis]
    start, size, stride, along = rf.start[axis], rf.size[axis], rf.stride[axis], rf.progress[axis]
    if start is None or size is None or stride is None or along is None or stride <= 0:
        return slice(n // 4, n - n // 4)
    units = rf.grid[along[0]]
    # After upsampling the units of one period start at several places; a period's shift on either side is safe.
    slack = ceil(Fraction(stride) * rf.period[axis]) if rf.period[axis] > 1 else 0
    first = ceil(start + size - stride) + slack
    last = int(start + units * stride) - slack
    return slice(max(first, 0), max(min(last, n), 0))


def _gridding(profile: np.ndarray, inner: slice) -> Gridding | None:
    part = profile[inner]
    if part.size < 4 or np.all(part == part[0]):
        return None
    for period in range(2, part.size // 2 + 1):
        if np.array_equal(part[period:], part[:-period]):
            return Gridding(period, float(part.min() / part.max()))
    return None


def _findings(
    rf: ReceptiveField,
    counts: np.ndarray,
    borders: tuple[tuple[Border, Border], ...],
    patterns: tuple[Gridding | None, ...],
    taps: tuple[IdleTaps, ...],
) -> tuple[Finding, ...]:
    names = {1: ("T",), 2: ("H", "W"), 3: ("D", "H", "W")}.get(counts.ndim) or tuple(map(str, range(counts.ndim)))
    found = []
    unread = int(np.count_nonzero(counts == 0))
    if unread:
        text = f"{unread} of {counts.size} positions ({100 * unread / counts.size:.3g} %) are never read"
        found.append(Finding("never-read", "warning", rf.layer, text))
    for name, pattern in zip(names, patterns):
        if pattern is not None and pattern.ratio < UNEVEN:
            text = (
                f"along {name} the use repeats every {pattern.period} positions, "
                f"the least read getting {pattern.ratio:.2g} of the most read"
            )
            found.append(Finding("gridding", "warning", rf.layer, text))
    for tap in taps:
        found.append(Finding("taps-in-padding", "warning", tap.layer, f"{tap.layer or 'the top level'}: {tap}"))
    for name, ends in zip(names, borders):
        share, width = min(end.share for end in ends), max(end.width for end in ends)
        if share < UNDER_READ:
            text = (
                f"the end of {name} is read {share:.2g} times as often as the middle; {width} positions in, it is 90 %"
            )
            found.append(Finding("under-read-border", "info", rf.layer, text))
    return tuple(found)
