"""Tiling: computing a layer over a large source piece by piece, with the same result as on the whole.

Exact tiling needs four things (docs/methods.md 6.4): tiles start at multiples of every stride on the path; each carries
a halo of all that its units see beyond it, over all phases; nothing on the path mixes the whole map or knows where it
stands; zero padding meets the true borders only. Where the third does not hold the plan names the layer, and gives the
halo that keeps a wanted error by the effective receptive field.

Every tile has the source's remainder by the multiple, so that padding which depends on the size (TensorFlow's SAME)
and windows cut off at the end fall as they do on the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from foveal.check.automatic import look
from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.frontends.trace import is_input, network
from foveal.ir.graph import Graph, constant_text
from foveal.ir.layout import laid_out
from foveal.ir.rules import traits
from foveal.report.results import SourceInfo
from foveal.report.units import source_info
from foveal.tasks.shared.equivariance import Shifts, shifts
from foveal.tasks.tiling.grid import plan_axis
from foveal.tasks.tiling.halo import halo
from foveal.tasks.tiling.memory import memory
from foveal.tasks.tiling.proof import proven
from foveal.tasks.tiling.record import AxisPlan, TilePlan
from foveal.tasks.tiling.retrace import can_retrace, runs_with, unlike_at_tile, with_source
from foveal.tasks.tiling.sizes import MODERATE, moderate_sizes, smallest_sizes

Size = Sequence[int] | int
ROUNDED = 1e-4
"""A share of a position, from which on rounded coordinates are told."""


def tile(
    model: Any,
    layer: Any = None,
    source_size: Size | None = None,
    tile: Size | None = None,
    *,
    inputs: Any = None,
    source: str | None = None,
    error: float | None = None,
    check: bool = True,
    axes: Any = None,
) -> TilePlan:
    """How to compute ``layer`` (default: the network's output) over a source of ``source_size``, tile by tile.

    model, inputs: as for :func:`foveal.trace`, or a graph; layer: a name, a number or the model's own module.
    source_size: positions per source axis (default: as traced). tile: the longest a tile may be, halo included
    (default: the smallest that computes at most half of the source twice; else one tile). error: a wanted expected
    relative error; without it the plan is exact where that is possible. check: where the trace rests on more than the
    algebra, a few runs of the model are held against its numbers.
    Raises FovealError where the layer has no position to tile along, where the tile is too small (the message has the
    smallest), and where the network does not run at the source's or the tile's size.
    """
    if is_input(layer):
        layer, inputs = None, layer
    graph = network(model, inputs, axes)
    layer = None if layer is None else graph.name_of(layer)
    if check:
        look(graph)
    plain, trimmed = _bases(graph, layer, source_size, source, error)
    if trimmed is not None:
        with suppress(FovealError):  # the model may not run at these lengths
            plan = _tile(trimmed, tile)
            if plan.exact and plan.count > 1:
                return plan
    return _tile(plain, tile)


def _tile(found: _Basis, tile: Size | None) -> TilePlan:
    whole = _axes(found, (None,) * len(found.info.lengths))
    chosen = moderate_sizes(found.graph, found.info.name, whole) if tile is None else None
    try:
        axes = _axes(found, chosen or _sizes(tile, found.info.lengths, "tile"))
    except FovealError as small:
        raise FovealError(f"{small} ({found.obstacles[0]})" if found.obstacles else str(small)) from None
    apart = unlike_at_tile(found.graph, found.layer, found.info.name, axes)
    value = found.graph.layer(found.layer).value
    plan = TilePlan(
        found.graph.name, found.layer, found.info, axes, found.value_axes, found.status, found.obstacles + apart,
        found.error, memory(found.graph, value, found.traced, axes), found.method + _one_tile(found, axes, tile),
        (*warnings(found.graph), *(_rounded(found.graph, value, found.info) if _several(axes) else ())),
    )  # fmt: skip
    return replace(plan, **proven(found.graph, plan, apart)._asdict()) if plan.exact else plan


def smallest_tile(
    graph: Graph,
    layer: str | None = None,
    source_size: Size | None = None,
    *,
    source: str | None = None,
    error: float | None = None,
    axes: Any = None,
) -> tuple[int, ...]:
    """The smallest tile, halo included, per source axis, at which the model runs; as for :func:`tile`."""
    graph = laid_out(graph, axes)
    found, trimmed = _bases(graph, layer, source_size, source, error)
    if trimmed is not None:
        planned = tile(graph, layer, source_size, source=source, error=error).axes
        found = trimmed if any(axis.unread for axis in planned) else found
    return smallest_sizes(found.graph, found.info.name, _axes(found, (None,) * len(found.info.lengths)))


class _Basis(NamedTuple):
    """What a plan rests on, before the tile's size is chosen. traced: lengths at which the graph was traced."""

    graph: Graph
    layer: str
    info: SourceInfo
    traced: tuple[int, ...]
    need: tuple[tuple[int, int], ...]
    multiples: tuple[int, ...]
    strides: tuple[Fraction, ...]
    value_axes: tuple[int, ...]
    status: str
    obstacles: tuple[str, ...]
    error: float | None
    method: str
    unread: tuple[int, ...]


def _axes(found: _Basis, wanted: Sequence[int | None]) -> tuple[AxisPlan, ...]:
    return tuple(
        plan_axis(name, length, longest, need, multiple, stride, unread)
        for name, length, longest, need, multiple, stride, unread in zip(
            found.info.axis_names, found.info.lengths, wanted, found.need, found.multiples, found.strides, found.unread
        )
    )


def _one_tile(found: _Basis, axes: tuple[AxisPlan, ...], asked: Size | None) -> str:
    """Why the source is one tile though none was asked for; "" where it is several, or one was."""
    if asked is not None or any(axis.tile < axis.span for axis in axes):
        return ""
    if all(axis.smallest >= axis.span for axis in axes):
        halos = _lengths([sum(axis.halo) for axis in axes])
        return f"; one tile, as halo ({halos}) and one multiple are the whole source: give a larger source"
    least = smallest_sizes(found.graph, found.info.name, axes)
    if not runs_with(found.graph, found.info.name, least) or least == found.info.lengths:
        return "; one tile, as the model does not run on a smaller one"
    return (
        f"; one tile, as each smaller one computes more than {MODERATE:.0%} of the source again: ask for one of "
        f"{_lengths(least)} or more"
    )


def _bases(
    graph: Graph, layer: str | None, source_size: Size | None, source: str | None, error: float | None
) -> tuple[_Basis, _Basis | None]:
    """What a plan rests on; and the same with the positions left out that no unit reads, where that makes halos smaller
    (it may be wrong, as padding moves in: only an exact plan shows that it is not).
    """
    if not graph.layers:
        why = "".join(f"; {constant_text(name)}" for name in graph.constants)
        raise FovealError(f"{graph.name}: the network has no layer to tile{why}")
    if error is not None and not 0 < error < 1:
        raise FovealError(f"error {error}: expected a relative error between 0 and 1, such as 1e-3")
    name = graph.main if layer is None else layer
    traced = receptive_field(graph, name, source)
    if traced.status == "contradicted":
        raise FovealError(f"layer '{name}' cannot be tiled by numbers that are wrong: {'; '.join(traced.causes)}")
    near = traced.local or traced
    if None in near.progress and near.causes:
        # Known at once; the shifts of all that lies before it take long on a detector's lists of boxes.
        raise FovealError(
            f"layer '{name}' has no position along source axis {near.progress.index(None)} ({near.causes[0]}): it "
            f"cannot be tiled; {_before(graph, name, traced.source)}"
        )
    size = _sizes(source_size, traced.source_shape, "source_size")
    graph, moving = _at_size(graph, name, traced.source, size)
    rf = receptive_field(graph, name, traced.source)
    local = rf.local or rf
    strides, grid = _strides(graph, local, moving)
    none, unread = (0,) * len(size), _unread(graph, rf, moving.multiples)
    need, status, method, wanted = halo(graph, rf, local, moving, strides, grid, none, error)
    axes = grid_axes(graph, graph.layer(name).value)
    plain = _Basis(
        graph, name, _info(graph, rf.source, size), rf.source_shape, need, moving.multiples, strides,
        tuple(axes[g] for g in grid), status, tuple(str(o) for o in moving.obstacles), wanted, method,
        none,
    )  # fmt: skip
    if status != "exact" or not any(unread):
        return plain, None
    trimmed = plain._replace(need=halo(graph, rf, local, moving, strides, grid, unread, error)[0], unread=unread)
    halos = [[sum(axis.halo) for axis in _axes(each, (None,) * len(size))] for each in (plain, trimmed)]
    return plain, trimmed if all(b <= a for a, b in zip(*halos)) and halos[0] != halos[1] else None


def _before(graph: Graph, name: str, source: str) -> str:
    """The last layer before it that has positions along every axis, as what to ask for."""
    for layer in reversed(graph.layers[: graph.layers.index(name)]):
        with suppress(FovealError):
            if None not in receptive_field(graph, layer, source).progress:
                return f"ask for a layer before it, such as '{layer}'"
    return "ask for a layer before it"


def _unread(graph: Graph, rf: ReceptiveField, multiples: tuple[int, ...]) -> tuple[int, ...]:
    """Positions at the end of each axis that no unit reads, where a run or the operations can show that all is the
    same without them.
    """
    found = []
    for axis, (length, multiple) in enumerate(zip(rf.source_shape, multiples)):
        last = int(np.where(rf.nothing[0], -1, rf.last[axis][0]).max(initial=-1))
        found.append(length - 1 - last if rf.local is None and 0 < length - 1 - last < multiple else 0)
    path = graph.behind(graph.layer(rf.layer).value)
    valid = all(traits(node.op).size(node.op) == "free" and not traits(node.op).pads(node.op) for node in path)
    return tuple(found) if can_retrace(graph) or valid else (0,) * len(found)


def warnings(graph: Graph) -> Iterator[str]:
    """What the reader of a plan must know about the trace."""
    if graph.stopped:
        yield f"{graph.stopped}; the last layer traced is not the network's output"
    yield from (note.text for note in graph.notes if note.code == "not-checked")


def _several(axes: Sequence[AxisPlan]) -> bool:
    """Whether there is more than one tile."""
    return any(len(axis.starts) > 1 for axis in axes)


def _rounded(graph: Graph, value: int, info: SourceInfo) -> Iterator[str]:
    """Coordinates between positions, which single precision rounds: those of a long source more than of a tile."""
    source = next(source for source in graph.sources if source.name == info.name)
    traced = [graph.values[source.value].shape[axis] for axis in source.axes]
    longer = max(wanted / length for wanted, length in zip(info.lengths, traced, strict=True))
    for node in graph.behind(value):
        before, after = graph.values[node.inputs[0]].shape, graph.values[node.output].shape
        for axis in traits(node.op).resamples(node.op) if traits(node.op).alike(node.op).hands else ():
            parts = Fraction(before[axis], after[axis]).denominator
            rounding = before[axis] * longer * 2.0**-23
            if parts & (parts - 1) and rounding > ROUNDED:
                yield (
                    f"{node.place}: single precision rounds its coordinates by up to {rounding:.1g} of a position "
                    "at the end of the source, and tiles differ from the whole by as much of a step between neighbours"
                )
                return


def _sizes(given: Size | None, default: Sequence[int], what: str) -> tuple[int, ...]:
    if given is None:
        return tuple(default)
    numbers = (given,) * len(default) if isinstance(given, int) else tuple(given)
    if len(numbers) != len(default) or any(type(n) is not int or n < 1 for n in numbers):
        raise FovealError(f"{what} {given}: expected {len(default)} positive lengths, one per source axis")
    return numbers


def _at_size(graph: Graph, layer: str, source: str, size: tuple[int, ...]) -> tuple[Graph, Shifts]:
    """The graph at a size with the source's remainders, and its shifts; traced again where need be."""
    index = [s.name for s in graph.sources].index(source)
    value = graph.layer(layer).value
    moving = shifts(graph, value, index)
    axes = graph.sources[index].axes
    traced = tuple(graph.values[graph.sources[index].value].shape[a] for a in axes)
    if all((a - b) % m == 0 and a >= min(b, 2 * m) for a, b, m in zip(traced, size, moving.multiples)):
        return graph, moving
    # The same remainder is enough, and a size near the traced one is known to run; it must show two periods.
    wanted = tuple(a + (b - a) % m for a, b, m in zip(traced, size, moving.multiples))
    shown = tuple(
        n if n >= min(b, 2 * m) else b - (b - 2 * m) // m * m for n, b, m in zip(wanted, size, moving.multiples)
    )
    try:
        again = with_source(graph, source, shown)
    except FovealError:
        if not any(b % m for b, m in zip(size, moving.multiples)):
            raise
        fits = _lengths([-(-b // m) * m for b, m in zip(size, moving.multiples)])
        raise FovealError(
            f"{graph.name}: the network does not run on a source of {_lengths(size)}; pad or crop it to multiples of "
            f"{_lengths(moving.multiples)}, such as --size {fits}"
        ) from None
    found = shifts(again, again.layer(layer).value, index)
    near = [again.values[again.sources[index].value].shape[axis] for axis in axes]
    if any((b - a) % m for a, b, m in zip(near, size, found.multiples)):
        # What is resized to the source's own length has another step at each length.
        least = [min(m, n) for m, n in zip(moving.multiples, found.multiples)]
        raise FovealError(
            f"layer '{layer}' at {_lengths(size)}: the step from one position to the next depends on the source's "
            f"length, so that no tile repeats the whole; pad or crop the source to multiples of {_lengths(least)}, "
            f"such as {_lengths([-(-b // m) * m for b, m in zip(size, least)])}"
        )
    return again, found


def _lengths(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _strides(graph: Graph, local: ReceptiveField, moving: Shifts) -> tuple[tuple[Fraction, ...], tuple[int, ...]]:
    """Source positions per unit, and the grid axis that follows each source axis."""
    strides, grid = [], []
    for axis, progress in enumerate(local.progress):
        if progress is None or progress[1].rate <= 0:
            why = f" ({moving.obstacles[0]})" if moving.obstacles else ""
            raise FovealError(
                f"layer '{local.layer}' has no position along source axis {axis}{why}: it cannot be tiled; "
                f"{_before(graph, local.layer, local.source)}"
            )
        strides.append(progress[1].rate)
        grid.append(progress[0])
    return tuple(strides), tuple(grid)


def _info(graph: Graph, source: str, size: tuple[int, ...]) -> SourceInfo:
    found = next(s for s in graph.sources if s.name == source)
    shape = list(graph.values[found.value].shape)
    for axis, length in zip(found.axes, size):
        shape[axis] = length
    return source_info(graph, found, tuple(shape))
