"""Energy fields of the middle units of many layers in one pass forward, where a field is a product of one profile per
axis, or the source has one axis.

One reverse pass gives the field of one layer, so that the fields of all layers of a chain cost the square of its depth.
Forward, the fields of *all units along an axis* are carried from layer to layer: row o is the field of unit o, told
from the first position that the unit would read if the source went on for ever. Far from the borders all rows are
then the same, and one stands for them; what is dropped at a border makes rows of their own there. So a layer costs its
window times the rows near the borders times their width, whatever the source's length.

Only windows along axes of positions, sums over features that are all alike, and moves of whole axes are followed; where
branches meet, only over one axis of positions. For any other value there is no answer here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np

from foveal.engine.backward.gains import Gains
from foveal.engine.backward.stages import Stage, stages
from foveal.engine.certainty import certainty
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import grid_axes, roles
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node
from foveal.ir.lengths import groups
from foveal.ir.rules import traits

LARGEST = 1 << 22
"""No table of rows is made of more elements than this (32 MB)."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Fields of ``count`` units along one axis of ``length`` source positions; unit o's begins at o * pitch + start.

    data: (distinct rows, width); the first ``left`` of them are those of the first units, the last ones those of the
    last units, row ``left`` that of every unit between. pitch: the stride, or 0 where each row holds the whole axis.
    reach: first position that is asked for, and the one behind the last: units that read others need no row.
    """

    length: int
    reach: tuple[int, int]
    count: int
    pitch: int
    start: int
    left: int
    data: np.ndarray

    @property
    def shared(self) -> int:
        """How many units have the row in the middle."""
        return self.count - len(self.data) + 1

    def at(self, units: np.ndarray) -> np.ndarray:
        """The number of the row of each of these units."""
        behind = units - (self.shared - 1)
        return np.asarray(np.where(units < self.left, units, np.maximum(np.minimum(units, self.left), behind)))

    def taken(self, units: np.ndarray, stride: int) -> np.ndarray:
        """The rows of units that follow one another by ``stride`` (over the shared ones more than that)."""
        if self.shared > 1 or not units.size:
            return np.asarray(self.data[self.at(units)])
        return np.asarray(self.data[int(units[0]) : int(units[-1]) + 1 : stride])


@dataclass(frozen=True, eq=False)
class Product:
    """A value's fields: along each of its axes of positions the source's axis and rows; all times exp(scale)."""

    rows: dict[int, tuple[int, Rows]]
    scale: float = 0.0


Profile = tuple[np.ndarray, int]
"""Contributions of consecutive positions along a source axis (to a factor), and the first position."""


def middle_profiles(
    graph: Graph, values: Collection[int], source: int, reach: Sequence[tuple[int, int]]
) -> dict[int, tuple[Profile, ...]]:
    """Value -> profiles of its middle unit's energy field (unit weights) along each axis of the source, of those of
    ``values`` that have an answer here. ``source`` is a number in ``graph.sources``; ``reach`` holds the unclipped
    boxes of all these units, per axis first and last + 1.
    """
    chosen = graph.sources[source]
    lengths = graph.values[chosen.value].shape
    asked = [(lengths[axis], (first, end)) for axis, (first, end) in zip(chosen.axes, reach, strict=True)]
    alike = {key: Rows(key[0], key[1], key[0], 1, 0, 0, np.ones((1, 1))) for key in asked}
    along = {axis: (number, alike[key]) for number, (axis, key) in enumerate(zip(chosen.axes, asked, strict=True))}
    known: dict[int, Product | None] = {chosen.value: Product(along)}
    last = {i: number for number, node in enumerate(graph.nodes) for i in node.inputs}
    gain, found = Gains(graph, "energy"), {}
    for number, node in enumerate(graph.nodes):
        if known.keys().isdisjoint(node.inputs):
            continue
        product = known[node.output] = _through(graph, node, known, gain)
        if product is not None and node.output in values and not certainty(graph, node.output).causes:
            profiles = _middle(graph, node.output, product, len(chosen.axes))
            if profiles is not None:
                found[node.output] = profiles
        known |= {i: None for i in node.inputs if last[i] == number and i in known}
    return found


def _middle(graph: Graph, value: int, product: Product, axes: int) -> tuple[Profile, ...] | None:
    if grid_axes(graph, value) != tuple(sorted(product.rows)) or len(product.rows) != axes:
        return None
    profiles: dict[int, Profile] = {}
    for source_axis, rows in product.rows.values():
        unit = rows.count // 2
        row = rows.data[int(rows.at(np.array([unit]))[0])]
        read = np.flatnonzero(row)
        if not read.size:
            return None
        profiles[source_axis] = row[read[0] : read[-1] + 1], unit * rows.pitch + rows.start + int(read[0])
    return tuple(profiles[axis] for axis in range(axes))


def _through(graph: Graph, node: Node, known: dict[int, Product | None], gain: Gains) -> Product | None:
    """The fields of a node's output from those of what it reads."""
    found: Product | None = None
    states, kinds = bounds(graph).states, roles(graph)
    shape = graph.values[node.output].shape
    if not traits(node.op).gain(node.op):
        return None
    for way in bounds(graph).facts.ways(node):
        operand = node.inputs[way.operand]
        factor = gain(node, way) if operand in states else 0.0
        if operand not in known or not factor:
            continue
        product = known[operand]
        if product is None or way.kept is not None:
            return None
        shape_in = graph.values[operand].shape
        done: dict[rel.Step, tuple[Rows, Rows | None]] = {}
        for stage in stages(way.relation, shape_in, shape, kinds[operand], kinds[node.output]):
            product = _step(stage, product, done)
            if product is None:
                return None
        product = _near_one(replace(product, scale=product.scale + log(factor)))
        found = product if found is None else _joined(found, product)
        if found is None:
            return None
    return found


def _step(stage: Stage, product: Product, done: dict[rel.Step, tuple[Rows, Rows | None]]) -> Product | None:
    """One step forward; None where it is not followed. ``done``: windows of this way, for axes that are alike."""
    step, rows = stage.step, product.rows
    if isinstance(step, rel.Slide):
        if step.axis not in rows:
            return product if step.kernel == step.stride == 1 and (step.before, step.n_in) == (0, step.n_out) else None
        source_axis, along = rows[step.axis]
        same = replace(step, axis=0)
        if same not in done or done[same][0] is not along:
            done[same] = along, _slid(step, along)
        slid = done[same][1]
        return None if slid is None else replace(product, rows={**rows, step.axis: (source_axis, slid)})
    if isinstance(step, rel.All):
        alike = [n for axis, n in enumerate(stage.before) if axis in step.axes and stage.roles_before[axis] != "b"]
        return (
            None if any(a in rows for a in step.axes) else replace(product, scale=product.scale + sum(map(log, alike)))
        )
    if isinstance(step, rel.Blocks):
        if step.axis in rows:
            return product if step.groups == step.n_in == step.n_out else None
        return replace(product, scale=product.scale + log(step.n_in // step.groups))
    place = _moved(stage)
    if place is None or not rows.keys() <= place.keys():
        return None
    return replace(product, rows={place[axis]: along for axis, along in rows.items()})


def _moved(stage: Stage) -> dict[int, int] | None:
    """Axis before -> axis behind of a step that moves whole axes; None for other steps."""
    step = stage.step
    if isinstance(step, rel.Relabel):
        return {axis: i for i, axis in enumerate(step.order) if axis is not None}
    if isinstance(step, rel.Expand):
        lead = len(step.after) - len(step.before)
        return {axis: axis + lead for axis, n in enumerate(step.before) if step.after[axis + lead] == n}
    if isinstance(step, rel.Reshape):
        pairs = groups(step.before, step.after)
        return {ins[0]: outs[0] for ins, outs in pairs if len(ins) == len(outs) == 1}
    return None


def _slid(step: rel.Slide, rows: Rows) -> Rows | None:
    """Windows over an axis. Outputs that read only units alike are alike; each other one has a row."""
    shift = step.dilation * rows.pitch
    wide = rows.data.shape[1]
    width = wide + (step.kernel - 1) * shift
    first = max(-(-(rows.left + step.before) // step.stride), 0)
    behind = rows.left + rows.shared - 1 + step.before - (step.kernel - 1) * step.dilation
    last = min(behind // step.stride, step.n_out - 1)
    alike = rows.pitch > 0 and last >= first
    start, pitch = rows.start - step.before * rows.pitch, rows.pitch * step.stride
    left, units = step.n_out - 1, np.arange(step.n_out)
    if alike:
        left = first if (first - 1) * pitch + start >= rows.reach[0] else 0
        last = last if (last + 1) * pitch + start + width <= rows.reach[1] else step.n_out - 1
        units = np.r_[0:left, first, last + 1 : step.n_out]
    if units.size * width > LARGEST:
        return None
    data = np.zeros((units.size, width))
    for tap in range(step.kernel):
        read = units * step.stride - step.before + tap * step.dilation
        inside = (read >= 0) & (read < step.n_in)
        begin, size = int(inside.argmax()), int(inside.sum())  # those inside follow one another
        target = data[begin : begin + size, tap * shift : tap * shift + wide]
        target += rows.taken(read[begin : begin + size], step.stride)
    return _whole(replace(rows, count=step.n_out, pitch=pitch, start=start, left=left, data=data))


def _whole(rows: Rows, least: bool = True) -> Rows:
    """Rows that hold the whole axis, where that is less (or at any rate)."""
    few = rows.shared == 1 and rows.data.shape[1] > rows.length
    if rows.pitch == 0 or (least and not few) or rows.count * rows.length > LARGEST:
        return rows
    units = np.arange(rows.count)
    places = np.arange(rows.length) - rows.start - units[:, None] * rows.pitch
    inside = (places >= 0) & (places < rows.data.shape[1])
    taken = np.take_along_axis(rows.data[rows.at(units)], np.where(inside, places, 0), axis=1)
    return replace(rows, pitch=0, start=0, left=rows.count - 1, data=np.where(inside, taken, 0.0))


def _joined(a: Product, b: Product) -> Product | None:
    """The sum of two, over one axis of positions along which units lie alike."""
    if a.rows.keys() != b.rows.keys() or len(a.rows) != 1:
        return None
    ((axis, (source_axis, x)),), ((_, (_, y)),) = a.rows.items(), b.rows.items()
    if 0 in (x.pitch, y.pitch):
        x, y = _whole(x, least=False), _whole(y, least=False)
    if x.count != y.count or x.pitch != y.pitch:
        return None
    start = min(x.start, y.start)
    width = max(x.start + x.data.shape[1], y.start + y.data.shape[1]) - start
    left, right = max(x.left, y.left), max(len(x.data) - 1 - x.left, len(y.data) - 1 - y.left)
    alike = left + right < x.count
    units = np.r_[0 : left + 1, x.count - right : x.count] if alike else np.arange(x.count)
    if units.size * width > LARGEST:
        return None
    scale = max(a.scale, b.scale)
    data = np.zeros((units.size, width))
    for rows, factor in ((x, np.exp(a.scale - scale)), (y, np.exp(b.scale - scale))):
        begin = rows.start - start
        data[:, begin : begin + rows.data.shape[1]] += factor * rows.data[rows.at(units)]
    joined = _whole(replace(x, start=start, left=left if alike else units.size - 1, data=data))
    return Product({axis: (source_axis, joined)}, scale)


def _near_one(product: Product) -> Product:
    """Rows with numbers near one, their factors in the scale."""
    for axis, (source_axis, rows) in product.rows.items():
        largest = float(rows.data.max(initial=0.0))
        if largest != 0 and not 1e-100 < largest < 1e100:
            near = source_axis, replace(rows, data=rows.data / largest)
            product = Product({**product.rows, axis: near}, product.scale + log(largest))
    return product
