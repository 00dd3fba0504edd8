"""``foveal analyze SOURCE``: every layer in one table."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.app.cache import place
from foveal.app.cli.verify import run_verify
from foveal.app.options import (
    PICTURES,
    AxesOption,
    CheckpointOption,
    HopOption,
    InputOption,
    JsonOption,
    NoCheckOption,
    PretrainedOption,
    RateOption,
    SourceArgument,
    SpacingOption,
    check_suffix,
    console,
    spacing_of,
    trace_source,
)
from foveal.core.errors import FovealError
from foveal.core.progress import progress

if TYPE_CHECKING:
    from foveal.ir.graph import Graph
    from foveal.report.results import Report

_SHAPE = re.compile(r"([\w.]+=)?((int|bool|float):)?[\dx, ]+")


class Level(StrEnum):
    """Severity at which findings make the exit code 1."""

    warning = "warning"
    error = "error"


def analyze(
    source: SourceArgument,
    shapes: InputOption = None,
    axes: AxesOption = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="GLOB", help="only layers that match this pattern")
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, metavar="N", help="only module paths of at most N parts")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="a row for every operation, not only for the stages")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print the report as CSV")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="an operation without a rule is an error")] = False,
    check: Annotated[bool, typer.Option("--verify", help="compare with the real model, perturbed")] = False,
    fail_on: Annotated[
        Level | None, typer.Option("--fail-on", help="exit code 1 for findings of this severity")
    ] = None,
    growth: Annotated[
        str | None,
        typer.Option("--growth", metavar="FILE", help="draw RF and effective side by layer (.png, .svg, .pdf)"),
    ] = None,
    rate: RateOption = None,
    hop: HopOption = 1,
    spacing: SpacingOption = None,
    pretrained: PretrainedOption = False,
    weights: CheckpointOption = None,
    training: Annotated[bool, typer.Option("--training", help="trace in training mode")] = False,
    no_check: NoCheckOption = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="work everything out anew, and keep nothing for the next time")
    ] = False,
) -> None:
    """The receptive field of every layer, with stride, position, cost and status."""
    if as_json and as_csv:
        raise FovealError("--json and --csv exclude each other")
    if growth is not None:
        check_suffix(growth, PICTURES, "--growth")
    graph, kept = None, None
    numbers = all(_SHAPE.fullmatch(text) and not Path(text).exists() for text in shapes or ())  # no file
    if numbers and not (no_cache or check or growth is not None or pretrained or weights):
        options = {"input": shapes, "axes": axes, "layer": layer, "depth": depth, "strict": strict}
        kept = place(source, options | {"training": training, "check": not no_check})
    from foveal.report.units import with_units

    report = None if kept is None else kept.read()
    if report is None:
        from foveal.check.analyze import analyze as analyze_graph

        graph = trace_source(source, shapes, pretrained, training, axes, weights)
        with progress(f"analyzing {graph.name}"):
            report = analyze_graph(graph, layers=layer, depth=depth, strict=strict, check=not no_check)
        if kept is not None and not graph.stopped:
            kept.write(report)
    report = with_units(report, rate, hop, spacing_of(spacing))
    if as_json or as_csv:
        print(report.to_json() if as_json else report.to_csv().rstrip("\n"))
    else:
        _print_report(report, every or layer is not None or depth is not None)
    if growth is not None and graph is not None:
        _draw_growth(graph, report, growth)
    code = 1 if fail_on is not None and _reaches(report, fail_on) else 0
    if check and graph is not None:
        shown = list(dict.fromkeys(row.name for row in report.layers)) if layer is not None else None
        code = max(code, run_verify(graph, shown, to_stderr=as_json or as_csv))
    raise typer.Exit(code)


def _draw_growth(graph: Graph, report: Report, out: str) -> None:
    """The growth over the layers of the report that see the first source, where their size is known."""
    from foveal.report.growth import growth
    from foveal.views import plots

    source = report.sources[0].name
    rows = [row for row in report.layers if row.source == source]
    sized = [row.name for row in rows if isinstance(row.size.value, tuple) and row.size.value[-1]]
    with progress(f"growth of {graph.name}"):
        found = growth(graph, list(dict.fromkeys(sized)), source=source)
    plots.growth_curves(found).save(out)


def _reaches(report: Report, level: Level) -> bool:
    grave = {"error"} if level is Level.error else {"error", "warning"}
    return any(finding.severity in grave for finding in report.findings)


def _print_report(report: Report, every: bool) -> None:
    from foveal.views.text.report import rich_table, view_of

    terminal = console()
    if terminal is None:
        print(report.to_text(every))
    else:
        terminal.print(rich_table(view_of(report, every), terminal.width))
