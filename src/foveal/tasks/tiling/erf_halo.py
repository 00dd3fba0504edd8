"""The halo that keeps an expected error, from the effective receptive field.

For independent zero-mean weights and inputs, the part of an output's variance that comes from some source positions is
their share of the energy field (expected squared gradient). Leaving them out changes the output by the square root of
that share, relative to its own size. This is an expectation for a random network, not a bound: measure the error of a
trained one with ``plan.check``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.tasks.tiling.record import SMALL

PHASES = 4
"""Units whose fields are looked at, spread over one period."""


class ErfHalo(NamedTuple):
    """need: source positions (before, after) per axis; kind: the field used; cut: whether the source was too small to
    hold the whole field; method: in a sentence.
    """

    need: tuple[tuple[int, int], ...]
    kind: str
    cut: bool
    method: str


def erf_halo(
    graph: Graph, layer: str, source: str, error: float, multiples: tuple[int, ...], strides: tuple[Fraction, ...]
) -> ErfHalo:
    """The smallest context beyond a tile's core with an expected relative error of at most ``error``.

    Raises FovealError where the network has neither an energy nor a path field.
    """
    rf = receptive_field(graph, layer, source)
    local = rf.local or rf
    allowed = error**2 / len(strides)
    need = [[0, 0] for _ in strides]
    kind, cut = "energy", False
    for unit in _units(rf, multiples, strides):
        found, kind = _field(graph, layer, unit, source, kind)
        values = _within(found, local, unit)
        for axis, stride in enumerate(strides):
            profile = values.sum(axis=tuple(k for k in range(values.ndim) if k != axis))
            own = unit[_grid_axis(local, axis)] * stride
            before, after = _sides(profile, found.origin[axis], own, allowed)
            need[axis] = [max(need[axis][0], before), max(need[axis][1], after)]
        cut = cut or _is_cut(local, unit)
    share = "expected squared gradient" if kind == "energy" else "number of paths"
    held = "; global context is left out of it" if rf.local is not None else ""
    small = f"; {SMALL}" if cut else ""
    text = f"halo beyond which the {share} keeps a share of {error:g} squared{held}{small}"
    return ErfHalo(tuple((a, b) for a, b in need), kind, cut, text)


def _units(rf: ReceptiveField, multiples: tuple[int, ...], strides: tuple[Fraction, ...]) -> list[tuple[int, ...]]:
    """Units about the middle of the grid, one per phase (at most ``PHASES``), along the diagonal."""
    local = rf.local or rf
    middle = rf.middle
    periods = [max(1, int(m / s)) for m, s in zip(multiples, strides)]
    found = []
    for number in range(min(PHASES, max(periods))):
        unit = list(middle)
        for axis, period in enumerate(periods):
            place = _grid_axis(local, axis)
            moved = middle[place] // period * period + number * period // PHASES if period > 1 else middle[place]
            unit[place] = min(moved, rf.grid[place] - 1)
        found.append(tuple(unit))
    return list(dict.fromkeys(found))


def _grid_axis(rf: ReceptiveField, axis: int) -> int:
    progress = rf.progress[axis]
    if progress is None:
        raise FovealError(f"layer '{rf.layer}' does not follow the source: it cannot be tiled")
    return progress[0]


def _field(graph: Graph, layer: str, unit: tuple[int, ...], source: str, kind: str) -> tuple[Field, str]:
    try:
        return field(graph, layer, kind, unit, source=source), kind
    except FovealError:
        if kind == "paths":
            raise
        return field(graph, layer, "paths", unit, source=source), "paths"


def _within(found: Field, local: ReceptiveField, unit: tuple[int, ...]) -> np.ndarray:
    """The values inside the local receptive field: what global context adds everywhere is left out."""
    values = np.asarray(found.values, dtype=np.float64)
    box = local.box(unit, clip=True)
    keep = np.zeros(values.shape, dtype=bool)
    keep[tuple(slice(max(0, a - o), max(0, b - o)) for (a, b), o in zip(box, found.origin))] = True
    return np.where(keep, values, 0.0)


def _sides(profile: np.ndarray, origin: int, own: Fraction, allowed: float) -> tuple[int, int]:
    """How far on each side of a unit's own position the field must be kept."""
    total = float(profile.sum())
    if total == 0:
        return 0, 0
    below = np.cumsum(profile) / total
    above = np.cumsum(profile[::-1]) / total
    first = int(np.searchsorted(below, allowed / 2, side="right"))
    last = profile.size - 1 - int(np.searchsorted(above, allowed / 2, side="right"))
    position = int(own)
    return max(0, position - (origin + first)), max(0, origin + last - position)


def _is_cut(local: ReceptiveField, unit: tuple[int, ...]) -> bool:
    return all(local.known) and any(a < 0 or b > n for (a, b), n in zip(local.box(unit), local.source_shape))
