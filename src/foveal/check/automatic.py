"""Looking without being told: where a trace rests on more than the algebra, the model itself is asked, briefly.

A trace rests on more where it ran on real tensors, trusted a constant mask, met an operation of others or memory from
elsewhere, or a value that the data sets. Then one position of a source at a time is changed, all layers are read at
once, and every element of every tensor is held against its own box. What is kept as a note on the graph makes the
layer and all that it makes ``contradicted``.

An element that moves although the position lies outside its box contradicts, whatever the weights. An exact box is too
large where its edge never moved its element, for no input and no change, and influence further inside sets in at once,
at full size, for most elements of the layer: a shut ReLU or a lost maximum hides some, and what decays sets in slowly.
Weights that are zero get numbers first, as receptive fields take weights as generic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveal.check.perturbation import PATTERNS, RELATIVE, Bools, Floats, perturb
from foveal.check.predicted import Bounds, predicted_bounds
from foveal.core.errors import FovealError
from foveal.engine.forward.bounds import bounds
from foveal.ir.backend import Backend
from foveal.ir.graph import Graph, Note, Source
from foveal.report.costs import total_cost
from foveal.report.findings import operations_without_rule

LEAST = 0.1
"""Seconds that a check may take of a trace that took less than twice as many; else half of what the trace took."""
SPEED, EACH, COPIED = 1e10, 1e-4, 6e7
"""Multiply-adds per second, seconds per operation and weights copied per second, to say beforehand whether a run is
affordable.
"""
TOO_LONG = "a run takes too long: foveal verify does it"
LARGEST = 1 << 22
"""Elements of the largest tensor that is compared."""
ROUNDS = 6
LEAST_ROUNDS = 3
POSITIONS = 24
"""Inputs that are tried; how many before an edge counts as still; positions per axis of a source."""
GAINS = (1.0, 10.0, 100.0)
ENOUGH, MOST = 4, 0.8
"""Elements, and their share among those that say anything, whose edge must be still before a box counts as too large.
"""
REASONS = {
    "real-tensors": "the trace ran on real tensors",
    "custom-operation": "it holds an operation of its own",
    "opaque": "an operation has no rule",
    "foreign-memory": "memory leaves the framework",
    "data-dependent": "data decides",
    "mask": "a constant mask was trusted",
}


class Probe(NamedTuple):
    """What is changed: one position per axis of the source, or None along an axis where all are."""

    source: Source
    at: tuple[int | None, ...]


@dataclass
class _Layer:
    """One layer and one source: every element's box, and what moved it so far (axis, position) -> strength."""

    name: str
    boxes: Bounds
    claimed: Bounds
    exact: bool
    strength: dict[tuple[int, int], Floats] = field(default_factory=dict)


def reasons(graph: Graph) -> list[str]:
    """Why the model should be asked; none for a trace that the algebra carries alone."""
    codes = {note.code for note in graph.notes} | ({"opaque"} if operations_without_rule(graph) else set())
    codes |= {"mask"} if bounds(graph).facts.masks_trusted else set()
    return [text for code, text in REASONS.items() if code in codes]


def look(graph: Graph) -> None:
    """Ask the model, once per graph and only where there is a reason; the outcome is a note on the graph."""
    graph.once("look", _look)


def _look(graph: Graph) -> bool:
    why = reasons(graph)
    if not why or graph.backend is None or not graph.sources:
        return False
    hindrance = _too_large(graph)
    if not hindrance:
        try:
            found = _Look(graph, graph.backend).run()
        except FovealError as error:
            hindrance = str(error)
        else:
            graph.notes += found
            graph.cache.pop("certainty", None)
    if hindrance:
        text = f"not compared with a run of the model ({hindrance}), although {' and '.join(why)}"
        graph.notes.append(Note("not-checked", "", text, len(graph.nodes)))
    return not hindrance


def _too_large(graph: Graph) -> str:
    assert graph.backend is not None
    if graph.backend.weightless:
        return "it has no weights"
    adds = total_cost(graph).value
    run = (adds if isinstance(adds, int) else 0) / SPEED + graph.parameters / 1e9 + len(graph.nodes) * EACH
    time = max(LEAST, graph.seconds / 2)
    return TOO_LONG if 2 * run > time or graph.parameters / COPIED > time / 4 else ""


class _Look:
    """One check: the layers, the inputs, and the time that is left."""

    def __init__(self, graph: Graph, model: Backend) -> None:
        self.graph, self.began = graph, perf_counter()
        self.seconds = max(LEAST, graph.seconds / 2)
        generic = any(value.kind == "parameter" for value in graph.values)
        self.model = model.generic() if generic else model
        self.names = [
            layer.name for layer in graph.layer_table.values() if np.prod(graph.values[layer.value].shape) <= LARGEST
        ]
        self.layers: dict[str, dict[str, _Layer]] = {source.name: {} for source in graph.sources}
        self.relative = RELATIVE if model.clear < 1e-4 else 1e-5
        self.found: dict[str, Note] = {}
        self.rounds = 0
        self.probes = 0

    def run(self) -> list[Note]:
        """The notes: contradictions, in the order of the layers, those behind another left out."""
        if perf_counter() - self.began > self.seconds / 4:  # the copy alone
            raise FovealError(TOO_LONG)
        # A large input opens what a finite mask closes.
        gains = (1.0,) if bounds(self.graph).facts.masks_trusted else GAINS
        for index in range(ROUNDS):
            if not self._round(index, gains[index % len(gains)]):
                break
            self.rounds += 1
        if self.rounds >= LEAST_ROUNDS:
            for layers in self.layers.values():
                for layer in layers.values():
                    self._too_wide(layer)
        values: set[int] = set()
        notes = []
        for name, named in self.graph.layer_table.items():
            if name in self.found and not values & self.graph.values_behind(named.value):
                values.add(named.value)
                notes.append(self.found[name])
        return notes

    def _round(self, index: int, gain: float) -> bool:
        """One input and one pattern of change at every position; False where the time is over."""
        rng = np.random.default_rng([index, 7])
        inputs = self.model.example(index)
        for source in self.graph.sources:
            if inputs[source.name].dtype.kind == "f":
                inputs[source.name] = inputs[source.name] * gain
        started = perf_counter()
        self.reference = self.model.probe(inputs, self.names)
        if not self.probes and perf_counter() + 2 * (perf_counter() - started) > self.began + self.seconds:
            raise FovealError(TOO_LONG)
        again = self.model.probe(inputs, self.names)
        steady = {n for n, a in self.reference.items() if np.array_equal(a, again[n], equal_nan=a.dtype.kind == "f")}
        for probe in probes(self.graph, index):
            if self.probes and self._over():
                return False
            self.probes += 1
            name = probe.source.name
            changed = perturb(inputs[name], probe.source.axes, probe.at, PATTERNS[index % len(PATTERNS)], rng, gain)
            outputs = self.model.probe({**inputs, name: changed}, self.names)
            for layer in [name for name in self.names if name in steady and name in outputs]:
                if self._over():
                    return False
                if layer not in self.found and outputs[layer].shape == self.reference[layer].shape:
                    self._compare(layer, probe, outputs[layer])
        return True

    def _over(self) -> bool:
        """Whether the check has had its time."""
        return perf_counter() - self.began > self.seconds

    def _layer(self, name: str, source: Source) -> _Layer:
        known = self.layers[source.name]
        if name not in known:
            predicted = predicted_bounds(self.graph, name, source)
            known[name] = _Layer(name, predicted.bounds, predicted.claimed, predicted.exact)
        return known[name]

    def _compare(self, name: str, probe: Probe, output: np.ndarray) -> None:
        reference = self.reference[name]
        layer = self._layer(name, probe.source)
        if layer.boxes and layer.boxes[0][0].shape != output.shape:
            return
        with np.errstate(invalid="ignore", over="ignore"):
            amount = np.abs(output.astype(float) - reference)
        scale = float(np.max(np.abs(reference), initial=0.0, where=np.isfinite(reference))) or 1.0
        amount = np.where(np.isnan(output) != np.isnan(reference), scale, np.nan_to_num(amount)) / scale
        moves = amount > self.relative
        where = np.nonzero(moves)
        for axis, position in enumerate(probe.at):
            first, last = layer.boxes[axis]
            if position is None:
                continue
            outside = (position < first[where]) | (position > last[where])
            if outside.any():
                unit = tuple(int(i[outside.argmax()]) for i in where)
                self._refute(
                    layer, layer.boxes, unit, axis, f"source position {position} on axis {axis} moves unit {unit}, {{}}"
                )
                return
        chosen = output.dtype.kind not in "fc"  # an index or a yes is still for almost all that it reads
        if sum(position is not None for position in probe.at) == 1 and layer.exact and not chosen:
            axis = next(axis for axis, position in enumerate(probe.at) if position is not None)
            key = (axis, probe.at[axis])
            before = layer.strength.get(key)  # type: ignore[arg-type]
            layer.strength[key] = amount if before is None else np.maximum(before, amount)  # type: ignore[index]

    def _refute(self, layer: _Layer, boxes: Bounds, unit: tuple[int, ...], axis: int, text: str) -> None:
        first, last = (int(array[unit]) for array in boxes[axis])
        box = f"whose box is {first} to {last}" if first <= last else "which is said to read nothing"
        self.found[layer.name] = Note("contradicted", layer.name, text.format(box), len(self.graph.nodes))

    def _too_wide(self, layer: _Layer) -> None:
        """Whether edges of exact boxes are still although what lies further inside is felt at once."""
        if layer.name in self.found:
            return
        for axis, (first, last) in enumerate(layer.claimed):
            tried = sorted(position for a, position in layer.strength if a == axis)
            for edge, order in ((first, tried), (last, tried[::-1])):
                wrong, telling = _still(layer, axis, edge, order, first, last, self.relative, 1e3 * self.model.clear)
                if wrong.sum() >= max(ENOUGH, MOST * telling.sum()):
                    unit = tuple(int(i) for i in np.argwhere(wrong)[0])
                    text = f"source position {int(edge[unit])} on axis {axis} never moves unit {unit}, {{}} exactly"
                    self._refute(layer, layer.claimed, unit, axis, text)
                    return


def _still(
    layer: _Layer, axis: int, edge: NDArray[np.int64], order: list[int], first: NDArray[np.int64],
    last: NDArray[np.int64], least: float, clear: float,
) -> tuple[Bools, Bools]:  # fmt: skip
    """Elements whose edge is still and whose neighbours set in clearly; and those where either could be told."""
    shape = edge.shape
    started, wrong, telling = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, bool)
    tried_edge, before = np.zeros(shape, bool), None
    for position in order:
        strength = layer.strength[axis, position]
        felt, inside = strength > least, (first <= position) & (position <= last)
        tried_edge |= edge == position
        new = felt & inside & ~started & tried_edge
        telling |= new & (strength > clear)
        if before is not None and abs(position - before) == 1:
            wrong |= new & (strength > clear) & (edge != position)
        started |= felt & inside
        before = position
    return wrong, telling


def probes(graph: Graph, seed: int) -> Iterator[Probe]:
    """The middle of each source first, then columns along each axis: all, or runs at the ends and in the middle."""
    rng = np.random.default_rng([seed, 11])
    for source in graph.sources:
        shape = [graph.values[source.value].shape[axis] for axis in source.axes]
        if shape and all(shape):
            yield Probe(source, tuple(n // 2 for n in shape))
    for source in graph.sources:
        shape = [graph.values[source.value].shape[axis] for axis in source.axes]
        for axis, length in enumerate(shape):
            for position in rng.permutation(positions(length)):
                yield Probe(source, tuple(int(position) if a == axis else None for a in range(len(shape))))


def positions(length: int) -> list[int]:
    """All of a short axis; of a long one both ends, and a run in the middle."""
    if length <= POSITIONS:
        return list(range(length))
    run, middle = POSITIONS - 8, length // 2 - (POSITIONS - 8) // 2
    return [*range(4), *range(middle, middle + run), *range(length - 4, length)]
