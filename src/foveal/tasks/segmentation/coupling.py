"""The spectrum of field sizes that one unit couples: how much of its energy comes by routes of which size.

A route goes from the unit to the source and takes one operand at every join and all taps of every window. Its size is
the length of the positions that it reaches, unclipped. Its weight is the share of the unit's energy (expected squared
gradient, weights of unit gain) that flows along it. Routes are never listed: each value keeps a table of the index
ranges that routes have there, with their weights, from the unit back to the source.

The share that an operand gets of a value's energy is taken over all positions together, so weights are exact where no
border takes part and an approximation next to borders; they always add up to one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward.adjoint import adjoint
from foveal.engine.backward.algebra import ENERGY, Flow
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.pull import pull, seed
from foveal.engine.backward.stages import Stage
from foveal.engine.forward.bounds import bounds
from foveal.engine.forward.boxes import Box, apply
from foveal.engine.forward.concatenation import concatenate
from foveal.engine.forward.hull import NOTHING, Progress, all_dense, positions
from foveal.engine.roles import grid_axes, roles
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Embed, Read, Relation

RANGES = 4096
"""Ranges kept per value; beyond it those of one length are merged."""

Range = tuple[int, int] | None
"""First and last index, None for all of the map by global context."""
Table = dict[Range, float]


@dataclass(frozen=True)
class Spectrum:
    """Sizes that a unit couples along one source axis. sizes: (pixels, share), smallest first; whole: the share that
    comes through global context; notes: approximations behind the shares; unknown: why there are no sizes.
    """

    layer: str
    unit: tuple[int, ...]
    axis: int
    sizes: tuple[tuple[int, float], ...]
    whole: float
    notes: tuple[str, ...] = ()
    unknown: str = ""

    def quantile(self, share: float) -> int | None:
        """The smallest size up to which at least that share of the local energy comes; None where all is global."""
        local = sum(weight for _, weight in self.sizes)
        gathered = 0.0
        for size, weight in self.sizes:
            gathered += weight
            if gathered >= share * local * (1 - 1e-12):
                return size
        return None

    @property
    def effective_count(self) -> float:
        """How many sizes are really coupled: the exponential of the entropy of the shares (global context is one)."""
        shares = np.array([weight for _, weight in self.sizes if weight > 0] + ([self.whole] if self.whole > 0 else []))
        return float(exp(-(shares * np.log(shares)).sum())) if shares.size else 0.0


def spectrum(
    graph: Graph, layer: str, at: Sequence[int] | None = None, *, axis: int = -1, source: str | None = None
) -> Spectrum:
    """The spectrum of the unit ``at`` (default the middle one) of ``layer`` along one source axis (default the last).

    Where positions are rearranged on the way (tokens, windows of attention), routes have no sizes, and ``unknown`` says
    where. Raises UnknownLayerError, and FovealError where no route with fixed weights reaches the source.
    """
    rf = receptive_field(graph, layer, source)
    unit = rf.middle if at is None else rf.unit(at)
    number = [item.name for item in graph.sources].index(rf.source)
    along = axis % len(rf.source_shape)
    if len(rf.grid) != len(rf.source_shape):
        raise FovealError(f"'{layer}': its grid {rf.grid} does not follow the axes of '{rf.source}' {rf.source_shape}")
    value = graph.layer(layer).value
    recorder = Recorder(graph)
    pull(graph, {value: seed(graph, value, unit, ENERGY)}, ENERGY, recorder.gain, carry=recorder.carry)
    tables: dict[int, Table] = defaultdict(lambda: defaultdict(float))
    tables[value][(unit[along], unit[along])] = 1.0
    for node in reversed(graph.nodes):
        if node.output not in tables:
            continue
        try:
            _back(graph, node, recorder.shares.get(node.output, []), along, len(rf.source_shape), tables)
        except RearrangedError as error:
            return Spectrum(layer, unit, along, (), 0.0, (), str(error))
    return _summary(layer, unit, along, tables.get(graph.sources[number].value, {}), sorted(recorder.gain.notes))


class RearrangedError(FovealError):
    """An operation that moves positions into other axes."""


@dataclass
class Recorder:
    """Does the work of the backward pass and writes down which share of a node's energy each way of reading gets."""

    graph: Graph
    shares: dict[int, list[tuple[Read, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gain = Gains(self.graph, "energy")

    def carry(self, node: Node, way: Read, flow: Flow, path: tuple[Stage, ...]) -> Flow | None:
        """The flow of the operand by this way; notes its mass over that of the output, gain included."""
        part = adjoint(way.relation, flow, path, ENERGY)
        before = _mass(self.graph, node.output, flow)
        after = _mass(self.graph, node.inputs[way.operand], part)
        if before > 0:
            ratio = after / before * exp(part.scale - flow.scale) * self.gain.own(node, way)
            self.shares.setdefault(node.output, []).append((way, ratio))
        return part


def back_map(graph: Graph, node: Node, way: Read, along: int, axes: int) -> BackMap | None:
    """How index ranges of a node's output along a source axis go back to its operand; None where every position reads
    all of it. Raises RearrangedError where one of both has no such axis.
    """
    operand = node.inputs[way.operand]
    inner, outer = grid_axes(graph, operand), grid_axes(graph, node.output)
    if len(inner) != axes or len(outer) != axes:
        raise RearrangedError(f"{node.place} rearranges positions (tokens or windows), so routes have no sizes")
    shape = graph.values[operand].shape
    place = inner[along]
    found = all_dense(_applied(way.relation, (positions(shape, place),))[0])
    if found.context == 2 and shape[place] > 1:
        return None
    others = tuple(a + 1 for a in range(found.data.ndim - 1) if a != outer[along])
    data = found.data.min(axis=others)
    progress = found.steps.get(outer[along])
    regular = progress if progress is not None and progress.regular else None
    return BackMap(data[2], -data[3], regular)


def _applied(relation: Relation, box: Box) -> Box:
    """The box behind a relation; an operand that is a part of a concatenation leaves the other parts empty."""
    for step in relation:
        if isinstance(step, Embed):
            behind = step.n_out - step.start - step.n_in
            pieces: list[tuple[Box | None, int]] = [(None, step.start), (box, step.n_in), (None, behind)]
            box = concatenate([b for b, n in pieces if n], [n for _, n in pieces if n], step.axis)
        else:
            box = apply((step,), box)
    return box


@dataclass(frozen=True, eq=False)
class BackMap:
    """first, last: the range that each output position reads, unclipped; progress: how they go on beyond the map."""

    first: np.ndarray
    last: np.ndarray
    progress: Progress | None

    def __call__(self, low: int, high: int) -> tuple[int, int] | None:
        """The range that positions low to high read together; None where they read nothing."""
        ends = [self._at(position) for position in self._needed(low, high)]
        seen = [(a, b) for a, b in ends if a < NOTHING]
        return (min(a for a, _ in seen), max(b for _, b in seen)) if seen else None

    def _needed(self, low: int, high: int) -> range | tuple[int, ...]:
        """Both ends and, where ends may read nothing or phases differ, as many positions next to them."""
        period = self.progress.period if self.progress is not None else high - low + 1
        if high - low < 2 * period:
            return range(low, high + 1)
        return (*range(low, low + period), *range(high - period + 1, high + 1))

    def _at(self, position: int) -> tuple[int, int]:
        n = len(self.first)
        if 0 <= position < n or n == 1 or self.progress is None or self.progress.period > n:
            place = min(max(position, 0), n - 1)
            return int(self.first[place]), int(self.last[place])
        period, shift = self.progress.period, int(self.progress.shift)
        place = position % period if position < 0 else n - period + (position - n) % period
        moved = (position - place) // period * shift
        first, last = int(self.first[place]), int(self.last[place])
        return (first, last) if first >= NOTHING else (first + moved, last + moved)


def _back(
    graph: Graph, node: Node, shares: list[tuple[Read, float]], along: int, axes: int, tables: dict[int, Table]
) -> None:
    """Hand the table of a node's output on to its operands."""
    table = _merged(tables.pop(node.output))
    for way, ratio in shares:
        into = tables[node.inputs[way.operand]]
        back = back_map(graph, node, way, along, axes)
        for span, weight in table.items():
            moved = None if span is None or back is None else back(*span)
            into[moved] += weight * ratio


def _merged(table: Table) -> Table:
    """The table, with ranges of one length as one (about their mean) where there are too many."""
    if len(table) <= RANGES:
        return table
    lengths: dict[int, list[tuple[int, float]]] = defaultdict(list)
    merged: Table = {}
    for span, weight in table.items():
        if span is None:
            merged[None] = weight
        else:
            lengths[span[1] - span[0]].append((span[0], weight))
    for length, parts in lengths.items():
        total = sum(weight for _, weight in parts)
        first = round(sum(low * weight for low, weight in parts) / total) if total else parts[0][0]
        merged[(first, first + length)] = total
    return merged


def _mass(graph: Graph, value: int, flow: Flow) -> float:
    """Sum over all elements of a value, without the flow's own scale."""
    kinds, shape = roles(graph)[value], graph.values[value].shape
    for axis, n in enumerate(shape):
        flow = ENERGY.total(flow, axis, n, kinds[axis])
    return float(flow.data.sum())


def _summary(layer: str, unit: tuple[int, ...], axis: int, table: Table, notes: list[str]) -> Spectrum:
    total = sum(table.values())
    if total <= 0:
        raise FovealError(f"'{layer}': no route with fixed weights reaches the source, so it has no spectrum of sizes")
    sizes: dict[int, float] = defaultdict(float)
    for span, weight in table.items():
        if span is not None and weight > 0:
            sizes[span[1] - span[0] + 1] += weight / total
    return Spectrum(layer, unit, axis, tuple(sorted(sizes.items())), table.get(None, 0.0) / total, tuple(notes))


def is_global(graph: Graph, node: Node, way: Read, axes: int) -> bool:
    """Whether every output position reads all of the operand along some source axis, as global pooling does."""
    signal = bounds(graph).states
    if node.inputs[way.operand] not in signal:
        return False
    inner = grid_axes(graph, node.inputs[way.operand])
    if len(grid_axes(graph, node.output)) != axes:
        return False
    lengths = [graph.values[node.inputs[way.operand]].shape[axis] for axis in inner]
    return (
        len(inner) == axes
        and max(lengths) > 1
        and any(back_map(graph, node, way, along, axes) is None for along in range(axes))
    )
