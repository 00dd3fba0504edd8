"""``foveal explain``: one page on one unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveal.app import options
from foveal.core.progress import progress
from foveal.core.visible import visible


def explain(
    source: options.SourceArgument,
    layer: options.LayerNameOption,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="the page to write (.png, .svg, .pdf)")
    ] = "explained.png",
    image: options.ImageOption = None,
    kind: options.KindOption = options.Kind.energy,
    weights: options.WeightsOption = options.Weights.unit,
    at: options.AtOption = None,
    gamma: Annotated[
        float,
        typer.Option("--gamma", min=0.0, metavar="G", help="foveated view: bandwidth kept is the weight to this power"),
    ] = 1.0,
    shapes: options.InputOption = None,
    axes: options.AxesOption = None,
    pretrained: options.PretrainedOption = False,
) -> None:
    """One page on one unit: its field over the image, what it sees, what an eye would see, profiles and numbers."""
    options.check_suffix(out, options.PICTURES)
    from foveal.views.explain import explain as explain_unit, plane
    from foveal.views.plots.explain import explanation_page
    from foveal.views.text.table import aligned

    graph = options.trace_source(source, shapes, pretrained, axes=axes)
    backdrop = None if image is None else options.photo(image, plane(graph, layer))
    name = {} if image is None else {"image_name": Path(image).name}
    with progress(f"explaining {layer}"):
        found = explain_unit(
            graph, layer, backdrop, kind=kind.value, at=options.unit(at), gamma=gamma, weights=weights.value, **name
        )
        explanation_page(found).save(out)
    print(visible(f"{found.network}: {layer}, unit {found.field.unit}: {found.field.kind}"))
    print(*aligned(found.rows, options.terminal_width()), visible(f"written: {out}"), sep="\n")
