"""``verify``: change columns of the input of the user's real model and compare what moves with the predicted boxes.

A unit that moves although the column lies outside its box is a contradiction, whatever the weights. A column inside
that does not move a unit proves nothing by itself: trained weights can be zero, a ReLU shut, an influence smaller than
rounding. So the edges of the boxes are tried with every pattern of change and several inputs; where an edge of an exact
box stays still although its neighbour further inside moves the unit by a clear amount, that is a contradiction too. A
window wrong by one behind a stride moves the edge by that stride: so is an edge with a neighbour 2 or 4 positions
inside, if no unit of the layer whose box ends there moves and there are enough of them. Otherwise it is a note.

Each forward pass is used fully: every unit of every layer asked for is held against it, not only the sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.check.perturbation import PATTERNS, Floats, Pattern, difference, moved, perturb
from foveal.check.predicted import Bounds, predicted_bounds
from foveal.core import show
from foveal.core.errors import VerificationError
from foveal.frontends.trace import network
from foveal.ir.backend import Backend
from foveal.ir.graph import Graph, Source

KEPT = 1000
"""Contradictions recorded per forward pass and layer."""
GAINS = (1.0, 10.0, 100.0)
"""Sizes of the other inputs: a larger one opens a ReLU that a bias of the model's own keeps shut."""
NEIGHBOURS = 4
"""Silent edges whose neighbours inside are tried."""
INWARD = ((1, 1.0), (2, 10.0), (4, 1000.0))
"""How far inside a neighbour lies, and how many times a clear one its influence must be: it grows quickly inwards."""
SCANNED = 32
"""Positions of a box at which influence is looked for where there is none near its edge."""
FAR, SUDDEN = 8, 1e3
"""How far inside, and how many times a clear influence, sets in at once where it never decayed."""
ENOUGH = 8
"""Units whose boxes end at one position: as many do not all stay still by chance."""
INPUTS, OFTEN = 16, 4
"""Inputs that are tried before a silent edge counts as a contradiction; in so many its neighbour must be felt."""

Unit = tuple[int, ...]


@dataclass(frozen=True)
class Mismatch:
    """One contradiction. ``unit`` indexes the layer's whole shape; boxes are (first, last), None where empty."""

    layer: str
    unit: Unit
    axis: int
    predicted: tuple[int, int] | None
    measured: tuple[int, int] | None
    source: str = ""

    def __str__(self) -> str:
        where = f"layer '{self.layer}', unit {self.unit}, source axis {self.axis}"
        return f"{where}: predicted {_box_text(self.predicted)}, measured {_box_text(self.measured)}"


def _box_text(box: tuple[int, int] | None) -> str:
    if box is None:
        return "nothing"
    return f"position {box[0]}" if box[0] == box[1] else f"positions {box[0]} to {box[1]}"


@dataclass(frozen=True, repr=False)
class Check(show.Shown):
    """What a comparison with the real model found.

    ``exact`` and ``bound`` count the hulls compared (one per element of a layer and source axis); ``forwards`` the
    perturbed inputs; ``notes`` what could not be shown either way.
    """

    name: str
    layers: tuple[str, ...]
    exact: int
    bound: int
    forwards: int
    mismatches: tuple[Mismatch, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing contradicts the predictions."""
        return not self.mismatches


@dataclass(frozen=True)
class _Target:
    """A layer with its predicted clipped bounds (one pair per source axis, in the layer's shape) and sampled units.

    claimed: as :class:`foveal.check.predicted.Predicted` has it; ``box`` and what follows are of these.
    """

    layer: str
    bounds: Bounds
    claimed: Bounds
    exact: bool
    units: tuple[Unit, ...]

    def box(self, unit: Unit, axis: int) -> tuple[int, int] | None:
        """Predicted (first, last) of a unit, None where it depends on nothing."""
        first, last = (int(array[unit]) for array in self.claimed[axis])
        return (first, last) if first <= last else None

    def ending(self, axis: int, position: int, side: int) -> NDArray[np.bool_]:
        """Which units' boxes begin (side 0) or end (side 1) at a position."""
        first, last = self.claimed[axis]
        return np.asarray(((first, last)[side] == position) & (first <= last))

    def edges(self) -> Iterator[tuple[Unit, int, int]]:
        """(unit, axis, position) of both box edges of the sampled units."""
        for unit in self.units:
            for axis in range(len(self.bounds)):
                box = self.box(unit, axis)
                for position in sorted(set(box or ())):
                    yield unit, axis, position


@dataclass
class _Session:
    """The model's inputs and reference outputs for one seed, and what the perturbed runs have shown so far."""

    model: Backend
    source: Source
    targets: tuple[_Target, ...]
    seed: int
    generic: Backend
    gain: float = 1.0
    forwards: int = 0
    seen: set[tuple[str, Unit, int, int]] = field(default_factory=set)
    strength: dict[tuple[str, Unit, int, int], float] = field(default_factory=dict)
    ends_felt: set[tuple[str, int, int, int]] = field(default_factory=set)
    mismatches: dict[tuple[str, Unit, int], Mismatch] = field(default_factory=dict)

    def start(self) -> None:
        """Run the unperturbed input twice: the second run tells the model's own noise."""
        self.rng = np.random.default_rng(self.seed)
        self.inputs: dict[str, np.ndarray] = self.model.example(self.seed)
        if self.source.name not in self.inputs:
            raise VerificationError(f"the model has no input '{self.source.name}'; it has {', '.join(self.inputs)}")
        given = self.inputs[self.source.name]
        if given.dtype.kind == "f":
            self.inputs[self.source.name] = given * self.gain
        elif self.seed or self.gain != 1.0:
            self.inputs[self.source.name] = self.rng.permuted(given, axis=self.source.axes[0] if given.ndim else None)
        self.reference = self._run(self.inputs)
        again = self._run(self.inputs)
        self.noise = {name: difference(again[name], array) for name, array in self.reference.items()}

    def _run(self, inputs: dict[str, np.ndarray]) -> dict[str, Floats]:
        names = [target.layer for target in self.targets]
        outputs: dict[str, Floats] = self.model.probe(inputs, names)
        hidden = [name for name in names if name not in outputs]  # no module returns them
        outputs |= self.model.run(inputs, hidden, dtype="float64") if hidden else {}
        for target in self.targets:
            if outputs[target.layer].shape != target.bounds[0][0].shape:
                raise VerificationError(
                    f"layer '{target.layer}' has shape {outputs[target.layer].shape} when run, but "
                    f"{target.bounds[0][0].shape} in the trace: trace the model again with this input"
                )
        return outputs

    def perturb(self, axis: int, position: int, pattern: Pattern) -> None:
        """Change one column and hold every unit of every target against the result."""
        self.forwards += 1
        at = [position if axis == number else None for number in range(len(self.source.axes))]
        changed = perturb(self.inputs[self.source.name], self.source.axes, at, pattern, self.rng, self.gain)
        outputs = self._run({**self.inputs, self.source.name: changed})
        for target in self.targets:
            output, reference = outputs[target.layer], self.reference[target.layer]
            moves = moved(output[None], reference, self.noise[target.layer])[0]
            first, last = target.bounds[axis]
            for unit in np.argwhere(moves & ((position < first) | (position > last)))[:KEPT]:
                self._contradict(target, tuple(int(i) for i in unit), axis, position)
            for side in (0, 1):
                if (moves & target.ending(axis, position, side)).any():
                    self.ends_felt.add((target.layer, axis, position, side))
            scale = float(np.nan_to_num(np.abs(reference)).max(initial=0.0)) or 1.0
            for unit_ in target.units:
                if moves[unit_]:
                    key = (target.layer, unit_, axis, position)
                    self.seen.add(key)
                    amount = difference(output[unit_], reference[unit_]) / scale
                    self.strength[key] = max(amount, self.strength.get(key, 0.0))

    def _contradict(self, target: _Target, unit: Unit, axis: int, position: int) -> None:
        key = (target.layer, unit, axis)
        known = self.mismatches.get(key)
        low, high = known.measured if known is not None and known.measured else (position, position)
        box = (min(low, position), max(high, position))
        self.mismatches[key] = Mismatch(target.layer, unit, axis, target.box(unit, axis), box, self.source.name)


def verify(
    model: Any,
    layer: Any = None,
    inputs: Any = None,
    *,
    units: int = 3,
    seed: int = 0,
    source: str | None = None,
    forwards: int = 16,
    axes: Any = None,
) -> Check:
    """Compare predicted receptive fields with the real model, by perturbation in double precision.

    ``layer``: one or more names, numbers or modules; by default the last module whose units do not all see the whole
    source, and the last layer of all. ``units`` per layer and positions at, just outside and inside the edges of their
    boxes are drawn with ``seed``; about ``forwards`` perturbed inputs are run, half of them for these positions and the
    rest for edges not yet seen to move. Raises VerificationError where there is no model to run (text networks).
    """
    graph = network(model, inputs, axes)
    if graph.backend is None:
        raise VerificationError(f"'{graph.name}' has no model to run: verify needs a graph traced from a real model")
    chosen = _source(graph, source)
    targets = _targets(graph, layer, chosen, units, seed)
    generic = any(value.kind == "parameter" for value in graph.values)
    session = _Session(graph.backend, chosen, targets, seed, graph.backend.generic() if generic else graph.backend)
    session.start()
    plan = _columns(graph, chosen, targets, max(3, forwards // (2 * len(chosen.axes))), seed)
    for axis, position in plan:
        session.perturb(axis, position, "large")
    asked = {(t.layer, *edge) for t in targets for edge in t.edges() if edge[1:] in plan}
    for pattern in [p for p in PATTERNS if p != "large"]:
        for axis, position in sorted({key[2:] for key in asked - session.seen}):
            if session.forwards < forwards:
                session.perturb(axis, position, pattern)
    notes = [graph.stopped] if graph.stopped else []
    notes += [note for target in targets for note in _still(session, target, asked)]
    exact = sum(a.size for t in targets if t.exact for a, _ in t.bounds)
    bound = sum(a.size for t in targets if not t.exact for a, _ in t.bounds)
    names = tuple(target.layer for target in targets)
    found = tuple(session.mismatches.values())
    return Check(graph.name, names, exact, bound, session.forwards, found, tuple(notes))


def _source(graph: Graph, name: str | None) -> Source:
    """The source of that name; without one the first."""
    for source in graph.sources:
        if name is None or source.name == name:
            return source
    known = ", ".join(source.name for source in graph.sources) or "none"
    raise VerificationError(f"unknown source '{name}'; the sources are: {known}")


def _targets(graph: Graph, layer: Any, source: Source, units: int, seed: int) -> tuple[_Target, ...]:
    asked = layer if isinstance(layer, list | tuple) else [] if layer is None else [layer]
    names = [graph.name_of(one) for one in asked] or _default_layers(graph, source)
    rng = np.random.default_rng([seed, 1])
    targets = []
    for name in names:
        shape = graph.values[graph.layer(name).value].shape
        predicted = predicted_bounds(graph, name, source)
        flat = rng.choice(int(np.prod(shape)), size=min(units, int(np.prod(shape))), replace=False)
        sample = tuple(tuple(int(i) for i in np.unravel_index(index, shape)) for index in sorted(flat))
        targets.append(_Target(name, predicted.bounds, predicted.claimed, predicted.exact, sample))
    return tuple(targets)


def _default_layers(graph: Graph, source: Source) -> list[str]:
    """The last layer with a unit that does not see the whole source, and the last layer of all."""
    if not graph.layers:
        raise VerificationError(f"'{graph.name}' has no layers")
    shape = graph.values[source.value].shape
    final = graph.main
    for name in reversed([name for name in graph.layers if graph.layer(name).kind == "module"]):
        pairs = predicted_bounds(graph, name, source).bounds
        lengths = [shape[axis] for axis in source.axes]
        if any(((first > 0) | (last < n - 1)).any() for (first, last), n in zip(pairs, lengths, strict=True)):
            return [name] if name == final else [name, final]
    return [final]


def _columns(
    graph: Graph, source: Source, targets: Sequence[_Target], columns: int, seed: int
) -> list[tuple[int, int]]:
    """At most ``columns`` (axis, position) per axis: box edges, their neighbours, one position at random."""
    rng = np.random.default_rng([seed, 2])
    shape = graph.values[source.value].shape
    plan: list[tuple[int, int]] = []
    for axis, length in enumerate(shape[a] for a in source.axes):
        edges: set[int] = set()
        for target in targets:
            for unit in target.units:
                box = target.box(unit, axis)
                if box is not None:
                    edges |= {box[0] - 1, box[0], box[1], box[1] + 1}
        inside = sorted(p for p in edges | {int(rng.integers(length))} if 0 <= p < length)
        kept = rng.permutation(len(inside))[:columns]
        plan += [(axis, inside[i]) for i in sorted(kept)]
    return plan


def _moves_after_all(session: _Session, target: _Target, edge: tuple[Unit, int, int], neighbour: int) -> bool:
    """Whether a silent edge moves its unit after all, for another input or change, larger ones too: a maximum won by
    another element or a shut ReLU hides it from some, a weight at zero from all. Also where the neighbour inside is
    felt too seldom to tell.
    """
    felt, own = 0, session.model
    try:
        for index in range(INPUTS):
            session.seed, session.gain = session.seed + 1, GAINS[index % len(GAINS)]
            if index == INPUTS // 2:
                session.model = session.generic
            session.start()
            for pattern in PATTERNS:
                session.perturb(edge[1], edge[2], pattern)
                if (target.layer, *edge) in session.seen:
                    return True
            key = (target.layer, edge[0], edge[1], neighbour)
            session.strength.pop(key, None)
            session.perturb(edge[1], neighbour, "large")
            felt += session.strength.get(key, 0.0) > session.model.clear
        return felt < OFTEN
    finally:
        if session.model is not own:  # what is asked next is asked of the model itself
            session.model = own
            session.start()


def _felt_inside(session: _Session, target: _Target, edge: tuple[Unit, int, int]) -> int | None:
    """The nearest of the positions further inside that moves the unit by a clear amount; None where none does."""
    unit, axis, position = edge
    box = target.box(unit, axis)
    assert box is not None
    for distance, times in INWARD:
        neighbour = position + distance if position == box[0] else position - distance
        if not box[0] <= neighbour <= box[1]:
            return None
        session.perturb(axis, neighbour, "large")
        if session.strength.get((target.layer, unit, axis, neighbour), 0.0) > times * session.model.clear:
            return neighbour
    return None


def _sets_in(session: _Session, target: _Target, edge: tuple[Unit, int, int]) -> int | None:
    """Where, far inside, influence sets in from one position to the next at full size (decay is slow); else None."""
    unit, axis, position = edge
    box = target.box(unit, axis)
    assert box is not None
    inwards = range(box[0], box[1] + 1) if position == box[0] else range(box[1], box[0] - 1, -1)
    key, felt = (target.layer, unit, axis), None
    looked = sorted({round(i) for i in np.linspace(0, len(inwards) - 1, SCANNED)})
    for index in looked:
        session.perturb(axis, inwards[index], "large")
        if (*key, inwards[index]) in session.seen:
            felt = index
            break
    if felt is None:
        return None
    still = max((index for index in looked if index < felt), default=felt)
    while felt - still > 1:
        middle = (felt + still) // 2
        session.perturb(axis, inwards[middle], "large")
        felt, still = (middle, still) if (*key, inwards[middle]) in session.seen else (felt, middle)
    full = session.strength.get((*key, inwards[felt]), 0.0) > SUDDEN * session.model.clear
    # Nearer ones may be a stride, or a maximum that others win.
    return inwards[felt] if full and felt > FAR else None


def _all_still(session: _Session, target: _Target, edge: tuple[Unit, int, int]) -> bool:
    """Whether enough units end at the same position as this one, and none of them was ever seen to move."""
    unit, axis, position = edge
    box = target.box(unit, axis)
    assert box is not None
    side = 0 if position == box[0] else 1
    many = int(target.ending(axis, position, side).sum()) >= ENOUGH
    return many and (target.layer, axis, position, side) not in session.ends_felt


def _still(session: _Session, target: _Target, asked: set[tuple[str, Unit, int, int]]) -> Iterator[str]:
    """Box edges that no change moved: a contradiction where the neighbour inside is clearly felt, else a note."""
    silent = [key for key in asked - session.seen if key[0] == target.layer]
    for _, unit, axis, position in sorted(silent)[:NEIGHBOURS]:
        box = target.box(unit, axis)
        if not target.exact or box is None:
            continue
        edge = (unit, axis, position)
        near = _felt_inside(session, target, edge)
        neighbour = _sets_in(session, target, edge) if near is None else near
        if neighbour is None or _moves_after_all(session, target, edge, neighbour):
            continue
        if near is None or abs(neighbour - position) == 1 or _all_still(session, target, edge):
            measured = (neighbour, box[1]) if position == box[0] else (box[0], neighbour)
            found = Mismatch(target.layer, unit, axis, box, measured, session.source.name)
            session.mismatches[(target.layer, unit, axis)] = found
    if silent:
        total = sum(1 for key in asked if key[0] == target.layer)
        yield (
            f"{len(silent)} of {total} box edges tried in layer '{target.layer}' were not seen to move their unit "
            "(weights at zero, influence below rounding, or a box that is a bound)"
        )
