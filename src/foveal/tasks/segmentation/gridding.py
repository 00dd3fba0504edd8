"""Dilated convolutions of a network: what each adds, which of its taps are alive at this size, and the lattice it
leaves.

The lattice is what one unit of the audited layer reads of the map on which dilation starts (support, without global
context), and of the source: holes there are exact, whatever the strides, joins and kernels between.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from foveal.engine.backward.algebra import SUPPORT
from foveal.engine.backward.pull import Flows, over_source, pull, seed
from foveal.engine.roles import grid_axes
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import traits
from foveal.ir.traits import Window
from foveal.tasks.segmentation.coupling import is_global
from foveal.tasks.segmentation.holes import Lattice, lattice


@dataclass(frozen=True)
class Dilated:
    """A dilated convolution. Tuples are per axis.

    jump: source pixels per position of the map it reads; adds: by how much it widens the field, in source pixels; map:
    lengths of the map it reads; span: positions from its first to its last tap; alive: mean share of its taps that
    meet the map and no padding; lone: share of its units for which only one tap does.
    """

    layer: str
    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    jump: tuple[float, ...]
    adds: tuple[float, ...]
    map: tuple[int, ...]
    span: tuple[int, ...]
    alive: float
    lone: float

    @property
    def degenerate(self) -> bool:
        """Whether its taps reach further than the map is long: it falls back towards 1x1."""
        return any(s > n for s, n in zip(self.span, self.map))


@dataclass(frozen=True)
class Grids:
    """Lattices of one unit. source: of the source; entry: of the first map of the size on which dilation starts, None
    without dilation; entry_layer: the layer whose input that is; chained: how many dilated convolutions stand in series
    at most.
    """

    unit: tuple[int, ...]
    source: Lattice
    entry: Lattice | None
    entry_layer: str
    chained: int


def dilated_convolutions(graph: Graph, layer: str) -> tuple[Dilated, ...]:
    """The dilated convolutions on the way to ``layer``, in order of execution."""
    names = {item.value: item.name for item in graph.layer_table.values() if item.kind == "module"}
    return tuple(_described(graph, node, names) for node in _dilated_nodes(graph, graph.layer(layer).value))


def grids(graph: Graph, layer: str) -> Grids:
    """The lattices that the middle unit of ``layer`` reads."""
    rf = receptive_field(graph, layer)
    value = graph.layer(layer).value
    source = next(item for item in graph.sources if item.name == rf.source)
    axes = len(source.axes)

    def local(node: Node, way: Read) -> float:
        return 0.0 if way.kind != "value" or is_global(graph, node, way, axes) else 1.0

    flows = pull(graph, {value: seed(graph, value, rf.middle, SUPPORT)}, SUPPORT, local)
    read = _spatial(graph, source.value, flows)
    nodes = [node for node in _dilated_nodes(graph, value) if node.inputs[0] in flows]
    if not nodes:
        return Grids(rf.middle, lattice(read), None, "", 0)
    first = _first_of_its_size(graph, nodes[0], flows)
    entry = lattice(_spatial(graph, first.inputs[0], flows))
    return Grids(rf.middle, lattice(read), entry, first.scope, _longest_chain(graph, nodes))


def _first_of_its_size(graph: Graph, node: Node, flows: Flows) -> Node:
    """The first convolution with a window on a map of that size: undilated layers before it may fill the holes."""
    for other in graph.nodes:
        window = traits(other.op).convolution(other.op)
        wide = window is not None and max(window.kernel) > 1
        if wide and other.inputs[0] in flows and _lengths(graph, other) == _lengths(graph, node):
            return other
    return node


def _lengths(graph: Graph, node: Node) -> tuple[int, ...]:
    window = traits(node.op).convolution(node.op)
    return () if window is None else graph.values[node.inputs[0]].shape[-len(window.kernel) :]


def _dilated_nodes(graph: Graph, value: int) -> list[Node]:
    behind = graph.values_behind(value)
    return [
        node
        for node in graph.nodes
        if node.output in behind
        and (window := traits(node.op).convolution(node.op)) is not None
        and any(d > 1 and k > 1 for d, k in zip(window.dilation, window.kernel))
    ]


def _longest_chain(graph: Graph, nodes: list[Node]) -> int:
    """How many dilated convolutions stand one behind the other at most."""
    dilated = {node.output for node in nodes}
    depth: dict[int, int] = {}
    for node in graph.nodes:
        most = max((depth.get(i, 0) for i in node.inputs), default=0)
        if most or node.output in dilated:
            depth[node.output] = most + (node.output in dilated)
    return max(depth.values(), default=0)


def _described(graph: Graph, node: Node, names: dict[int, str]) -> Dilated:
    op = traits(node.op).convolution(node.op)
    assert op is not None
    axes = len(op.kernel)
    operand, output = node.inputs[0], node.output
    lengths, outputs = graph.values[operand].shape[-axes:], graph.values[output].shape[-axes:]
    alive = [_alive(op, axis, lengths[axis], outputs[axis]) for axis in range(axes)]
    taps = np.array(1.0)
    for row in alive:
        taps = np.multiply.outer(taps, row)
    jump = _jump(graph, names.get(output, node.scope), op)
    return Dilated(
        names.get(output, node.scope) or "(top)",
        op.kernel, op.dilation, jump,
        tuple((k - 1) * d * j for k, d, j in zip(op.kernel, op.dilation, jump)),
        lengths,
        tuple((k - 1) * d + 1 for k, d in zip(op.kernel, op.dilation)),
        float(taps.mean() / prod(op.kernel)),
        float((taps == 1).mean()) if prod(op.kernel) > 1 else 0.0,
    )  # fmt: skip


def _alive(op: Window, axis: int, length: int, outputs: int) -> np.ndarray:
    """Per output position along ``axis`` how many taps meet the map."""
    first = np.arange(outputs) * op.stride[axis] - op.padding[axis][0]
    places = first[:, None] + np.arange(op.kernel[axis]) * op.dilation[axis]
    return np.asarray(((places >= 0) & (places < length)).sum(axis=1))


def _jump(graph: Graph, layer: str, op: Window) -> tuple[float, ...]:
    """Source pixels per position of the map that the convolution reads: its output's stride over its own."""
    if layer not in graph.layer_table:
        return (1.0,) * len(op.kernel)
    rf: ReceptiveField = receptive_field(graph, layer)
    strides = [float(s) if s is not None else 1.0 for s in (rf.local or rf).stride]
    if len(strides) != len(op.kernel):
        return (1.0,) * len(op.kernel)
    return tuple(s / own for s, own in zip(strides, op.stride))


def _spatial(graph: Graph, value: int, flows: Flows) -> np.ndarray:
    """Which positions of a value are read, over its spatial axes."""
    return over_source(flows.get(value), graph.values[value].shape, grid_axes(graph, value)).astype(bool)
