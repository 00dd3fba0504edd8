"""Two networks side by side: what each layer adds to the RF, and the first layer at which they part.

A layer *adds* the difference between its size and the largest size among the layers it reads directly; at a join the
largest branch counts, so that the additions along the largest path sum up to the last size.
"""

from __future__ import annotations

from typing import Any

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.trace import network
from foveal.ir.graph import Graph, Layer, Node
from foveal.ir.ops import Operation
from foveal.ir.rules import traits
from foveal.report.alignment import aligned
from foveal.report.analyze import exact_numbers, size_measure, unclipped_sizes, visible_layers
from foveal.report.findings import reachable
from foveal.report.results import Comparison, Grown, Step

_SAME_KIND = {"AdaptivePool average": "Reduce mean"}
"""Two ways to write global pooling."""


def compare(first: Any, second: Any, inputs: Any = None, *, axes: Any = None) -> Comparison:
    """The layers of two networks side by side, with regard to the first source of each.

    first, second: graphs, or models, names or paths, which are traced with ``inputs``.
    Raises FovealError where the sources have different numbers of counted axes.
    """
    graph_a, graph_b = network(first, inputs, axes), network(second, inputs, axes)
    counts = [len(graph.sources[0].axes) if graph.sources else 0 for graph in (graph_a, graph_b)]
    if counts[0] != counts[1]:
        raise FovealError(
            f"cannot compare {graph_a.name} ({counts[0]} source axes) with {graph_b.name} ({counts[1]}): "
            "they must match"
        )
    layers_a, layers_b = _compared(graph_a), _compared(graph_b)
    growth_a, growth_b = _growth(graph_a, layers_a), _growth(graph_b, layers_b)
    names = [layer.name for layer in layers_a], [layer.name for layer in layers_b]
    nodes = _nodes(graph_a, layers_a), _nodes(graph_b, layers_b)
    forms = _forms(graph_a, layers_a, nodes[0]), _forms(graph_b, layers_b, nodes[1])
    steps = []
    for left, right in aligned(names, (_kinds(nodes[0]), _kinds(nodes[1])), forms):
        pair = None if left is None else growth_a[left], None if right is None else growth_b[right]
        steps.append(Step(*pair, _differences(*pair)))
    parting = next((index for index, step in enumerate(steps) if step.differs), None)
    notes = tuple(f"{graph.name}: {graph.stopped}" for graph in (graph_a, graph_b) if graph.stopped)
    return Comparison(graph_a.name, graph_b.name, tuple(steps), parting, notes)


def _compared(graph: Graph) -> list[Layer]:
    """Leaf layers that depend on the first source; a module that is one window stands for the operations inside it."""
    reach = reachable(graph)
    first = graph.sources[0].name if graph.sources else ""
    found = [layer for layer in visible_layers(graph) if layer.leaf and first in reach.get(layer.value, ())]
    standing = {name for name, inner in _inside(graph, found).items() if _window(graph, inner) is not None}
    return [layer for layer in found if layer.kind == "module" or layer.name.rpartition(".")[0] not in standing]


def _inside(graph: Graph, layers: list[Layer]) -> dict[str, list[Layer]]:
    """The operations that are named after a leaf module, by module: some front ends list both."""
    inside: dict[str, list[Layer]] = {layer.name: [] for layer in layers if layer.kind == "module"}
    for layer in layers:
        path = layer.name.rpartition(".")[0]
        if layer.kind == "operation" and path in inside:
            inside[path].append(layer)
    return inside


def is_window(op: Operation) -> bool:
    """Whether every framework has the operation under some name, and it enlarges or moves a receptive field."""
    return traits(op).window(op) is not None or bool(traits(op).resamples(op))


def _window(graph: Graph, inner: list[Layer]) -> Node | None:
    """The window among these operations; None where there is none or more than one."""
    producers = graph.producers()
    nodes = [producers.get(layer.value) for layer in inner]
    found = [node for node in nodes if node is not None and is_window(node.op)]
    return found[0] if len(found) == 1 else None


def _nodes(graph: Graph, layers: list[Layer]) -> list[Node | None]:
    """What computes each layer: of several operations under one name the window."""
    producers = graph.producers()
    inside = _inside(graph, [layer for layer in graph.layer_table.values() if layer.leaf])
    return [_window(graph, inside.get(layer.name, [])) or producers.get(layer.value) for layer in layers]


def _kinds(nodes: list[Node | None]) -> list[str]:
    """The neutral operation behind each layer, which is the same word whatever front end named the layer."""
    words = ["" if node is None else f"{type(node.op).__name__} {getattr(node.op, 'name', '')}" for node in nodes]
    return [_SAME_KIND.get(word, word) for word in words]


def _forms(graph: Graph, layers: list[Layer], nodes: list[Node | None]) -> list[str]:
    """Shape, in any order of axes, and window of each layer."""
    windows = [None if node is None else traits(node.op).window(node.op) for node in nodes]
    return [f"{sorted(graph.values[layer.value].shape)} {window}" for layer, window in zip(layers, windows)]


def _growth(graph: Graph, layers: list[Layer]) -> list[Grown]:
    sizes: dict[int, tuple[int, ...]] = {}
    result = []
    for layer in layers:
        rf = receptive_field(graph, layer.name, source=graph.sources[0].name)
        before = _before(graph, layer.value, sizes)
        after = tuple(None if pair is None else pair[1] for pair in unclipped_sizes(rf))
        added = tuple(None if size is None else size - start for size, start in zip(after, before))
        places = exact_numbers(rf.stride), exact_numbers(rf.start)
        result.append(Grown(layer.name, layer.type, before, size_measure(rf), added, *places))
        sizes[layer.value] = tuple(start if size is None else size for size, start in zip(after, before))
    return result


def _before(graph: Graph, value: int, sizes: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    """The largest size, per axis, among the nearest named values that ``value`` is made from; 1 at the source."""
    near = {used for node in graph.behind(value, stop=sizes) for used in node.inputs if used in sizes}
    return tuple(map(max, zip((1,) * len(graph.sources[0].axes), *(sizes[used] for used in near))))


def _differences(first: Grown | None, second: Grown | None) -> tuple[str, ...]:
    """Which of size, stride and start differ. A layer without a partner differs only if it changes something itself."""
    if first is None or second is None:
        only = first or second
        changes = only is not None and (any(only.added) or None in only.added)
        return ("only in one",) if changes else ()
    return tuple(
        word
        for word, left, right in (
            ("size", first.size.value, second.size.value),
            ("stride", first.stride, second.stride),
            ("start", first.start, second.start),
        )
        if left != right
    )
