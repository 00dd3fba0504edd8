"""``foveal design``: networks for a task, around a network, or the exact answer to a single question; and ``foveal
code``: a network of text as PyTorch code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.app.options import AxesOption, InputOption, JsonOption, input_axes, input_shapes, lengths
from foveal.core.errors import FovealError, writing
from foveal.core.reading import read_text
from foveal.core.serial import to_plain

if TYPE_CHECKING:
    from foveal.designs import Designs, Space
    from foveal.designs.search import Done

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


class Inverse(StrEnum):
    """The single questions."""

    tcn = "tcn"
    patchgan = "patchgan"
    rates = "rates"
    cover = "cover"
    productive = "productive"


class Cost(StrEnum):
    """What is kept small."""

    multiply_adds = "multiply-adds"
    parameters = "parameters"
    memory = "memory"
    latency = "latency"


def code(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="gallery:NAME, FILE.yaml, or a quoted line such as 'conv3x64 pool2'")
    ],
    out: Annotated[str | None, typer.Option("-o", "--out", metavar="FILE.py", help="write it here")] = None,
    shapes: InputOption = None,
) -> None:
    """A network of text as a PyTorch module, to read, change and keep."""
    from foveal.frontends.text.emit import pytorch_code
    from foveal.frontends.text.trace import read_spec

    spec, given = read_spec(source), input_shapes(shapes)
    if isinstance(given, dict):
        raise FovealError("a network of text has one input: --input 1,3,224,224")
    text = pytorch_code(spec, _without_batch(given, spec.input))
    if out is None:
        print(text, end="")
        return
    with writing(out) as place:
        place.write_text(text, encoding="utf-8")


def _without_batch(given: tuple[int, ...] | None, own: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if given is None:
        return own
    return given if len(given) == len(own or ()) or (own is None and len(given) == 3 and given[0] > 1) else given[1:]


def design(
    task: Annotated[str, typer.Option("--task", help="classification, detection, segmentation or sequence")] = "",
    given: Annotated[
        str | None, typer.Option("--input", metavar="SHAPE", help="640, or channels and lengths such as 3,512,512")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="SOURCE", help="vary this network instead of searching a space of its own"),
    ] = None,
    axes: AxesOption = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="FILE.yaml", help="a space to search (docs/design.md)")
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(
            "--objects", metavar="FILE", help="COCO .json, YOLO .txt or folder, folder of masks, sizes as .csv"
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None, typer.Option("--sizes", metavar="N,N", help="object sizes in pixels: 16,32 or 40x80")
    ] = None,
    classes: Annotated[int | None, typer.Option("--classes", min=1, help="number of classes")] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="N", help="multiply-adds at most, such as 5G")
    ] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", metavar="N", help="parameters at most, such as 2M")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="BYTES", help="activation memory at most, such as 64M")
    ] = None,
    latency: Annotated[
        float | None, typer.Option("--latency", metavar="MS", help="measured milliseconds on this device at most")
    ] = None,
    halo: Annotated[int | None, typer.Option("--halo", help="context of a tile at most, in pixels")] = None,
    lookahead: Annotated[
        int | None, typer.Option("--lookahead", help="positions after a unit at most; 0 is causal")
    ] = None,
    past: Annotated[int | None, typer.Option("--past", help="positions before a unit at least")] = None,
    context: Annotated[
        float | None, typer.Option("--context", help="side in pixels that a position must see well")
    ] = None,
    even: Annotated[
        float | None, typer.Option("--even", min=0, max=1, help="least over most that a position is read, at least")
    ] = None,
    registered: Annotated[
        bool, typer.Option("--registered", help="centers of units on the centers of their cells")
    ] = False,
    holes: Annotated[bool, typer.Option("--allow-holes", help="receptive fields may have holes")] = False,
    idle: Annotated[bool, typer.Option("--allow-unproductive", help="layers may add no context")] = False,
    cost: Annotated[Cost, typer.Option("--cost", help="what is kept small")] = Cost.multiply_adds,
    seed: Annotated[int, typer.Option("--seed", help="the same seed gives the same front")] = 0,
    population: Annotated[int, typer.Option("--population", min=4, help="of NSGA-II")] = 100,
    generations: Annotated[int, typer.Option("--generations", min=1, help="of NSGA-II")] = 60,
    journal: Annotated[
        str | None,
        typer.Option("--journal", metavar="FILE", help="write down what is known; a killed search goes on from it"),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes on this machine")] = 1,
    ray: Annotated[str | None, typer.Option("--ray", metavar="ADDRESS", help="a Ray cluster, or local")] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FOLDER", help="write code, specifications, data and plot")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="with --out: write ONNX too; needs PyTorch")] = False,
    show: Annotated[
        int | None,
        typer.Option("--code", min=1, metavar="N", help="print the PyTorch code of design N instead of the table"),
    ] = None,
    as_json: JsonOption = False,
    evaluate: Annotated[
        str | None,
        typer.Option("--evaluate", metavar="FILE.py:NAME", help="train candidates with this function (docs/design.md)"),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="for --evaluate: of the last candidate")] = 9,
    inverse: Annotated[Inverse | None, typer.Option("--inverse", help="a single question instead of a search")] = None,
    kernel: Annotated[int, typer.Option("--kernel", min=1, help="for --inverse tcn and rates")] = 3,
    per_block: Annotated[
        int, typer.Option("--per-block", min=1, help="for --inverse tcn: convolutions of a block")
    ] = 2,
    longest: Annotated[
        int | None, typer.Option("--longest", min=1, help="for --inverse tcn: the largest dilation")
    ] = None,
    field: Annotated[
        int | None, typer.Option("--field", help="for --inverse patchgan and rates: the field wanted")
    ] = None,
    stride: Annotated[int, typer.Option("--stride", min=1, help="for --inverse rates: the output stride")] = 16,
    length: Annotated[
        int | None, typer.Option("--map", min=1, help="for --inverse rates: positions of the map")
    ] = None,
) -> None:
    """Networks whose effective field fits a task, from the cheapest on, each with its code. Needs no training."""
    if inverse is not None:
        text, data = _inverse(inverse, like, input_axes(axes), given, past, kernel, per_block, longest, field, stride,
                              length)  # fmt: skip
        print(json.dumps({"question": inverse.value, "answers": data}, indent=1) if as_json else text)
        return
    if onnx and out is None:
        raise FovealError("--onnx needs --out FOLDER, where the files go")
    if as_json and show is not None:
        raise FovealError("--json and --code exclude each other")
    from foveal.designs import Settings, design as find_designs
    from foveal.designs.choice.halving import load_score

    limits: dict[str, Any] = {
        "multiply_adds": _number("--budget", budget), "parameters": _number("--parameters", parameters),
        "memory": _number("--memory", memory), "latency": latency, "halo": halo, "lookahead": lookahead, "past": past,
        "context": context, "even": even, "registered": registered, "no_holes": not holes, "productive": not idle,
        "cost": cost.value,
    }  # fmt: skip
    limits = {name: value for name, value in limits.items() if value is not None}
    shape = None if given is None else _shape(given)
    settings = Settings(seed, population, generations, workers=workers, ray_address=ray, journal=journal)
    boxes, searched = _objects(objects, sizes, shape), _space(space)
    head = {} if searched is None else searched.template.get("head", {})
    task = task or str(head.get("task", "classification"))
    with _bar() as done:
        found = find_designs(task, shape, like=like, axes=input_axes(axes), space=searched, objects=boxes,
                             classes=classes, settings=settings,
                             evaluate=None if evaluate is None else load_score(evaluate), epochs=epochs,
                             done=done, **limits)  # fmt: skip
    _show(found, show, as_json, out, onnx)
    raise typer.Exit(1 if found.conflict is not None else 0)


def _show(found: Designs, show: int | None, as_json: bool, out: str | None, onnx: bool) -> None:
    if out is not None:
        found.save(out, onnx)
    if show is not None:
        if show > len(found.designs):
            raise FovealError(f"--code {show}: there are {len(found.designs)} designs")
        print(found.designs[show - 1].code(), end="")
    else:
        print(found.to_json() if as_json else found)


def _inverse(
    question: Inverse, like: str | None, axes: Any, given: str | None, past: int | None, kernel: int, per_block: int,
    longest: int | None, field: int | None, stride: int, length: int | None,
) -> tuple[str, Any]:  # fmt: skip
    from foveal.designs import inverse

    if question is Inverse.tcn:
        plans = inverse.tcn(_asked("--past", past, question), kernel, per_block, longest)
        return "\n".join(f"{plan}\n  {plan.specification()}" for plan in plans), _plans(plans)
    if question is Inverse.patchgan:
        patches = inverse.patchgan(_asked("--field", field, question))
        note = "" if len(patches) == 1 else f"no plan has a field of exactly {field}; the nearest are:\n"
        return note + "\n".join(f"{plan}\n  {plan.specification()}" for plan in patches), _plans(patches)
    if question is Inverse.rates:
        wide, n = _asked("--field", field, question), _asked("--map", length, question)
        series, parallel = inverse.rates(stride, wide, n, kernel)
        listed = ", ".join(map(str, series.dilations))
        return (
            f"in series, kernel {kernel}: dilations {listed}; they add {(series.field - 1) * stride} positions, "
            f"no holes\nin parallel, kernel {kernel}: dilations {', '.join(map(str, parallel))} beside a 1-wide one; "
            f"each window fits the map of {n}",
            [{"series": to_plain(series), "parallel": list(parallel)}],
        )
    if like is None:
        raise FovealError(f"--inverse {question.value} needs --like SOURCE, the network to change")
    from foveal.designs.answer import own_network

    network = own_network(like, None if given is None else _shape(given), axes)
    change = inverse.smallest_change(network, "covered" if question is Inverse.cover else "productive")
    return str(change), [to_plain(change)]


def _plans(plans: Sequence[Any]) -> list[dict[str, Any]]:
    return [to_plain(plan) | {"specification": plan.specification()} for plan in plans]


def _asked(flag: str, value: int | None, question: Inverse) -> int:
    if value is None:
        raise FovealError(f"--inverse {question.value} needs {flag}")
    return value


def _space(path: str | None) -> Space | None:
    """The space of a file; None where none was named."""
    from foveal.designs.spaces.space import space_from_yaml

    if path is None:
        return None
    try:
        return space_from_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise FovealError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _objects(path: str | None, typed: list[str] | None, shape: Any) -> list[float]:
    if path is None and not typed:
        return []
    from foveal.tasks.detection.objects import read_objects, scaled, typed_sizes

    if path is not None and typed:
        raise FovealError("--objects and --sizes exclude each other: the sizes are read from the file, or typed in")
    if path is None:
        return [item.size for item in typed_sizes(typed or []).objects]
    if shape is None:
        raise FovealError("--objects needs --input, the size that images are scaled to")
    space = (shape, shape) if isinstance(shape, int) else tuple(shape[1:])
    if len(space) != 2:
        raise FovealError("--objects holds boxes in images: --input needs two lengths")
    return [item.size for item in scaled(read_objects(path, space), space).objects]


def _shape(text: str) -> int | tuple[int, ...]:
    numbers = lengths("--input", text, "a length such as 640, or channels and lengths such as 3,640,640")
    return numbers[0] if len(numbers) == 1 else numbers


def _number(flag: str, text: str | None) -> float | None:
    """A number with a unit: 5G, 2.5M, 300k."""
    if text is None:
        return None
    unit = text[-1].lower() if text and text[-1].lower() in UNITS else ""
    try:
        value = float(text[: len(text) - len(unit)]) * UNITS[unit]
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise FovealError(f"{flag} '{text}': expected a number above 0 such as 5G, 2.5M or 300k")
    return value


@contextmanager
def _bar() -> Iterator[Done]:
    """A progress bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda now, whole: None
        return
    with Progress(console=console, transient=True) as bar:
        job = bar.add_task("searching", total=None)
        yield lambda now, whole: bar.update(job, completed=now, total=whole)
