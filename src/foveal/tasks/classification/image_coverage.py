"""How much of the image a classifier's units see: by reach (TRF) and by weight (ERF), at the last map and the output.

The last map is the last layer with units that have a field of their own; what follows (global pooling, dense layers)
adds them up. The effective region holds the positions of the effective side (:mod:`foveal.fields.metrics.effective`). A
layer inside the network is judged by its middle unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.forward.bounds import bounds, one_box
from foveal.engine.forward.hull import advance, all_dense
from foveal.engine.roles import grid_axes
from foveal.fields.field import Field
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import Effective, level_of, moments
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph, Layer, Source
from foveal.ir.rules import traits
from foveal.report.results import Number
from foveal.tasks.classification.record import ImageCoverage
from foveal.tasks.shared.path_sets import path_sets

COVERS = 0.75
"""An effective region of at least this share of the image counts as covering it."""


def image_coverage(
    graph: Graph, layer: str, source: Source, found: Field | None = None, cell: int = 1, **options: Any
) -> ImageCoverage:
    """The coverage by one layer's middle unit, by the field ``found`` or that of :func:`foveal.fields.field` with
    ``options`` (default: energy). cell: side of the cells, in positions.
    """
    rf = receptive_field(graph, layer, source=source.name)
    try:
        chosen = found or field_of(graph, layer, source=source.name, **({"kind": "energy"} | options))
        counts, cells, why = chosen.effective(), _cells(chosen, cell), ""
        spread = moments(chosen.normalized(), chosen.origin)
    except FovealError as error:
        counts, spread, cells, why = None, None, None, str(error)
    state = path_sets(graph, source)[0].get(graph.layer(layer).value)
    whole = state is not None and all(paths.whole for paths in state.paths)
    local = rf.local or rf
    return ImageCoverage(
        layer, local.size, local.covered, whole, *_sides(counts, prod(rf.source_shape)),
        None if spread is None else spread.sigmas, cells, why,
    )  # fmt: skip


def last_map(graph: Graph, source: Source) -> Layer:
    """The last layer on the way to the output with units that have a local path, by its shortest module name.

    Raises FovealError where the network has none.
    """
    states, _ = path_sets(graph, source)
    behind = _behind(graph)
    order = {node.output: place for place, node in enumerate(graph.nodes)}
    local = [
        layer
        for layer in graph.layer_table.values()
        if layer.value in behind and layer.value in order and layer.value in states
        if all(paths.smallest is not None for paths in states[layer.value].paths) and grid_axes(graph, layer.value)
        if not _pooled_whole(graph, layer.value)
    ]
    # The output counts only where nothing before it has a name, as in a function of one operation.
    local = [layer for layer in local if layer.name != "output"] or local
    if not local:
        raise FovealError(f"{graph.name}: no layer has units with a field of their own; name one with layer=")
    values = sorted({layer.value for layer in local}, key=lambda v: -order[v])
    value = next((v for v in values if not _flattened(graph, v)), values[0])
    return min(
        (layer for layer in local if layer.value == value),
        key=lambda layer: (layer.kind != "module", layer.name.count("."), layer.name.count("#"), layer.name),
    )


def first_to_cover(graph: Graph, layers: Sequence[str], source: Source) -> str | None:
    """The first of the layers whose middle unit's box is the whole image; None where there is none."""
    for layer in layers:
        rf = receptive_field(graph, layer, source=source.name)
        if (rf.local or rf).covered == 1:
            return layer
    return None


def numbers(values: Sequence[Number | None]) -> str:
    """One entry per axis, written once where they are equal: "427", "7x1"; "?" for None."""
    cells = ["?" if value is None else f"{float(value):g}" for value in values]
    return cells[0] if len(set(cells)) == 1 else "x".join(cells)


def _sides(counts: Effective | None, positions: int) -> tuple[float | None, float | None, int | None]:
    return (None,) * 3 if counts is None else (counts.count / positions, counts.side, counts.side_90)


def _cells(found: Field, cell: int) -> float | None:
    """Share of cells that count by their mean weight as positions do by their own; what is left at the end joins no
    cell.
    """
    mean = np.abs(found.full()).astype(np.float64)
    for axis in range(mean.ndim):
        side = min(max(1, cell), mean.shape[axis])
        count = mean.shape[axis] // side
        mean = mean.take(range(count * side), axis=axis)
        mean = mean.reshape(*mean.shape[:axis], count, side, *mean.shape[axis + 1 :]).mean(axis=axis + 1)
    largest = float(mean.max(initial=0.0))
    return None if largest == 0 else float((mean > level_of(bool(found.squared)) * largest).mean())


def _pooled_whole(graph: Graph, value: int) -> bool:
    """Whether a value is what global pooling gives: one unit, even where its map had only one."""
    lengths = [graph.values[value].shape[axis] for axis in grid_axes(graph, value)]
    op = graph.producers()[value].op
    return traits(op).pools(op) and traits(op).window(op) is None and max(lengths, default=1) == 1


def _flattened(graph: Graph, value: int) -> bool:
    """Whether the units are elements of a flattened map: their fields differ, but advance along no axis."""
    hulls = [hull for state in bounds(graph).states[value].values() for hull in one_box(state.local)]
    moving = [(hull, axis) for hull in hulls for axis in grid_axes(graph, value) if hull.data.shape[axis + 1] > 1]
    return bool(moving) and not any(advance(all_dense(hull), axis) for hull, axis in moving)


def _behind(graph: Graph) -> set[int]:
    """Values on the way to the network's outputs."""
    outputs = [layer.value for layer in graph.layer_table.values() if layer.name.split(".")[0] == "output"]
    return graph.values_behind(*(outputs or [graph.nodes[-1].output]))
