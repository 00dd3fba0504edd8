"""The oracle of ``make libraries``: what the model itself says of some units, held against the fields told for them.

Eight layers, spread over the depth, three units each (first, middle, last): all features added up with random signs,
and one feature alone. A source of real numbers is differentiated in float64 (weights that are zero get numbers); one
of whole numbers has each of its positions changed. What reaches a unit from outside the told support is too small; an
exact hull whose edge nothing reaches is counted as not filled, which shut ReLUs and lost maxima can explain: of one
feature they lose more, so that is counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

import foveal
from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes, roles
from foveal.fields.measured.protocols import protocol_of
from foveal.fields.receptive_field import receptive_field
from foveal.ir.backend import Target
from foveal.ir.graph import Graph, Layer, Source
from foveal.report.analyze import visible_layers

LAYERS = 8
POSITIONS = 64
"""Positions of a source of whole numbers that are tried."""


@dataclass
class Outcome:
    """units, features: all features of a unit compared, one of them; small: "layer unit source" whose support was too
    small; unfilled: exact hulls not filled; unfilled_features: how many of single features; left: not asked, and why.
    """

    units: int = 0
    features: int = 0
    unfilled_features: int = 0
    small: list[str] = field(default_factory=list)
    unfilled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def compare(graph: Graph) -> Outcome:
    """The outcome for every source that the model's backend can change."""
    outcome = Outcome()
    assert graph.backend is not None
    model = graph.backend.generic()
    for source in graph.sources:
        kind = model.example(0)[source.name].dtype.kind
        ask = _by_gradient if kind == "f" else _by_change
        layers = _chosen(graph, source)
        try:
            ask(graph, model, source, layers, outcome)
        except FovealError:  # one of them cannot be asked
            for layer in layers:
                try:
                    ask(graph, model, source, [layer], outcome)
                except FovealError as error:
                    outcome.left.append(f"{layer.name}: {str(error)[:100]}")
    return outcome


def _chosen(graph: Graph, source: Source) -> list[Layer]:
    """Modules with a map that the source reaches, spread over the depth."""
    found = []
    for layer in visible_layers(graph):
        if layer.kind == "module" and len(graph.values[layer.value].shape) > 1:
            try:
                receptive_field(graph, layer.name, source.name)
            except FovealError:
                continue
            found.append(layer)
    picked = np.unique(np.linspace(0, len(found) - 1, min(LAYERS, len(found))).round().astype(int)) if found else []
    return [found[index] for index in picked]


def _units(graph: Graph, layer: Layer, source: Source) -> list[Target]:
    """The first unit, the middle one and the last, each with all its features and with one."""
    grid = receptive_field(graph, layer.name, source.name).grid
    count = prod(_features(graph, layer.value))
    places = [tuple(0 for _ in grid), tuple(n // 2 for n in grid), tuple(n - 1 for n in grid)]
    found = []
    for place in dict.fromkeys(places):
        index: list[int | None] = [None] * len(graph.values[layer.value].shape)
        for axis, at in zip(grid_axes(graph, layer.value), place, strict=True):
            index[axis] = at
        found.append(Target(layer.name, tuple(index)))
        if count > 1:
            found.append(Target(layer.name, tuple(index), ((7 * len(found) + 1) % count,) * 2))
    return found


def _features(graph: Graph, value: int) -> list[int]:
    """The lengths of the axes of features that have more than one."""
    pairs = zip(roles(graph)[value], graph.values[value].shape, strict=True)
    return [length for role, length in pairs if role == "c" and length > 1]


def _predicted(graph: Graph, target: Target, source: Source, unit: tuple[int, ...]) -> np.ndarray:
    """Boolean over the source's axes. A field of one channel is that of one index on the first axis of features."""
    layer = target.layer
    lengths = _features(graph, graph.layer(layer).value)
    channel = None if target.channels is None else target.channels[0] // prod(lengths[1:])
    try:
        told = foveal.field(graph, layer, "support", unit, channel=channel, source=source.name)
        return np.asarray(told.full() > 0)
    except FovealError as error:
        if "no position" in str(error) or "nothing" in str(error):
            return np.zeros([graph.values[source.value].shape[axis] for axis in source.axes], bool)
        raise


def _by_gradient(graph: Graph, model: Any, source: Source, layers: list[Layer], outcome: Outcome) -> None:
    targets = [target for layer in layers for target in _units(graph, layer, source)]
    inputs = model.example(0)[source.name]
    ready = model.gradient(source.name, source.axes, "float64")
    signs = [[np.random.default_rng(n)] for n in range(len(targets))]
    maps = ready.maps(inputs, targets, protocol_of("foveal"), signs, batched=False)
    for target, measured in zip(targets, maps, strict=True):
        _judge(graph, source, target, measured.reshape(measured.shape[1:]) != 0, outcome)


def _by_change(graph: Graph, model: Any, source: Source, layers: list[Layer], outcome: Outcome) -> None:
    inputs = model.example(0)
    ids = inputs[source.name]
    if len(source.axes) != 1 or ids.shape[source.axes[0]] > POSITIONS:
        raise FovealError(f"source of shape {ids.shape}")
    axis = source.axes[0]
    targets = [target for layer in layers for target in _units(graph, layer, source)]
    names = [layer.name for layer in layers]
    reference = model.probe(inputs, names)
    if missing := set(names) - set(reference):
        raise FovealError(f"{min(missing)} cannot be read")
    seen = np.zeros((len(targets), ids.shape[axis]), bool)
    for position in range(ids.shape[axis]):
        for other in (0, 1):  # one of them is the padding, which some models count
            changed = ids.copy()
            at = (slice(None),) * axis + (position,)
            changed[at] = np.where(ids[at] == other, 7, other) if ids.dtype.kind == "i" else ~ids[at]
            output = model.probe({**inputs, source.name: changed}, names)
            for number, target in enumerate(targets):
                before, after = _values(reference, target), _values(output, target)
                scale = float(np.abs(before).max(initial=0.0)) or 1.0
                seen[number, position] |= bool((np.abs(after - before) > 1e-9 * scale).any())
    for number, target in enumerate(targets):
        _judge(graph, source, target, seen[number], outcome)


def _values(found: dict[str, np.ndarray], target: Target) -> np.ndarray:
    values = found[target.layer][tuple(slice(None) if index is None else index for index in target.place)]
    return values if target.channels is None else values.reshape(1, -1)[:, target.features]


def _judge(graph: Graph, source: Source, target: Target, seen: np.ndarray, outcome: Outcome) -> None:
    unit = tuple(index for index in target.place if index is not None)
    told = _predicted(graph, target, source, unit)
    single = target.channels is not None
    outcome.features += single
    outcome.units += not single
    where = f"{target.layer} {unit} of {source.name}" + (f", feature {target.channels[0]}" if target.channels else "")
    if (seen & ~told).any():
        outcome.small.append(where)
    elif receptive_field(graph, target.layer, source.name).status == "exact":
        for axis in range(told.ndim):
            others = tuple(k for k in range(told.ndim) if k != axis)
            if seen.any() and not np.array_equal(_ends(seen.any(axis=others)), _ends(told.any(axis=others))):
                outcome.unfilled_features += single
                outcome.unfilled += [where] * (not single)
                break


def _ends(line: np.ndarray) -> list[int]:
    found = np.flatnonzero(line)
    return [int(found[0]), int(found[-1])] if found.size else []
