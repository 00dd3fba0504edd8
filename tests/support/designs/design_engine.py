"""The same numbers as the closed forms, from the whole engine: trace of the text specification, then its analyses."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

import foveal
from foveal.designs.closed.evaluate import Evaluation, evaluate
from foveal.designs.closed.steps import MisfitError
from foveal.designs.network import Network
from foveal.designs.text import specification
from foveal.engine.backward.algebra import ENERGY
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.moments import energy_moments
from foveal.engine.backward.pull import over_source, pull, seed
from foveal.frontends.text.trace import trace_spec
from foveal.ir import ops
from foveal.ir.graph import Graph
from foveal.report.costs import total_cost
from foveal.tasks.classification.productivity import layer_paths

UNITS = 4
MOVING = (ops.Pointwise, ops.Mix, ops.Reshape)


def differences(network: Network, found: Evaluation, large: int | None = None) -> list[str]:
    """What the engine says otherwise, in words; [] where all agrees.

    large: side of an input on which fields are not clipped, for supports and evenness; None leaves these two out.
    """
    graph = trace_spec(specification(network))
    wrong = _costs(graph, found)
    covered = foveal.receptive_field(graph, found.widest.layer).covered
    if abs(covered - found.covered) > 1e-9:
        wrong.append(f"covered {covered}, closed form {found.covered}")
    idle = _idle(graph)
    if idle != len(found.unproductive):
        wrong.append(f"{idle} unproductive layers, closed form {found.unproductive}")
    smallest = min(
        min(value.shape[2:])
        for value in graph.values
        if value.kind == "computed" and max(value.shape[2:], default=1) > 1
    )
    if network.neck.kind != "pyramid-pooling" and smallest < UNITS:
        # Maps of a unit or two do not show how fields go on: unclipped numbers are read off a larger input.
        network, larger = _enlarged(network)
        # The middle unit's phase, and with it the share it sees, may be another one.
        if [replace(a, filled=1.0) for a in larger.levels] != [replace(a, filled=1.0) for a in found.levels]:
            wrong.append(f"levels depend on the input: {found.levels}, {larger.levels}")
        graph = trace_spec(specification(network))
    for level in found.levels:
        rf = foveal.receptive_field(graph, level.layer)
        sizes = rf.sizes
        for axis, own in enumerate(sizes):
            # A map of one unit shows one phase only; a border unit may be all there is.
            units = rf.grid[axis]
            if units >= rf.period[axis] and own != (level.smallest, level.size):
                wrong.append(f"{level.layer} sizes {own}, closed form {(level.smallest, level.size)}")
            _same(wrong, f"{level.layer} stride", rf.stride[axis], level.stride, units > 1)
            _same(wrong, f"{level.layer} lookback", rf.lookback[axis], level.lookback, units >= rf.period[axis] > 0)
            _same(wrong, f"{level.layer} lookahead", rf.lookahead[axis], level.lookahead, units >= rf.period[axis])
            center = rf.center()[axis]
            _same(wrong, f"{level.layer} offset", center - (level.stride - 1) / 2, level.offset)
        moments = energy_moments(graph, level.layer)
        if not np.allclose(moments.sigmas, level.sigma, rtol=1e-6, atol=1e-6):
            wrong.append(f"{level.layer} sigma {moments.sigmas}, closed form {level.sigma}")
    if large is not None:
        wrong += _on_a_large_input(network, found, large)
    return wrong


def _enlarged(network: Network) -> tuple[Network, Evaluation]:
    for factor in range(6, 109):
        larger = replace(network, input=(network.input[0], *(n * factor for n in network.space)))
        try:
            return larger, evaluate(larger)
        except MisfitError:
            continue
    raise AssertionError(f"no larger input fits {network}")


def _same(wrong: list[str], what: str, engine: object, closed: object, asked: bool = True) -> None:
    if asked and engine is not None and engine != closed:
        wrong.append(f"{what} {engine}, closed form {closed}")


def _costs(graph: Graph, found: Evaluation) -> list[str]:
    wrong: list[str] = []
    _same(wrong, "multiply-adds", total_cost(graph).value, found.multiply_adds)
    _same(wrong, "parameters", graph.parameters, found.parameters)
    _same(wrong, "memory", peak_bytes(graph), found.memory)
    return wrong


def peak_bytes(graph: Graph) -> int:
    """Activations alive at once, node by node; operations that keep the shape work in place, additions do not."""
    root: dict[int, int] = {source.value: source.value for source in graph.sources}
    for node in graph.nodes:
        signals = [i for i in node.inputs if i in root]
        in_place = isinstance(node.op, MOVING) and len(signals) == 1
        root[node.output] = root[signals[0]] if in_place else node.output
    last: dict[int, int] = {}
    for place, node in enumerate(graph.nodes):
        last.update({root[i]: place for i in node.inputs if i in root})
    alive = peak = prod(graph.values[graph.sources[0].value].shape)
    for place, node in enumerate(graph.nodes):
        if root[node.output] == node.output:
            alive += prod(graph.values[node.output].shape)
            peak = max(peak, alive)
        for used in {root[i] for i in node.inputs if i in root}:
            if last[used] == place:
                alive -= prod(graph.values[used].shape)
    return peak * 4


def _idle(graph: Graph) -> int:
    rows = layer_paths(graph, graph.sources[0])
    trunk = [row for row in rows if row.kind in ("convolution", "pooling") and not row.layer.startswith(OTHERS)]
    necks = _after_the_trunk(graph)
    return sum(row.border for row in trunk if row.value not in necks)


OTHERS = ("neck", "predict", "tower", "gap", "fc")


def _after_the_trunk(graph: Graph) -> set[int]:
    """Values made after the last stage ended."""
    stages = [layer.value for name, layer in graph.layer_table.items() if name.startswith("stage") and "." not in name]
    return set(range(max(stages) + 1, len(graph.values)))


def _on_a_large_input(network: Network, found: Evaluation, large: int) -> list[str]:
    wrong: list[str] = []
    if network.neck.kind == "pyramid-pooling":
        # Its cells grow with the map: no input is large for it.
        return wrong
    wide, closed = _of_side(network, large)
    large = wide.space[0]
    graph = trace_spec(specification(wide))
    for level in closed.levels:
        box = foveal.receptive_field(graph, level.layer).box(tuple(n // 2 for n in graph_grid(graph, level.layer)))
        if any(a < 0 or b > large for a, b in box):
            continue
        support = foveal.field(graph, level.layer, "support").values
        if abs(support.mean() - level.filled) > 1e-9:
            wrong.append(f"{level.layer} filled {support.mean()}, closed form {level.filled}")
    total = _read(graph, [level.layer for level in closed.levels])
    margin = max(level.size for level in closed.levels) + 64
    whole = (large - 2 * margin) // closed.grain * closed.grain
    if whole >= 2 * closed.grain:
        inner = total[(slice(margin, margin + whole),) * total.ndim]
        profile = inner.reshape(whole, -1).sum(axis=1)
        if abs(profile.min() / profile.max() - closed.evenness) > 1e-6:
            wrong.append(f"evenness {profile.min() / profile.max()}, closed form {closed.evenness}")
    return wrong


def _of_side(network: Network, least: int) -> tuple[Network, Evaluation]:
    """The network on the next longer input on which it can be laid out."""
    for side in range(least, 2 * least):
        wide = replace(network, input=(network.input[0], *(side,) * len(network.space)))
        try:
            return wide, evaluate(wide)
        except MisfitError:
            continue
    raise AssertionError(f"no input from {least} on fits {network}")


def graph_grid(graph: Graph, layer: str) -> tuple[int, ...]:
    """Units of a layer."""
    return foveal.receptive_field(graph, layer).grid


def _read(graph: Graph, layers: list[str]) -> np.ndarray:
    """Expected squared gradient of all units together, over the source."""
    source = graph.sources[0]
    total = np.zeros([graph.values[source.value].shape[axis] for axis in source.axes])
    for layer in layers:
        value = graph.layer(layer).value
        flow = pull(graph, {value: seed(graph, value, None, ENERGY)}, ENERGY, Gains(graph, "energy"))[source.value]
        shape = graph.values[source.value].shape
        # Features are seeded one each; the closed form seeds one for all of them.
        features = prod(graph.values[value].shape[:2])
        total += over_source(flow, shape, source.axes, ENERGY) * np.exp(flow.scale) / features
    return total
