"""The halo of a tile: what its units see beyond it, exactly where that is possible, else within an expected error.

The exact halo is the index range of all units of a core that begins and ends at multiples of the step, over all phases,
beyond that core; nothing of it is estimated. Where the layer knows where it stands, or an error is asked for, the
effective field says how much of it is needed (``erf_halo``).
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np

from foveal.core.errors import FovealError, first_line
from foveal.fields.receptive_field import ReceptiveField
from foveal.ir.graph import Graph
from foveal.tasks.shared.equivariance import Shifts
from foveal.tasks.tiling.erf_halo import erf_halo

ERROR = 1e-3
"""Expected relative error of the halo where exact tiling is impossible and none was asked for."""


def halo(
    graph: Graph,
    rf: ReceptiveField,
    local: ReceptiveField,
    moving: Shifts,
    strides: tuple[Fraction, ...],
    grid: tuple[int, ...],
    unread: tuple[int, ...],
    error: float | None,
) -> tuple[tuple[tuple[int, int], ...], str, str, float | None]:
    """What a tile's units see beyond it, per axis and side; status, method, expected error (None: not known)."""
    whole = [
        exact_halo(local, axis, grid[axis], strides[axis], moving.multiples[axis], moving.margins[axis], unread[axis])
        for axis in range(len(strides))
    ] if all(local.known) else None  # fmt: skip
    if whole is not None and not moving.obstacles and error is None:
        return tuple(whole), "exact", "index ranges of all phases from aligned tile edges", None
    wanted = ERROR if error is None else error
    try:
        found = erf_halo(graph, rf.layer, rf.source, wanted, moving.multiples, strides)
    except FovealError as lack:
        why = str(moving.obstacles[0]) if moving.obstacles else first_line(lack)
        if whole is None:
            raise FovealError(
                f"layer '{rf.layer}' cannot be tiled: neither its index ranges nor a field say how far its units see "
                f"({why}); ask for a layer before it"
            ) from lack
        text = f"index ranges of all phases; the error is not known, as no field is there ({why})"
        return tuple(whole), "approximate", text, None
    need = found.need if whole is None else tuple(
        (min(a, c), min(b, d)) for (a, b), (c, d) in zip(found.need, whole)
    )  # fmt: skip
    if whole is not None and not moving.obstacles and need == tuple(whole):
        return need, "exact", "index ranges of all phases from aligned tile edges", None
    # What the halo leaves out is known; what an obstacle changes, such as another mean in each tile, is not.
    return need, "approximate", found.method, None if moving.obstacles else wanted


def exact_halo(
    rf: ReceptiveField, axis: int, grid: int, stride: Fraction, multiple: int, margin: tuple[int, int], unread: int
) -> tuple[int, int]:
    """How far the units of a core that begins and ends at multiples see beyond it (before, after)."""
    progress = rf.progress[axis]
    assert progress is not None
    if progress[1].period > rf.grid[grid]:
        return 0, rf.source_shape[axis]  # the source ends before anything repeats: one tile
    seen = ~_line(rf.nothing[1], grid, rf.grid[grid], np.logical_and)
    first = [_line(row, grid, rf.grid[grid], np.minimum) for row in rf.first[axis]]
    last = [_line(row, grid, rf.grid[grid], np.maximum) for row in rf.last[axis]]
    # Reflected padding may turn a reach round, to positions that the unclipped range does not hold.
    turned = [
        max(0, int(np.where(seen, apart, 0).max(initial=0))) for apart in (first[1] - first[0], last[0] - last[1])
    ]
    before, behind = steady_context(rf, axis, grid, stride, multiple)
    # Where the end is cut away, the last units of a core are there only if the tile goes on for as much.
    missing = ceil(rf.source_shape[axis] - unread - rf.grid[grid] * stride)
    return before + margin[0] + turned[0], max(behind + margin[1] + turned[1], missing)


def steady_context(rf: ReceptiveField, axis: int, grid: int, stride: Fraction, multiple: int) -> tuple[int, int]:
    """The same of units far from the ends of the source."""
    progress = rf.progress[axis]
    assert progress is not None
    period, shift = progress[1].period, int(progress[1].shift)
    seen = ~_line(rf.nothing[1], grid, rf.grid[grid], np.logical_and)
    first = _line(rf.first[axis][1], grid, rf.grid[grid], np.minimum)
    last = _line(rf.last[axis][1], grid, rf.grid[grid], np.maximum)
    units = np.arange(int(multiple / stride))
    place, ahead = units % period, units // period * shift
    kept = seen[place]
    before = int((first[place] + ahead)[kept].min(initial=0))
    after = int((last[place] + ahead)[kept].max(initial=0))
    return max(0, -before), max(0, after - multiple + 1)


def _line(array: np.ndarray, grid: int, length: int, join: np.ufunc) -> np.ndarray:
    """One number per unit along a grid axis, the others joined."""
    others = tuple(k for k in range(array.ndim) if k != grid)
    found: np.ndarray = join.reduce(array, axis=others) if others else array
    return np.broadcast_to(found, (length,))
