"""``foveal field`` and ``foveal explain``: one unit's field as numbers, as a file and as a picture."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.app.cli.options import InputOption, PretrainedOption, SourceArgument, trace_source
from foveal.core.errors import FovealError
from foveal.core.progress import progress

if TYPE_CHECKING:
    import numpy as np

    from foveal.fields.field import Field
    from foveal.ir.graph import Graph

PICTURES = (".png", ".svg", ".pdf")
FILES = (*PICTURES, ".npy", ".json")


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


LayerNameOption = Annotated[str, typer.Option("--layer", metavar="NAME", help="the layer whose unit is asked about")]
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
GammaOption = Annotated[
    float,
    typer.Option("--gamma", min=0.0, metavar="G", help="foveated view: bandwidth kept is the weight to this power"),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the application."""
    app.command()(field)
    app.command()(explain)


def field(
    source: SourceArgument,
    layer: LayerNameOption,
    kind: KindOption = Kind.energy,
    weights: WeightsOption = Weights.unit,
    at: AtOption = None,
    image: ImageOption = None,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="FILE", help="a picture (.png, .svg, .pdf) or the field (.npy, .json)"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the metrics as JSON")] = False,
    shapes: InputOption = None,
    pretrained: PretrainedOption = False,
) -> None:
    """How strongly each source position reaches one unit: metrics, and a picture or a file."""
    if out is not None:
        _check_suffix(out, FILES)
    if image is not None and (out is None or Path(out).suffix.lower() not in PICTURES):
        raise FovealError("--image is drawn under the field: give a picture to write with --out field.png")
    from foveal.fields.kinds import field as field_of

    graph = trace_source(source, shapes, pretrained)
    with progress(f"{kind} of {layer}"):
        found = field_of(graph, layer, kind=kind.value, at=unit(at), weights=weights.value)
    if out is not None:
        _write(found, out, _photo(image, found.source_shape))
    print(json.dumps(_record(graph, found), allow_nan=False, indent=1) if as_json else _table(found))


def explain(
    source: SourceArgument,
    layer: LayerNameOption,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="the page to write (.png, .svg, .pdf)")
    ] = "explained.png",
    image: ImageOption = None,
    kind: KindOption = Kind.energy,
    weights: WeightsOption = Weights.unit,
    at: AtOption = None,
    gamma: GammaOption = 1.0,
    shapes: InputOption = None,
    pretrained: PretrainedOption = False,
) -> None:
    """One page on one unit: its field over the image, what it sees, what an eye would see, profiles and numbers."""
    _check_suffix(out, PICTURES)
    from foveal.views.explain import explain as explain_unit, plane
    from foveal.views.plots.explain import explanation_page

    graph = trace_source(source, shapes, pretrained)
    photo = None if image is None else _photo(image, plane(graph, layer))
    name = {} if image is None else {"image_name": Path(image).name}
    with progress(f"explaining {layer}"):
        found = explain_unit(
            graph, layer, photo, kind=kind.value, at=unit(at), gamma=gamma, weights=weights.value, **name
        )
        explanation_page(found).save(out)
    width = max(len(label) for label, _ in found.rows)
    print(f"{found.network}: {layer}, unit {found.field.unit}: {found.field.kind}")
    print("\n".join(f"{label:<{width}}  {value}" for label, value in found.rows))
    print(f"written: {out}")


def unit(text: str | None) -> tuple[int, ...] | None:
    """What ``--at`` said: indices such as 3,3, or None. Raises FovealError for anything else."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise FovealError(f"--at '{text}': expected the index of a unit such as 3,3") from None


def _check_suffix(path: str, allowed: tuple[str, ...]) -> None:
    if Path(path).suffix.lower() not in allowed:
        raise FovealError(f"--out {path}: the name must end in one of {', '.join(allowed)}")


def _photo(path: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if path is None:
        return None
    if len(shape) != 2:
        raise FovealError(f"--image: the source has {len(shape)} axes; only a source with two can lie on an image")
    from foveal.views.pictures import read_image

    return read_image(path, (shape[0], shape[1]))


def _write(found: Field, out: str, photo: np.ndarray | None) -> None:
    suffix = Path(out).suffix.lower()
    if suffix in PICTURES:
        from foveal.views import plots

        (plots.heat_map(found) if photo is None else plots.overlay(found, photo)).save(out)
        return
    try:
        if suffix == ".json":
            Path(out).write_text(found.to_json(), encoding="utf-8")
        else:
            import numpy as np

            np.save(out, found.full(), allow_pickle=False)
    except OSError as error:
        raise FovealError(f"{out}: cannot be written: {error.strerror or error}") from None


def _record(graph: Graph, found: Field) -> dict[str, Any]:
    return {
        "network": graph.name,
        "layer": found.layer,
        "unit": list(found.unit),
        "kind": found.kind,
        "source": found.source,
        "source_shape": list(found.source_shape),
        "origin": list(found.origin),
        "box": None if found.box is None else [list(side) for side in found.box],
        "center": None if found.center is None else list(found.center),
        "status": found.status,
        "method": found.method,
        "metrics": found.metrics().to_dict(),
    }


def _table(found: Field) -> str:
    from foveal.views.text.field import field_rows

    rows = field_rows(found)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
