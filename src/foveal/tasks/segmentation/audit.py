"""Segmentation: which field sizes an output pixel couples, with what weight, with which holes, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log2
from typing import Any

from foveal.core.errors import FovealError
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import grid_axes
from foveal.fields.kinds import field as field_of
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.tasks.record import Audit, AuditTable, Cell, Later, gravest_first
from foveal.tasks.segmentation.border import Border, border
from foveal.tasks.segmentation.coupling import Spectrum, spectrum
from foveal.tasks.segmentation.findings import FINDINGS, Facts
from foveal.tasks.segmentation.gridding import Dilated, Grids, dilated_convolutions, grids
from foveal.tasks.segmentation.record import Spectra
from foveal.tasks.segmentation.two_ways import Way, two_ways
from foveal.tasks.task import Option, Task, for_images

LISTED = 16
"""Up to so many sizes of a spectrum are listed one by one; more are gathered by quarter octaves."""
METHOD = (
    "a route takes one operand at each join and all taps of each window; its weight is its share of the middle "
    "output's expected squared gradient for random weights of unit gain; lattices are exact supports without "
    "global context"
)


def segment(graph: Graph, /, **options: Any) -> Audit:
    """The audit of a segmentation network; see ``TASK`` for the options.

    Raises FovealError for a layer without a grid over an image.
    """
    for_images(graph, "segmentation")
    layer = graph.layer(options["layer"]).name if options.get("layer") else output_layer(graph)
    rf = receptive_field(graph, layer)
    if len(rf.grid) != 2 or len(rf.source_shape) != 2:
        raise FovealError(f"'{layer}': segmentation needs a grid of units over an image; this layer's is {rf.grid}")
    found = spectrum(graph, layer)
    dilated, holes = dilated_convolutions(graph, layer), grids(graph, layer)
    joins, ways, edge = couplings(graph, layer), two_ways(graph, rf, found), border(graph, rf)
    tables = [_output_table(rf, found)] + ([] if found.unknown else [_spectrum_table(found)])
    tables += [_join_table(joins)] if joins else []
    tables += [_dilated_table(dilated)] if dilated else []
    tables += [_lattice_table(holes, rf), _border_table(edge), _ways_table(ways)]
    return Audit(
        task="segmentation",
        network=graph.name,
        source=rf.source,
        source_shape=(rf.source_shape[0], rf.source_shape[1]),
        summary=tuple(_summary(rf, found, holes, ways)),
        tables=tuple(tables),
        findings=gravest_first(FINDINGS.found(Facts(rf, found, dilated, holes, edge))),
        method="; ".join([METHOD, *found.notes]),
        figures={
            **({} if found.unknown else {"spectrum": Spectra(((found.layer, found.sizes, found.whole),))}),
            "field": Later(partial(field_of, graph, layer, kind="energy")),
        },
    )


def output_layer(graph: Graph) -> str:
    """The last layer made with a grid of units over the image; raises FovealError where there is none."""
    for item in sorted(
        graph.layer_table.values(), key=lambda layer: (-layer.value, layer.kind != "module", layer.name)
    ):
        axes = grid_axes(graph, item.value)
        if len(axes) == 2 and min(graph.values[item.value].shape[axis] for axis in axes) > 1:
            return item.name
    raise FovealError(f"{graph.name}: no layer has a grid of units over an image; name one with --layer")


def couplings(graph: Graph, layer: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """(module, kind, field size per branch) of each concatenation on the way to ``layer`` whose branches differ."""
    names: dict[int, str] = {}
    for item in graph.layer_table.values():
        names.setdefault(item.value, item.name)
    behind, found = graph.values_behind(graph.layer(layer).value), []
    for node in graph.nodes:
        if node.output not in behind or traits(node.op).joins(node.op) != "concatenation":
            continue
        branches = [names[i] for i in node.inputs if i in names]
        if len(branches) < 2 or len(branches) != len(node.inputs):
            continue
        sizes = tuple(_branch(graph, name) for name in branches)
        if len(set(sizes)) > 1:
            found.append((node.scope or "(top)", "concatenation", sizes))
    return found


def _branch(graph: Graph, name: str) -> str:
    """A branch's field: its size without global context, "whole" where there is nothing else."""
    found = bounds(graph).states.get(graph.layer(name).value, {})
    if not found:
        return "none"
    if all(hull.whole for state in found.values() for box in state.strict for hull in box):
        return "whole"
    rf = receptive_field(graph, name)
    return rf.local.size_text() + " + whole" if rf.local is not None else rf.size_text()


def _output_table(rf: ReceptiveField, found: Spectrum) -> AuditTable:
    local = rf.local or rf
    row = (
        rf.layer, "x".join(map(str, rf.grid)), _by(local.stride), local.size_text(),
        _by(local.period) if max(local.period) > 1 else "",
        "yes" if rf.local is not None or found.whole > 0 else "no", None if found.unknown else found.whole, rf.status,
    )  # fmt: skip
    columns = ("layer", "grid", "stride", "TRF (px)", "phases", "global context", "its share of energy", "status")
    return AuditTable("Output", columns, (row,), "TRF without global context; a range is over phases")


def _spectrum_table(found: Spectrum) -> AuditTable:
    rows: list[tuple[Cell, ...]] = []
    total = 0.0
    for name, share in _binned(found.sizes):
        total += share
        rows.append((name, share, total))
    if found.whole > 0:
        rows.append(("whole image", found.whole, total + found.whole))
    columns = ("field size (px)", "share of energy", "up to here")
    middle = ", ".join(str(found.quantile(q)) for q in (0.1, 0.5, 0.9))
    note = f"10, 50, 90 % of the energy up to {middle} px; as many as {found.effective_count:.3g} equal sizes"
    return AuditTable("Spectrum", columns, tuple(rows), note)


def _binned(sizes: Sequence[tuple[int, float]]) -> list[tuple[str, float]]:
    if len(sizes) <= LISTED:
        return [(str(size), share) for size, share in sizes]
    bins: dict[int, list[tuple[int, float]]] = {}
    for size, share in sizes:
        bins.setdefault(int(4 * log2(size)), []).append((size, share))
    return [
        (f"{part[0][0]}-{part[-1][0]}" if len(part) > 1 else str(part[0][0]), sum(share for _, share in part))
        for part in bins.values()
    ]


def _join_table(joins: Sequence[tuple[str, str, tuple[str, ...]]]) -> AuditTable:
    rows = tuple((layer, kind, len(sizes), ", ".join(sizes)) for layer, kind, sizes in joins)
    return AuditTable("Couplings", ("module", "join", "branches", "fields of the branches (px)"), rows)


def _dilated_table(dilated: Sequence[Dilated]) -> AuditTable:
    rows = tuple(
        (
            item.layer, _by(item.kernel), _by(item.dilation), _by(item.jump), _by(item.adds), _by(item.map),
            _by(item.span), item.alive, item.lone,
        )
        for item in dilated
    )  # fmt: skip
    columns = (
        "layer", "kernel", "rate", "jump (px)", "adds (px)", "map", "span", "taps on the map", "units with one tap",
    )  # fmt: skip
    return AuditTable(
        "Dilated convolutions", columns, rows, "jump: source pixels per position; span in positions of the map"
    )


def _lattice_table(holes: Grids, rf: ReceptiveField) -> AuditTable:
    rows = [(rf.source, *_lattice_cells(holes.source))]
    if holes.entry is not None:
        rows.append((f"input of {holes.entry_layer or '(top)'}", *_lattice_cells(holes.entry)))
    columns = ("map", "extent", "positions read", "largest gap", "common step")
    note = (
        f"what output {holes.unit} reads along each axis; gap 1: no hole; common step above 1: neighbours share nothing"
    )
    return AuditTable("Lattice", columns, tuple(rows), note)


def _lattice_cells(found: Any) -> tuple[str, str, str, str]:
    return _by(found.extent), _by(found.taps), _by(found.largest_gap), _by(found.common)


def _border_table(edge: Border) -> AuditTable:
    row = (edge.complete, edge.margin, edge.corner_energy)
    columns = ("outputs with their whole field", "margin (px)", "energy of a corner output")
    note = "margin: from the border to the first output whose field is whole; energy over that of the middle output"
    return AuditTable("Border", columns, (row,), note)


def _ways_table(ways: Sequence[Way]) -> AuditTable:
    rows = tuple((way.name, _by(way.block), way.runs, way.multiply_adds, way.times, way.covers) for way in ways)
    columns = ("way", "block (px)", "runs", "multiply-adds", "times the network", "share of the spectrum")
    return AuditTable("Two ways", columns, rows, "a block costs its share of the image's area")


def _times(factor: float) -> str:
    """A factor as people write it: "9.57", "85,100"."""
    return f"{factor:.3g}" if factor < 1000 else f"{float(f'{factor:.3g}'):,.0f}"


def _summary(rf: ReceptiveField, found: Spectrum, holes: Grids, ways: Sequence[Way]) -> list[str]:
    local = rf.local or rf
    context = f", and the whole image by global context ({found.whole:.2g} of the energy)" if found.whole else ""
    several = (
        f"{len(found.sizes)} field sizes from {found.sizes[0][0]} to {found.sizes[-1][0]} px" if found.sizes else ""
    )
    coupled = several if len(found.sizes) > 1 else "one field size" if found.sizes else "no local field size"
    lines = [
        f"{rf.layer}: one output sees {local.size_text()} px{context}",
        f"it couples {coupled}, half of the energy up to {found.quantile(0.5) or 'no'} px"
        if not found.unknown
        else f"the sizes that it couples are not known: {found.unknown}",
    ]
    if max(holes.source.largest_gap, default=1) > 1:
        lines.append("its field has holes")
    many = [way for way in ways if way.runs > 1]
    if many:
        lines.append(f"classifiers of blocks would cost {_times(many[-1].times)} times as much as this one network")
    return lines


def _by(numbers: Sequence[Any]) -> str:
    texts = ["none" if n is None else f"{float(n):.4g}" for n in numbers]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


TASK = Task(
    "segmentation",
    "Field sizes that an output couples, holes and gridding, rates that degenerate, borders, and the cost of two ways.",
    segment,
    (Option("layer", str, "the output layer; default: the last with a grid over the image", metavar="NAME"),),
)
