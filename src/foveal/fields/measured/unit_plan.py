"""What one measurement computes: settings, the unit of each layer, targets of the run, cuts of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes
from foveal.fields.channel_groups import channel_groups
from foveal.fields.field import Box
from foveal.fields.measured.cropping import Crop, plan_crop
from foveal.fields.measured.images import Layout
from foveal.fields.measured.protocols import Protocol, fixed_unit
from foveal.fields.measured.uncertainty import METRICS
from foveal.fields.measured.waists import Waist, plan_waists
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.backend import Backend, Target
from foveal.ir.graph import Graph, Source


@dataclass(frozen=True)
class Settings:
    """How to measure, beside protocol and images: everything that can change a bit of the result.

    batch: images in one forward pass. crop: whether the source may be cut to what the units see. dtype: None for the
    model's own precision. tolerance: stop when ``metric``'s interval is within that share of its value. channels: also
    each group of channels that see unlike parts. patch: side of an occluded patch, None for few of them. signed: also
    the occlusions that lower the unit and those that raise it. device: where the model runs, None for the CPU.
    """

    seed: int = 0
    batch: int = 1
    crop: bool = True
    dtype: str | None = None
    tolerance: float | None = None
    metric: str = "sigma"
    channels: bool = False
    patch: int | None = None
    signed: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise FovealError(f"unknown metric '{self.metric}' for a tolerance; known: {', '.join(METRICS)}")
        if self.batch < 1:
            raise FovealError(f"batch must be at least 1, got {self.batch}")
        if self.patch is not None and self.patch < 1:
            raise FovealError(f"a patch has at least 1 position a side, got {self.patch}")
        if self.dtype not in (None, "float16", "bfloat16", "float32", "float64", "mixed"):
            raise FovealError(f"unknown precision '{self.dtype}'; known: float32, float64, bfloat16, float16, mixed")


class Row(NamedTuple):
    """What one field of a measurement is about: (first, last) of the unit's channels, None for all, and of the answers
    to occlusion those that count: "" all, "supports" where the unit falls, "opposes" where it rises.
    """

    channels: tuple[int, int] | None = None
    answers: str = ""


class Plan(NamedTuple):
    """What one forward pass computes: for each field its unit and target, the cut and why there is none."""

    source: Source
    layout: Layout
    fields: tuple[ReceptiveField, ...]
    units: tuple[tuple[int, ...], ...]
    targets: tuple[Any, ...]
    crop: Crop | None
    waists: tuple[Waist, ...]
    why_whole: str
    rows: tuple[Row, ...]
    protocol: Protocol
    settings: Settings


def plan_of(
    graph: Graph,
    layers: Sequence[str],
    at: Sequence[int] | int | None,
    channel: int | None,
    source: str | None,
    protocol: Protocol,
    settings: Settings,
) -> Plan:
    """Units, targets and the cut."""
    if graph.backend is None:
        raise FovealError(f"{graph.name}: a measured field needs a PyTorch model; this network has none behind it")
    if not layers:
        raise FovealError("a measured field needs a layer")
    if not protocol.occlude and (settings.signed or settings.patch is not None):
        raise FovealError("patches and signs are of the protocols of occlusion")
    if settings.dtype == "mixed" and protocol.display == "log10":
        raise FovealError(
            f"protocol '{protocol.name}' depends on the scale of the gradients, which mixed precision does not hold"
        )
    fields = tuple(receptive_field(graph, name, source) for name in layers)
    if len({rf.source for rf in fields}) > 1:
        raise FovealError("layers measured together must depend on the same source; name it")
    chosen = next(s for s in graph.sources if s.name == fields[0].source)
    model = graph.backend
    units = tuple(_unit(rf, at, protocol, model.prefix_tokens) for rf in fields)
    layout = Layout(graph.values[chosen.value].shape, chosen.axes)
    crop: Crop | str = "switched off"
    if settings.crop:
        crop = plan_crop(graph, fields, units, _retrace(model, layout, chosen.name))
    cut = crop if isinstance(crop, Crop) else None
    waists: tuple[Waist, ...] = ()
    places = units if cut is None else cut.units
    # In single precision the kernels for small maps round otherwise, which opens and closes ReLUs.
    double = (settings.dtype or model.precision) == "float64"
    if cut is not None and len(fields) == 1 and double:
        waists, place = plan_waists(graph, fields[0], units[0], cut)
        places = (place,)
    rows = [_rows(graph, rf, channel, settings) for rf in fields]
    targets = tuple(
        Target(rf.layer, _index(graph, rf.layer, unit), row.channels)
        for rf, unit, mine in zip(fields, places, rows)
        for row in mine
    )
    fields = tuple(rf for rf, mine in zip(fields, rows) for _ in mine)
    units = tuple(unit for unit, mine in zip(units, rows) for _ in mine)
    why = "" if cut else str(crop)
    every = tuple(row for mine in rows for row in mine)
    return Plan(chosen, layout, fields, units, targets, cut, waists, why, every, protocol, settings)


def _rows(graph: Graph, rf: ReceptiveField, channel: int | None, settings: Settings) -> list[Row]:
    """The fields of one layer: of all channels or the one asked for, then of each group; each with its signs."""
    chosen: list[tuple[int, int] | None] = [None if channel is None else (channel, channel)]
    groups = channel_groups(graph, rf.layer, rf.source) if settings.channels and channel is None else ()
    if len(groups) > 1:
        chosen += groups
    answers = ("", "supports", "opposes") if settings.signed else ("",)
    return [Row(channels, answer) for channels in chosen for answer in answers]


def _retrace(model: Backend, layout: Layout, source: str) -> Any:
    def graph_of(box: Box) -> Any:
        shape = list(layout.shape)
        for axis, (first, last) in zip(layout.axes, box):
            shape[axis] = last - first
        return model.retraced(source, tuple(shape))

    return graph_of


def _index(graph: Graph, layer: str, unit: tuple[int, ...]) -> tuple[int | None, ...]:
    value = graph.layer(layer).value
    index: list[int | None] = [None] * len(graph.values[value].shape)
    for axis, place in zip(grid_axes(graph, value), unit):
        index[axis] = place
    return tuple(index)


def _unit(rf: ReceptiveField, at: Sequence[int] | int | None, protocol: Protocol, prefix: int) -> tuple[int, ...]:
    if at is not None:
        return rf.unit(at)
    if protocol.unit == "center":
        return central_unit(rf, prefix)
    return fixed_unit(protocol.unit, rf.grid, len(rf.source_shape) == 2, prefix)


def central_unit(rf: ReceptiveField, prefix: int = 0) -> tuple[int, ...]:
    """The unit whose RF center is nearest to the source's middle; of several, the one nearest to the
    grid's middle, then the last in row-major order.

    Where global context makes every RF the whole source, the center of the local RF counts. The first ``prefix`` of a
    row of tokens stand for no place and are passed over.
    """
    local = rf.local or rf
    row = 1 if all(local.known) else 0
    apart = np.zeros(rf.grid)
    for first, last, length in zip(local.first, local.last, rf.source_shape):
        apart = apart + np.abs(first[row] + last[row] - (length - 1.0)) ** 2
    apart = np.where(np.broadcast_to(local.nothing[row], rf.grid), np.inf, apart)
    if len(rf.grid) == 1 and len(rf.source_shape) == 2 and rf.grid[0] > prefix:
        apart[:prefix] = np.inf
    if not np.isfinite(apart).any() or np.ptp(apart[np.isfinite(apart)]) == 0:
        return fixed_unit("half", rf.grid, len(rf.source_shape) == 2, prefix)
    if len(rf.grid) == len(rf.source_shape):
        # Behind an upsampling many units share one center: the one in the middle of the grid stands for them.
        places = np.ix_(*[(2.0 * np.arange(n) - (n - 1)) ** 2 for n in rf.grid])
        apart = np.where(apart == apart.min(), sum(places), np.inf)
    flat = apart.ravel()
    return tuple(int(i) for i in np.unravel_index(flat.size - 1 - int(np.argmin(flat[::-1])), rf.grid))
