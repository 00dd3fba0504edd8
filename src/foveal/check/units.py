"""All predictions for a small model held against brute force: every unit of every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foveal.check.oracle import Call, dependency_round, merge, prepare
from foveal.check.perturbation import STYLES, Bools, hulls
from foveal.check.predicted import Predicted, predicted_bounds
from foveal.check.verify import Check, Mismatch
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph, Source
from foveal.ir.layout import laid_out

if TYPE_CHECKING:
    from torch import nn

Hulls = tuple[NDArray[np.int64], NDArray[np.int64]]


def check(
    model: nn.Module, inputs: Any, *, seed: int = 0, rounds: int = 80, graph: Graph | None = None, axes: Any = None
) -> Check:
    """Trace ``model`` and compare the hull of every unit of every module output with brute force, for small networks.

    Layers that foveal marks exact must equal the measured hulls; others must contain them. Weights are drawn anew (the
    model itself is untouched). At least two rounds are made; more, up to ``rounds``, while an exact hull is not yet
    filled, since a maximum or a ReLU can hide a dependency from some of them.
    """
    traced = trace(model, inputs, axes=axes) if graph is None else laid_out(graph, axes)
    call = prepare(model, inputs)
    counted = (name for name, own in call.axes.items() if own)
    call = replace(call, axes={**call.axes, **{name: source.axes for name, source in zip(counted, traced.sources)}})
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
                known = graph.layer_table.get(layer)
                if known is not None and graph.values[known.value].shape == seen[0].shape[1:]:
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
