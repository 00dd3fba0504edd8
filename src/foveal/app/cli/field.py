"""``foveal field``: one unit's field as numbers, as a picture and as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.app import options
from foveal.core.errors import FovealError, writing
from foveal.core.progress import progress
from foveal.core.serial import to_plain

if TYPE_CHECKING:
    import numpy as np

    from foveal.fields.channels import ChannelGroup
    from foveal.fields.field import Field
    from foveal.ir.graph import Graph

FILES = (*options.PICTURES, ".npy", ".json")


def field(
    source: options.SourceArgument,
    layer: options.LayerNameOption,
    kind: options.KindOption = options.Kind.energy,
    weights: options.WeightsOption = options.Weights.unit,
    at: options.AtOption = None,
    image: options.ImageOption = None,
    all_units: Annotated[
        bool, typer.Option("--usage", help="instead: how many of the layer's units read each source position")
    ] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="also the effective size of each group of channels that see unlike parts")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="FILE", help="a picture (.png, .svg, .pdf) or the field (.npy, .json)"),
    ] = None,
    as_json: options.JsonOption = False,
    shapes: options.InputOption = None,
    axes: options.AxesOption = None,
    pretrained: options.PretrainedOption = False,
) -> None:
    """How strongly each source position reaches one unit: metrics, and a picture or a file."""
    if out is not None:
        options.check_suffix(out, FILES)
    if image is not None and (out is None or Path(out).suffix.lower() not in options.PICTURES):
        raise FovealError("--image is drawn under the field: give a picture to write with --out field.png")
    if all_units and (at or image or kind is not options.Kind.energy or weights is not options.Weights.unit):
        raise FovealError("--usage counts all units of the layer: it goes without --at, --image, --kind and --weights")
    if channels and (all_units or kind is not options.Kind.energy):
        raise FovealError("--channels compares energy fields: it goes without --usage and with --kind energy only")
    from foveal.fields.channels import over_channels
    from foveal.fields.kinds import field as field_of

    graph = options.trace_source(source, shapes, pretrained, axes=axes)
    if all_units:
        _usage(graph, layer, out, as_json)
        return
    with progress(f"{kind} of {layer}"):
        found = field_of(graph, layer, kind=kind.value, at=options.unit(at), weights=weights.value)
        energy = kind is options.Kind.energy
        groups = over_channels(graph, layer, found.unit, found.source, weights.value) if energy else ()
    if out is not None:
        _write(found, out, options.photo(image, found.source_shape))
    record = _record(graph, found) | ({"channels": to_plain(tuple(map(_group, groups)))} if groups else {})
    print(json.dumps(record, allow_nan=False, indent=1) if as_json else _table(found, groups, channels))


def _usage(graph: Graph, layer: str, out: str | None, as_json: bool) -> None:
    from foveal.fields.usage import usage

    with progress(f"usage by {layer}"):
        found = usage(graph, layer)
    if out is not None:
        _write(found.as_field(), out, None)
    print(json.dumps(found.to_dict(), allow_nan=False, indent=1) if as_json else found)


def _write(found: Field, out: str, photo: np.ndarray | None) -> None:
    suffix = Path(out).suffix.lower()
    if suffix in options.PICTURES:
        from foveal.views import plots

        (plots.heat_map(found) if photo is None else plots.overlay(found, photo)).save(out)
        return
    with writing(out) as place:
        if suffix == ".json":
            place.write_text(found.to_json(), encoding="utf-8")
        else:
            import numpy as np

            np.save(place, found.full(), allow_pickle=False)


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


def _group(one: ChannelGroup) -> dict[str, Any]:
    return {"first": one.first, "last": one.last, "effective": to_plain(one.effective)}


def _table(found: Field, groups: Sequence[ChannelGroup], each: bool) -> str:
    from foveal.views.text.field import channel_rows, field_rows
    from foveal.views.text.table import aligned

    return "\n".join(aligned([*field_rows(found), *channel_rows(groups, each)], options.terminal_width()))
