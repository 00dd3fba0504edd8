"""Sizes over paths: for each layer the smallest and the largest field of a single path, by the set of (size, stride).

A receptive field is the union over all paths; a shortcut lets a layer also see through a far smaller window, and by it
Richter et al. 2021 judge whether a layer can still add context (docs/methods.md 4). Per source axis each value keeps
its paths as pairs (size r, stride j), of which only those that a later layer could make the smallest (or the largest)
are kept. A window of span e and stride s makes (r + (e - 1) j, s j); a dilated kernel counts with its span. A path
through global context (global pooling, a dense layer over positions, attention, norms over space) has no size: it only
sets ``whole``. Where a reshape splits an axis of positions (windows of attention), a contraction over a part counts as
global.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from foveal.engine.backward.stages import shape_after
from foveal.engine.forward.bounds import bounds
from foveal.fields.receptive_field import Number as Number, plain as plain
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node, Source
from foveal.ir.lengths import groups


class Way(NamedTuple):
    """Paths alike: the size of their field and the stride of a unit, in source positions."""

    size: Number
    stride: Number


@dataclass(frozen=True)
class AxisPaths:
    """The paths to a value along one source axis: those that may become the smallest, those that may become the
    largest, and whether some path sees the whole axis.
    """

    small: frozenset[Way]
    large: frozenset[Way]
    whole: bool = False

    @property
    def smallest(self) -> Number | None:
        """Size of the smallest path; None where all are global."""
        return min((way.size for way in self.small), default=None)

    @property
    def largest(self) -> Number | None:
        """Size of the largest path that is not global; None where all are."""
        return max((way.size for way in self.large), default=None)

    @property
    def stride(self) -> Number | None:
        """The largest stride over the paths; None where all are global."""
        return max((way.stride for way in self.large | self.small), default=None)


START = AxisPaths(frozenset((Way(1, 1),)), frozenset((Way(1, 1),)))
GLOBAL = AxisPaths(frozenset(), frozenset(), True)


@dataclass(frozen=True)
class PathState:
    """owners: per axis of the value the source axes whose positions it counts; paths: one entry per source axis."""

    owners: tuple[frozenset[int], ...]
    paths: tuple[AxisPaths, ...]


class Step(NamedTuple):
    """What a node does along one source axis: span of its window in units of the operand, and length of that map."""

    span: int
    length: int | None


@dataclass(frozen=True)
class Passage:
    """One operand of a node: its state, and per source axis what the node does to it."""

    state: PathState
    steps: tuple[Step, ...]


def path_sets(graph: Graph, source: Source) -> tuple[dict[int, PathState], dict[int, tuple[Passage, ...]]]:
    """Per value its paths, and per node (by its output) the operands it read them from."""
    return graph.once(f"path-sets-{source.name}", lambda graph: _all(graph, source))


def _all(graph: Graph, source: Source) -> tuple[dict[int, PathState], dict[int, tuple[Passage, ...]]]:
    shape = graph.values[source.value].shape
    owners = tuple(frozenset([source.axes.index(a)] if a in source.axes else []) for a in range(len(shape)))
    states = {source.value: PathState(owners, (START,) * len(source.axes))}
    passages: dict[int, tuple[Passage, ...]] = {}
    facts = bounds(graph).facts
    for node in graph.nodes:
        ways = [way for way in facts.ways(node) if node.inputs[way.operand] in states]
        if not ways:
            continue
        made = [_through(graph, node, way, states[node.inputs[way.operand]]) for way in ways]
        rank = len(graph.values[node.output].shape)
        states[node.output] = _joined([state for state, _ in made], rank)
        passages[node.output] = tuple(
            Passage(states[node.inputs[way.operand]], steps) for way, (_, steps) in zip(ways, made, strict=True)
        )
    return states, passages


def _joined(states: Sequence[PathState], rank: int) -> PathState:
    fitting = [state.owners for state in states if len(state.owners) == rank]
    owners = tuple(frozenset[int]().union(*(own[axis] for own in fitting)) for axis in range(rank))
    paths = tuple(
        AxisPaths(
            _extreme((way for item in items for way in item.small), largest=False),
            _extreme((way for item in items for way in item.large), largest=True),
            any(item.whole for item in items),
        )
        for items in zip(*(state.paths for state in states), strict=True)
    )
    return PathState(owners, paths)


def _extreme(ways: Iterable[Way], largest: bool) -> frozenset[Way]:
    """The ways that no other one beats in size and stride at once."""
    every = set(ways)
    sign = 1 if largest else -1
    return frozenset(
        way
        for way in every
        if not any(
            sign * other.size >= sign * way.size and sign * other.stride >= sign * way.stride for other in every - {way}
        )
    )


class _Walk:
    """One way of reading, followed from the operand to the output: state, and the span seen so far per source axis."""

    def __init__(self, state: PathState, shape: tuple[int, ...]) -> None:
        self.owners = list(state.owners)
        self.paths = list(state.paths)
        self.shape = shape
        self.split: set[int] = set()
        self.spans = [1] * len(state.paths)
        self.lengths = [self._length(axis) for axis in range(len(state.paths))]

    def _length(self, source_axis: int) -> int | None:
        found = [n for n, own in zip(self.shape, self.owners, strict=True) if source_axis in own]
        return found[0] if len(found) == 1 else None

    def whole(self, axis: int) -> None:
        """All positions along an axis are read alike."""
        for owner in self.owners[axis]:
            if self.shape[axis] > 1:
                self.paths[owner] = GLOBAL
                self.spans[owner] = max(self.spans[owner], self.shape[axis])
        self.owners[axis] = frozenset()

    def window(self, axis: int, spans: tuple[int, int], rate: Number) -> None:
        """A window of the smaller and the larger span (they differ by phase), ``rate`` operand positions per output."""
        own = self.owners[axis]
        if len(own) != 1 or axis in self.split:
            if spans[1] > 1:
                for owner in own:
                    self.paths[owner] = GLOBAL
            return
        owner = next(iter(own))
        self.spans[owner] = max(self.spans[owner], spans[1])
        before = self.paths[owner]
        small, large = (
            frozenset(Way(plain(r + (span - 1) * j), plain(j * rate)) for r, j in ways)
            for ways, span in ((before.small, spans[0]), (before.large, spans[1]))
        )
        self.paths[owner] = AxisPaths(small, large, before.whole)

    def everything(self, rank: int) -> None:
        """Every output, on so many axes, reads every position."""
        self.paths = [GLOBAL] * len(self.paths)
        self.owners = [frozenset()] * rank


def _through(graph: Graph, node: Node, way: rel.Read, state: PathState) -> tuple[PathState, tuple[Step, ...]]:
    walk = _Walk(state, graph.values[node.inputs[way.operand]].shape)
    for step in way.relation:
        _follow(step, walk)
    steps = tuple(Step(span, length) for span, length in zip(walk.spans, walk.lengths, strict=True))
    return PathState(tuple(walk.owners), tuple(walk.paths)), steps


def _follow(step: rel.Step, walk: _Walk) -> None:
    """One step of a relation. Moves without growth (flips, shifts, masks, embeddings) change no path."""
    after = shape_after(step, walk.shape)
    if isinstance(step, rel.Slide):
        span = (step.kernel - 1) * step.dilation + 1
        walk.window(step.axis, (span, span), step.stride)
    elif isinstance(step, rel.Table):
        rate = Fraction(*step.ratio) if step.ratio is not None else Fraction(step.n_in, step.n_out)
        walk.window(step.axis, _table_spans(step), rate)
    elif isinstance(step, rel.All | rel.KeepAll):
        for axis in step.axes:
            walk.whole(axis)
    elif isinstance(step, rel.Prefix):
        walk.whole(step.axis)
    elif isinstance(step, rel.Relabel):
        walk.owners = [frozenset() if a is None else walk.owners[a] for a in step.order]
    elif isinstance(step, rel.Expand):
        walk.owners = [frozenset[int]()] * (len(step.after) - len(step.before)) + walk.owners
    elif isinstance(step, rel.Reshape):
        _reshape(step, walk)
    elif isinstance(step, rel.Unroll) and not walk.owners[step.axis]:
        # Windows over channels, as in local response normalization, leave positions where they are.
        walk.owners.append(frozenset())
    elif isinstance(step, rel.Scatter | rel.Everything | rel.Unroll | rel.Overlap | rel.Taps):
        walk.everything(len(after))
    walk.shape = after


def _table_spans(step: rel.Table) -> tuple[int, int]:
    """Smallest and largest span over the outputs, unclipped."""
    used = step.unclipped != rel.ABSENT
    some = used.any(axis=1)
    if not some.any():
        return 1, 1
    first = np.where(used, step.unclipped, np.iinfo(np.int64).max).min(axis=1)
    last = np.where(used, step.unclipped, np.iinfo(np.int64).min).max(axis=1)
    spans = (last - first + 1)[some]
    return int(spans.min()), int(spans.max())


def _reshape(step: rel.Reshape, walk: _Walk) -> None:
    """Axes keep their owners through a merge; both parts of a split axis keep them, and only whole moves are sure."""
    owners: list[frozenset[int]] = [frozenset()] * len(step.after)
    split: set[int] = set()
    for ins, outs in groups(step.before, step.after):
        if len(ins) == len(outs) == 1:
            owners[outs[0]] = walk.owners[ins[0]]
            continue
        # An axis of length 1 counts no positions: a chosen token, a pooled map.
        held = frozenset[int]().union(*(walk.owners[axis] for axis in ins if step.before[axis] > 1))
        real = [axis for axis in outs if step.after[axis] > 1] or outs[:1]
        if len(real) == len(held) > 1:
            # Tokens become a plane again: row-major, so that the slower source axis is the outer one.
            for axis, owner in zip(real, sorted(held), strict=True):
                owners[axis] = frozenset((owner,))
            continue
        for axis in real:
            owners[axis] = held
        if held and len(real) > 1:
            split.update(real)
    walk.owners, walk.split = owners, split
