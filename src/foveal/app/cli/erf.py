"""``foveal erf``: the effective receptive field, measured on images, as a table, a file or a figure."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.app.options import (
    PICTURES,
    AxesOption,
    InputOption,
    JsonOption,
    check_suffix,
    input_axes,
    input_shapes,
    terminal_width,
    unit,
)
from foveal.core.errors import FovealError, writing
from foveal.core.progress import progress
from foveal.core.visible import visible

if TYPE_CHECKING:
    from foveal.fields.measured.request import Request, Result

FILES = (*PICTURES, ".npy", ".json")
NO_PLACE = "the network has no place for"
"""In a result's method, of weights that were left over."""


class Precision(StrEnum):
    """What the model computes in."""

    float32 = "float32"
    float64 = "float64"
    bfloat16 = "bfloat16"
    mixed = "mixed"


def erf(
    sources: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="networks; see foveal analyze")] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME", help="a layer or pattern, repeatable; default: the last map"),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="DIR", help="a folder or file, repeatable; default: seeded noise"),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="the first so many images")] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="gradients: foveal, luo2016, replknet, openerf; patches replaced: occlusion (by values of other "
            "places of the image), occlusion-blur, occlusion-mean",
        ),
    ] = "foveal",
    patch: Annotated[
        int | None, typer.Option("--patch", min=1, help="side of an occluded patch; default: 144 of them in all")
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="of occlusion: also what supports the unit and what opposes it")
    ] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="also each group of channels that see unlike parts")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="Y,X", help="index of the unit; default: the protocol's choice")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", metavar="FILE", help="weights (.pt, .safetensors) or 'random'; repeatable"),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            "--checkpoints", metavar="GLOB", help="weights of one training, 'run/*.pt', in order of their numbers"
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="DIR", help="with --checkpoints: write CSV and TensorBoard's files here"),
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="load trained weights")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="seed of noise, signs and bootstrap")] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.0, help="stop when the metric's interval is within this share of it"),
    ] = None,
    metric: Annotated[str, typer.Option("--metric", help="the metric that --tolerance is about")] = "sigma",
    batch: Annotated[int, typer.Option("--batch", min=1, help="images in one forward pass")] = 1,
    whole: Annotated[bool, typer.Option("--whole", help="never cut the source to what the unit sees")] = False,
    precision: Annotated[Precision | None, typer.Option("--precision", help="default: the model's own")] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="where the model runs, such as cuda; default: cpu")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="threads of the framework")] = None,
    energy: Annotated[bool, typer.Option("--energy", help="show the predicted field beside it")] = False,
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="FILE", help="a figure (.png, .svg, .pdf), .json or .npy")
    ] = None,
    as_json: JsonOption = False,
    again: Annotated[
        str | None, typer.Option("--again", metavar="FILE", help="make the figure or JSON of an earlier run again")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", metavar="DIR", help="keep finished pieces here and go on from them")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes, with --sweep")] = 1,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="a Ray cluster, or 'local', with --sweep")
    ] = None,
    shapes: InputOption = None,
    axes: AxesOption = None,
) -> None:
    """The effective receptive field of a layer's central unit, measured on images, with intervals."""
    from foveal.app.training.checkpoints import checkpoints
    from foveal.fields.measured.measure import Settings
    from foveal.fields.measured.request import Request, checked

    if out is not None:
        check_suffix(out, FILES)
    if again is not None:
        if sources:
            raise FovealError("--again takes everything from the file; give no SOURCE beside it")
        _again(again, out, as_json)
        return
    shape = input_shapes(shapes)
    if isinstance(shape, dict):
        raise FovealError("--input: give one shape here")
    if log is not None and over is None:
        raise FovealError("--log writes what --checkpoints measures; give both")
    kept = checkpoints(over) if over is not None else []
    named = (*(weights or ()), *kept, *(["pretrained"] if pretrained else []))
    number = precision.value if precision else None
    settings = Settings(seed, batch, not whole, number, tolerance, metric, channels, patch, signed, device)
    asked = Request(tuple(sources or ()), tuple(layers or ()), named, shape, tuple(images or ()), count, protocol,
                    unit(at), settings, energy, threads, input_axes(axes))  # fmt: skip
    request = checked(asked)
    if sweep is None:
        if ray is not None or workers > 1:
            raise FovealError("--workers and --ray need a folder to keep pieces in: --sweep DIR")
        results, code = _run(request), 0
    else:
        results, code = _sweep(request, sweep, workers, ray)
    _show(request, results, out, as_json)
    if kept:
        _over(kept, results, log, as_json)
    raise typer.Exit(code)


def _over(kept: Sequence[str], results: Sequence[Result], log: str | None, as_json: bool) -> None:
    """What became of each layer from the first checkpoint to the last, and the lines of every epoch where wanted."""
    from foveal.app.training.checkpoints import epochs
    from foveal.app.training.log import Log, line_of
    from foveal.views.text.erf import grown

    mine = [result for result in results if result.weights in kept]
    if not as_json:
        print("\n".join(map(visible, grown(mine))))
    if log is not None:
        file = Log(log)
        for number, path in zip(epochs(kept), kept):
            lines = [line_of(number, each.measured) for each in mine if each.weights == path]
            if lines:
                file.write(lines)
        print(visible(f"written: {file.folder}"), file=sys.stderr)


def _run(request: Request) -> list[Result]:
    from foveal.fields.measured.request import run

    with progress(f"measuring {', '.join(request.sources)}"):
        return run(request)


def _sweep(request: Request, folder: str, workers: int, ray: str | None) -> tuple[list[Result], int]:
    from foveal.fields.measured.sweep import run_sweep

    if request.settings.tolerance is not None or request.energy:
        raise FovealError("--sweep goes without --tolerance and --energy: its pieces are one image each")
    with progress(f"measuring {len(request.models)} networks"):
        results, failed = run_sweep(request, folder, workers, ray)
    for item in failed:
        print(visible(f"failed: {item.source} ({item.weights}): {item.reason}"), file=sys.stderr)
    if not results:
        raise FovealError("no network could be measured")
    return results, 1 if failed else 0


def _again(path: str, out: str | None, as_json: bool) -> None:
    """Measure what a figure or a JSON result holds once more, and say whether it came out the same."""
    from foveal.fields.measured import request as parts
    from foveal.fields.measured.provenance import read

    before = read(path)
    request = parts.from_plain_request(before["request"])
    source = Path(path)
    target = out or str(source.with_name(f"{source.stem}-again{source.suffix}"))
    results = _run(request)
    differs = parts.differences(before, parts.record(request, results))
    _show(request, results, target, as_json)
    for line in differs:
        print(visible(f"differs: {line}"), file=sys.stderr)
    if Path(target).suffix == source.suffix and source.resolve() != Path(target).resolve():
        same = source.read_bytes() == Path(target).read_bytes()
        print(visible(f"written: {target}, {'the same' if same else 'other'} bytes as {path}"), file=sys.stderr)
        raise typer.Exit(0 if same else 1)


def _show(request: Request, results: Sequence[Result], out: str | None, as_json: bool) -> None:
    from foveal.views.text.erf import erf_json, erf_picture, erf_table

    text = json.dumps(erf_json(request, results), allow_nan=False, indent=1) if as_json or _is(out, ".json") else ""
    if _is(out, ".npy"):
        _save_maps(str(out), results)
    elif out is not None and _is(out, ".json"):
        with writing(out) as place:
            place.write_text(text + "\n", encoding="utf-8")
    elif out is not None:
        erf_picture(request, results).save(out)
    print(text if as_json else erf_table(results, terminal_width()))
    said = [part for result in results for part in result.measured.field.method.split("; ") if NO_PLACE in part]
    for part in dict.fromkeys(said):
        print(visible(part), file=sys.stderr)


def _is(out: str | None, suffix: str) -> bool:
    return out is not None and Path(out).suffix.lower() == suffix


def _save_maps(out: str, results: Sequence[Result]) -> None:
    """Mean maps over the whole source: one array, or one for each result where they have the same shape."""
    import numpy as np

    maps = [result.measured.field.full() for result in results]
    if len({item.shape for item in maps}) > 1:
        raise FovealError(f"{out}: results over sources of different shapes do not fit one array")
    found: Any = maps[0] if len(maps) == 1 else np.stack(maps)
    with writing(out) as place:
        np.save(place, found, allow_pickle=False)
