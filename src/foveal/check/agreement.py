"""The same network from several front ends: equal receptive fields at corresponding layers, equal fields.

Front ends name layers as their frameworks do, so layers correspond by what they compute: the first window (convolution,
transposed convolution, pool, resampling) of one network with the first of the other, and so on in the order of
execution. The layer that stands for a window is the first that holds its result, a bias, an activation or another order
of axes allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.fields.kinds import field
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.report.compare import is_window
from foveal.report.findings import reachable

KINDS = ("support", "paths", "edges")


@dataclass(frozen=True, repr=False)
class Agreement(show.Shown):
    """What a comparison of front ends found. ``layers``: how many corresponding layers were compared; ``fields``: how
    many fields.
    """

    names: tuple[str, ...]
    layers: int
    fields: int
    differences: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all is equal."""
        return not self.differences


def check_frontends_agree(
    graphs: Mapping[str, Graph],
    layers: Sequence[Sequence[str]] | None = None,
    *,
    kinds: Sequence[str] = KINDS,
    fields_at: int = 3,
) -> Agreement:
    """Compare the graphs of one network from several front ends, by name of the front end; the first is the reference.

    ``layers``: rows of corresponding layer names, one per graph; by default windows in order, see the module's text.
    At each the boxes of every unit must be equal, clipped and unclipped, and at ``fields_at`` of them, spread over the
    depth, the fields of ``kinds`` of the middle unit. Raises FovealError for fewer than two graphs.
    """
    if len(graphs) < 2:
        raise FovealError("give at least two graphs to compare, by name of the front end")
    names, differences = tuple(graphs), []
    rows = [tuple(row) for row in layers] if layers is not None else []
    if layers is None:
        columns = [windows(graph) for graph in graphs.values()]
        counts = {name: len(column) for name, column in zip(names, columns)}
        if len(set(counts.values())) > 1:
            differences.append(f"windows: {', '.join(f'{count} in {name}' for name, count in counts.items())}")
        rows = list(zip(*columns))
    for row in rows:
        found = [receptive_field(graph, layer) for graph, layer in zip(graphs.values(), row, strict=True)]
        for name, rf in zip(names[1:], found[1:]):
            what = difference(found[0], rf)
            if what:
                differences.append(f"{row[0]} in {names[0]} and {rf.layer} in {name}: {what}")
    chosen = sorted({round(k) for k in np.linspace(0, len(rows) - 1, min(fields_at, len(rows)))}) if rows else []
    for index in chosen:
        for kind in kinds:
            differences += _unequal_fields(graphs, rows[index], kind)
    return Agreement(names, len(rows), len(chosen) * len(kinds), tuple(differences))


def windows(graph: Graph) -> list[str]:
    """For each window that depends on the first source, in order, the first layer that holds its result."""
    producers, reach = graph.producers(), reachable(graph)
    first = graph.sources[0].name if graph.sources else ""
    holders: dict[int, str] = {}
    for layer in graph.layer_table.values():
        node = producers.get(layer.value)
        while node is not None and (traits(node.op).passes(node.op) or not is_window(node.op)):
            carried = [used for used in node.inputs if first in reach.get(used, ())]
            node = producers.get(carried[0]) if len(carried) == 1 and traits(node.op).passes(node.op) else None
        if node is not None and first in reach.get(node.output, ()):
            holders.setdefault(node.output, layer.name)
    order = {node.output: index for index, node in enumerate(graph.nodes)}
    return [holders[value] for value in sorted(holders, key=order.__getitem__)]


def difference(first: ReceptiveField, second: ReceptiveField) -> str:
    """What differs between two receptive fields, "" where nothing does: numbers, status, or the box of a unit (not of
    matrices that are too large to list).
    """
    for word in ("grid", "size", "stride", "start", "status", *(() if first.listed else ("sizes", "clipped_sizes"))):
        a, b = getattr(first, word), getattr(second, word)
        if a != b:
            return f"{word} {a} and {b}"
    if not first.listed:
        return ""
    for axis in range(len(first.source_shape)):
        for row, setting in enumerate(("clipped", "unclipped")):
            pairs = [_read(rf, axis, row) for rf in (first, second)]
            a, b = np.split(np.stack(np.broadcast_arrays(*pairs[0], *pairs[1])), 2)  # grids that vary on other axes
            if not np.array_equal(a, b):
                unit = np.argwhere((a != b).any(axis=0))[0]
                return f"{setting} box of unit {tuple(int(i) for i in unit)} on source axis {axis}"
    return ""


def _read(rf: ReceptiveField, axis: int, row: int) -> list[np.ndarray]:
    """First and last position of each unit, 0 and 0 where it reads nothing."""
    return [np.where(rf.nothing[row], 0, ends[axis][row]) for ends in (rf.first, rf.last)]


def _unequal_fields(graphs: Mapping[str, Graph], row: Sequence[str], kind: str) -> list[str]:
    found = [field(graph, layer, kind=kind) for graph, layer in zip(graphs.values(), row)]
    differences = []
    for (_, first), (name, second) in pairwise(zip(graphs, found)):
        same = first.origin == second.origin and first.values.shape == second.values.shape
        if not same or not np.allclose(first.values, second.values, rtol=1e-9, atol=0):
            differences.append(f"{row[0]}: field '{kind}' differs in {name}")
    return differences
