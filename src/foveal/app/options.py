"""What the commands share: the arguments that name a network, and how they become a graph."""

from __future__ import annotations

import ast
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.core.errors import FovealError
from foveal.core.progress import progress

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from foveal.ir.graph import Graph


def complete_source(incomplete: str) -> list[str]:
    """For the shell: networks under the prefix that was begun, prefixes, and files that may hold a network."""
    from foveal.frontends.sources.listing import names, shelves

    prefix, colon, _ = incomplete.partition(":")
    try:
        found = names(prefix) if colon else [f"{shelf.prefix}:" for shelf in shelves()]
    except FovealError:
        found = []
    files = [str(path) for path in Path().glob(f"{incomplete}*") if path.suffix in (".onnx", ".pt2", ".yaml", ".keras")]
    return [*(name for name in found if name.startswith(incomplete)), *sorted(files)]


def complete_layer(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell: layers of the network that stands before, where that is traced at once."""
    source = str(ctx.params.get("source") or "")
    if not source.startswith("gallery:") and not source.endswith((".onnx", ".yaml")):
        return []
    from foveal.frontends.trace import trace

    try:
        return [name for name in trace(source).layers if name.startswith(incomplete)]
    except FovealError:
        return []


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        autocompletion=complete_source,
        help="torchvision:NAME, timm:NAME, gallery:NAME, hf:NAME and what else foveal list shows, FILE.onnx, FILE.pt2, "
        "package.module:factory, FILE.yaml, or a quoted line such as 'conv3x64 pool2 conv3x128'",
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="input shape such as 1,3,224,224; int:1,64 for whole numbers, a file (photo, .wav, .txt, .npz) for its "
        "content, const:3 for a value that is no source; for several inputs repeat NAME=SHAPE",
    ),
]
AxesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--axes",
        metavar="AXES",
        help="the axes that count positions, as letters (BTC, NHWC: all but N, B and C) or numbers (1,2); for several "
        "inputs repeat NAME=AXES. Default: what the network does with its input decides",
    ),
]
PretrainedOption = Annotated[
    bool, typer.Option("--pretrained", help="load trained weights (the RF does not need them)")
]

CheckpointOption = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="weights for a PyTorch model (.pt, .pth, .safetensors)")
]
NoCheckOption = Annotated[
    bool, typer.Option("--no-check", help="do not hold a few runs of the model against what the trace cannot prove")
]

JsonOption = Annotated[bool, typer.Option("--json", help="print the result as JSON")]
OneLayerOption = Annotated[
    str | None,
    typer.Option(
        "--layer", metavar="NAME", help="the layer to compute; default: the output", autocompletion=complete_layer
    ),
]
RateOption = Annotated[
    float | None, typer.Option("--rate", metavar="HZ", help="samples per second: lengths in milliseconds too")
]
HopOption = Annotated[int, typer.Option("--hop", metavar="N", help="samples per position, where these are frames")]
SpacingOption = Annotated[
    str | None,
    typer.Option("--spacing", metavar="MM", help="millimetres per position, 0.5 or 1,1,3: lengths in mm too"),
]
PICTURES = (".png", ".svg", ".pdf")


class Kind(StrEnum):
    """What is counted or expected at each source position."""

    energy = "energy"
    edges = "edges"
    paths = "paths"
    support = "support"


class Weights(StrEnum):
    """What the energy takes the weights for."""

    unit = "unit"
    model = "model"
    squares = "squares"


LayerNameOption = Annotated[
    str,
    typer.Option("--layer", metavar="NAME", help="the layer whose unit is asked about", autocompletion=complete_layer),
]
KindOption = Annotated[
    Kind,
    typer.Option(
        "--kind",
        help="energy: expected squared gradient of random weights; edges: distinct edges; paths: number of paths; "
        "support: what can change the unit",
    ),
]
WeightsOption = Annotated[
    Weights,
    typer.Option(
        "--weights",
        help="for energy: unit (all layers pass the same), model (the model's mean square per tap), squares (each of "
        "its weights by its square); with --pretrained, of the trained model",
    ),
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="Y,X", help="index of the unit; the middle unit if not given")
]
ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="FILE", help="a photo, scaled to cover the source and cut to it")
]


def trace_source(
    source: str,
    shapes: list[str] | None,
    pretrained: bool = False,
    training: bool = False,
    axes: list[str] | None = None,
    weights: str | None = None,
) -> Graph:
    """The graph of SOURCE, with a sign of life while it is traced."""
    from foveal.frontends.trace import trace

    inputs, counted = input_shapes(shapes), input_axes(axes)
    named = [text.split("=const:", 1)[0] for text in shapes or () if "=const:" in text]
    if named and (counted is None or isinstance(counted, dict)):
        counted = {**dict.fromkeys(named, ()), **(counted or {})}  # no sources
    with progress(f"tracing {source}"):
        graph = trace(
            source, inputs, pretrained=pretrained, training=training, axes=counted, weights=weights or "generic"
        )
    if graph.stopped:
        print(f"warning: {graph.name}: {graph.stopped}; what comes behind is not known", file=sys.stderr)
    return graph


def input_shapes(texts: list[str] | None) -> Any:
    """What ``--input`` said: one shape, array or file, several by name, or None; raises FovealError for all else."""
    if not texts:
        return None
    named = dict(text.split("=", 1) for text in texts if "=" in text and not Path(text).is_file())
    if len(named) == len(texts):
        return {name: _input(text) for name, text in named.items()}
    if len(texts) > 1:
        raise FovealError("several --input options need a name each: --input image=1,3,64,64 --input mask=1,1,64,64")
    return _input(texts[0])


def _input(text: str) -> Any:
    """``1,3,224,224``, ``int:1,64``, ``bool:1,64``, ``float:1,64``, ``const:0.5`` or a file."""
    from foveal.frontends.sources.examples import is_file

    kind, colon, rest = text.partition(":")
    if is_file(text):
        return Path(text)
    if not colon or kind not in ("int", "bool", "float", "const"):
        return lengths("--input", text, "positive lengths such as 1,3,224,224")
    if kind == "const":
        return _constant(rest)
    shape = lengths("--input", rest, f"{kind}: and positive lengths, such as {kind}:1,64")
    if kind == "float":
        return shape
    import numpy as np

    return np.ones(shape, bool) if kind == "bool" else np.arange(np.prod(shape)).reshape(shape) % 2


def _constant(text: str) -> Any:
    """A number, True, False or None; a list of numbers as an array."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    if not isinstance(value, list | tuple):
        return value
    import numpy as np

    return np.asarray(value)


def input_axes(texts: list[str] | None) -> str | tuple[int, ...] | dict[str, str | tuple[int, ...]] | None:
    """What ``--axes`` said: letters or numbers, by name where it has one, nothing ("mask=") for a constant; or None.
    Raises FovealError.
    """
    if not texts:
        return None
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(named) == len(texts):
        return {name: _axes(text) if text else () for name, text in named.items()}
    if len(texts) > 1:
        raise FovealError("several --axes options need a name each: --axes image=NCHW --axes text=BTC")
    return _axes(texts[0])


def _axes(text: str) -> str | tuple[int, ...]:
    if text.isalpha():
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise FovealError(f"--axes '{text}': expected letters such as BTC or numbers such as 1,2") from None


def lengths(option: str, text: str, expected: str) -> tuple[int, ...]:
    """``3,224,224`` or ``512x384`` as numbers; raises FovealError that says what the option expects."""
    parts = [part.strip() for part in text.strip(" ()[]").lower().replace("x", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise FovealError(f"{option} '{text}': expected {expected}")
    return tuple(int(part) for part in parts)


def spacing_of(text: str | None) -> list[float] | None:
    """What ``--spacing`` said; raises FovealError for all but numbers."""
    try:
        return None if text is None else [float(part) for part in text.lower().replace("x", ",").split(",")]
    except ValueError:
        raise FovealError(f"--spacing '{text}': expected millimetres such as 0.5 or 1,1,3") from None


def terminal_width() -> int | None:
    """Columns of the terminal; None for a file or a pipe, where lines are as long as they are."""
    found = console()
    return None if found is None else found.width


def console() -> Console | None:
    """The terminal (or COLUMNS) to fit tables to; None for a file or a pipe, where nothing is left out."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else None


def unit(text: str | None) -> tuple[int, ...] | None:
    """What ``--at`` said: indices such as 3,3, or None. Raises FovealError for anything else."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise FovealError(f"--at '{text}': expected the index of a unit such as 3,3") from None


def check_suffix(path: str, allowed: tuple[str, ...], option: str = "--out") -> None:
    """Raises FovealError where the option names another kind of file."""
    if Path(path).suffix.lower() not in allowed:
        raise FovealError(f"{option} {path}: the name must end in one of {', '.join(allowed)}")


def photo(path: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """What ``--image`` names, cut to the source; raises FovealError where the source is no plane."""
    if path is None:
        return None
    if len(shape) != 2:
        raise FovealError(f"--image: the source has {len(shape)} axes; only a source with two can lie on an image")
    from foveal.core.pictures import read_image

    return read_image(path, (shape[0], shape[1]))
