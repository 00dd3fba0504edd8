"""A guard for people's own continuous integration: the limits that a layer's receptive field must keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph
from foveal.report.results import unit_of


def assert_receptive_field(
    model: Any,
    layer: str | None = None,
    inputs: Any = None,
    *,
    source: str | None = None,
    at_least: int | Sequence[int] | None = None,
    at_most: int | Sequence[int] | None = None,
    lookback: int | None = None,
    lookahead: int | None = None,
    center_within: float | None = None,
    exact: bool = True,
    axes: Any = None,
) -> None:
    """Fail with a readable AssertionError unless the receptive field of ``layer`` (default: the last) keeps the limits.

    ``model``: a graph, or whatever ``foveal.trace`` takes, with ``inputs``. ``at_least`` and ``at_most`` limit the
    unclipped size in pixels, of the smallest and largest unit, for all axes or one number per axis; ``lookback`` and
    ``lookahead`` are the furthest a unit may reach before and after its own position, at the borders too (padding that
    mirrors or wraps); ``center_within`` is how far the
    center of an unclipped box may lie from the center of the unit's cell, in pixels. With ``exact`` a bound fails too:
    a limit met by a bound may still be broken.
    """
    graph = trace(model, inputs, axes=axes)
    if graph.stopped and (layer is None or layer not in graph.layer_table):
        what = "the network's output" if layer is None else f"layer '{layer}'"
        raise AssertionError(f"{what} is not in the trace of {graph.name or 'the model'}: {graph.stopped}")
    layer = layer or graph.main
    rf = receptive_field(graph, layer, source)
    unit = unit_of(len(rf.source_shape))
    failures = []
    if rf.status == "contradicted":
        exact = True
    if exact and rf.status != "exact":
        failures.append(f"is not exact but '{rf.status}': {'; '.join(rf.causes) or rf.method}")
    for axis, sizes in enumerate(rf.sizes):
        smallest, largest = sizes or (None, None)
        least, most = _per_axis(at_least, axis), _per_axis(at_most, axis)
        if least is not None and (smallest is None or smallest < least):
            failures.append(f"is {smallest} {unit} on source axis {axis}, at least {least} asked for")
        if most is not None and (largest is None or largest > most):
            failures.append(f"is {largest} {unit} on source axis {axis}, at most {most} asked for")
    for name, limit, values in (("back", lookback, rf.lookback), ("ahead", lookahead, rf.lookahead)):
        for axis, value in enumerate(values):
            if limit is not None and (value is None or value > limit):
                failures.append(f"reaches {value} {unit} {name} on source axis {axis}, at most {limit} asked for")
            elif limit is not None and (far := _border(rf, axis, name == "ahead", limit)):
                failures.append(f"{far} on source axis {axis}, at most {limit} asked for")
    if center_within is not None:
        failures += _off_center(graph, rf, center_within)
    if failures:
        lines = "\n".join(f"  it {failure}" for failure in failures)
        raise AssertionError(f"receptive field of layer '{layer}' in {graph.name or 'the model'}:\n{lines}")


def _per_axis(limit: int | Sequence[int] | None, axis: int) -> int | None:
    return limit if limit is None or isinstance(limit, int) else limit[axis]


def _border(rf: ReceptiveField, axis: int, ahead: bool, limit: int) -> str:
    """Which units reach too far inside the source though none does where it goes on for ever; "" where none does."""
    progress = rf.progress[axis]
    if progress is None:
        return ""
    index = np.arange(rf.grid[progress[0]]).reshape((-1,) + (1,) * (len(rf.grid) - progress[0] - 1))
    own = index * float(progress[1].rate)
    apart = rf.last[axis][0] - own if ahead else own - rf.first[axis][0]
    apart, nothing, index = np.broadcast_arrays(apart, rf.nothing[0], index)
    far = ~nothing & (apart > limit)
    if not far.any():
        return ""
    units = int(index[far].max()) + 1 if ahead else rf.grid[progress[0]] - int(index[far].min())
    side, way = ("first", "ahead") if ahead else ("last", "back")
    return f"has {side} {units} unit(s) that reach {apart[far].max():g} positions {way} (padding that mirrors or wraps)"


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
            where = f"has unit {unit} centered {worst:g} positions off its cell on source axis {axis}"
            failures.append(f"{where}, at most {limit:g} asked for")
    return failures
