"""The levels of a detector: its head layers by grid, and what their units see, in theory and effectively.

A head layer is a convolution behind which no other convolution stands (a sampler, such as region pooling, ends the
search). Head layers on one grid make a level; the last named map on which all of them depend is its pyramid map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

from foveal.core.errors import FovealError
from foveal.engine.backward.moments import energy_moments
from foveal.engine.roles import grid_axes
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import gaussian_side, gaussian_side_90
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.task import for_images

BOX_SIDES = 2.0
"""Side of the box whose Gaussian (sigma: half a side) this is, in sigmas: how RFLA takes boxes for Gaussians."""
PHASES = 4096
"""Over more phases than that no mean is taken."""

Pair = tuple[float, float]


class Member(NamedTuple):
    """A head layer, its field without global context, and whether there is such context."""

    name: str
    rf: ReceptiveField
    whole: bool


@dataclass(frozen=True)
class Level:
    """One grid of a detector. Pairs are (rows, columns); lengths are in pixels of the source.

    heads: layers with this grid and field; pyramid: the map below them, "" where there is one head only; trf:
    (smallest, largest) size per axis, None where withheld; period: phases; center: RF center of unit (0, 0), None where
    withheld; mean: the same averaged over the phases; sigma: standard deviation of the energy field, unclipped, None
    where no path has fixed weights; shift: center of the energy field minus RF center; whole: global context makes the
    strict field the whole source, and these numbers are those without it; causes: what keeps the numbers from being
    exact; step: between anchors, where their generator has one of its own.
    """

    heads: tuple[str, ...]
    pyramid: str
    grid: tuple[int, int]
    stride: Pair
    trf: tuple[tuple[int, int], tuple[int, int]] | None
    period: tuple[int, int]
    center: Pair | None
    mean: Pair | None
    sigma: Pair | None
    shift: Pair | None
    status: str
    whole: bool = False
    causes: tuple[str, ...] = ()
    step: Pair | None = None

    @property
    def anchor_step(self) -> Pair:
        """Pixels from one anchor to the next: the generator's own, else the stride."""
        return self.step or self.stride

    @property
    def name(self) -> str:
        """The first head layer."""
        return self.heads[0]

    @property
    def effective_side(self) -> Pair | None:
        """The effective side of a Gaussian energy of that sigma (an approximation), at most the field's."""
        return self._limited(gaussian_side)

    @property
    def side_90(self) -> Pair | None:
        """The 90 % side of the same Gaussian, at most the field's."""
        return self._limited(gaussian_side_90)

    @property
    def capped(self) -> bool:
        """Whether the Gaussian is wider than the field, which then limits the effective side."""
        return (
            self.effective_side is not None
            and self.trf is not None
            and any(side == most for side, (_, most) in zip(self.effective_side, self.trf))
        )

    @property
    def box_side(self) -> Pair | None:
        """Sides of the box whose Gaussian the energy is, two sigma: the object the level is made for."""
        return None if self.sigma is None else (BOX_SIDES * self.sigma[0], BOX_SIDES * self.sigma[1])

    def _limited(self, side: Callable[[float, int], float]) -> Pair | None:
        if self.sigma is None:
            return None
        rows, columns = (side(sigma, 2) for sigma in self.sigma)
        return (rows, columns) if self.trf is None else (min(rows, self.trf[0][1]), min(columns, self.trf[1][1]))

    @property
    def least(self) -> tuple[int, int] | None:
        """The smallest size over the phases, per axis."""
        return None if self.trf is None else (self.trf[0][0], self.trf[1][0])


def levels(graph: Graph, layers: Sequence[str] = ()) -> tuple[Level, ...]:
    """The levels of a detector, finest first; ``layers`` names the heads where they are known.

    Raises UnknownLayerError, and FovealError where no layer has a grid over an image.
    """
    for_images(graph, "detection")
    names = [graph.layer(name).name for name in layers] or head_layers(graph)
    found: dict[tuple[tuple[int, int], Pair], list[Member]] = {}
    for name in names:
        strict = receptive_field(graph, name)
        rf = strict.local or strict
        place = _grid_and_stride(rf)
        if place is not None:
            found.setdefault(place, []).append(Member(name, rf, strict.local is not None))
        elif layers:
            raise FovealError(f"'{name}': a level needs a grid of units over an image; this layer's is {rf.grid}")
    if not found:
        raise FovealError(
            f"{graph.name}: no layer with a grid of units over an image ends in a convolution; name heads"
        )
    made: list[Level] = []
    for (grid, stride), members in sorted(found.items(), key=lambda item: -prod(item[0][0])):
        pyramid = common_map(graph, [member.name for member in members])
        made += _levels(graph, members, pyramid, grid, stride)
    return tuple(made)


def head_layers(graph: Graph) -> list[str]:
    """Layers whose value comes from a convolution behind which nothing combines features of a grid, in order of
    execution.
    """
    convolves: set[int] = set()
    heads: list[int] = []
    for node in reversed(graph.nodes):
        known = traits(node.op)
        is_convolution = known.kernel(node.op) is not None
        if known.product(node.op) and max(_lengths(graph, node.output), default=1) > 1:
            # Linear layers and attention on a grid work on it as convolutions do; a classifier's last ones do not.
            convolves.update(node.inputs)
        if is_convolution and node.output not in convolves:
            heads.append(node.output)
        if is_convolution or (node.output in convolves and known.status(node.op) == "exact"):
            convolves.update(node.inputs)
    named = _names(graph)
    behind = _behind_samples(graph)
    ends = [_named_after(graph, value, named) for value in reversed(heads) if value not in behind]
    return list(dict.fromkeys(named[value] for value in ends if value is not None))


def _named_after(graph: Graph, value: int, named: Mapping[int, str]) -> int | None:
    """The value that a layer has: the convolution's own, or what bias and a change of layout (channels last) make of it
    alone.
    """
    while value not in named:
        readers = [node for node in graph.nodes if value in node.inputs]
        if len(readers) != 1 or not traits(readers[0].op).passes(readers[0].op):
            return None
        if len(graph.values[value].shape) != len(graph.values[readers[0].output].shape):
            return None
        value = readers[0].output
    return value


def common_map(graph: Graph, heads: Sequence[str]) -> str:
    """The last named value with their grid on which all heads depend; "" for one head, or where there is none."""
    if len(heads) < 2:
        return ""
    values = [graph.layer(name).value for name in heads]
    shared = set.intersection(*(graph.values_behind(value) - {value} for value in values))
    grid = _lengths(graph, values[0])
    named = _names(graph)
    fitting = [value for value in shared if value in named and _lengths(graph, value) == grid]
    return named[max(fitting)] if fitting else ""


def _levels(graph: Graph, members: list[Member], pyramid: str, grid: tuple[int, int], stride: Pair) -> list[Level]:
    """One level for each set of heads with the same field."""
    alike: dict[tuple[object, ...], list[Member]] = {}
    for member in members:
        alike.setdefault((member.rf.sizes, member.rf.start, member.rf.center()), []).append(member)
    return [_level(graph, group, pyramid, grid, stride) for group in alike.values()]


def _level(graph: Graph, group: list[Member], pyramid: str, grid: tuple[int, int], stride: Pair) -> Level:
    name, rf, whole = group[0]
    sizes, center = rf.sizes, rf.center()
    trf = None if sizes[0] is None or sizes[1] is None else (sizes[0], sizes[1])
    middle = None if center[0] is None or center[1] is None else (float(center[0]), float(center[1]))
    sigma, shift = effective(graph, name, rf)
    heads = tuple(member.name for member in group)
    period = (rf.period[0], rf.period[1])
    mean = mean_center(rf, (0, 0))
    return Level(heads, pyramid, grid, stride, trf, period, middle, mean, sigma, shift, rf.status, whole, rf.causes)


def effective(graph: Graph, layer: str, rf: ReceptiveField) -> tuple[Pair | None, Pair | None]:
    """Sigma of the middle unit's energy field, and its center minus the RF center (mean over the phases); None, None
    where energy has no meaning.
    """
    unit = rf.middle
    try:
        found = energy_moments(graph, layer, unit, rf.source)
        sigmas, center = found.sigmas, found.center
    except FovealError:
        try:
            measured = field_of(graph, layer, kind="energy", at=unit, source=rf.source).metrics()
        except FovealError:
            return None, None
        if measured.sigmas is None or measured.center_of_mass is None:
            return None, None
        sigmas, center = measured.sigmas, measured.center_of_mass
    about = mean_center(rf, unit)
    shift = None if about is None else (center[0] - about[0], center[1] - about[1])
    return (sigmas[0], sigmas[1]), shift


def mean_center(rf: ReceptiveField, unit: tuple[int, ...]) -> Pair | None:
    """RF center of a unit, averaged over the phases: each phase's center less its steps of the stride; None where
    withheld.
    """
    period = [min(p, n) for p, n in zip(rf.period, rf.grid)]
    first = [min(u - u % p, n - p) for u, p, n in zip(unit, period, rf.grid)]
    found = []
    for step in product(*(range(p) for p in period)) if prod(period) <= PHASES else [(0,) * len(period)]:
        place = tuple(f + s for f, s in zip(first, step))
        center = rf.center(place)
        if None in center or None in rf.stride:
            return None
        found.append([float(c or 0) + (u - p) * float(s or 0) for c, u, p, s in zip(center, unit, place, rf.stride)])
    return sum(row for row, _ in found) / len(found), sum(column for _, column in found) / len(found)


def _grid_and_stride(rf: ReceptiveField) -> tuple[tuple[int, int], Pair] | None:
    if len(rf.grid) != 2 or len(rf.source_shape) != 2 or rf.status == "data-dependent":
        return None
    down, across = rf.stride
    if down is None or across is None or min(down, across) <= 0:
        return None
    return (rf.grid[0], rf.grid[1]), (float(down), float(across))


def _names(graph: Graph) -> dict[int, str]:
    """Value -> the shortest name of a layer that has it, modules before operations."""
    found: dict[int, str] = {}
    for layer in sorted(graph.layer_table.values(), key=lambda item: (item.kind != "module", len(item.name))):
        found.setdefault(layer.value, layer.name)
    return found


def _behind_samples(graph: Graph) -> set[int]:
    behind: set[int] = set()
    for node in graph.nodes:
        if traits(node.op).status(node.op) != "exact" or any(used in behind for used in node.inputs):
            behind.add(node.output)
    return behind


def _lengths(graph: Graph, value: int) -> tuple[int, ...]:
    shape = graph.values[value].shape
    return tuple(shape[axis] for axis in grid_axes(graph, value))
