"""What the commands share: the arguments that name a network, and how they become a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from foveal.core.errors import FovealError
from foveal.core.progress import progress

if TYPE_CHECKING:
    from foveal.ir.graph import Graph

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="torchvision:NAME, timm:NAME, gallery:NAME, FILE.onnx, FILE.pt2, package.module:factory, FILE.yaml, "
        "or a quoted line such as 'conv3x64 pool2 conv3x128'",
    ),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="SHAPE", help="input shape such as 1,3,224,224; for several inputs repeat NAME=SHAPE"
    ),
]
PretrainedOption = Annotated[
    bool, typer.Option("--pretrained", help="load trained weights (the RF does not need them)")
]


def trace_source(source: str, shapes: list[str] | None, pretrained: bool = False, training: bool = False) -> Graph:
    """The graph of SOURCE, with a sign of life while it is traced."""
    from foveal.frontends.trace import trace

    with progress(f"tracing {source}"):
        return trace(source, input_shapes(shapes), pretrained=pretrained, training=training)


def input_shapes(texts: list[str] | None) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    """What ``--input`` said: one shape, shapes by name, or None. Raises FovealError for anything else."""
    if not texts:
        return None
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(named) == len(texts):
        return {name: _shape(text) for name, text in named.items()}
    if len(texts) > 1:
        raise FovealError("several --input options need a name each: --input image=1,3,64,64 --input mask=1,1,64,64")
    return _shape(texts[0])


def _shape(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.replace("x", ",").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise FovealError(f"--input '{text}': expected positive lengths such as 1,3,224,224")
    return tuple(int(part) for part in parts)
