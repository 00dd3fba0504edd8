"""The layers that people ask about: the ends of stages, and a dozen spread over the growth of the receptive field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from foveal.report.results import LayerResult, Report

CHOSEN = 12
"""Layers spread over the growth."""
STAGES = 24
"""Most ends of stages."""

_Tree = dict[str, "_Tree"]


def chosen_layers(
    report: Report, source: str, count: int = CHOSEN, wanted: Sequence[str] = (), left_out: Collection[str] = ()
) -> list[str]:
    """The ends of stages, ``wanted``, and layers spread evenly over the growth: the last of each size, containers
    first, at most ``count``, with the last layer that has a stride; in order of execution. left_out: layers that are
    chosen only where they are wanted.
    """
    known = [row for row in report.layers if row.source == source and bool(row.clipped) and all(row.clipped)]
    rows = [row for row in known if row.status != "unavailable" and row.name not in left_out]
    picked = {*wanted, *stage_ends(rows), *_spread(rows, count)}
    return [row.name for row in known if row.name in picked]


def stage_ends(rows: Sequence[LayerResult]) -> list[str]:
    """Outermost modules within which the stride does not change from part to part; of many, the outermost."""
    known = {row.name: row for row in rows if len(row.shape) > 2 and _units(row) > 1 and "#" not in row.name}
    tree: _Tree = {}
    for name in known:
        at = tree
        for part in name.split("."):
            at = at.setdefault(part, {})
    modules = {name for name, row in known.items() if not row.leaf}
    names = [name for name in _ends(tree, "", known) if name in modules]
    return sorted(names, key=lambda name: name.count("."))[:STAGES]


def _ends(tree: _Tree, prefix: str, known: dict[str, LayerResult]) -> Iterator[str]:
    for part, below in tree.items():
        name = prefix + part
        parts = [f"{name}.{child}" for child in below]
        inner = [path for path in parts if path in known and not known[path].leaf]
        strides = {known[path].stride for path in inner if all(known[path].stride)}
        # Equal blocks over a line of tokens (a transformer's) are steps of their own.
        blocks = all(len(known[path].shape) == 3 for path in inner) and len({known[path].type for path in inner}) == 1
        if name in known:
            yield name
        if inner and blocks and len(inner) > 1:
            yield from inner
        elif below and (name not in known or len(strides) > 1 or len(inner) == 1):
            yield from _ends(below, f"{name}.", known)


def _spread(rows: Sequence[LayerResult], count: int) -> list[str]:
    last: dict[tuple[int, ...], LayerResult] = {}
    for row in rows:
        kept = last.get(_key(row))
        if kept is None or not row.leaf or kept.leaf:
            last[_key(row)] = row
    names = [row.name for row in rows if last.get(_key(row)) is row]
    if len(names) <= count:
        return names
    picks = set(np.linspace(0, len(names) - 1, count).round().astype(int).tolist())
    # The last layer whose units still move over the source is the one that people ask about first.
    moving = {row.name for row in rows if all(row.stride)}
    picks.add(max((i for i, name in enumerate(names) if name in moving), default=0))
    return [names[i] for i in sorted(picks)]


def _units(row: LayerResult) -> int:
    return int(np.prod(row.shape[1:-1])) if len(row.shape) == 3 else int(np.prod(row.shape[2:]))


def _key(row: LayerResult) -> tuple[int, ...]:
    value = row.size.value if isinstance(row.size.value, tuple) else ()
    return (*(n or 0 for n in row.clipped), *(n or 0 for n in value))
