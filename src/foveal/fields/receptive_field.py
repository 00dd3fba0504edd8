"""The receptive field of a layer's units, read off the bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.engine.certainty import Certainty, certainty
from foveal.engine.forward.bounds import Boxes, State, bounds
from foveal.engine.forward.folded import Folded, least
from foveal.engine.forward.hull import NOTHING, Hull, Progress, empties
from foveal.engine.roles import grid_axes
from foveal.fields.joined import Joined, joined, numbers_of, same, sizes, united
from foveal.fields.unit_boxes import collapsed, extremes, known_zeros_out, numbers_held, progress_of, solid, too_many
from foveal.frontends.trace import is_file, is_input, layer_of
from foveal.ir.graph import Graph, Source
from foveal.ir.layout import laid_out

Number = int | Fraction
Ranges = tuple[tuple[int, int], ...]
KEPT = 1 << 16
"""Receptive fields of up to so many numbers are kept with the graph, larger ones are worked out again."""
WITHHELD, IRREGULAR = "unclipped numbers withheld", "padding after an irregular layout"
METHOD = "index ranges carried through every operation; weights taken as generic"


@dataclass(frozen=True, eq=False, repr=False)
class ReceptiveField(show.Shown):
    """What the units of one layer can see of one source, for every unit at once.

    Lengths are in source positions (pixels, samples), one entry per source axis; units are indices on :attr:`grid`.
    """

    layer: str
    source: str
    source_shape: tuple[int, ...]
    """Lengths of the source axes."""
    grid: tuple[int, ...]
    """Lengths of the unit grid; () where the layer is a single unit."""
    hulls: tuple[Hull, ...] = field(repr=False)
    """Per source axis the index ranges over the grid."""
    read: tuple[Hull, ...] = field(repr=False)
    """Say which units read nothing: a unit does where any says so."""
    progress: tuple[tuple[int, Progress] | None, ...] = field(repr=False)
    known: tuple[bool, ...] = field(repr=False)
    certainty: Certainty = field(repr=False)
    local: ReceptiveField | None = field(default=None, repr=False)
    """The same without global context, where it differs."""
    stopped: str = field(default="", repr=False)
    """Where and why the trace ended before the network did; "" for a whole trace."""
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """Numbers that were asked for; layers with the same ranges share them."""

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What follows from the ranges alone, by its name: made when it is first asked for."""
        if name not in self.memo:
            self.memo[name] = make()
        return self.memo[name]

    @property
    def listed(self) -> bool:
        """Whether units are listed: of a matrix of too many only sizes and the box of one unit are told."""
        return not any(isinstance(hull, Joined) for hull in self.hulls)

    @property
    def first(self) -> tuple[np.ndarray, ...]:
        """Per source axis (2, *grid or 1s): first position of each unit, clipped and unclipped."""
        return tuple(hull.data[::2] for hull in self.hulls)

    @property
    def last(self) -> tuple[np.ndarray, ...]:
        """Per source axis (2, *grid or 1s): last position of each unit, clipped and unclipped."""
        return tuple(-hull.data[1::2] for hull in self.hulls)

    @property
    def empty(self) -> tuple[np.ndarray, ...]:
        """Each (2, *grid or 1s): units that read nothing, clipped and unclipped; a unit does where any says so."""
        return tuple(empties(hull.data) for hull in self.read if empties(hull.told).any())

    @property
    def nothing(self) -> np.ndarray:
        """(2, *grid or 1s): units that read nothing, clipped and unclipped."""
        none = np.zeros((2,) + (1,) * len(self.grid), dtype=bool)
        return np.asarray(np.logical_or.reduce(np.broadcast_arrays(none, *self.empty)))

    @property
    def status(self) -> str:
        """ "exact", "bound" (never too small), "data-dependent" or "contradicted" (a run of the model showed more)."""
        return self.certainty.status

    @property
    def causes(self) -> tuple[str, ...]:
        """The operations that keep the numbers from being exact."""
        return self.certainty.causes

    @property
    def method(self) -> str:
        """How the numbers were found, in a sentence."""
        text = METHOD + ("; a constant mask was trusted" if self.certainty.masks else "")
        some = "" if any(pair is None for pair in self.sizes) else " at the border"
        text += "" if all(self.known) else f"; {WITHHELD}{some}: {IRREGULAR}"
        return f"{text}; {self.stopped}" if self.stopped else text

    @property
    def sizes(self) -> tuple[tuple[int, int] | None, ...]:
        """Smallest and largest unclipped size over the units, per source axis, those left out whose size is withheld;
        None where all are, or nothing is read.
        """
        found: tuple[tuple[int, int] | None, ...] = self.once("sizes", lambda: self._ranges(1))
        return found

    @property
    def size(self) -> tuple[int | None, ...]:
        """Unclipped size (length of the hull), the largest over the units, per source axis."""
        return tuple(None if s is None else s[1] for s in self.sizes)

    @property
    def clipped_sizes(self) -> tuple[tuple[int, int] | None, ...]:
        """Smallest and largest size within the real source."""
        found: tuple[tuple[int, int] | None, ...] = self.once("clipped", lambda: self._ranges(0))
        return found

    @property
    def clipped_size(self) -> tuple[int, ...]:
        """Size within the real source, the largest over the units; 0 where nothing is read."""
        return tuple(0 if s is None else s[1] for s in self.clipped_sizes)

    @property
    def stride(self) -> tuple[Number | None, ...]:
        """Source positions per unit; None where no single grid axis follows the source axis."""
        own = tuple(None if p is None else plain(p[1].rate) for p in self.progress)
        if self.local is not None:
            return tuple(b if a is None else a for a, b in zip(own, self.local.stride, strict=True))
        return own

    @property
    def period(self) -> tuple[int, ...]:
        """Number of phases: sizes and offsets repeat after that many units (1: all units alike)."""
        return tuple(1 if p is None or not p[1].regular else p[1].period for p in self.progress)

    @property
    def start(self) -> tuple[int | None, ...]:
        """First position of unit 0, unclipped; negative where it reaches into padding."""
        if 0 in self.grid:
            return (None,) * len(self.hulls)
        return tuple(None if i is None else i[0] for i in self._intervals((0,) * len(self.grid), False))

    def center(self, unit: Sequence[int] | int | None = None) -> tuple[Number | None, ...]:
        """Middle of the unclipped hull of a unit (default: unit 0) in pixel indices."""
        if unit is None and 0 in self.grid:
            return (None,) * len(self.hulls)
        found = self._intervals(self.unit(unit), False)
        return tuple(None if i is None else plain(Fraction(i[0] + i[1], 2)) for i in found)

    def box(self, unit: Sequence[int] | int | None = None, clip: bool = False) -> Ranges:
        """((first, last + 1), ...) of a unit per source axis; ((0, 0), ...) where nothing is read.

        Raises FovealError where the unclipped box is withheld; ask with ``clip=True`` then.
        """
        if not clip and self.withheld(unit):
            raise FovealError(f"{self.layer}: the unclipped box is withheld ({IRREGULAR}); ask with clip=True")
        found = self._intervals(self.unit(unit), clip)
        return tuple((0, 0) if i is None else (i[0], i[1] + 1) for i in found)

    def withheld(self, unit: Sequence[int] | int | None = None) -> bool:
        """Whether the unclipped box of a unit is not told."""
        place = self.unit(unit)
        return any(int(numbers_of(hull, place)[2]) <= -NOTHING for hull in self.hulls)

    def units_of(self, position: Sequence[int] | int) -> list[tuple[int, ...]]:
        """The units whose clipped box holds the source position: the inverse map."""
        where = (position,) if isinstance(position, int) else tuple(position)
        if len(where) != len(self.hulls):
            raise FovealError(
                f"{self.layer}: a position of '{self.source}' has {len(self.hulls)} indices, got {len(where)}"
            )
        seen = np.asarray(~self.nothing[0])
        for axis, index in enumerate(where):
            seen = seen & (self.first[axis][0] <= index) & (index <= self.last[axis][0])
        return [tuple(int(i) for i in unit) for unit in np.argwhere(np.broadcast_to(seen, self.grid))]

    @property
    def lookback(self) -> tuple[Number | None, ...]:
        """How far any unit reaches before its own position (unit times stride), per source axis."""
        return self._reach(backward=True)

    @property
    def lookahead(self) -> tuple[Number | None, ...]:
        """How far any unit reaches behind its own position: 0 for a causal layer."""
        return self._reach(backward=False)

    @property
    def covered(self) -> float:
        """Share of the source inside the clipped box of the middle unit (0 where there are no units)."""
        if 0 in self.grid:
            return 0.0
        box = self.box(self.middle, clip=True)
        return prod(b - a for a, b in box) / prod(self.source_shape)

    def size_text(self) -> str:
        """Sizes as people write them: ``427``, ``427x400``, ``140-168``, ``withheld``."""
        return sizes_text(self.sizes)

    @property
    def middle(self) -> tuple[int, ...]:
        """The middle unit: n // 2 per grid axis."""
        return tuple(n // 2 for n in self.grid)

    def unit(self, unit: Sequence[int] | int | None) -> tuple[int, ...]:
        """The index of a unit (default: unit 0), counted from 0; raises FovealError where the grid has none such."""
        index = (0,) * len(self.grid) if unit is None else (unit,) if isinstance(unit, int) else tuple(unit)
        if len(index) != len(self.grid):
            raise FovealError(f"{self.layer}: a unit has {len(self.grid)} indices (grid {self.grid}), got {index}")
        for i, n in zip(index, self.grid, strict=True):
            if not -n <= i < n:
                raise FovealError(f"{self.layer}: unit {index} is outside the grid {self.grid}")
        return tuple(i % n for i, n in zip(index, self.grid, strict=True))

    def _intervals(self, unit: tuple[int, ...], clip: bool) -> list[tuple[int, int] | None]:
        row = 0 if clip else 2
        if any(numbers_of(hull, unit)[row] >= NOTHING for hull in self.read):
            return [None] * len(self.hulls)
        ends = [(int(told[row]), -int(told[row + 1])) for told in (numbers_of(hull, unit) for hull in self.hulls)]
        return [end if end[0] > -NOTHING else None for end in ends]

    @property
    def _told(self) -> tuple[list[np.ndarray], tuple[np.ndarray, ...]]:
        """Numbers per source axis, and masks of units that read nothing; of long grids what holds the extremes."""
        blank = self.once("blank", lambda: any(empties(hull.told).any() for hull in self.read))
        masks = tuple(mask for hull in self.read if blank and (mask := empties(hull.told)).any())
        long = any(isinstance(hull, Folded) for hull in (*self.hulls, *self.read))
        if masks and long and (len(self.hulls) > 1 or self.read is not self.hulls):
            return [hull.data for hull in self.hulls], self.empty
        return [hull.told for hull in self.hulls], masks

    def _ranges(self, row: int) -> tuple[tuple[int, int] | None, ...]:
        if not self.listed:
            return tuple(sizes(hull, row) for hull in self.hulls)
        tables, masks = self._told
        return tuple(self._range(1 - table[2 * row + 1] - table[2 * row], row, masks) for table in tables)

    def _range(self, numbers: np.ndarray, row: int, masks: tuple[np.ndarray, ...]) -> tuple[int, int] | None:
        return None if 0 in self.grid else extremes(numbers, [~mask[row] for mask in masks])

    def _reach(self, backward: bool) -> tuple[Number | None, ...]:
        found: list[Number | None] = []
        tables, masks = self._told
        for axis, progress in enumerate(self.progress):
            if progress is None or not self.known[axis] or progress[1].rate == 0:
                found.append(None)
                continue
            rate = progress[1].rate
            n, kept = self.grid[progress[0]], tables[axis].shape[progress[0] + 1]
            index = self.hulls[axis].places(progress[0]) if n > kept > 1 else np.arange(n)
            own = index.reshape((-1,) + (1,) * (len(self.grid) - progress[0] - 1)) * rate.numerator
            edge = tables[axis][2] if backward else -tables[axis][3]
            distance = (own - edge * rate.denominator) if backward else (edge * rate.denominator - own)
            seen = self._range(distance, 1, masks)
            found.append(None if seen is None else plain(Fraction(seen[1], rate.denominator)))
        return tuple(found)


def receptive_field(
    model: Any, layer: Any, inputs: Any = None, source: str | None = None, *, axes: Any = None
) -> ReceptiveField:
    """The receptive field of every unit of ``layer`` with respect to ``source`` (default: the first it depends on).

    model, inputs: as for :func:`foveal.trace`, or a graph; layer: a name, a number (-1: the last) or the model's own
    module. Raises UnknownLayerError naming the closest three, and FovealError where the layer depends on no source.
    """
    if isinstance(inputs, str) and not is_input(layer) and not is_file(inputs):  # of a graph, the source may come third
        inputs, source = None, inputs
    graph, layer = layer_of(model, layer, inputs, axes)
    value = graph.layer(layer).value
    states = bounds(graph).states.get(value, {})
    index = _source_index(graph, layer, source, tuple(states))
    zero = bounds(graph).facts.zero(value)
    key = (*map(id, states[index]), grid_axes(graph, value), graph.values[value].shape, zero is not None and value)
    kept: dict[Any, ReceptiveField] = graph.once("receptive fields", lambda graph: {})
    if key in kept:
        return _named(kept[key], layer, certainty(graph, value))
    found = _found(graph, layer, value, graph.sources[index], states[index])
    hulls = found.hulls if found.local is None else (*found.hulls, *found.local.hulls)
    if found.causes == certainty(graph, value).causes and numbers_held(hulls, states[index].strict) <= KEPT:
        kept[key] = found
    return found


def _named(rf: ReceptiveField, layer: str, sure: Certainty) -> ReceptiveField:
    """The same ranges as those of another layer."""
    local = None if rf.local is None else _named(rf.local, layer, sure)
    copy = replace(rf, layer=layer, certainty=sure, local=local)
    object.__setattr__(copy, "memo", rf.memo)
    return copy


def _found(graph: Graph, layer: str, value: int, chosen: Source, state: State) -> ReceptiveField:
    strict = _build(graph, layer, value, chosen, state.strict)
    if state.local is state.strict:
        return strict
    local = _build(graph, layer, value, chosen, state.local)
    alike = all(same(a, b) for a, b in zip(local.hulls, strict.hulls, strict=True))
    return strict if alike or (local.listed and local.nothing.all()) else _with_local(strict, local)


def unit_bounds(
    graph: Graph, layer: str, source: str | None = None, *, axes: Any = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per source axis the first and last clipped source index of each element of the layer (its full shape).

    An element that reads nothing has first > last (in every axis).
    """
    graph = laid_out(graph, axes)
    value = graph.layer(layer).value
    shape = graph.values[value].shape
    states = bounds(graph).states.get(value, {})
    if not states:
        return [(np.full(shape, 1), np.full(shape, 0)) for _ in graph.sources[0].axes]
    state = states[_source_index(graph, layer, source, tuple(states))]
    box = known_zeros_out(graph, value, solid(state.strict))
    nothing = np.logical_or.reduce(np.broadcast_arrays(*[h.data[0] >= NOTHING for h in box]))
    found = []
    for hull in box:
        first = np.where(nothing, 1, hull.data[0])
        last = np.where(nothing, 0, -hull.data[1])
        found.append((np.broadcast_to(first, shape), np.broadcast_to(last, shape)))
    return found


def sizes_text(sizes: Sequence[tuple[int, int] | None]) -> str:
    """``427`` for equal axes, ``7x1`` for unequal ones, a range where units differ."""
    parts = ["withheld" if s is None else str(s[0]) if s[0] == s[1] else f"{s[0]}-{s[1]}" for s in sizes]
    return parts[0] if len(set(parts)) == 1 else " x ".join(parts) if any("-" in p for p in parts) else "x".join(parts)


def _source_index(graph: Graph, layer: str, source: str | None, depends: tuple[int, ...]) -> int:
    names = [s.name for s in graph.sources]
    if source is None:
        if not depends:
            raise FovealError(f"layer '{layer}' depends on no source: it is a constant")
        return min(depends)
    if source not in names:
        raise FovealError(f"unknown source '{source}'; the sources are: {', '.join(names)}")
    index = names.index(source)
    if index not in depends:
        raise FovealError(f"layer '{layer}' does not depend on source '{source}'")
    return index


def _build(graph: Graph, layer: str, value: int, source: Source, boxes: Boxes) -> ReceptiveField:
    axes = grid_axes(graph, value)
    shape = graph.values[value].shape
    sure = certainty(graph, value)
    matrix = None
    if too_many(boxes):
        matrix = joined(boxes, axes) if bounds(graph).facts.zero(value) is None else None
        boxes = collapsed(boxes)
        sure = sure if matrix is not None else _too_many(sure, layer)
    box = known_zeros_out(graph, value, solid(boxes, axes))
    hulls = matrix or tuple(least(hull, axes) for hull in box)
    return ReceptiveField(
        layer,
        source.name,
        tuple(graph.values[source.value].shape[axis] for axis in source.axes),
        tuple(shape[axis] for axis in axes),
        hulls,
        hulls,
        tuple(progress_of(box, k, axes, shape) for k in range(len(box))),
        tuple(hull.known for hull in hulls),
        sure,
        stopped=graph.stopped,
    )


def _with_local(strict: ReceptiveField, local: ReceptiveField) -> ReceptiveField:
    """Unclipped, global context ends with the real map and the local field goes on: the whole is their union."""
    hulls, sure = united(strict.hulls, local.hulls), strict.certainty
    if hulls is None:
        hulls, sure = united(*collapsed((strict.hulls, local.hulls))), _too_many(sure, strict.layer)
    known = tuple(a and b for a, b in zip(strict.known, local.known))
    return replace(strict, hulls=hulls or strict.hulls, known=known, certainty=sure, local=local)


def _too_many(sure: Certainty, layer: str) -> Certainty:
    return Certainty("bound", (*sure.causes, f"a matrix of too many units to list at {layer}"), sure.masks)


def plain(number: Number | float) -> Number:
    """A whole number as an int, any other as an exact fraction."""
    return int(exact) if (exact := Fraction(number)).denominator == 1 else exact
