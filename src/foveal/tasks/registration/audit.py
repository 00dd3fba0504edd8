"""Registration: does a unit look where people think it does? RF centers against cells, resized maps and anchor grids.

Definitions: :mod:`foveal.tasks.registration.placement`. A second source (``other``) is compared layer by
layer: two ports of one model may have equal sizes and strides and still look at places some pixels apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph, Layer, Source
from foveal.ir.rules import traits
from foveal.report.alignment import aligned
from foveal.report.analyze import selected_layers, visible_layers
from foveal.tasks.classification.image_coverage import last_map, numbers
from foveal.tasks.record import Audit, AuditTable, Cell, gravest_first
from foveal.tasks.registration.findings import FINDINGS, Facts, Join, PortStep
from foveal.tasks.registration.placement import places
from foveal.tasks.registration.record import OffsetCurves, Places, UnitPlaces
from foveal.tasks.shared.path_sets import Number, path_sets, plain
from foveal.tasks.task import Option, Task

METHOD = (
    "RF center: middle of the unclipped field without global context, in pixel indices (pixel i is [i - 1/2, i + 1/2]);"
    " cell and corners: the map resized with align_corners False and True; grid: (i + 1/2) stride - 1/2; edge: i stride"
    " - 1/2; offsets: RF center minus that place"
)


def register(graph: Graph, /, *, layer: str | None = None, other: str | None = None, **options: Any) -> Audit:
    """The audit; ``layer``: a pattern of the layers to show (default: each new placement, and the last map); ``other``:
    the source string of a second port, traced at the same input shapes.

    Raises UnknownLayerError where the pattern matches nothing, FovealError where no layer is a map of the source.
    """
    source = next((source for source in graph.sources if source.axes), None)
    if source is None:
        raise FovealError(f"{graph.name}: no input has positions")
    lengths = tuple(graph.values[source.value].shape[axis] for axis in source.axes)
    rows = placed_layers(graph, source, layer)
    last = _judged(graph, source, rows, layer)
    joins = misplaced_joins(graph, source)
    steps = [] if other is None else ports(graph, _traced(graph, other))
    tables = [_place_table(rows, lengths), _inverse_table(graph, source, last, lengths)]
    if joins:
        tables.append(_join_table(joins))
    if steps:
        tables.append(_port_table(steps, graph.name, other or ""))
    return Audit(
        task="registration",
        network=graph.name,
        source=source.name,
        source_shape=lengths,
        summary=_summary(last, steps, other),
        tables=tuple(tables),
        findings=gravest_first(FINDINGS.found(Facts(last, joins, steps))),
        method=METHOD,
        figures=_figures(graph.name, last),
    )


def placed_layers(graph: Graph, source: Source, pattern: str | None = None) -> list[Places]:
    """The places of all layers that match the pattern; without one, of each layer with a placement not seen before."""
    found, seen = [], set()
    for layer in selected_layers(graph, pattern):
        where = _places(graph, layer, source)
        if where is not None and (pattern is not None or (_is_map(where) and where.axes not in seen)):
            seen.add(where.axes)
            found.append(where)
    if not found:
        raise FovealError(f"{graph.name}: no layer is a map over '{source.name}' whose units advance evenly")
    return found


def misplaced_joins(graph: Graph, source: Source) -> list[Join]:
    """Additions, products and concatenations of maps whose units look at different places (docs/methods.md 1.3)."""
    names: dict[int, Layer] = {}
    for layer in graph.layer_table.values():
        names.setdefault(layer.value, layer)
    states, _ = path_sets(graph, source)
    found = []
    for node in graph.nodes:
        operands = [value for value in dict.fromkeys(node.inputs) if value in states and value in names]
        if not traits(node.op).joins(node.op) or len(operands) < 2:
            continue
        known = [(names[value].name, _places(graph, names[value], source)) for value in operands]
        placed = [(name, where) for name, where in known if where is not None]
        if len(placed) < 2 or len({tuple(axis.units for axis in where.axes) for _, where in placed}) > 1:
            continue
        apart = _apart([where for _, where in placed])
        if any(apart):
            name = names[node.output].name if node.output in names else node.scope or node.origin
            stride = tuple(axis.stride for axis in placed[0][1].axes)
            found.append(Join(name, tuple(name for name, _ in placed), apart, stride))
    return found


def ports(first: Graph, second: Graph) -> list[PortStep]:
    """The maps of two networks that go together, with the places of their units; what one lacks is left out."""
    sides = [(graph, next((source for source in graph.sources if source.axes), None)) for graph in (first, second)]
    layers = [
        [] if source is None else [layer for layer in visible_layers(graph) if _is_map(_places(graph, layer, source))]
        for graph, source in sides
    ]
    names = ([layer.name for layer in layers[0]], [layer.name for layer in layers[1]])
    kinds = ([layer.type for layer in layers[0]], [layer.type for layer in layers[1]])
    shapes = [[f"{sorted(g.values[layer.value].shape)}" for layer in row] for (g, _), row in zip(sides, layers)]
    steps = []
    for left, right in aligned(names, kinds, (shapes[0], shapes[1])):
        if left is None or right is None:
            continue
        a, b = (_places(g, row[at], s) for (g, s), row, at in zip(sides, layers, (left, right)) if s is not None)
        if a is not None and b is not None and len(a.axes) == len(b.axes):
            steps.append(PortStep(a, b))
    return steps


def _places(graph: Graph, layer: Layer, source: Source) -> Places | None:
    key = f"places-{source.name}"
    known: dict[str, Places | None] = graph.cache.setdefault(key, {})
    if layer.name not in known:
        try:
            known[layer.name] = places(receptive_field(graph, layer.name, source=source.name))
        except FovealError:
            # A layer that does not depend on this source has no place on it.
            known[layer.name] = None
    return known[layer.name]


def _is_map(where: Places | None) -> bool:
    """Whether there are several units, which look at different places."""
    return where is not None and any(axis.units > 1 for axis in where.axes)


def _judged(graph: Graph, source: Source, rows: Sequence[Places], pattern: str | None) -> Places:
    """The last map where it is among the layers asked for, else the last of them."""
    name = last_map(graph, source)
    where = _places(graph, name, source)
    chosen = pattern is None or fnmatchcase(name.name, pattern)
    return where if where is not None and chosen and _is_map(where) else rows[-1]


def _traced(graph: Graph, other: str) -> Graph:
    from foveal.frontends.trace import trace

    shapes = {source.name: graph.values[source.value].shape for source in graph.sources}
    return trace(other, shapes if len(shapes) > 1 else next(iter(shapes.values())))


def _apart(placed: Sequence[Places]) -> tuple[Number, ...]:
    """Per axis the largest distance between two branches' centers of the same unit."""
    found = []
    for axes in zip(*(where.axes for where in placed), strict=True):
        rows = zip(*(axis.centers() for axis in axes), strict=True)
        found.append(max(max(row) - min(row) for row in rows))
    return tuple(found)


def _place_table(rows: Sequence[Places], lengths: Sequence[int]) -> AuditTable:
    cells: list[tuple[Cell, ...]] = []
    for where in rows:
        offsets = [numbers(where.worst(name)) for name in ("cell", "corners", "grid", "edge")]
        units = "x".join(str(axis.units) for axis in where.axes)
        stride, first = numbers([axis.stride for axis in where.axes]), numbers([axis.first for axis in where.axes])
        last = numbers([axis.centers()[-1] for axis in where.axes])
        cells.append((where.layer, units, stride, first, last, *offsets))
    columns = ("layer", "units", "stride px", "center 0", "last center", "to cell", "to corners", "to grid", "to edge")
    note = "the offset that is largest over all units, in pixels; centers in pixel indices, rows x columns"
    return AuditTable("placement", columns, tuple(cells), note)


def _inverse_table(graph: Graph, source: Source, last: Places, lengths: Sequence[int]) -> AuditTable:
    """Some pixels, the units that see them, the one that looks nearest, and the one of the resized map's cell."""
    rf = receptive_field(graph, last.layer, source=source.name)
    local = rf.local or rf
    corners = {
        "first pixel": [0] * len(lengths),
        "middle": [n // 2 for n in lengths],
        "last pixel": [n - 1 for n in lengths],
    }
    cells: list[tuple[Cell, ...]] = []
    for name, position in corners.items():
        units = local.units_of(position)
        span = [(min(u[k] for u in units), max(u[k] for u in units)) for k in range(len(lengths))] if units else []
        seen = " x ".join(f"{a}-{b}" for a, b in span) or "none"
        cell = tuple(p * axis.units // n for p, axis, n in zip(position, last.axes, lengths))
        where = (_index(position), _index(last.nearest(position)), _index(cell))
        cells.append((name, *where, len(units), seen))
    columns = ("where", "pixel", "nearest unit", "cell", "units that see it", "their range")
    note = f"units of {last.layer}; nearest: by RF center; cell: of the map resized to the image"
    return AuditTable("inverse map", columns, tuple(cells), note)


def _index(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _join_table(joins: Sequence[Join]) -> AuditTable:
    rows = tuple((join.layer, ", ".join(join.branches), numbers(join.apart), numbers(join.stride)) for join in joins)
    return AuditTable("branches apart", ("join", "branches", "centers apart px", "stride px"), rows)


def _port_table(steps: Sequence[PortStep], first: str, second: str) -> AuditTable:
    differing = [step for step in steps if step.differs]
    shown = [step for k, step in enumerate(differing) if k == 0 or step.places != differing[k - 1].places] or steps[-1:]
    rows: list[tuple[Cell, ...]] = []
    for step in shown:
        strides = [numbers([axis.stride for axis in side.axes]) for side in step.sides]
        firsts = [numbers([axis.first for axis in side.axes]) for side in step.sides]
        rows.append((step.first.layer, step.second.layer, *strides, *firsts, numbers(step.apart)))
    columns = (first, second, "stride", "stride of other", "center 0", "center 0 of other", "apart px")
    note = (
        f"{len(differing)} of {len(steps)} common layers differ, of which those are shown where the places change; "
        "apart: largest over the units"
    )
    return AuditTable("ports", columns, tuple(rows), note)


def _summary(last: Places, steps: Sequence[PortStep], other: str | None) -> tuple[str, ...]:
    first, stride = numbers([axis.first for axis in last.axes]), numbers([axis.stride for axis in last.axes])
    lines = [
        f"{last.layer}: unit i looks at pixel {first} + {stride} i; a map resized to the image puts it up to "
        f"{_length(last, 'cell')} px away (align_corners=True: {_length(last, 'corners')} px)"
    ]
    if other is not None:
        differing = [step for step in steps if step.differs]
        lines.append(
            f"{other}: {len(differing)} of {len(steps)} common layers look elsewhere"
            + (f", the first is {differing[0].first.layer}" if differing else "")
        )
    return tuple(lines)


def _length(where: Places, convention: str) -> str:
    lengths: list[Number | None] = [plain(abs(Fraction(value))) for value in where.worst(convention)]
    return numbers(lengths)


def _figures(name: str, last: Places) -> dict[str, object]:
    places = {"places": UnitPlaces(name, last)} if len(last.axes) == 2 else {}
    return {**places, "offsets": OffsetCurves(name, last)}


TASK = Task(
    "registration",
    "Do units look where cells, resized maps and anchors say they do; do two ports of a model agree.",
    register,
    (
        Option("layer", str, "a pattern of the layers to show; default: each new placement", metavar="GLOB"),
        Option("other", str, "a second port to compare with, as SOURCE", metavar="SOURCE"),
    ),
)
