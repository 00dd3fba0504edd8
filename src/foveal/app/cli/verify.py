"""``foveal verify SOURCE``: the real model, perturbed, against what was computed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.app.options import (
    AxesOption,
    CheckpointOption,
    InputOption,
    JsonOption,
    PretrainedOption,
    SourceArgument,
    trace_source,
)
from foveal.core.progress import progress

if TYPE_CHECKING:
    from foveal.ir.graph import Graph


def verify(
    source: SourceArgument,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="a layer to check; may be repeated")
    ] = None,
    shapes: InputOption = None,
    axes: AxesOption = None,
    pretrained: PretrainedOption = False,
    weights: CheckpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Perturb the real model and compare with the computed receptive field; exit code 1 where they disagree."""
    graph = trace_source(source, shapes, pretrained, axes=axes, weights=weights)
    raise typer.Exit(run_verify(graph, layer or None, as_json=as_json))


def run_verify(graph: Graph, layers: list[str] | None, to_stderr: bool = False, as_json: bool = False) -> int:
    """Check the layers (default: the verifier's choice), print the result and return the exit code."""
    from foveal.check.verify import verify as verify_graph

    with progress(f"verifying {graph.name}"):
        result = verify_graph(graph, layers)
    data = {"agrees": result.agrees, **result.to_dict()}
    print(json.dumps(data, indent=1) if as_json else result, file=sys.stderr if to_stderr else sys.stdout)
    return 0 if result.agrees else 1
