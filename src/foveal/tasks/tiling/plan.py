"""Tiling: computing a layer over a large source piece by piece, with the same result as on the whole.

Exact tiling needs four things (docs/methods.md 6.4): tiles start at multiples of every stride on the path; each carries
a halo of all that its units see beyond it, over all phases; nothing on the path mixes the whole map or knows where it
stands; zero padding meets the true borders only. Where the third does not hold the plan names the layer, and gives the
halo that keeps a wanted error by the effective receptive field.

Every tile has the source's remainder by the multiple, so that padding which depends on the size (TensorFlow's SAME)
and windows cut off at the end fall as they do on the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.core.serial import FormatError, from_plain, to_plain
from foveal.engine.roles import grid_axes
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.report.results import SourceInfo
from foveal.tasks.equivariance import Shifts, shifts
from foveal.tasks.tiling.activation_memory import peak_elements
from foveal.tasks.tiling.erf_halo import SMALL, erf_halo
from foveal.tasks.tiling.grid import AxisPlan, plan_axis
from foveal.tasks.tiling.retrace import unlike_at_tile, with_source
from foveal.tasks.tiling.sizes import moderate_sizes, smallest_sizes

SCHEMA = 1
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""
ERROR = 1e-3
"""Expected relative error where exact tiling is impossible and none was asked for."""

Size = Sequence[int] | int


@dataclass(frozen=True)
class Tile:
    """box: (first, last + 1) of the source that is fed in; kept: per grid axis of the layer (first unit of the whole
    that the tile computes, first that it contributes, one past the last; None: all the rest).
    """

    box: tuple[tuple[int, int], ...]
    kept: tuple[tuple[int, int, int | None], ...]


@dataclass(frozen=True)
class TilePlan:
    """How to tile one layer of one network over one source.

    status: "exact", or "approximate" (``error`` is the expected relative error); obstacles: why it is not exact (or
    would not be); value_axes: the layer's own axis that follows each source axis; memory: bytes of activations at
    once, (whole, tile), for 4-byte numbers, weights not counted; overhead: positions computed more than once, as a
    share of the source.
    """

    network: str
    layer: str
    source: SourceInfo
    axes: tuple[AxisPlan, ...]
    value_axes: tuple[int, ...]
    status: str
    obstacles: tuple[str, ...]
    error: float | None
    memory: tuple[int, int]
    method: str
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")

    @property
    def exact(self) -> bool:
        """Whether tiles give what the whole gives, to the last bit where the arithmetic does."""
        return self.status == "exact"

    @property
    def cut(self) -> bool:
        """Whether the halo comes from a traced source too small for the field, so that the error may be larger."""
        return SMALL in self.method

    @property
    def halo(self) -> tuple[tuple[int, int], ...]:
        """(before, after) per source axis."""
        return tuple(axis.halo for axis in self.axes)

    @property
    def multiple(self) -> tuple[int, ...]:
        """What the start of each tile must be a multiple of, per source axis."""
        return tuple(axis.multiple for axis in self.axes)

    @property
    def tile(self) -> tuple[int, ...]:
        """Size of a tile as it is fed to the network, halo included."""
        return tuple(axis.tile for axis in self.axes)

    @property
    def smallest(self) -> tuple[int, ...]:
        """The smallest tile there can be."""
        return tuple(axis.smallest for axis in self.axes)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return prod(len(axis.starts) for axis in self.axes)

    @property
    def overhead(self) -> float:
        """Positions computed more than once, as a share of the source."""
        return prod(len(axis.starts) * axis.tile / axis.length for axis in self.axes) - 1.0

    def tiles(self) -> Iterator[Tile]:
        """The tiles, row by row."""
        for numbers in product(*(range(len(axis.starts)) for axis in self.axes)):
            places = [(axis, axis.starts[n], axis.units(n)) for axis, n in zip(self.axes, numbers)]
            yield Tile(
                tuple((start, start + axis.tile) for axis, start, _ in places), tuple(units for _, _, units in places)
            )

    def run(self, model: Any, image: Any, *, output: str | int | None = None) -> Any:
        """The layer over the whole image, tile by tile; see :func:`foveal.tasks.tiling.stitching.run`."""
        from foveal.tasks.tiling.stitching import run

        return run(self, model, image, output=output)

    def check(self, model: Any, image: Any, *, output: str | int | None = None) -> Any:
        """The stitched layer against the whole; see :func:`foveal.tasks.tiling.stitching.check`."""
        from foveal.tasks.tiling.stitching import check

        return check(self, model, image, output=output)

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` gives back an equal plan."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TilePlan:
        """The plan that ``text`` describes; raises FormatError (one line) for anything else."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"tile plan: not JSON: {error}") from None
        result: TilePlan = from_plain(cls, data, "tile plan")
        return result

    def __str__(self) -> str:
        from foveal.views.text.tiling import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from foveal.views.text.tiling import plan_html

        return plan_html(self)


def tile(
    graph: Graph,
    layer: str | None = None,
    source_size: Size | None = None,
    tile: Size | None = None,
    *,
    source: str | None = None,
    error: float | None = None,
) -> TilePlan:
    """How to compute ``layer`` (default: the network's output) over a source of ``source_size``, tile by tile.

    source_size: positions per source axis (default: as traced). tile: the longest a tile may be, halo included
    (default: the smallest that computes at most half of the source twice; else one tile). error: a wanted expected
    relative error; without it the plan is exact where that is possible.
    Raises FovealError where the layer has no position to tile along, where the tile is too small (the message has the
    smallest), and where the network does not run at the source's or the tile's size.
    """
    found = _halo(graph, layer, source_size, source, error)
    whole = _axes(found, (None,) * len(found.info.lengths))
    chosen = moderate_sizes(found.graph, found.info.name, whole) if tile is None else None
    axes = _axes(found, chosen or _sizes(tile, found.info.lengths, "tile"))
    obstacles = found.obstacles + unlike_at_tile(found.graph, found.layer, found.info.name, axes)
    status, wanted_error = found.status, found.error
    if obstacles and status == "exact":
        status, wanted_error = "approximate", ERROR if error is None else error
    value = found.graph.layer(found.layer).value
    memory = _memory(found.graph, value, found.traced, axes)
    return TilePlan(
        graph.name, found.layer, found.info, axes, found.value_axes, status, obstacles, wanted_error, memory,
        found.method,
    )  # fmt: skip


def smallest_tile(
    graph: Graph,
    layer: str | None = None,
    source_size: Size | None = None,
    *,
    source: str | None = None,
    error: float | None = None,
) -> tuple[int, ...]:
    """The smallest tile, halo included, per source axis, at which the model runs; as for :func:`tile`."""
    found = _halo(graph, layer, source_size, source, error)
    return smallest_sizes(found.graph, found.info.name, _axes(found, (None,) * len(found.info.lengths)))


class _Halo(NamedTuple):
    """What a plan rests on, before the tile's size is chosen. traced: lengths at which the graph was traced."""

    graph: Graph
    layer: str
    info: SourceInfo
    traced: tuple[int, ...]
    need: tuple[tuple[int, int], ...]
    multiples: tuple[int, ...]
    strides: tuple[Fraction, ...]
    value_axes: tuple[int, ...]
    status: str
    obstacles: tuple[str, ...]
    error: float | None
    method: str


def _axes(found: _Halo, wanted: Sequence[int | None]) -> tuple[AxisPlan, ...]:
    return tuple(
        plan_axis(name, length, longest, need, multiple, stride)
        for name, length, longest, need, multiple, stride in zip(
            found.info.axis_names, found.info.lengths, wanted, found.need, found.multiples, found.strides
        )
    )


def _halo(graph: Graph, layer: str | None, source_size: Size | None, source: str | None, error: float | None) -> _Halo:
    if not graph.layers:
        raise FovealError(f"{graph.name}: the network has no layer to tile")
    if error is not None and not 0 < error < 1:
        raise FovealError(f"error {error}: expected a relative error between 0 and 1, such as 1e-3")
    name = graph.layers[-1] if layer is None else layer
    traced = receptive_field(graph, name, source)
    near = traced.local or traced
    if None in near.progress and near.causes:
        # Known at once; the shifts of all that lies before it take long on a detector's lists of boxes.
        raise FovealError(
            f"layer '{name}' has no position along source axis {near.progress.index(None)} ({near.causes[0]}): it "
            "cannot be tiled; ask for a layer before it"
        )
    size = _sizes(source_size, traced.source_shape, "source_size")
    graph, moving = _at_size(graph, name, traced.source, size)
    rf = receptive_field(graph, name, traced.source)
    local = rf.local or rf
    strides, grid = _strides(local, moving)
    need, status, method, wanted = _need(graph, rf, local, moving, strides, grid, error)
    axes = grid_axes(graph, graph.layer(name).value)
    return _Halo(
        graph, name, _info(graph, rf.source, size), rf.source_shape, need, moving.multiples, strides,
        tuple(axes[g] for g in grid), status, tuple(str(o) for o in moving.obstacles), wanted, method,
    )  # fmt: skip


def _sizes(given: Size | None, default: Sequence[int], what: str) -> tuple[int, ...]:
    if given is None:
        return tuple(default)
    numbers = (given,) * len(default) if isinstance(given, int) else tuple(given)
    if len(numbers) != len(default) or any(type(n) is not int or n < 1 for n in numbers):
        raise FovealError(f"{what} {given}: expected {len(default)} positive lengths, one per source axis")
    return numbers


def _at_size(graph: Graph, layer: str, source: str, size: tuple[int, ...]) -> tuple[Graph, Shifts]:
    """The graph at a size with the source's remainders, and its shifts; traced again where need be."""
    index = [s.name for s in graph.sources].index(source)
    value = graph.layer(layer).value
    moving = shifts(graph, value, index)
    axes = graph.sources[index].axes
    traced = tuple(graph.values[graph.sources[index].value].shape[a] for a in axes)
    if all((a - b) % m == 0 for a, b, m in zip(traced, size, moving.multiples)):
        return graph, moving
    # The same remainder is enough, and a size near the traced one is known to run.
    again = with_source(graph, source, tuple(a + (b - a) % m for a, b, m in zip(traced, size, moving.multiples)))
    found = shifts(again, again.layer(layer).value, index)
    near = [again.values[again.sources[index].value].shape[axis] for axis in axes]
    if any((b - a) % m for a, b, m in zip(near, size, found.multiples)):
        # What is resized to the source's own length has another step at each length.
        least = [min(m, n) for m, n in zip(moving.multiples, found.multiples)]
        raise FovealError(
            f"layer '{layer}' at {_lengths(size)}: the step from one position to the next depends on the source's "
            f"length, so that no tile repeats the whole; pad or crop the source to multiples of {_lengths(least)}, "
            f"such as {_lengths([-(-b // m) * m for b, m in zip(size, least)])}"
        )
    return again, found


def _lengths(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _strides(local: ReceptiveField, moving: Shifts) -> tuple[tuple[Fraction, ...], tuple[int, ...]]:
    """Source positions per unit, and the grid axis that follows each source axis."""
    strides, grid = [], []
    for axis, progress in enumerate(local.progress):
        if progress is None or progress[1].rate <= 0:
            why = f" ({moving.obstacles[0]})" if moving.obstacles else ""
            raise FovealError(
                f"layer '{local.layer}' has no position along source axis {axis}{why}: it cannot be tiled; ask for a "
                "layer before it"
            )
        strides.append(progress[1].rate)
        grid.append(progress[0])
    return tuple(strides), tuple(grid)


def _need(
    graph: Graph,
    rf: ReceptiveField,
    local: ReceptiveField,
    moving: Shifts,
    strides: tuple[Fraction, ...],
    grid: tuple[int, ...],
    error: float | None,
) -> tuple[tuple[tuple[int, int], ...], str, str, float | None]:
    """What a tile's units see beyond it, per axis and side; status, method, expected error."""
    whole = [
        _context(local, axis, grid[axis], strides[axis], moving.multiples[axis], moving.margins[axis])
        for axis in range(len(strides))
    ] if all(local.known) else None  # fmt: skip
    if whole is not None and not moving.obstacles and error is None:
        return tuple(whole), "exact", "index ranges of all phases from aligned tile edges", None
    wanted = ERROR if error is None else error
    found = erf_halo(graph, rf.layer, rf.source, wanted, moving.multiples, strides)
    need = found.need if whole is None else tuple(
        (min(a, c), min(b, d)) for (a, b), (c, d) in zip(found.need, whole)
    )  # fmt: skip
    if whole is not None and not moving.obstacles and need == tuple(whole):
        return need, "exact", "index ranges of all phases from aligned tile edges", None
    return need, "approximate", found.method, wanted


def _context(
    rf: ReceptiveField, axis: int, grid: int, stride: Fraction, multiple: int, margin: tuple[int, int]
) -> tuple[int, int]:
    """How far the units of a core that begins and ends at multiples see beyond it (before, after)."""
    progress = rf.progress[axis]
    assert progress is not None
    period, shift = progress[1].period, int(progress[1].shift)
    seen = ~_line(rf.nothing[1], grid, rf.grid[grid], np.logical_and)
    first = [_line(row, grid, rf.grid[grid], np.minimum) for row in rf.first[axis]]
    last = [_line(row, grid, rf.grid[grid], np.maximum) for row in rf.last[axis]]
    # Reflected padding may turn a reach round, to positions that the unclipped range does not hold.
    turned = [
        max(0, int(np.where(seen, apart, 0).max(initial=0))) for apart in (first[1] - first[0], last[0] - last[1])
    ]
    units = np.arange(int(multiple / stride))
    place, ahead = units % period, units // period * shift
    kept = seen[place]
    before = int((first[1][place] + ahead)[kept].min(initial=0))
    after = int((last[1][place] + ahead)[kept].max(initial=0))
    # Where the end is cut away, the last units of a core are there only if the tile goes on for as much.
    missing = ceil(rf.source_shape[axis] - rf.grid[grid] * stride)
    behind = max(0, after - multiple + 1) + margin[1] + turned[1]
    return max(0, -before) + margin[0] + turned[0], max(behind, missing)


def _line(array: np.ndarray, grid: int, length: int, join: np.ufunc) -> np.ndarray:
    """One number per unit along a grid axis, the others joined."""
    others = tuple(k for k in range(array.ndim) if k != grid)
    found: np.ndarray = join.reduce(array, axis=others) if others else array
    return np.broadcast_to(found, (length,))


def _memory(graph: Graph, value: int, traced: tuple[int, ...], axes: tuple[AxisPlan, ...]) -> tuple[int, int]:
    """Bytes of activations at once for the whole and for a tile, in proportion to the positions."""
    each = 4 * peak_elements(graph, value) / prod(traced)
    return int(each * prod(axis.length for axis in axes)), int(each * prod(axis.tile for axis in axes))


def _info(graph: Graph, source: str, size: tuple[int, ...]) -> SourceInfo:
    found = next(s for s in graph.sources if s.name == source)
    shape = list(graph.values[found.value].shape)
    for axis, length in zip(found.axes, size):
        shape[axis] = length
    return SourceInfo(source, tuple(shape), found.axes)
