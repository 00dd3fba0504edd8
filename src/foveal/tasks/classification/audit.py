"""Classification: does the field cover the image, which layers can still add context, what do shortcuts do.

Questions and definitions: docs/methods.md 1.6, 2.3 and 4. The effective field (ERF) is that of ``erf``: "energy"
(expected squared gradient for random weights of unit gain; no images), "weights" (the same with the model's own
weights), or "measured" (input gradients of the real model on images).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveal.core.errors import FovealError
from foveal.engine.roles import grid_axes
from foveal.fields.channels import over_channels
from foveal.ir.graph import MAIN, Graph, Source
from foveal.tasks.classification.findings import FINDINGS, Facts
from foveal.tasks.classification.image_coverage import first_to_cover, image_coverage, last_map, numbers
from foveal.tasks.classification.productivity import layer_paths, resolutions
from foveal.tasks.classification.record import (
    DepthCurves,
    GradientCurves,
    GradientReach,
    ImageCoverage,
    LayerPaths,
    LayerSizes,
    PathLengths,
    PathShares,
    Resolutions,
)
from foveal.tasks.classification.shortcuts import count_text, gradient_reach, path_lengths, shortcut_reads
from foveal.tasks.record import Audit, AuditTable, gravest_first
from foveal.tasks.shared.path_sets import path_sets
from foveal.tasks.task import Option, Task

KINDS: dict[str, dict[str, Any]] = {
    "energy": {"kind": "energy"},
    "weights": {"kind": "energy", "weights": "model"},
    "measured": {"kind": "gradient"},
}
SHOWN = 20
MEANINGFUL = 100.0
"""log10 of an expected squared gradient beyond which it says nothing (boxes, products of scores)."""
"""Of deeper networks so many layers, evenly spread, are shown in the depth table."""
METHOD = (
    "TRF: unclipped size of the middle unit's field without global context; effective side: gradient above 4.55 % of "
    "its largest (Luo et al. 2016), ERF covers: share of the image in that region; 90 % side: centered square that "
    "holds 90 % of the energy; border layers and feasible sizes: Richter et al. 2021, with dilation and real map "
    "lengths; attention counts as global context"
)


def classify(
    graph: Graph,
    /,
    *,
    layer: str | None = None,
    erf: str = "energy",
    images: str | None = None,
    count: int | None = None,
    **options: Any,
) -> Audit:
    """The audit; ``layer`` is the map to judge (default: the last one with a field of its own).

    Raises FovealError for a network without counted axes, UnknownLayerError for a layer that is not there.
    """
    source = _source(graph)
    lengths = tuple(graph.values[source.value].shape[axis] for axis in source.axes)
    judged = graph.layer(layer) if layer is not None else last_map(graph, source)
    output = _output(graph)
    settings = KINDS[erf] | ({"images": images} if erf == "measured" else {})
    rows = layer_paths(graph, source)
    limits = resolutions(rows)
    at_map = _measured(graph, judged.name, source, settings, count)
    stride = path_sets(graph, source)[0][judged.value].paths[-1].stride if judged.value != source.value else 1
    at_output = _measured(graph, output, source, settings | {"cell": int(stride or 1)}, count)
    head = dense_head(graph, rows)
    at_head = None if head is None else _measured(graph, head, source, settings, count)
    depth = _depth(graph, rows, source)
    first = first_to_cover(graph, [row.layer for row in depth_rows(rows) if row.layer in graph.layer_table], source)
    paths = path_lengths(graph, graph.layer(output).value)
    reach, far = _reach(graph, output, rows)
    spread = _spread(graph, at_map, source) if erf == "energy" else ()
    found = FINDINGS.found(Facts(lengths, at_head or at_map, at_output, rows, limits, _units(graph, output)))
    tables = [
        _coverage_table(at_map, at_head, at_output, lengths),
        depth,
        _productivity_table(rows, lengths),
        _resolution_table(limits),
        _path_table(paths, len(shortcut_reads(graph))),
    ]
    if reach:
        tables.append(_reach_table(reach))
    return Audit(
        task="classification",
        network=graph.name,
        source=source.name,
        source_shape=lengths,
        summary=_summary(at_map, at_head, at_output, lengths, first, rows, limits, paths) + spread + far,
        tables=tuple(tables),
        findings=gravest_first(found),
        method=f"{METHOD}; effective fields: {erf}",
        figures=_figures(graph.name, lengths, depth, rows, paths, reach),
    )


def depth_rows(rows: Sequence[LayerPaths]) -> list[LayerPaths]:
    """Convolutions and poolings with a local path, without side branches that see less than what came before."""
    found: list[LayerPaths] = []
    for row in rows:
        if row.kind in ("convolution", "pooling") and not row.dense:
            furthest = found[-1].largest if found else row.largest
            if all((size or 0) >= (before or 0) for size, before in zip(row.largest, furthest, strict=True)):
                found.append(row)
    return found


def dense_head(graph: Graph, rows: Sequence[LayerPaths]) -> str | None:
    """The first dense layer over positions (a weight for each): a unit of it sees all that its map sees together."""
    for row in rows:
        if row.kind == "contraction" and row.dense and None not in row.before and row.layer in graph.layer_table:
            return row.layer
    return None


def _source(graph: Graph) -> Source:
    for source in graph.sources:
        if source.axes:
            return source
    raise FovealError(f"{graph.name}: no input has positions; a classifier of images, sounds or volumes is expected")


def _output(graph: Graph) -> str:
    """The first output of the network by name."""
    names = [name for name in graph.layer_table if name.split(".")[0] == "output"]
    main = graph.main
    return main if not names or any(word in main.rpartition(".")[2] for word in MAIN) else names[0]


def _units(graph: Graph, output: str) -> tuple[int, ...]:
    """Lengths of the output's grid; () for one answer to the whole image."""
    value = graph.layer(output).value
    lengths = tuple(graph.values[value].shape[axis] for axis in grid_axes(graph, value))
    return lengths if max(lengths, default=1) > 1 else ()


def _measured(graph: Graph, layer: str, source: Source, settings: dict[str, Any], count: int | None) -> ImageCoverage:
    if settings["kind"] != "gradient" or count is None:
        return image_coverage(graph, layer, source, **settings)
    from foveal.fields.measured.measure import measure

    found = measure(graph, layer, images=settings.get("images"), source=source.name, count=count)[0].field
    return image_coverage(graph, layer, source, found, settings.get("cell", 1))


def _depth(graph: Graph, rows: Sequence[LayerPaths], source: Source) -> AuditTable:
    """TRF, ERF and cost by depth, over at most SHOWN layers."""
    steps = [row for row in depth_rows(rows) if row.layer in graph.layer_table]
    count = min(SHOWN, len(steps))
    chosen = [steps[round(index * (len(steps) - 1) / max(1, count - 1))] for index in range(count)]
    adds = parameters = 0
    spent: dict[int, tuple[int, int]] = {}
    for row in rows:
        adds, parameters = adds + row.multiply_adds, parameters + row.parameters
        spent[row.value] = (adds, parameters)
    cells = []
    for row in chosen:
        cover = image_coverage(graph, row.layer, source)
        sigma = None if cover.sigmas is None else cover.sigmas[-1]
        longest = path_lengths(graph, row.value).lengths
        cells.append(
            (row.layer, longest[-1] if longest else 0, cover.size[-1], cover.covered, cover.side, sigma, cover.region)
            + spent[row.value]
        )
    columns = ("layer", "depth", "TRF px", "TRF covers", "effective side px", "sigma px", "ERF covers",
               "mult-adds", "params")  # fmt: skip
    note = "depth: weighted layers on the longest path; covers: share of the image; costs: from the input to here"
    return AuditTable("depth", columns, tuple(cells), note)


def _reach(graph: Graph, output: str, rows: Sequence[LayerPaths]) -> tuple[tuple[GradientReach, ...], tuple[str, ...]]:
    """Gradient energy at each convolution's output; empty where the network has no shortcuts or it is not available.

    It is also empty, and a sentence says so, where the numbers are too far out to mean anything.
    """
    if not shortcut_reads(graph):
        return (), ()
    layers = [(row.layer, row.value) for row in rows if row.kind == "convolution"]
    try:
        found = gradient_reach(graph, graph.layer(output).value, layers)
    except FovealError:
        return (), ()
    # Convolutions inside a shortcut (projections) go with it.
    kept = tuple(item for item in found if item.without is not None)
    logs = [log for item in kept for log in (item.with_shortcuts, item.without) if log is not None]
    furthest = max(logs, key=abs, default=0.0)
    if abs(furthest) > MEANINGFUL:
        return (), (f"gradient energy left out: numbers such as 10^{furthest:.0f} say nothing about this output",)
    return kept, ()


def _coverage_table(
    at_map: ImageCoverage, at_head: ImageCoverage | None, at_output: ImageCoverage, lengths: Sequence[int]
) -> AuditTable:
    columns = ("where", "layer", "TRF px", "TRF / image", "TRF covers", "effective side px", "90 % side px",
               "ERF covers", "sigma px")  # fmt: skip
    rows = [
        (
            where,
            item.layer,
            numbers(item.size),
            item.ratio(lengths),
            item.covered,
            item.side,
            item.side_90,
            item.region,
            None if item.sigmas is None else item.sigmas[-1],
        )
        for where, item in (("last map", at_map), ("dense layer", at_head), ("output", at_output))
        if item is not None
    ]
    return AuditTable("coverage", columns, tuple(rows), "covers: share of the image; TRF / image: the smaller axis")


def _productivity_table(rows: Sequence[LayerPaths], lengths: Sequence[int]) -> AuditTable:
    words = {"context": "border: nothing new to see", "dense": "border: window covers the map", "": ""}
    cells = []
    for row in rows:
        if row.dense:
            continue
        state = words[row.reason] or ("critical" if row.critical else "critical on one axis" if row.partly else "")
        cells.append(
            (row.layer, row.kind, numbers(row.span), numbers(row.maps), numbers(row.before), numbers(row.smallest))
            + (numbers(row.largest), state, row.multiply_adds or None)
        )
    columns = (
        "layer", "kind", "window", "map", "smallest RF before", "smallest RF", "largest RF", "state", "mult-adds",
    )  # fmt: skip
    size = "x".join(map(str, lengths))
    note = f"sizes over single paths, in pixels, at {size}; critical: even the smallest is larger than the image"
    return AuditTable("layers", columns, tuple(cells), note)


def _resolution_table(limits: Resolutions) -> AuditTable:
    rows = (
        ("smallest: every layer adds context", numbers(limits.smallest)),
        ("smallest, 1x1 layers exempt", numbers(limits.spatial)),
        ("no window covers its map above", numbers(limits.windows)),
        ("largest: some unit sees the whole image", numbers(limits.largest)),
    )
    return AuditTable("resolutions", ("feasible input", "px"), rows)


def _path_table(paths: PathLengths, shortcuts: int) -> AuditTable:
    rows = (
        ("shortcuts", shortcuts),
        ("paths", paths.total),
        ("shortest path", paths.lengths[0] if paths.lengths else None),
        ("mean length", paths.mean if paths.lengths else None),
        ("standard deviation", paths.deviation if paths.lengths else None),
        ("longest path", paths.lengths[-1] if paths.lengths else None),
    )
    return AuditTable("paths", ("paths from input to output", "weighted layers"), rows)


def _reach_table(reach: Sequence[GradientReach]) -> AuditTable:
    step = max(1, len(reach) // SHOWN)
    rows = tuple((item.layer, item.depth, item.with_shortcuts, item.without) for item in reach[::step])
    columns = ("layer", "depth", "with shortcuts", "without")
    return AuditTable("gradient energy", columns, rows, "log10 of the output's expected squared gradient, by layer")


def _summary(
    at_map: ImageCoverage,
    at_head: ImageCoverage | None,
    at_output: ImageCoverage,
    lengths: Sequence[int],
    first: str | None,
    rows: Sequence[LayerPaths],
    limits: Resolutions,
    paths: PathLengths,
) -> tuple[str, ...]:
    image = "x".join(map(str, lengths))
    lines = [
        f"last map {at_map.layer}: TRF {numbers(at_map.size)} px on a {image} image" + _covers(first, at_map.whole)
    ]
    if at_head is not None:
        lines.append(f"dense layer {at_head.layer}: TRF {numbers(at_head.size)} px")
    if at_map.region is not None and at_output.region is not None:
        lines.append(
            f"effective field: {at_map.region:.0%} of the image for one unit of that map, "
            f"{at_output.region:.0%} for the output"
        )
    why = at_map.why or at_output.why
    if why:
        lines.append(f"effective field not available: {why}")
    border = [row for row in rows if row.border]
    limited = "feasible input without global context" if at_map.whole else "feasible input"
    lines.append(
        f"{limited}: {_span(numbers(limits.smallest), numbers(limits.largest))} px; "
        f"{len(border) or 'no'} border layer{'' if len(border) == 1 else 's'} at {image}"
    )
    if paths.total > 1:
        span = _span(str(paths.lengths[0]), str(paths.lengths[-1]))
        lines.append(f"{count_text(paths.total)} paths of {span} weighted layers")
    return tuple(lines)


def _spread(graph: Graph, at_map: ImageCoverage, source: Source) -> tuple[str, ...]:
    """Where the channels of the map see unlike parts, so that the field of all together is that of none."""
    if at_map.side is None:
        return ()
    sides = [one.effective.side for one in over_channels(graph, at_map.layer, source=source.name)]
    if not sides:
        return ()
    told = f"{min(sides):.0f} to {max(sides):.0f} px"
    return (f"effective side over the channels of that map: {told}, of their mean {at_map.side:.0f} px",)


def _covers(first: str | None, whole: bool) -> str:
    if first:
        return f", from {first} on a unit covers the image" + (
            " (global context, such as attention or gates, shows it all)" if whole else ""
        )
    if whole:
        return ", a unit covers the image only through global context, such as attention or gates"
    return ", no unit of a map covers the image"


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _figures(
    name: str,
    lengths: tuple[int, ...],
    depth: AuditTable,
    rows: Sequence[LayerPaths],
    paths: PathLengths,
    reach: Sequence[GradientReach],
) -> dict[str, object]:
    made: dict[str, object] = {
        "depth": DepthCurves(name, lengths, depth),
        "layers": LayerSizes(name, lengths, tuple(rows)),
    }
    if paths.total > 1:
        made["paths"] = PathShares(name, paths)
    if reach:
        made["gradient"] = GradientCurves(name, tuple(reach))
    return made


TASK = Task(
    "classification",
    "Does the field cover the image, which layers can add context, what do shortcuts do.",
    classify,
    (
        Option("layer", str, "the map to judge; default: the last one with a field of its own", metavar="NAME"),
        Option("erf", str, "how the effective field is found", "energy", choices=tuple(KINDS)),
        Option("images", str, "for --erf measured: a folder of images; default: seeded noise", metavar="DIR"),
        Option("count", int, "for --erf measured: the first so many images", metavar="N"),
    ),
)
