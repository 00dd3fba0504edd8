"""``foveal tile`` and ``foveal stream``: a layer over a large image, or along time, piece by piece."""

from __future__ import annotations

from typing import Annotated

import typer

from foveal.app.options import (
    PICTURES,
    AxesOption,
    InputOption,
    JsonOption,
    NoCheckOption,
    OneLayerOption,
    SourceArgument,
    check_suffix,
    lengths,
    terminal_width,
    trace_source,
)
from foveal.core.errors import FovealError
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
    layer: OneLayerOption = None,
    error: Annotated[
        float | None,
        typer.Option("--error", metavar="E", help="a halo for this expected relative error, by the ERF, such as 1e-3"),
    ] = None,
    as_json: JsonOption = False,
    shapes: InputOption = None,
    no_check: NoCheckOption = False,
    axes: AxesOption = None,
) -> None:
    """How to compute a layer over a large image in tiles: halo, starts, smallest tile, memory, overhead."""
    from foveal.tasks.tiling.plan import tile as plan_of
    from foveal.views.text.plans import plan_text

    wanted = _size("--tile", tile_size)
    whole = _size("--size", size)
    graph = trace_source(source, shapes, axes=axes)
    with progress(f"tiling {graph.name}"):
        plan = plan_of(graph, layer, whole, wanted, error=error, check=not no_check)
    print(plan.to_json() if as_json else plan_text(plan, terminal_width()))


def stream(
    source: SourceArgument,
    rate: Annotated[float | None, typer.Option("--rate", metavar="HZ", help="samples per second, for times")] = None,
    chunk: Annotated[
        str | None,
        typer.Option(
            "--chunk",
            metavar="N|MS",
            help="length of a chunk, in positions or as 80ms, rounded up to the step; default: the smallest that "
            "computes at most half of the stream twice",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="N|MS",
            help="the past that each chunk is computed with, in positions or as 400ms; default: what the network needs",
        ),
    ] = None,
    lookahead: Annotated[
        str | None,
        typer.Option("--lookahead", metavar="N|MS", help="the future that is allowed; default: what the network needs"),
    ] = None,
    hop: Annotated[
        int, typer.Option("--hop", metavar="N", help="samples per position (of a spectrogram's frames)")
    ] = 1,
    axis: Annotated[
        str | None, typer.Option("--axis", metavar="NAME", help="the source axis that is time; default: the last")
    ] = None,
    layer: OneLayerOption = None,
    onnx: Annotated[
        str | None, typer.Option("--onnx", metavar="FILE", help="write one step with state inputs and outputs as ONNX")
    ] = None,
    timeline: Annotated[
        str | None, typer.Option("--timeline", metavar="FILE", help="draw the chunks over time (.png, .svg, .pdf)")
    ] = None,
    as_json: JsonOption = False,
    shapes: InputOption = None,
    no_check: NoCheckOption = False,
    axes: AxesOption = None,
) -> None:
    """How to run a network along time in chunks: context, latency, state, and what equals the whole run."""
    from foveal.tasks.streaming.plan import export_onnx, stream as plan_of
    from foveal.views.text.plans import stream_text

    if timeline is not None:
        check_suffix(timeline, PICTURES, "--timeline")
    graph = trace_source(source, shapes, axes=axes)
    length, past, ahead = (
        int(t) if t is not None and t.strip().isdecimal() else t for t in (chunk, context, lookahead)
    )
    with progress(f"streaming {graph.name}"):
        plan = plan_of(
            graph, layer, rate=rate, hop=hop, chunk=length, context=past, lookahead=ahead, axis=axis, check=not no_check
        )
    print(plan.to_json() if as_json else stream_text(plan, terminal_width()))
    if timeline is not None:
        from foveal.views.plots.streaming import timeline as drawn

        drawn(plan).save(timeline)
    if onnx is not None:
        if not onnx.endswith(".onnx"):
            raise FovealError(f"--onnx {onnx}: the name must end in .onnx")
        for path in export_onnx(graph, plan, onnx):
            print(f"wrote {path}")


def _size(option: str, text: str | None) -> tuple[int, ...] | int | None:
    """What was typed: one length for all axes, or one per axis. Raises FovealError for anything else."""
    if text is None:
        return None
    numbers = lengths(option, text, "positive lengths such as 512 or 512x384")
    return numbers[0] if len(numbers) == 1 else numbers
