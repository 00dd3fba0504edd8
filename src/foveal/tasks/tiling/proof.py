"""What a plan that looks exact rests on: operations that do the same at all lengths, and runs in tiles and whole.

The index ranges of a plan come from one length. So the operations on the path are compared between the source's own
length and a tile's (``retrace``). What a graph does not hold (a number computed from the length, say) shows in runs
with random weights: at the source's own length where that is cheap, else at shorter lengths with the same remainders,
one axis in tiles at a time and the others short. A plan is exact where they agree. Without a model to run, the
operations must be such as know nothing of the length; else the plan is "unproven".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.measured.cropping import behind
from foveal.ir.backend import Backend
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.tiling.record import AxisPlan, TilePlan
from foveal.tasks.tiling.retrace import can_retrace
from foveal.tasks.tiling.stitching import stitched

CHEAP, DEAR = 5e8, 1e11
"""Multiply-adds (and elements) that all runs may take together: where the operations agree, and where they do not."""
SHARE = 0.1
"""Of the influence that a precision can tell (``Backend.clear``): a difference below is rounding."""
SHORT = 16
"""Multiples by which a short axis is made longer until the model runs."""


class Proof(NamedTuple):
    """status, error, obstacles and method of the plan, as far as they follow from it."""

    status: str
    error: float | None
    obstacles: tuple[str, ...]
    method: str


class Run(NamedTuple):
    """Tiles against the whole at some lengths: the largest difference and the rms, as shares of the whole's."""

    lengths: tuple[int, ...]
    apart: float
    rms: float
    own: bool

    def __str__(self) -> str:
        return "x".join(map(str, self.lengths))


def proven(graph: Graph, plan: TilePlan, unlike: tuple[str, ...]) -> Proof:
    """The verdict on a plan of exact index ranges; unlike: what a trace at the tile's length showed."""
    if plan.count == 1:
        return Proof("exact", None, unlike, plan.method)
    runs, model = [], graph.backend
    tolerance = 0.0
    if model is not None and can_retrace(graph):
        cases = list(_cases(graph, plan, DEAR if unlike else CHEAP))
        model = model.redrawn(0) if cases else model
        tolerance = model.clear * SHARE
        for own, item in cases:
            found = _run(model, item, own)
            if found is not None:
                runs.append(found)
            if found is not None and not found.apart <= tolerance:
                break
    worst = max(runs, key=lambda run: np.nan_to_num(run.apart, nan=np.inf), default=None)
    if worst is not None and not worst.apart <= tolerance:
        why = unlike or (f"{plan.layer}: what it computes depends on the length of the source",)
        text = f"measured with random weights at {worst}"
        return Proof("approximate", worst.rms, why, f"{plan.method}; error {text}")
    ran = f"; run in tiles and whole at {' and '.join(map(str, runs))}: the same" if runs else ""
    if not unlike and (can_retrace(graph) or not lengthwise(graph, plan.layer)):
        return Proof("exact", None, (), plan.method + ran)
    if unlike and len(runs) > 1 and any(run.own for run in runs):
        return Proof("exact", None, (), plan.method + ran)
    why = unlike or lengthwise(graph, plan.layer)
    return Proof("unproven", None, why, plan.method + (ran or "; no model to run at another length"))


def lengthwise(graph: Graph, layer: str) -> tuple[str, ...]:
    """The operations on the path that were given lengths, which one trace alone cannot tell from fixed numbers; none
    where no model stands behind the graph: a description's numbers are fixed.
    """
    found: list[str] = []
    if graph.backend is None:
        return ()
    for node in sorted(behind(graph, [graph.layer(layer).value]), key=lambda node: node.output):
        known = traits(node.op)
        if known.size(node.op) == "free" or known.window(node.op) or known.function(node.op):
            continue
        found.append(f"{node.place}: may depend on the length of the source, which one "
                     "trace does not tell")  # fmt: skip
    return tuple(dict.fromkeys(found))


def _cases(graph: Graph, plan: TilePlan, budget: float) -> Iterator[tuple[bool, TilePlan]]:
    """The plan itself (true) and short ones with its remainders, while they are within the budget together."""
    each = _work(graph, plan.layer) / prod(graph.values[_source(graph, plan)].shape[a] for a in plan.source.axes)
    asked = [(True, plan), *((False, short) for short in _short(plan))]
    spent = 50.0 * graph.parameters  # drawn anew
    for own, item in asked:
        cost = each * (prod(a.length for a in item.axes) + item.count * prod(a.tile for a in item.axes))
        if spent + cost <= budget:
            spent += cost
            yield own, item


def _short(plan: TilePlan) -> Iterator[TilePlan]:
    """Two lengths for each axis in tiles, the others as short as a tile can be."""
    for more in (3, 7):
        for k, axis in enumerate(plan.axes):
            if axis.tile >= axis.span:
                continue
            axes = [_whole(other) for other in plan.axes]
            least = min(axis.smallest + axis.multiple, axis.tile)
            length = least + axis.unread + more * axis.multiple
            if length < axis.length:
                axes[k] = replace(axis, length=length, tile=least)
                yield _with(plan, axes)


def _whole(axis: AxisPlan) -> AxisPlan:
    """The axis as one short tile, of the source's remainder."""
    length = min(axis.length, axis.smallest + axis.unread)
    return replace(axis, length=length, tile=length, unread=0)


def _with(plan: TilePlan, axes: Sequence[AxisPlan]) -> TilePlan:
    shape = list(plan.source.shape)
    for place, axis in zip(plan.source.axes, axes):
        shape[place] = axis.length
    return replace(plan, axes=tuple(axes), source=replace(plan.source, shape=tuple(shape)))


def _run(model: Backend, plan: TilePlan, own: bool) -> Run | None:
    """The tiles against the whole; None where the model does not run at these lengths."""
    given = model.example(0)
    if plan.source.name not in given or given[plan.source.name].dtype.kind != "f":
        return None
    image = np.random.default_rng(0).standard_normal(plan.source.shape)

    straight = model.tiled(model.model, plan.layer, None) if model.framework == "PyTorch" and len(given) == 1 else None

    def forward(part: np.ndarray) -> np.ndarray:
        if straight is not None:  # it ends at the layer
            return straight(part)
        return model.run({**given, plan.source.name: part}, [plan.layer])[plan.layer]

    lengths = tuple(axis.length for axis in plan.axes)
    try:
        whole = forward(image)
    except FovealError:
        return None
    try:
        tiles = stitched(plan, forward, image)
    except FovealError:
        return Run(lengths, np.inf, 1.0, own)
    if whole.shape != tiles.shape:
        return Run(lengths, np.inf, 1.0, own)
    wide = whole.astype(np.float64)
    scale, size = float(np.abs(wide).max(initial=0.0)) or 1.0, float(np.sqrt(np.square(wide).mean())) or 1.0
    apart = np.abs(wide - tiles)
    return Run(lengths, float(apart.max(initial=0.0)) / scale, float(np.sqrt(np.square(apart).mean())) / size, own)


def _source(graph: Graph, plan: TilePlan) -> int:
    return next(s.value for s in graph.sources if s.name == plan.source.name)


def _work(graph: Graph, layer: str) -> float:
    """Multiply-adds and elements of one run at the traced size."""
    total = 0.0
    for node in behind(graph, [graph.layer(layer).value]):
        out = graph.values[node.output].shape
        known = traits(node.op).multiply_adds(node.op, tuple(graph.values[i].shape for i in node.inputs), out)
        total += (known or 0) + 20 * prod(out)
    return total
