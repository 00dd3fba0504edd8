"""Lengths of tiles where none were asked for: the smallest that runs, and the smallest that computes little twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal.ir.graph import Graph
from foveal.tasks.tiling.record import AxisPlan
from foveal.tasks.tiling.retrace import runs_with

MODERATE = 0.5
"""Share of the source that tiles chosen here may compute more than once."""
TRIES = 16
"""Multiples by which a tile is made longer until the model runs on it."""
CANDIDATES = 100_000
"""Lengths that are looked at, at most."""


def smallest_sizes(graph: Graph, source: str, axes: Sequence[AxisPlan]) -> tuple[int, ...]:
    """The smallest tile at which the model runs, per source axis; ``axes`` give lengths, halos and multiples.

    The halo and one multiple are enough for the units; a model may refuse maps that small (reflected padding, pooling).
    """
    sizes = [axis.smallest for axis in axes]
    for _ in range(TRIES):
        if runs_with(graph, source, sizes):
            break
        sizes = [min(axis.length, size + axis.multiple) for axis, size in zip(axes, sizes)]
    return tuple(sizes)


def moderate_sizes(graph: Graph, source: str, axes: Sequence[AxisPlan]) -> tuple[int, ...]:
    """The smallest tile, as near to square as can be, that computes at most ``MODERATE`` of the source again.

    The source itself where no smaller one does, or where the model does not run on it.
    """
    found = fewest_positions(axes, smallest_sizes(graph, source, axes), MODERATE)
    return found if runs_with(graph, source, found) else tuple(axis.length for axis in axes)


def fewest_positions(axes: Sequence[AxisPlan], least: Sequence[int], share: float) -> tuple[int, ...]:
    """The first tile, from ``least`` on, whose overhead is at most ``share``; plain arithmetic, as AxisPlan's."""
    longest = max(axis.length for axis in axes)
    first = min(least)
    wanted = np.append(np.arange(first, longest, max(1, (longest - first) // CANDIDATES)), longest)
    sizes, fed = [], np.ones(len(wanted))
    for axis, low in zip(axes, least):
        aligned = np.maximum(low, wanted - (wanted - axis.span) % axis.multiple)
        size = np.where(wanted >= axis.length, axis.length, aligned)
        step = np.maximum(1, size - sum(axis.halo))
        fed *= (-((size - axis.span) // step) + 1) * (size / axis.length)
        sizes.append(size)
    # The last candidate is the source as one tile, so that there always is one.
    chosen = int(np.argmax(fed <= 1 + share + 1e-9))
    return tuple(int(size[chosen]) for size in sizes)
