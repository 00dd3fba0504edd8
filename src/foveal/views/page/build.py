"""Everything the report page shows, collected as plain values, and the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from foveal.check.analyze import analyze
from foveal.core.errors import FovealError, UnknownLayerError
from foveal.core.finding import Finding
from foveal.core.progress import counted
from foveal.fields.measured.provenance import file_digest, versions
from foveal.fields.receptive_field import receptive_field
from foveal.ir.graph import Graph
from foveal.report.analyze import visible_layers
from foveal.report.findings import reachable
from foveal.report.results import LayerResult, Report
from foveal.tasks.detection.record import Heads
from foveal.tasks.streaming.record import StreamPlan
from foveal.views.language.translate import translated
from foveal.views.page.fields import KINDS, default_kinds, layer_fields
from foveal.views.page.pictures import backdrop
from foveal.views.page.rows.chosen import chosen_layers
from foveal.views.page.rows.links import leaf_links, parents
from foveal.views.page.rows.timeline import timeline
from foveal.views.page.rows.tokens import TokenFinder
from foveal.views.page.tables import TablePool
from foveal.views.text.table import Row, table

SCHEMA = 1
"""Version of the page's data; raised whenever an entry changes its name or meaning."""


@dataclass(frozen=True)
class PageOptions:
    """What a page holds beside the tables.

    layers: shell patterns of the layers with fields (none: a dozen, spread over the growth); kinds: of fields (none:
    all that are quick to compute); image: a photo to draw on; images: for measured fields; language: "en", "zh-CN", or
    "" for the reader's own; command: how the page was asked for, as it is shown under provenance.
    """

    layers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    image: str | None = None
    images: str | None = None
    language: str = ""
    command: str = ""
    findings: tuple[Finding, ...] = ()
    """Findings of audits, shown beside those of the trace."""
    heads: Heads | None = None
    """Of a detector (:func:`foveal.tasks.detection.heads.heads`): the page begins with its levels."""
    stream: StreamPlan | None = None
    """Of a network along one axis (:func:`foveal.tasks.streaming.plan.unchecked`): the page draws its chunks."""
    check: bool = True
    """Whether a few runs of the model are held against what the trace cannot prove."""
    positions: tuple[float | None, int, Sequence[float] | None] = (None, 1, None)
    """Rate, hop and spacing: what a position measures (:func:`foveal.report.units.with_units`)."""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in (*KINDS, "gradient"):
                raise FovealError(f"unknown kind of field '{kind}'; known: {', '.join((*KINDS, 'gradient'))}")
        if self.language not in ("", "en", "zh-CN"):
            raise FovealError(f"unknown language '{self.language}'; known: en, zh-CN")


def report_page(graph: Graph, options: PageOptions = PageOptions()) -> str:
    """The page of a network as one string of HTML that needs nothing else."""
    from foveal.views.page.render import render

    return render(page_data(graph, options))


def page_data(
    graph: Graph,
    options: PageOptions = PageOptions(),
    tick: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The page's data. ``tick`` is told what is being computed.

    Raises UnknownLayerError where a pattern of ``options.layers`` matches nothing, and SourceError for a photo that
    cannot be read.
    """
    rate, hop, spacing = options.positions
    report = analyze(graph, check=options.check, rate=rate, hop=hop, spacing=spacing)
    shown = visible_layers(graph)
    numbers = {layer.name: number for number, layer in enumerate(shown)}
    pool = TablePool()
    cells = table(report)
    up = parents(shown)
    found = options.heads or Heads((), frozenset(), frozenset())
    tokens = TokenFinder()
    rows = [
        _row(graph, pool, row, cell, numbers[row.name], up[numbers[row.name]], tokens)
        | {"behind": row.name in found.behind}
        for row, cell in zip(report.layers, cells.rows)
    ]
    choice = _Choice(
        [name for level in found.levels for name in (level.layer, level.map)],
        found.behind | found.inside,
        {(row["name"], row["source"]): row["middle"] for row in rows},
    )
    fields, missing = _fields(graph, report, options, choice, tick)
    return {
        "schema": SCHEMA,
        "name": graph.name,
        "language": options.language,
        "sources": [
            {
                "name": s.name,
                "shape": list(s.shape),
                "lengths": list(s.lengths),
                "axes": list(s.axis_names),
                "unit": s.unit,
                "step": list(s.step),
                "measure": s.measure,
            }
            for s in report.sources
        ],
        "totals": {
            "layers": report.totals.layers,
            "operations": report.totals.operations,
            "parameters": report.totals.parameters,
            "multiply_adds": report.totals.multiply_adds.value,
            "adds_status": report.totals.multiply_adds.status,
        },
        "columns": [column.heading for column in cells.columns],
        "layers": rows,
        "levels": [level._asdict() for level in found.levels],
        "links": [list(link) for link in leaf_links(graph, shown)],
        "tables": pool.encoded(),
        "kinds": list(options.kinds or default_kinds(graph)),
        "fields": fields,
        "missing": missing,
        "backdrops": [_backdrop(s.lengths, options.image if k == 0 else None) for k, s in enumerate(report.sources)],
        "stream": None if options.stream is None else timeline(options.stream),
        "findings": [_finding(found) for found in (*report.findings, *options.findings)],
        "provenance": _provenance(graph, options),
    }


class _Choice(NamedTuple):
    """What decides which layers have fields, and of which unit."""

    wanted: list[str]
    left_out: frozenset[str]
    middles: dict[tuple[str, str], list[int]]


def _row(
    graph: Graph, pool: TablePool, row: LayerResult, cell: Row, number: int, parent: int, finder: TokenFinder
) -> dict[str, Any]:
    """One layer and source: numbers for sorting, cells as text, tables for the explorer (None where not kept)."""
    constant = row.source not in reachable(graph).get(graph.layer(row.name).value, frozenset())
    rf = None if constant or row.status == "contradicted" else receptive_field(graph, row.name, source=row.source)
    tokens = None if rf is None else finder.of(rf)
    middle = [] if rf is None else [n // 2 for n in rf.grid]
    return {
        "id": number,
        "value": graph.layer(row.name).value,
        "parent": parent,
        "name": row.name,
        "source": row.source,
        "type": row.type,
        "leaf": row.leaf,
        "status": row.status,
        "causes": list(row.causes),
        "cells": list(cell.cells),
        "shape": list(row.shape),
        "size": list(row.size.value) if isinstance(row.size.value, tuple) else None,
        "clipped": list(row.clipped),
        "local": None if row.local is None else list(row.local),
        "stride": [None if number is None else float(number) for number in row.stride],
        "covered": row.covered,
        "parameters": row.parameters,
        "adds": row.multiply_adds.value,
        "grid": [] if rf is None else list(rf.grid),
        "sizes": [None if pair is None else list(pair) for pair in row.sizes],
        "tokens": None if tokens is None else tokens._asdict(),
        "middle": middle if tokens is None or rf is None else [tokens.middle(rf.grid[0])],
        "tables": None if rf is None else pool.layer(rf),
    }


def _fields(
    graph: Graph, report: Report, options: PageOptions, choice: _Choice, tick: Callable[[str], None]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, str]]]:
    """("source layer" keys as "layer@source") -> fields by kind, and -> why some are missing."""
    kinds = options.kinds or default_kinds(graph)
    fields: dict[str, dict[str, Any]] = {}
    missing: dict[str, dict[str, str]] = {}
    for source in report.sources:
        known = [row.name for row in report.layers if row.source == source.name]
        names = _matching(known, options.layers) if options.layers else chosen_layers(
            report, source.name, wanted=choice.wanted, left_out=choice.left_out
        )  # fmt: skip
        first: dict[int, str] = {}
        for name in names:
            first.setdefault(graph.layer(name).value, name)
        for name in counted(first.values(), len(first)):
            tick(name)
            middle = choice.middles[name, source.name]
            found, why = layer_fields(graph, name, source.name, kinds, options.images, middle)
            fields[f"{name}@{source.name}"], missing[f"{name}@{source.name}"] = found, why
    if options.layers and not fields:
        raise UnknownLayerError(options.layers[0], [row.name for row in report.layers])
    return fields, missing


def _finding(found: Finding) -> dict[str, Any]:
    """change and effect: what can be done about it, where an audit says so."""
    return {
        "code": found.code,
        "severity": found.severity,
        "layer": found.layer,
        "text": found.text,
        "change": getattr(found, "change", ""),
        "effect": getattr(found, "effect", ""),
        "chinese": {name: translated(getattr(found, name, ""), "zh-CN") for name in ("text", "change", "effect")},
    }


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, p) or name == p for p in patterns)]


def _backdrop(lengths: tuple[int, ...], image: str | None) -> dict[str, Any]:
    return backdrop(lengths, image) if lengths and all(lengths) else {"kind": "none", "name": ""}


def _provenance(graph: Graph, options: PageOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"network": graph.name, "command": options.command, "versions": versions()}
    if options.image is not None:
        found["image_sha256"] = file_digest(options.image)
    return found
