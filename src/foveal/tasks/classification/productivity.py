"""Layers that can still add context at this resolution, and resolutions that a network is made for (docs/methods.md 4).

Richter et al. 2021: a layer is *critical* where its smallest path already sees more than the image, and a *border*
(unproductive) layer where that held before it; a layer whose map is no longer than its kernel acts as a dense one and
counts as border too. Here a kernel is as long as its dilation makes it, and maps have the lengths they really have,
with all padding. Norms, activations and other layers that move nothing are left out; joins of branches are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from foveal.engine.cost import multiply_adds
from foveal.ir.graph import Graph, Layer, Node, Source
from foveal.ir.rules import traits
from foveal.report.results import PerAxis
from foveal.tasks.classification.record import LayerPaths, Resolutions
from foveal.tasks.shared.path_sets import Number, Passage, PathState, path_sets, plain

WEIGHTED = ("convolution", "contraction")


def layer_paths(graph: Graph, source: Source) -> tuple[LayerPaths, ...]:
    """All layers that compute or join, in execution order."""
    states, passages = path_sets(graph, source)
    image = tuple(graph.values[source.value].shape[axis] for axis in source.axes)
    names = _Names(graph)
    costs = multiply_adds(graph)
    found = []
    for node in graph.nodes:
        kind = _kind(graph, node, states)
        if kind:
            cost = (names.parameters(node), int(costs.get(node.output, 0)))
            found.append(_row(names(node), node.output, kind, states[node.output], passages[node.output], image, cost))
    return tuple(found)


def resolutions(rows: Sequence[LayerPaths]) -> Resolutions:
    """The feasible input lengths; layers behind global context have no say."""
    local = [row for row in rows if not row.dense]
    axes = len(rows[0].smallest) if rows else 0
    spatial = [row for row in local if any(span > 1 for span in row.span)]
    return Resolutions(
        _largest([row.before for row in local], axes),
        _largest([row.before for row in spatial], axes),
        _largest([_window(row) for row in local if row.kind != "join"], axes),
        _largest([row.largest for row in rows], axes),
    )


def _window(row: LayerPaths) -> PerAxis:
    """Kernel times stride of the incoming map; nothing where the window is the whole map whatever its length."""
    strides = (_quotient(size, before, span) for size, before, span in zip(row.smallest, row.before, row.span))
    return tuple(None if j is None else span * j for span, j in zip(row.span, strides))


def _quotient(size: Number | None, before: Number | None, span: int) -> Number | None:
    """The stride of the incoming map, from what the window adds to a path: (span - 1) strides."""
    return None if size is None or before is None or span == 1 else Fraction(size - before) / (span - 1)


def _kind(graph: Graph, node: Node, states: dict[int, PathState]) -> str:
    known, signals = traits(node.op), [operand for operand in dict.fromkeys(node.inputs) if operand in states]
    if node.output not in states:
        return ""
    if known.kernel(node.op):
        return "convolution"
    if known.pools(node.op):
        return "pooling"
    if known.product(node.op):
        return "contraction" if len(signals) == 1 else ""
    return "join" if _joins(graph, node, signals) else ""


def _joins(graph: Graph, node: Node, signals: Sequence[int]) -> bool:
    """Whether branches meet; a product, or an operand that is broadcast (a squeeze-and-excitation gate), joins none."""
    how = traits(node.op).joins(node.op)
    if how in ("", "product") or len(signals) < 2:
        return False
    return how == "concatenation" or len({graph.values[operand].shape for operand in signals}) == 1


def _row(
    name: str,
    value: int,
    kind: str,
    state: PathState,
    passages: Sequence[Passage],
    image: tuple[int, ...],
    cost: tuple[int, int],
) -> LayerPaths:
    smallest = tuple(paths.smallest for paths in state.paths)
    inputs = [tuple(paths.smallest for paths in passage.state.paths) for passage in passages]
    axes = range(len(image))
    span = tuple(max(passage.steps[axis].span for passage in passages) for axis in axes)
    beyond = [size is not None and size > n for size, n in zip(smallest, image)]
    context = all(beyond) and all(
        before is not None and before >= n for sizes in inputs for before, n in zip(sizes, image)
    )
    window = None not in smallest and all(
        length is not None and length <= passage.steps[axis].span
        for passage in passages
        for axis in axes
        for length in (passage.steps[axis].length,)
    )
    return LayerPaths(
        layer=name,
        value=value,
        kind=kind,
        span=span,
        maps=tuple(passages[0].steps[axis].length for axis in axes),
        stride=tuple(paths.stride for paths in state.paths),
        smallest=smallest,
        largest=tuple(paths.largest for paths in state.paths),
        before=tuple(_least([sizes[axis] for sizes in inputs]) for axis in axes),
        critical=all(beyond),
        partly=any(beyond) and not all(beyond),
        reason="context" if context else "dense" if window else "",
        parameters=cost[0],
        multiply_adds=cost[1],
    )


def _least(values: Sequence[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)


def _largest(rows: Sequence[PerAxis], axes: int) -> PerAxis:
    found: list[Number | None] = []
    for axis in range(axes):
        known = [size for row in rows if (size := row[axis]) is not None]
        found.append(plain(max(known)) if known else None)
    return tuple(found)


class _Names:
    """What to call a node, and whose parameters it uses: of each module only the first node counts them."""

    def __init__(self, graph: Graph) -> None:
        self.layers: dict[int, Layer] = {}
        for layer in graph.layer_table.values():
            known = self.layers.get(layer.value)
            if known is None or (layer.leaf and layer.kind == "module" and known.kind != "module"):
                self.layers[layer.value] = layer
        self.table = graph.layer_table
        self.counted: set[str] = set()

    def __call__(self, node: Node) -> str:
        layer = self.layers.get(node.output)
        if layer is not None and (layer.kind != "module" or layer.leaf):
            return layer.name
        own = self.table.get(node.scope)
        return node.scope if own is not None and own.leaf else f"{node.scope or '(top)'}:{node.origin}"

    def parameters(self, node: Node) -> int:
        layer = self.table.get(node.scope)
        if layer is None or not layer.leaf or layer.name in self.counted:
            return 0
        self.counted.add(layer.name)
        return layer.parameters
