"""All layers of a graph as a report: receptive field, cost and findings, each number with its status."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from foveal.core.errors import UnknownLayerError, UnknownOperationError
from foveal.core.finding import Finding
from foveal.core.version import __version__
from foveal.engine.forward.bounds import bounds
from foveal.fields.receptive_field import IRREGULAR, WITHHELD, ReceptiveField, plain, receptive_field
from foveal.ir.graph import Graph, Layer, Source
from foveal.ir.layout import laid_out
from foveal.report.costs import layer_cost, total_cost
from foveal.report.findings import findings, operations_without_rule, reachable
from foveal.report.results import (
    SCHEMA,
    LayerResult,
    Measure,
    Number,
    PackageVersion,
    PerAxis,
    Report,
    Totals,
)
from foveal.report.units import source_info
from foveal.report.verdict import verdict

_PACKAGES = ("numpy", "torch", "torchvision", "timm")


def analyze(
    graph: Graph, layers: str | None = None, depth: int | None = None, strict: bool = False, axes: Any = None
) -> Report:
    """The report on ``graph``: one row per shown layer and source that it depends on, in execution order.

    layers: a shell pattern ("layer4.*") of the layers to show; depth: show module paths of at most so many parts,
    below what all have in common;
    strict: an operation without a rule is an error instead of a finding; axes: as for :func:`foveal.trace`. Raises
    UnknownLayerError where the pattern matches nothing, UnknownOperationError under ``strict``.
    """
    graph = laid_out(graph, axes)
    missing = operations_without_rule(graph)
    if strict and missing:
        rows = ", ".join(f"{item.operation} at {item.layer} ({item.count}x)" for item in missing)
        raise UnknownOperationError(f"{graph.name}: operations without a rule: {rows}")
    shown = selected_layers(graph, layers, depth)
    reach = reachable(graph)
    results = []
    for layer in shown:
        read = bounds(graph).states.get(layer.value, ())  # a softmax of one score is on the way, and reads nothing
        known = reach.get(layer.value, frozenset()) & {graph.sources[index].name for index in read}
        results += [_layer_result(graph, layer, source) for source in graph.sources if source.name in known]
        if not known and graph.sources:
            results.append(_constant_result(graph, layer, graph.sources[0]))
    return Report(
        name=graph.name,
        sources=tuple(source_info(graph, source) for source in graph.sources),
        layers=tuple(results),
        findings=findings(graph) + tuple(_withheld(results)),
        totals=Totals(len(visible_layers(graph)), len(graph.nodes), graph.parameters, total_cost(graph)),
        verdict=verdict(graph, results),
        schema=SCHEMA,
        versions=tuple(_versions()),
    )


def visible_layers(graph: Graph) -> list[Layer]:
    """All layers but those that only repeat the value of a module: operations, and the outputs of the whole network."""
    table = graph.layer_table
    parents = {name.rsplit(".", 1)[0] for name in table if "." in name}
    outputs = {name for name in table if name.split(".")[0] == "output"} - parents
    named = {layer.value for layer in table.values() if layer.kind == "module" and layer.name not in outputs}
    repeated = {name for name, layer in table.items() if layer.kind != "module" or (name in outputs and not layer.leaf)}
    return [layer for layer in table.values() if layer.name not in repeated or layer.value not in named]


def selected_layers(graph: Graph, layers: str | None = None, depth: int | None = None) -> list[Layer]:
    """The visible layers that match the pattern (a hidden one too, by its own name), no deeper than ``depth``."""
    chosen = visible_layers(graph)
    if layers is not None:
        chosen = [layer for layer in chosen if fnmatchcase(layer.name, layers)]
        chosen = chosen or [layer for layer in graph.layer_table.values() if fnmatchcase(layer.name, layers)]
        if not chosen:
            raise UnknownLayerError(layers, graph.layer_table)
    if depth is not None:
        depths = _depths(graph)
        chosen = [layer for layer in chosen if depths[layer.name] <= depth]
    return chosen


def _depths(graph: Graph) -> dict[str, int]:
    """Parts of each layer's path, counted below what all modules have in common (everything lies under ``model.``).
    The first of several tensors stands for the module that returns it.
    """
    paths = {name: name.split(".") for name in graph.layer_table}
    paths |= {name: path.split(".") for path, name in graph.aliases.items()}
    modules = [
        name for name, layer in graph.layer_table.items() if layer.kind == "module" and paths[name][0] != "output"
    ]
    above = min((len(paths[name]) for name in modules), default=1) - 1
    return {name: len(path) - above for name, path in paths.items()}


def _layer_result(graph: Graph, layer: Layer, source: Source) -> LayerResult:
    rf = receptive_field(graph, layer.name, source=source.name)
    if rf.status == "contradicted":
        return _row(graph, layer, source, size=size_measure(rf), causes=rf.causes, **_nothing(len(source.axes)))
    return _row(graph, layer, source, size=size_measure(rf), causes=rf.causes, **rf.once("row", lambda: _numbers(rf)))


def _numbers(rf: ReceptiveField) -> dict[str, Any]:
    """What the row says of the ranges: the same for all layers that have them."""
    sizes, local = unclipped_sizes(rf), None if rf.local is None else unclipped_sizes(rf.local)
    return {
        "sizes": sizes,
        "clipped": rf.clipped_size,
        "stride": exact_numbers(rf.stride),
        "start": exact_numbers(rf.start),
        "period": exact_numbers(rf.period),
        "center": exact_numbers(rf.center()),
        "offset": _offsets(rf.local or rf),
        "local": None if local is None or local == sizes else _largest(local),
        "covered": rf.covered,
    }


def _constant_result(graph: Graph, layer: Layer, source: Source) -> LayerResult:
    """A layer that no source can change, such as a table of positions: its RF is empty."""
    axes = len(source.axes)
    size = Measure("exact", (0,) * axes, "no path leads from a source to this layer")
    empty = {"size": size, "sizes": ((0, 0),) * axes, "clipped": (0,) * axes, "covered": 0.0, "causes": ()}
    return _row(graph, layer, source, **{**_nothing(axes), **empty})


def _withheld(rows: list[LayerResult]) -> Iterable[Finding]:
    """Which layers lack an unclipped number, each cause once."""
    told = [row for row in rows if row.size.status == "unavailable" or WITHHELD in row.size.method]
    whole = [row for row in told if not isinstance(row.size.value, tuple) or None in row.size.value]
    border = [row for row in told if isinstance(row.size.value, tuple) and None not in row.size.value]
    for some, what in (
        (whole, "is withheld: {}; the size clipped to the source is given"),
        (border, "leaves out units near the border: {}"),
    ):
        if some:
            layers = "1 layer" if len(some) == 1 else f"{len(some)} layers"
            text = f"the unclipped size of {layers} from here on {what.format(IRREGULAR)}"
            yield Finding("withheld", "info", some[0].name, text)


def _nothing(axes: int) -> dict[str, Any]:
    """No number at all, per source axis."""
    names = ("sizes", "clipped", "stride", "start", "period", "center", "offset")
    return {**dict.fromkeys(names, (None,) * axes), "local": None, "covered": None}


def _row(graph: Graph, layer: Layer, source: Source, **numbers: Any) -> LayerResult:
    return LayerResult(
        name=layer.name,
        source=source.name,
        kind=layer.kind,
        type=layer.type,
        leaf=layer.leaf,
        shape=graph.values[layer.value].shape,
        parameters=_parameters(graph, layer),
        multiply_adds=layer_cost(graph, layer),
        **numbers,
    )


def size_measure(rf: ReceptiveField) -> Measure:
    """The size with its status; unavailable where it is withheld along every axis."""
    if rf.status == "contradicted":
        return Measure("contradicted", None, rf.method)
    size = _largest(unclipped_sizes(rf))
    if size and all(length is None for length in size):
        return Measure("unavailable", None, rf.method)
    return Measure(rf.status, size, rf.method)


def unclipped_sizes(rf: ReceptiveField) -> tuple[tuple[int, int] | None, ...]:
    """Smallest and largest size per axis: None where withheld, (0, 0) where no unit reads anything."""
    return tuple((0, 0) if pair is None and known else pair for pair, known in zip(rf.sizes, rf.known))


def _largest(sizes: Iterable[tuple[int, int] | None]) -> tuple[int | None, ...]:
    return tuple(None if pair is None else pair[1] for pair in sizes)


def _offsets(rf: ReceptiveField) -> PerAxis:
    """RF center minus the center (stride - 1) / 2 of the cell of unit 0, in pixels; pixel i is [i - 1/2, i + 1/2].

    None along an axis where units do not advance evenly, so that the one of unit 0 would say nothing about the others.
    """
    found: list[Number | None] = []
    for center, stride, period, pair in zip(rf.center(), rf.stride, rf.period, unclipped_sizes(rf)):
        uneven = pair is None or (period == 1 and pair[0] != pair[1])
        if center is None or stride is None or uneven or (period > 1 and Fraction(stride).denominator > 1):
            found.append(None)
        else:
            found.append(plain(center - (Fraction(stride) - 1) / 2))
    return tuple(found)


def exact_numbers(values: Iterable[Number | None]) -> PerAxis:
    """Integers where they are such, else fractions."""
    return tuple(None if value is None else plain(value) for value in values)


def _parameters(graph: Graph, layer: Layer) -> int:
    """A layer's own parameters, with those of the layers beneath it; a second call of a module owns none anew."""
    if layer.leaf:
        return layer.parameters
    below = layer.name.split("#")[0] + "."
    inner = (other for other in graph.layer_table.values() if other.name.startswith(below) and "#" not in other.name)
    return layer.parameters + sum(other.parameters for other in inner)


def _versions() -> Iterable[PackageVersion]:
    """foveal, Python and those packages that are loaded; nothing is imported for it."""
    yield PackageVersion("foveal", __version__)
    yield PackageVersion("python", ".".join(map(str, sys.version_info[:3])))
    for name in _PACKAGES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            yield PackageVersion(name, str(version))
