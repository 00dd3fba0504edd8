"""Which axes of a network's inputs count positions, from what the network does with them.

A convolution or pool slides over positions and sums its channels; a linear layer sums features; a recurrent layer runs,
and attention looks, along positions; a normalisation over the last axis alone takes its statistics over features. Each
axis of a value is followed back to the axes of the source that vary along it, through moves and reshapes, and the first
operation that says something about a source axis decides it. What says nothing: a linear layer over all axes at once
(a flattened map), or over the one axis that is left (a head over time).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from foveal.core.errors import TraceError
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node, Note, Source
from foveal.ir.lengths import groups
from foveal.ir.rules import reads, traits

Axes = tuple[int, ...]
Spot = tuple[int, int]
"""A source by its number, and one of its axes."""
Origin = tuple[frozenset[Spot], ...]
"""Of each axis of a value: the source axes that vary along it."""
NOTHING: frozenset[Spot] = frozenset()
CODE = "layout"
"""The code of the notes."""


def by_name(axes: Mapping[str, Any], name: str) -> Any:
    """What was given for an input, or for what it is a part of ("cache" for "cache.0"); None where nothing."""
    while name not in axes and "." in name:
        name = name.rpartition(".")[0]
    return axes.get(name)


def all_known(axes: Any, names: Iterable[str]) -> None:
    """Raises TraceError where axes are given by a name that no input, or part of one, has."""
    names = list(names)
    for key in axes if isinstance(axes, Mapping) else ():
        if not any(name == key or name.startswith(f"{key}.") for name in names):
            raise TraceError(f"axes: there is no input '{key}'; there are {', '.join(names)}")


def read_axes(axes: Any, name: str, index: int, shape: Sequence[int]) -> Axes | None:
    """The axes that the caller gave for one input, None where none: numbers or letters ("NHWC"; all but N, B and C are
    positions), for all inputs, in order, or by name. Raises TraceError where they do not fit the shape.
    """
    if isinstance(axes, Mapping):
        axes = by_name(axes, name)
    elif axes is not None and not isinstance(axes, str) and not all(hasattr(axis, "__index__") for axis in axes):
        axes = axes[index] if index < len(axes) else None
    if axes is None:
        return None
    rank = len(shape)
    if isinstance(axes, str):
        if len(axes) != rank:
            raise TraceError(f"axes {axes!r} has {len(axes)} letters but input '{name}' has shape {tuple(shape)}")
        return tuple(axis for axis, letter in enumerate(axes.upper()) if letter not in "NBC")
    found = tuple(int(axis) + rank if axis < 0 else int(axis) for axis in axes)
    if any(not 0 <= axis < rank for axis in found):
        raise TraceError(f"axes {tuple(axes)} do not exist in input '{name}' of shape {tuple(shape)}")
    return found


def laid_out(graph: Graph, axes: Any) -> Graph:
    """The same network with other counted axes of its sources; the graph itself where ``axes`` is None."""
    if axes is None:
        return graph
    if isinstance(axes, Mapping):
        unknown = sorted(set(axes) - {source.name for source in graph.sources})
        if unknown:
            raise TraceError(f"axes: there is no input '{unknown[0]}'; there are {_names(graph)}")
    found = {}
    for index, source in enumerate(graph.sources):
        wanted = read_axes(axes, source.name, index, graph.values[source.value].shape)
        found[source.name] = source.axes if wanted is None else wanted
    if all(found[source.name] == source.axes for source in graph.sources):
        return graph
    return graph.once(f"laid out {sorted(found.items())}", lambda graph: _with_axes(graph, found))


def decide(graph: Graph) -> Graph:
    """The graph with the counted axes that its operations tell; a note says where they are not those of the trace, and
    where nothing tells them, or operations contradict each other.
    """
    seen = _Evidence(graph).gathered()
    found, notes = {}, []
    for number, source in enumerate(graph.sources):
        shape = graph.values[source.value].shape
        axes, why = seen.answer(number, source)
        found[source.name] = axes
        text = f"of input {shape}" if len(graph.sources) == 1 else f"of input '{source.name}' {shape}"
        if axes != source.axes:
            notes.append(Note(CODE, why.layer, f"positions: {_axes_text(axes)} {text}, found from {why.text}"))
        elif not why.told and len(shape) > 2:
            notes.append(Note(CODE, why.layer, f"positions: {_axes_text(axes)} {text} by default: {why.text}; "
                                                 "axes= (--axes) says otherwise"))  # fmt: skip
    graph = _with_axes(graph, found) if any(found[s.name] != s.axes for s in graph.sources) else graph
    graph.layout += notes
    return graph


def _with_axes(graph: Graph, axes: Mapping[str, Axes]) -> Graph:
    return replace(
        graph,
        sources=[source._replace(axes=axes[source.name]) for source in graph.sources],
        layout=[],
        backend=None if graph.backend is None else graph.backend.laid_out(axes),
        cache={},
    )


def _names(graph: Graph) -> str:
    return ", ".join(source.name for source in graph.sources)


def _axes_text(axes: Axes) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + (" and ".join(map(str, axes)) or "none")


MIXERS = ("matmul", "einsum", "mm", "bmm")
"""Products written by hand in PyTorch, which need not be a linear layer."""


class Why(NamedTuple):
    """What decided the layout of one source, and in which layer."""

    text: str
    layer: str = ""
    told: bool = True


@dataclass
class _Evidence:
    """What operations say, in execution order: the first word about a source axis counts.

    weak: what norms and single slices say, which counts where no other operation says anything.
    """

    graph: Graph
    origins: dict[int, Origin] = field(default_factory=dict)
    learnt: set[int] = field(default_factory=set)
    positions: dict[Spot, Node] = field(default_factory=dict)
    features: dict[Spot, Node] = field(default_factory=dict)
    weak: dict[str, dict[Spot, Node]] = field(default_factory=lambda: {"position": {}, "feature": {}})
    clashes: dict[int, tuple[Node, Node]] = field(default_factory=dict)

    def gathered(self) -> _Evidence:
        """All that is said, until every axis is decided."""
        values = self.graph.values
        for number, source in enumerate(self.graph.sources):
            rank = len(values[source.value].shape)
            self.origins[source.value] = tuple(frozenset([(number, axis)]) for axis in range(rank))
        self.learnt = {v.id for v in values if v.kind == "parameter" or (v.kind == "constant" and v.name)}
        open_ = {spot for origin in self.origins.values() for axis in origin for spot in axis if self._counts(spot)}
        for node in self.graph.nodes:
            if any(i in self.origins for i in node.inputs):
                self._hear(node)
                if open_ <= (self.positions.keys() | self.features.keys()):
                    break
                self.origins[node.output] = self._through(node)
            elif any(i in self.learnt for i in node.inputs):
                self.learnt.add(node.output)
        return self

    def answer(self, number: int, source: Source) -> tuple[Axes, Why]:
        """The counted axes of a source, and why."""
        if number in self.clashes:
            normed = {a: node for a, node in self._of(self.weak["feature"], number).items() if a}
            rest = [a for a in range(1, self._rank(number)) if a not in normed and self._long((number, a))]
            if normed and rest:  # of two layers that mix an axis each, as in an MLP-Mixer
                node = normed[min(normed)]
                return tuple(rest), Why(_named(self.graph, node), node.scope)
            first, second = (_named(self.graph, node) for node in self.clashes[number])
            return source.axes, Why(f"{first} and {second} contradict each other", told=False)
        positions, features = self._of(self.positions, number), self._of(self.features, number)
        weak = self._of(self.weak["position"], number)
        if not self._long((number, 0)):  # a batch of one, stacked to frames later
            positions.pop(0, None)
        if not positions and not features:
            features = {axis: node for axis, node in self._of(self.weak["feature"], number).items() if axis}
            positions = {axis: node for axis, node in weak.items() if axis and axis not in features}
        if not positions and not any(
            self._long((number, a)) for a in range(1, self._rank(number)) if a not in features
        ):
            positions = weak  # slices of axis 0: time before a batch of one
        if len(positions) > 1 and 0 in positions and traits(positions[0].op).window(positions[0].op) is None:
            del positions[0]
        if not positions and not features:
            return source.axes, Why("nothing in the network tells positions from features", told=False)
        rest = [axis for axis in range(1, self._rank(number)) if axis not in positions and axis not in features]
        if 0 in positions:
            rest = rest[1:]  # the batch
        found = tuple(sorted({*positions, *(rest if features else ())}))
        if not features and set(found) < set(source.axes):  # a map that is resized along one of its axes
            found = source.axes
        decided = min((*positions.values(), *features.values()), key=lambda node: node.output)
        # An axis of length 1 says nothing: what is left to the default there makes no other layout.
        if not found or {a for a in found if self._long((number, a))} == {
            a for a in source.axes if self._long((number, a))
        }:
            found = source.axes
        return found, Why(_named(self.graph, decided), decided.scope)

    @staticmethod
    def _of(table: Mapping[Spot, Node], number: int) -> dict[int, Node]:
        return {axis: node for (source, axis), node in table.items() if source == number}

    def _rank(self, number: int) -> int:
        return len(self._shape(number))

    def _shape(self, number: int) -> Axes:
        return self.graph.values[self.graph.sources[number].value].shape

    def _long(self, spot: Spot) -> bool:
        return self._shape(spot[0])[spot[1]] > 1

    def _counts(self, spot: Spot) -> bool:
        """Whether an axis must be decided: neither the batch nor of length 1."""
        return spot[1] > 0 and self._long(spot)

    def _hear(self, node: Node) -> None:
        """What an operation says of the axes of its first operand."""
        origin, about = self.origins.get(node.inputs[0]), traits(node.op)
        product = about.product(node.op)
        if product is not None:
            self._product(node, product.labels, product.out)
        if origin is None:
            return
        rank, window, axis = len(origin), about.window(node.op), about.runs(node.op)
        for other in about.resamples(node.op):
            self._position(node, origin[other])
        if window is not None:
            if window.weighted or min(window.kernel) > 1:  # not the neighbours of a channel
                for k in range(rank - len(window.kernel), rank):
                    self._position(node, origin[k])
            if window.weighted and rank > len(window.kernel):
                self._feature(node, [origin[rank - len(window.kernel) - 1]])
        if axis is not None:
            self._position(node, origin[axis])
            self._feature(node, [origin[k] for k in self._whole(node, "value") if k != axis])
        if about.whole(node.op)[0].startswith("takes its statistics") and self._whole(node, "statistics") == {rank - 1}:
            grouped = getattr(node.op, "groups", None) is not None  # these norms are over positions
            per_channel = grouped or "instance" in node.origin.replace("_", "").lower()
            for spot in origin[-1]:
                self.weak["position" if per_channel else "feature"].setdefault(spot, node)
        shape, out = self.graph.values[node.inputs[0]].shape, self.graph.values[node.output].shape
        if about.views(node.op) and len(shape) == len(out) > 0 and shape[0] > out[0] == 1 and shape[1:] == out[1:]:
            for spot in origin[0]:
                if spot[1] == 0:
                    self.weak["position"].setdefault(spot, node)

    def _whole(self, node: Node, kind: str) -> set[int]:
        """The axes of the first operand that every output reads as a whole."""
        return {
            axis
            for way in self._reads(node)
            if way.operand == 0 and way.kind == kind
            for step in way.relation
            if isinstance(step, rel.All)
            for axis in step.axes
        }

    def _product(self, node: Node, labels: tuple[Axes, ...], out: Axes) -> None:
        """A sum with weights is over features; in a sum of two computed operands, as of attention, the axes that come
        from the source are positions, where not all do.
        """
        sides = [self.origins.get(i) for i in node.inputs]
        known = [(own, side) for own, side in zip(labels, sides, strict=True) if side is not None]
        if len(known) == 1 and any(i in self.learnt for i in node.inputs):
            own, side = known[0]
            weights = {self.graph.values[i].shape for i in node.inputs if i in self.learnt}
            if node.origin in MIXERS and any(len(shape) > 1 and shape[-1] == shape[-2] for shape in weights):
                return  # a square matrix by hand mixes features as often as positions
            kept = NOTHING.union(*(side[k] for k, label in enumerate(own) if label in out))
            self._feature(node, [side[k] - kept for k, label in enumerate(own) if label not in out], kept)
        elif len(known) == 2:
            first, second = (own for own, _ in known)
            summed = NOTHING.union(*(s[own.index(n)] for own, s in known for n in own if n not in out))
            kept_a, kept_b = (
                NOTHING.union(*(s[own.index(n)] for n in own if n in out and n not in other))
                for (own, s), other in zip(known, (second, first))
            )
            if kept_a and kept_a == kept_b and not summed:
                self._position(node, kept_a)
            elif summed and not kept_a and not kept_b:
                self._position(node, summed)
            elif kept_a and kept_a == kept_b:  # attention without weights, or a Gram matrix
                for spot in kept_a - summed:
                    self.weak["position"].setdefault(spot, node)

    def _position(self, node: Node, spots: frozenset[Spot]) -> None:
        for spot in spots:
            merged_batch = spot[1] == 0 and len(spots) > 1
            if spot not in self.features and not merged_batch:
                self.positions.setdefault(spot, node)

    def _feature(self, node: Node, axes: Sequence[frozenset[Spot]], alive: frozenset[Spot] = NOTHING) -> None:
        """alive: source axes that the operation keeps apart from those it sums."""
        weighted_window = not alive and traits(node.op).product(node.op) is None
        for number in {number for spots in axes for number, _ in spots}:
            found = {spot for spots in axes for spot in spots if spot[0] == number}
            if not weighted_window:
                found = {spot for spot in found if self._counts(spot)}
            found -= self.positions.keys()
            every = {(number, axis) for axis in range(1, self._rank(number)) if self._long((number, axis))}
            if self._rank(number) > 2 and (number, 0) in self.weak["position"]:
                every = set()  # a loop over axis 0, which may be time
            before = {spot for spot in self.features if spot[0] == number}
            others = {spot for spot in alive if spot[0] == number and self._counts(spot)} - found
            if found <= before:
                continue
            if not weighted_window and not others and len(found) > 1:
                continue  # a flattened map
            if every and every <= found | before and not any(spot[0] == number for spot in self.positions):
                if others and before:
                    self.clashes.setdefault(number, (self.features[min(before)], node))
                continue
            for spot in found:
                self.features.setdefault(spot, node)

    def _reads(self, node: Node) -> tuple[rel.Read, ...]:
        values = self.graph.values
        return reads(node.op, tuple(values[i].shape for i in node.inputs), values[node.output].shape)

    def _through(self, node: Node) -> Origin:
        """The source axes along each axis of the result."""
        out = self.graph.values[node.output].shape
        found = [NOTHING] * len(out)
        for way in self._reads(node):
            origin = self.origins.get(node.inputs[way.operand])
            if origin is not None and way.kind != "statistics":
                for axis, spots in enumerate(_moved(way.relation, origin, len(out))):
                    found[axis] |= spots
        return tuple(
            frozenset(spot for spot in spots if n > 1 or not self._long(spot))
            for spots, n in zip(found, out, strict=True)
        )


def _moved(relation: rel.Relation, origin: Origin, rank: int) -> Iterator[frozenset[Spot]]:
    """The axes of the result of a relation."""
    for step in relation:
        if isinstance(step, rel.Relabel):
            origin = tuple(NOTHING if axis is None else origin[axis] for axis in step.order)
        elif isinstance(step, rel.Expand):
            origin = (NOTHING,) * (len(step.after) - len(step.before)) + origin
        elif isinstance(step, rel.Reshape):
            origin = _reshaped(step, origin)
        elif isinstance(step, rel.Unroll):
            origin = (*origin, origin[step.axis])
        elif isinstance(step, rel.Overlap):
            origin = origin[:-1]
        elif isinstance(step, rel.Everything) or (
            isinstance(step, rel.Scatter) and len(step.before) != len(step.after)
        ):
            origin = (NOTHING,) * len(step.after)
    yield from origin if len(origin) == rank else (NOTHING,) * rank


def _reshaped(step: rel.Reshape, origin: Origin) -> Origin:
    found = [NOTHING] * len(step.after)
    for ins, outs in groups(step.before, step.after):
        if [step.before[k] for k in ins] == [step.after[k] for k in outs]:
            for i, o in zip(ins, outs, strict=True):
                found[o] = origin[i]
            continue
        # An outer part of the result varies with the outer axes alone, as far as lengths go together.
        spots = [(step.before[k], origin[k]) for k in ins if step.before[k] > 1]
        for o in outs:
            need = step.after[o]
            while need > 1 and spots:
                length, own = spots[0]
                found[o] |= own
                if length <= need and need % length == 0:
                    spots.pop(0)
                    need //= length
                elif length > need and length % need == 0:
                    spots[0] = (length // need, own)
                    need = 1
                else:
                    found = [f | NOTHING.union(*(s for _, s in spots)) if k in outs else f for k, f in enumerate(found)]
                    break
    return tuple(found)


def _named(graph: Graph, node: Node) -> str:
    layer = graph.layer_table.get(node.scope)
    what = layer.type if layer is not None and layer.kind == "module" and layer.leaf else node.origin
    return f"{what} at {node.scope}" if node.scope else what
