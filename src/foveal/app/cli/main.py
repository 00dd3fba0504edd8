"""The command line. Results on standard output, progress and errors on standard error.

Exit code 0; 1 where ``--verify`` disagrees or a finding reaches ``--fail-on``; 2 for bad input, with one line ``error:
...``. A framework is imported only once a command needs one.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from foveal.app.cli.audit import register as register_audit
from foveal.app.cli.design import register as register_design
from foveal.app.cli.erf import register as register_erf
from foveal.app.cli.field import register
from foveal.app.cli.options import (
    InputOption,
    PretrainedOption,
    SourceArgument,
    input_shapes as input_shapes,
    trace_source,
)
from foveal.app.cli.report import register as register_report
from foveal.app.cli.serve import register as register_serve
from foveal.app.cli.tile import register as register_tile
from foveal.core.errors import FovealError
from foveal.core.progress import progress
from foveal.core.version import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from foveal.ir.graph import Graph
    from foveal.report.results import Report


class CommandGroup(TyperGroup):
    """The commands, with every error of the user's making as one line and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run and exit; the arguments are those of the command class."""
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except FovealError as error:
            code = _fail(str(error))
        except Exception as error:
            # Wrong options: the exceptions of the option parser format themselves; anything else is a fault of foveal.
            if not hasattr(error, "format_message"):
                raise
            code = _fail(error.format_message())
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a reader that goes away (``| head``) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Let the interpreter's last flush go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        return result


def _fail(text: str) -> int:
    """Print the one line of an error."""
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return 2


app = typer.Typer(
    cls=CommandGroup,
    help="Exact receptive fields of any network, layer by layer.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Level(StrEnum):
    """Severity at which findings make the exit code 1."""

    warning = "warning"
    error = "error"


LayerOption = Annotated[str | None, typer.Option("--layer", metavar="GLOB", help="only layers that match this pattern")]
DepthOption = Annotated[
    int | None, typer.Option("--depth", min=1, metavar="N", help="only module paths of at most N parts")
]
TrainingOption = Annotated[bool, typer.Option("--training", help="trace in training mode")]


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False,
) -> None:
    if version or context.invoked_subcommand is None:
        print(f"foveal {__version__}" if version else context.get_help())
        raise typer.Exit


@app.command()
def analyze(
    source: SourceArgument,
    shapes: InputOption = None,
    layer: LayerOption = None,
    depth: DepthOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print the report as CSV")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="an operation without a rule is an error")] = False,
    check: Annotated[bool, typer.Option("--verify", help="compare with the real model, perturbed")] = False,
    fail_on: Annotated[
        Level | None, typer.Option("--fail-on", help="exit code 1 for findings of this severity")
    ] = None,
    pretrained: PretrainedOption = False,
    training: TrainingOption = False,
) -> None:
    """The receptive field of every layer, with stride, position, cost and status."""
    if as_json and as_csv:
        raise FovealError("--json and --csv exclude each other")
    from foveal.report.analyze import analyze as analyze_graph

    graph = trace_source(source, shapes, pretrained, training)
    with progress(f"analyzing {graph.name}"):
        report = analyze_graph(graph, layer, depth, strict)
    if as_json or as_csv:
        print(report.to_json() if as_json else report.to_csv().rstrip("\n"))
    else:
        _print_report(report)
    code = 1 if fail_on is not None and _reaches(report, fail_on) else 0
    if check:
        shown = list(dict.fromkeys(row.name for row in report.layers)) if layer is not None else None
        code = max(code, _verify(graph, shown, to_stderr=as_json or as_csv))
    raise typer.Exit(code)


@app.command()
def compare(
    first: SourceArgument,
    second: SourceArgument,
    shapes: InputOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the comparison as JSON")] = False,
) -> None:
    """Two networks side by side: what each layer adds, and the first layer at which they part."""
    from foveal.report.compare import compare as compare_graphs

    graphs = [trace_source(source, shapes, False, False) for source in (first, second)]
    with progress(f"comparing {graphs[0].name} and {graphs[1].name}"):
        comparison = compare_graphs(*graphs)
    if as_json:
        print(comparison.to_json())
        return
    from foveal.views.text.comparison import print_comparison

    console = _console()
    if console is None:
        print(comparison)
    else:
        print_comparison(comparison, console)


@app.command()
def verify(
    source: SourceArgument,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="a layer to check; may be repeated")
    ] = None,
    shapes: InputOption = None,
    pretrained: PretrainedOption = False,
) -> None:
    """Perturb the real model and compare with the computed receptive field; exit code 1 where they disagree."""
    raise typer.Exit(_verify(trace_source(source, shapes, pretrained, False), layer or None))


def _verify(graph: Graph, layers: list[str] | None, to_stderr: bool = False) -> int:
    from foveal.check.verify import verify as verify_graph

    with progress(f"verifying {graph.name}"):
        result = verify_graph(graph, layers)
    print(result, file=sys.stderr if to_stderr else sys.stdout)
    return 0 if result.agrees else 1


def _reaches(report: Report, level: Level) -> bool:
    grave = {"error"} if level is Level.error else {"error", "warning"}
    return any(finding.severity in grave for finding in report.findings)


def _print_report(report: Report) -> None:
    from foveal.views.text.report import rich_table
    from foveal.views.text.table import table

    console = _console()
    if console is None:
        print(report)
    else:
        console.print(rich_table(table(report), console.width))


def _console() -> Console | None:
    """The terminal (or COLUMNS) to fit tables to; None for a file or a pipe, where nothing is left out."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else None


register(app)
register_erf(app)
register_audit(app)
register_design(app)
register_tile(app)
register_report(app)
register_serve(app)


def main() -> None:
    """Entry point of the ``foveal`` command."""
    app()


if __name__ == "__main__":
    main()
