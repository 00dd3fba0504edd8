"""``foveal tile``: halo, multiple, smallest tile, cost of computing a layer piece by piece."""

from __future__ import annotations

from typing import Annotated

import typer

from foveal.app.options import AxesOption, InputOption, NoCheckOption, SourceArgument, lengths, trace_source
from foveal.core.progress import progress


def tile(
    source: SourceArgument,
    tile_size: Annotated[
        str | None,
        typer.Option(
            "--tile",
            metavar="N|HxW",
            help="longest tile, halo included; default: the smallest that computes at most half of the source twice",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="HxW", help="size of the image; default: the traced input")
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="NAME", help="the layer to compute; default: the output")
    ] = None,
    error: Annotated[
        float | None,
        typer.Option("--error", metavar="E", help="a halo for this expected relative error, by the ERF, such as 1e-3"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the plan as JSON")] = False,
    shapes: InputOption = None,
    no_check: NoCheckOption = False,
    axes: AxesOption = None,
) -> None:
    """How to compute a layer over a large image in tiles: halo, starts, smallest tile, memory, overhead."""
    from foveal.tasks.tiling.plan import tile as plan_of

    wanted = _size("--tile", tile_size)
    whole = _size("--size", size)
    graph = trace_source(source, shapes, axes=axes)
    with progress(f"tiling {graph.name}"):
        plan = plan_of(graph, layer, whole, wanted, error=error, check=not no_check)
    print(plan.to_json() if as_json else plan)


def _size(option: str, text: str | None) -> tuple[int, ...] | int | None:
    """What was typed: one length for all axes, or one per axis. Raises FovealError for anything else."""
    if text is None:
        return None
    numbers = lengths(option, text, "positive lengths such as 512 or 512x384")
    return numbers[0] if len(numbers) == 1 else numbers
