"""Public test tools: the oracle, a one-line check of all predictions for a model, and a guard for people's own CI.

``dependency``, ``support`` and ``hulls`` measure, knowing no rule; ``check`` holds what foveal predicts against them
for every unit of every layer; ``assert_receptive_field`` fails with a readable text when a model leaves the limits its
authors set; ``check_frontends_agree`` compares one network from several front ends. A new operation is one
line of test: ``assert check(MyModel(), (1, 3, 16, 12)).agrees``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveal.check.agreement import Agreement, check_frontends_agree
from foveal.check.oracle import Call, dependency, dependency_round, merge, prepare, support
from foveal.check.perturbation import STYLES, Bools, hulls
from foveal.check.verify import Check, Mismatch, Predicted, predicted_bounds
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph, Source

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Agreement", "Check", "Mismatch", "assert_receptive_field", "check", "check_frontends_agree", "compare_hulls",
    "dependency", "hulls", "support",
]  # fmt: skip

Hulls = tuple[NDArray[np.int64], NDArray[np.int64]]


def check(model: nn.Module, inputs: Any, *, seed: int = 0, rounds: int = 80, graph: Graph | None = None) -> Check:
    """Trace ``model`` and compare the hull of every unit of every module output with brute force, for small networks.

    Layers that foveal marks exact must equal the measured hulls; others must contain them. Weights are drawn anew (the
    model itself is untouched). At least two rounds are made; more, up to ``rounds``, while an exact hull is not yet
    filled, since a maximum or a ReLU can hide a dependency from some of them.
    """
    from foveal.frontends.trace import trace

    traced = trace(model, inputs) if graph is None else graph
    call = prepare(model, inputs)
    found = [_check_source(traced, source, call, name, seed, rounds) for source, name in _pair_sources(traced, call)]
    layers = tuple(dict.fromkeys(layer for one in found for layer in one.layers))
    notes = tuple(dict.fromkeys(note for one in found for note in one.notes))
    mismatches = tuple(mismatch for one in found for mismatch in one.mismatches)
    exact, bound, runs = (sum(getattr(one, key) for one in found) for key in ("exact", "bound", "forwards"))
    return Check(traced.name, layers, exact, bound, runs, mismatches, notes)


def _pair_sources(graph: Graph, call: Call) -> list[tuple[Source, str]]:
    """The graph's sources with the names of the call's inputs, by order."""
    counted = [name for name in call.arrays if call.axes[name]]
    pairs = zip(graph.sources, counted, strict=False)
    return [(source, name) for source, name in pairs if name in call.names]


def _check_source(graph: Graph, source: Source, call: Call, name: str, seed: int, rounds: int) -> Check:
    """Measure and compare, round by round, until all agrees or something cannot come to agree any more."""
    predictions: dict[str, Predicted] = {}
    measured: dict[str, tuple[Bools, ...]] = {}
    skipped: set[str] = set()
    mismatches: list[Mismatch] = []
    tried = 0
    for index in range(rounds):
        more = dependency_round(call, name, seed, index, "generic")
        for layer, seen in more.items():
            if layer not in predictions and layer not in skipped:
                if _comparable(graph, layer, seen):
                    predictions[layer] = predicted_bounds(graph, layer, source)
                else:
                    skipped.add(layer)
        ordinary = STYLES[index % len(STYLES)].ordinary
        merge(measured, {layer: more[layer] for layer, p in predictions.items() if ordinary or not p.masks})
        tried += sum(call.arrays[name].shape[axis] for axis in call.axes[name])
        mismatches = _compare_all(predictions, measured, source)
        hopeless = bool(mismatches) and not _could_grow(mismatches[0])
        if hopeless or (not mismatches and index >= 1):
            break
    sizes = {layer: sum(pair[0].size for pair in p.bounds) for layer, p in predictions.items()}
    exact = sum(size for layer, size in sizes.items() if predictions[layer].exact)
    notes = tuple(f"layer '{layer}' is not in the graph: not compared" for layer in sorted(skipped))
    bound = sum(sizes.values()) - exact
    return Check(graph.name, tuple(sizes), exact, bound, tried, tuple(mismatches), notes)


def _compare_all(
    predictions: Mapping[str, Predicted], measured: Mapping[str, Sequence[Bools]], source: Source
) -> list[Mismatch]:
    """All mismatches, those that no further round can mend in front."""
    found: list[Mismatch] = []
    for layer, predicted in predictions.items():
        for axis, (pair, seen) in enumerate(zip(predicted.bounds, measured[layer], strict=True)):
            found += compare_hulls(layer, axis, pair, hulls(seen), predicted.exact, source.name)
    return sorted(found, key=_could_grow)


def _could_grow(mismatch: Mismatch) -> bool:
    """Whether the measured hull lies inside the predicted one, so that further rounds may still fill it."""
    box, seen = mismatch.predicted, mismatch.measured
    return box is not None and (seen is None or (box[0] <= seen[0] and seen[1] <= box[1]))


def _comparable(graph: Graph, layer: str, measured: Sequence[Bools]) -> bool:
    if layer not in graph.layer_table:
        return False
    return graph.values[graph.layer(layer).value].shape == measured[0].shape[1:]


def compare_hulls(
    layer: str, axis: int, predicted: Hulls, measured: Hulls, exact: bool, source: str = ""
) -> list[Mismatch]:
    """Units whose measured hull differs from an exact prediction, or leaves a bound."""
    first, last = (np.broadcast_to(array, measured[0].shape) for array in predicted)
    seen_first, seen_last = measured
    none, unseen = first > last, seen_first > seen_last
    outside = ~unseen & (none | (seen_first < first) | (seen_last > last))
    if exact:
        wrong = outside | (unseen & ~none) | (~none & ~unseen & ((seen_first != first) | (seen_last != last)))
    else:
        wrong = outside
    return [
        Mismatch(
            layer,
            tuple(int(i) for i in unit),
            axis,
            None if none[tuple(unit)] else (int(first[tuple(unit)]), int(last[tuple(unit)])),
            None if unseen[tuple(unit)] else (int(seen_first[tuple(unit)]), int(seen_last[tuple(unit)])),
            source,
        )
        for unit in np.argwhere(wrong)
    ]


def assert_receptive_field(
    model: Any,
    layer: str,
    inputs: Any = None,
    *,
    source: str | None = None,
    at_least: int | Sequence[int] | None = None,
    at_most: int | Sequence[int] | None = None,
    lookback: int | None = None,
    lookahead: int | None = None,
    center_within: float | None = None,
    exact: bool = True,
) -> None:
    """Fail with a readable AssertionError unless the receptive field of ``layer`` keeps the limits given.

    ``model``: a graph, or whatever ``foveal.trace`` takes, with ``inputs``. ``at_least`` and ``at_most`` limit the
    unclipped size in pixels, of the smallest and largest unit, for all axes or one number per axis; ``lookback`` and
    ``lookahead`` are the furthest a unit may reach before and after its own position; ``center_within`` is how far the
    center of an unclipped box may lie from the center of the unit's cell, in pixels. With ``exact`` a bound fails too:
    a limit met by a bound may still be broken.
    """
    from foveal.frontends.trace import trace

    graph = model if isinstance(model, Graph) else trace(model, inputs)
    rf = receptive_field(graph, layer, source)
    failures = []
    if exact and rf.status != "exact":
        failures.append(f"is not exact but '{rf.status}': {'; '.join(rf.causes) or rf.method}")
    for axis, sizes in enumerate(rf.sizes):
        smallest, largest = sizes or (None, None)
        least, most = _per_axis(at_least, axis), _per_axis(at_most, axis)
        if least is not None and (smallest is None or smallest < least):
            failures.append(f"is {smallest} px on source axis {axis}, at least {least} asked for")
        if most is not None and (largest is None or largest > most):
            failures.append(f"is {largest} px on source axis {axis}, at most {most} asked for")
    for name, limit, values in (("back", lookback, rf.lookback), ("ahead", lookahead, rf.lookahead)):
        for axis, value in enumerate(values):
            if limit is not None and (value is None or value > limit):
                failures.append(f"reaches {value} px {name} on source axis {axis}, at most {limit} asked for")
    if center_within is not None:
        failures += _off_center(graph, rf, center_within)
    if failures:
        lines = "\n".join(f"  it {failure}" for failure in failures)
        raise AssertionError(f"receptive field of layer '{layer}' in {graph.name or 'the model'}:\n{lines}")


def _per_axis(limit: int | Sequence[int] | None, axis: int) -> int | None:
    return limit if limit is None or isinstance(limit, int) else limit[axis]


def _off_center(graph: Graph, rf: ReceptiveField, limit: float) -> list[str]:
    """For each grid axis that follows a source axis: the unit whose box is centered furthest from its cell."""
    source = next(s for s in graph.sources if s.name == rf.source)
    shape = graph.values[source.value].shape
    if len(rf.grid) != len(source.axes):
        return [f"has a grid of {len(rf.grid)} axes for {len(source.axes)} source axes: centers cannot be compared"]
    failures = []
    for axis, (count, length) in enumerate(zip(rf.grid, (shape[a] for a in source.axes), strict=True)):
        middle = [n // 2 for n in rf.grid]
        offsets = []
        for unit in range(count):
            middle[axis] = unit
            center = rf.center(tuple(middle))[axis]
            if center is not None:
                offsets.append((abs(float(center) - ((unit + 0.5) * length / count - 0.5)), unit))
        worst, unit = max(offsets, default=(float("inf"), 0))
        if worst > limit:
            where = f"has unit {unit} centered {worst:g} px off its cell on source axis {axis}"
            failures.append(f"{where}, at most {limit:g} asked for")
    return failures
