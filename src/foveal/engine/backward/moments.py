"""Center and spread of a unit's energy field in closed form: no map, O(layers) (docs/methods.md 2.3, moment shortcut).

Of the contributions that flow back only their mass and their first and second moments along each position axis are
kept: a window of k taps, stride s, dilation d takes positions o to s o - padding + t d, so sums of powers of positions
go over into sums of powers. Joins add. Borders do not exist here: numbers are those of a unit whose receptive field is
not clipped. Upsampling is taken at the mean of its phases, and the answer then says that it is not exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward.adjoint import back
from foveal.engine.backward.algebra import ENERGY, Flow
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.pull import ways_back
from foveal.engine.backward.stages import Stage
from foveal.engine.roles import grid_axes, roles
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node

ALONG_ONE_AXIS = (rel.Blocks, rel.Embed, rel.Slide, rel.Table)


@dataclass(frozen=True)
class EnergyMoments:
    """Of one unit's unclipped energy field, per source axis, in source positions: center of mass, standard deviation.

    total: the sum of the field (1 where nothing is lost); exact: false where phases of upsampling were averaged.
    """

    center: tuple[float, ...]
    sigmas: tuple[float, ...]
    total: float
    exact: bool


class Sums(NamedTuple):
    """Mass, and per axis the sums of positions and of squared positions, all per feature."""

    mass: Flow
    powers: dict[int, tuple[Flow, Flow]]
    exact: bool = True

    def each(self, change: Callable[[Flow], Flow]) -> Sums:
        """The same linear step on every part."""
        return Sums(change(self.mass), {a: (change(p), change(q)) for a, (p, q) in self.powers.items()}, self.exact)


def energy_moments(
    graph: Graph, layer: str, at: Sequence[int] | None = None, source: str | None = None
) -> EnergyMoments:
    """Moments of the energy field (unit weights) of the unit ``at`` (default the middle one) of ``layer``.

    Raises FovealError, naming operation and layer, where a position is moved in a way that has no closed form.
    """
    value = graph.layer(layer).value
    names = [s.name for s in graph.sources]
    chosen = graph.sources[0 if source is None else names.index(source)]
    axes = grid_axes(graph, value)
    lengths = graph.values[value].shape
    unit = [lengths[axis] // 2 for axis in axes] if at is None else list(at)
    one = Flow(np.ones((1,) * len(lengths)), {})
    start = Sums(one, {a: (_times(one, i), _times(one, i * i)) for a, i in zip(axes, unit, strict=True)})
    found = _pull(graph, value, start).get(chosen.value)
    if found is None:
        raise FovealError(f"no position of '{chosen.name}' reaches layer '{layer}' by a path with fixed weights")
    features = prod(n for n, role in zip(lengths, roles(graph)[value], strict=True) if role == "c")
    return _summary(found, graph.values[chosen.value].shape, chosen.axes, features)


def _summary(found: Sums, shape: tuple[int, ...], axes: tuple[int, ...], features: int) -> EnergyMoments:
    def total(flow: Flow) -> float:
        for axis, n in enumerate(shape):
            if axis not in axes:
                flow = ENERGY.total(flow, axis, n, "b" if axis == 0 else "c")
        return float(flow.data.sum()) * float(np.exp(flow.scale))

    mass = total(found.mass)
    center, sigmas = [], []
    for axis in axes:
        first, second = (total(flow) / mass for flow in found.powers[axis])
        center.append(first)
        sigmas.append(float(np.sqrt(max(0.0, second - first * first))))
    return EnergyMoments(tuple(center), tuple(sigmas), mass / max(1, features), found.exact)


def _pull(graph: Graph, value: int, start: Sums) -> dict[int, Sums]:
    sums = {value: start}
    for node, way, factor, path in ways_back(graph, sums, Gains(graph, "energy")):
        operand, part = node.inputs[way.operand], sums[node.output]
        for stage in reversed(path):
            part = _back(stage, part, node)
        part = part.each(partial(_times, factor=factor))
        sums[operand] = part if operand not in sums else _joined(sums[operand], part, node)
    return sums


def _joined(a: Sums, b: Sums, node: Node) -> Sums:
    if a.powers.keys() != b.powers.keys():
        raise _refused(node, "joins positions of different axes")
    powers = {
        axis: (ENERGY.add(a.powers[axis][0], b.powers[axis][0]), ENERGY.add(a.powers[axis][1], b.powers[axis][1]))
        for axis in a.powers
    }
    return Sums(ENERGY.add(a.mass, b.mass), powers, a.exact and b.exact)


def _back(stage: Stage, sums: Sums, node: Node) -> Sums:
    """One step backward."""
    step = stage.step
    if isinstance(step, rel.All):
        for axis in step.axes:
            sums = _whole(stage, axis, sums)
        return sums
    if isinstance(step, ALONG_ONE_AXIS):
        if stage.roles_before[step.axis] != "s":
            return sums.each(lambda flow: back(stage, flow, ENERGY))
        if isinstance(step, rel.Slide):
            taps = np.arange(step.kernel) * step.dilation - step.before
            return _moved(sums, step.axis, step.stride, _powers(taps), True)
        if isinstance(step, rel.Table) and step.ratio is not None:
            return _resampled(sums, step, step.ratio)
    if isinstance(step, rel.Relabel):
        return _relabelled(stage, step, sums)
    if isinstance(step, rel.Expand):
        return _expanded(stage, step, sums)
    if isinstance(step, rel.Reshape):
        return _reshaped(stage, sums, node)
    raise _refused(node, "moves positions in a way that has no closed form")


def _moved(sums: Sums, axis: int, rate: float, taps: tuple[float, float, float], exact: bool) -> Sums:
    """Positions o become rate * o + tap; ``taps``: number of taps, sum of taps, sum of squared taps."""
    if axis not in sums.powers:
        zero = _times(sums.mass, 0.0)
        sums = sums._replace(powers={**sums.powers, axis: (zero, zero)})
    count, first, second = taps
    mass, (p, q) = sums.mass, sums.powers[axis]
    new_p = ENERGY.add(_times(p, count * rate), _times(mass, first))
    new_q = ENERGY.add(_times(q, count * rate * rate), _times(p, 2 * rate * first))
    new_q = ENERGY.add(new_q, _times(mass, second))
    scaled = sums.each(lambda flow: _times(flow, count))
    return Sums(scaled.mass, {**scaled.powers, axis: (new_p, new_q)}, sums.exact and exact)


def _resampled(sums: Sums, step: rel.Table, ratio: tuple[int, int]) -> Sums:
    """The mean over the phases of one period, far from the borders, where filters are cut."""
    shift, period = ratio
    count = min(period, step.n_out)
    outputs = np.arange(count) + (step.n_out - count) // 2
    raw = step.unclipped[outputs]
    rate = shift / period
    used = raw != rel.ABSENT
    weight = np.where(used, 1.0 if step.weights is None else step.weights[outputs] ** 2, 0.0) / outputs.size
    taps = np.where(used, raw - rate * outputs[:, None], 0.0)
    sums_of = (float(weight.sum()), float((weight * taps).sum()), float((weight * taps * taps).sum()))
    return _moved(sums, step.axis, rate, sums_of, period == 1)


def _whole(stage: Stage, axis: int, sums: Sums) -> Sums:
    """All positions (or features) along an axis are read alike."""
    if stage.roles_before[axis] != "s":
        role, n = stage.roles_after[axis], stage.after[axis]
        return sums.each(lambda flow: ENERGY.total(flow, axis, n, role))
    return _moved(sums, axis, 0, _powers(np.arange(stage.before[axis])), True)


def _relabelled(stage: Stage, step: rel.Relabel, sums: Sums) -> Sums:
    bare = stage._replace(after=tuple(1 if i in sums.powers else n for i, n in enumerate(stage.after)))
    moved = sums.each(lambda flow: back(bare, flow, ENERGY))
    powers = {}
    for i, pair in moved.powers.items():
        target = step.order[i]
        if target is not None:
            powers[target] = pair
    return moved._replace(powers=powers)


def _expanded(stage: Stage, step: rel.Expand, sums: Sums) -> Sums:
    lead = len(step.after) - len(step.before)
    after = tuple(1 if i in sums.powers else n for i, n in enumerate(step.after))
    before = tuple(1 if i + lead in sums.powers else n for i, n in enumerate(step.before))
    bare = stage._replace(step=replace(step, before=before, after=after), after=after)
    moved = sums.each(lambda flow: back(bare, flow, ENERGY))
    kept = {
        i - lead: pair
        for i, pair in moved.powers.items()
        if i >= lead and (step.before[i - lead] > 1 or step.after[i] == 1)
    }
    return moved._replace(powers=kept)


def _reshaped(stage: Stage, sums: Sums, node: Node) -> Sums:
    step: rel.Reshape = stage.step  # type: ignore[assignment]
    shape_in = tuple(1 if role == "s" else n for role, n in zip(stage.roles_before, step.before, strict=True))
    kept = {axis: n for axis, n in enumerate(step.after) if axis in sums.powers}
    if kept and [n for n in step.before if n > 1] != [n for n in step.after if n > 1]:
        raise _refused(node, "merges or splits axes of positions")
    if not kept:
        flat = sums.mass.data.size == 1
        if "s" in stage.roles_before and not flat:
            raise _refused(node, "splits an axis that holds positions and features")
        if flat:
            mass = replace(sums.mass, data=sums.mass.data.reshape((1,) * len(step.before)), runs={})
            sums = Sums(mass, {}, sums.exact)
            for axis, role in enumerate(stage.roles_before):
                if role == "s":
                    sums = _moved(sums, axis, 0, _powers(np.arange(step.before[axis])), True)
            return sums
    moved = sums.each(lambda flow: _plain_reshape(flow, shape_in, step))
    longer = [axis for axis, n in enumerate(step.before) if n > 1]
    matching = dict(zip([axis for axis, n in enumerate(step.after) if n > 1], longer, strict=False))
    powers = {matching[axis]: pair for axis, pair in moved.powers.items() if axis in matching}
    return moved._replace(powers=powers)


def _plain_reshape(flow: Flow, shape: tuple[int, ...], step: rel.Reshape) -> Flow:
    """Axes of length 1 come or go; features keep their order."""
    lengths = [n for n in flow.data.shape if n > 1]
    places = [axis for axis, n in enumerate(step.before) if n > 1]
    origin = [axis for axis, n in enumerate(step.after) if n > 1]
    if len(places) != len(origin):
        if not lengths:
            return replace(flow, data=flow.data.reshape((1,) * len(step.before)), runs={})
        return Flow(flow.data.reshape(shape), {}, flow.scale)
    target = [1] * len(step.before)
    for a, b in zip(origin, places, strict=True):
        target[b] = flow.data.shape[a]
    runs = {b: flow.runs[a] for a, b in zip(origin, places, strict=True) if a in flow.runs}
    return Flow(flow.data.reshape(target), runs, flow.scale)


def _powers(positions: np.ndarray) -> tuple[float, float, float]:
    numbers = positions.astype(float)
    return float(numbers.size), float(numbers.sum()), float((numbers * numbers).sum())


def _times(flow: Flow, factor: float) -> Flow:
    return flow if factor == 1 else replace(flow, data=flow.data * factor)


def _refused(node: Node, why: str) -> FovealError:
    return FovealError(f"the moments of the energy have no closed form here: {node.place} {why}; use field()")
