"""One request for measured fields, from source strings to results, and from a record back to the same request.

A request is plain values, so that it can stand in a figure's metadata, be sent to another process, and be run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from math import prod
from typing import Any, NamedTuple

from foveal.core.errors import FovealError, SourceError
from foveal.fields.field import Field
from foveal.fields.kinds import field as field_of
from foveal.fields.measured.images import SQUASH, Layout, collect
from foveal.fields.measured.measure import Measured, Settings, measure
from foveal.fields.measured.protocols import PROTOCOLS, protocol_of
from foveal.fields.measured.provenance import SCHEMA, changed, file_digest, versions
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.backends import backend_of
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph, Note

RANDOM = "random"
"""The word for no weights: seeded random numbers."""


@dataclass(frozen=True)
class Request:
    """What to measure. weights: files, or "random", or "pretrained"; one measurement for each source and weights.

    images: folders and files; none for seeded noise. threads: of the framework, None for its own choice.
    """

    sources: tuple[str, ...]
    layers: tuple[str, ...] = ()
    weights: tuple[str, ...] = (RANDOM,)
    input: tuple[int, ...] | None = None
    images: tuple[str, ...] = ()
    count: int | None = None
    protocol: str = "foveal"
    at: tuple[int, ...] | None = None
    settings: Settings = field(default_factory=Settings)
    energy: bool = False
    """Whether the energy of the same weights stands beside each measured field."""
    threads: int | None = None
    axes: Any = None
    """As for :func:`foveal.trace`."""

    @property
    def models(self) -> list[tuple[str, str]]:
        """(source, weights) of each network, in order."""
        return [(source, weights) for source in self.sources for weights in self.weights]


class Result(NamedTuple):
    """One measured field, of which source and weights, and its prediction where asked for.

    beside: the gradient field of the same unit on the same images, beside one of occlusion; None also where no gradient
    passes, and ``why`` says so.
    """

    source: str
    weights: str
    measured: Measured
    energy: Field | None
    beside: Measured | None = None
    why: str = ""


def from_plain_request(data: dict[str, Any]) -> Request:
    """The request that :func:`foveal.core.serial.to_plain` wrote; raises SourceError where it is none."""
    known = {f.name for f in fields(Request)}
    try:
        parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        return Request(**{**parts, "settings": Settings(**data["settings"])})
    except (KeyError, TypeError) as error:
        raise SourceError(f"a record without a complete request: {error}") from None


def run(request: Request) -> list[Result]:
    """All measured fields of a request, by source, weights, then layer."""
    found = []
    for source, weights in request.models:
        with backend_of(source).threads(request.threads):  # the last bits depend on their number
            graph = graph_of(request, source, weights)
            names = layers_of(graph, request.layers)
            beside = _Beside(graph, request)
            for item in measure(graph, names, **arguments(request)):
                predicted = _energy(graph, item.field) if request.energy else None
                found.append(Result(source, weights, item, predicted, *beside.of(item)))
    return found


class _Beside:
    """The gradient fields beside those of occlusion, each measured once."""

    def __init__(self, graph: Graph, request: Request) -> None:
        self.graph, self.request = graph, request
        self.found: dict[tuple[str, tuple[int, int] | None], Measured] = {}

    def of(self, item: Measured) -> tuple[Measured | None, str]:
        """The one of the same layer and channels, or why there is none; none for signed answers."""
        if not protocol_of(self.request.protocol).occlude or item.record["answers"]:
            return None, ""
        layer, channels = item.field.layer, item.record["channels"]
        if not any(name == layer for name, _ in self.found):
            given = arguments(self.request) | {"protocol": "foveal", "at": item.field.unit}
            given["settings"] = replace(self.request.settings, patch=None, signed=False)
            try:
                for each in measure(self.graph, layer, **given):
                    self.found[layer, _pair(each.record["channels"])] = each
            except FovealError as error:
                return None, str(error)
        return self.found.get((layer, _pair(channels))), ""


def _pair(channels: list[int] | None) -> tuple[int, int] | None:
    return None if channels is None else (channels[0], channels[1])


def arguments(request: Request) -> dict[str, Any]:
    """The arguments of :func:`foveal.fields.measured.measure.measure` that a request holds."""
    return {
        "images": image_files(request.images),
        "protocol": request.protocol,
        "at": request.at,
        "count": request.count,
        "settings": request.settings,
    }


def image_count(request: Request) -> int:
    """How many images a request means; no network is needed to tell."""
    images, count = image_files(request.images), request.count
    if count is None and images is not None:
        count = protocol_of(request.protocol).images
    return len(collect(images, Layout((1, 3, 1, 1), (2, 3)), SQUASH, count))


def image_files(given: Sequence[str]) -> Any:
    """One folder as it is, several folders and files as one list of files, none as noise."""
    if not given:
        return None
    if len(given) == 1:
        return given[0]
    from pathlib import Path

    from foveal.fields.measured.images import folder

    return [str(path) for item in given for path in folder(Path(item))]


def graph_of(request: Request, source: str, weights: str) -> Graph:
    """The network of a source with these weights, traced at the request's or the protocol's size."""
    shape: Any = request.input
    size = protocol_of(request.protocol).size
    if shape is None and size is not None:
        shape = (1, 3, size, size)
    graph = trace(source, shape, pretrained=weights == "pretrained", axes=request.axes)
    if weights not in (RANDOM, "pretrained"):
        if graph.backend is None:
            raise FovealError(f"{graph.name}: weights need a PyTorch model; this network has none behind it")
        graph.backend, left = graph.backend.with_weights(weights)
        graph.notes += [Note("weights", "", left)] if left else []
    return graph


def layers_of(graph: Graph, patterns: Sequence[str]) -> list[str]:
    """The layers that names or patterns mean, in order of execution; without any the last map before the head.

    Raises UnknownLayerError where none matches.
    """
    if not patterns:
        return [last_map(graph)]
    # A pattern means what modules return, where a gradient can be read; a plain name means just that layer.
    modules = {layer.name for layer in graph.layer_table.values() if layer.kind == "module"}
    found = [
        name
        for name in graph.layers
        if name in patterns or (name in modules and any(fnmatchcase(name, pattern) for pattern in patterns))
    ]
    return found or [graph.layer(patterns[0]).name]


def last_map(graph: Graph) -> str:
    """The last module whose units still have a place in the source."""
    for layer in reversed(graph.layer_table.values()):
        if layer.kind == "module" and layer.name != "output":
            rf = receptive_field(graph, layer.name)
            if prod(rf.grid) > 1:
                return layer.name
    raise FovealError(f"{graph.name}: no layer has more than one unit; name one with --layer")


def _energy(graph: Graph, measured: Field) -> Field | None:
    """The predicted field of the same unit: from the model's own weights where they are known, else of unit gain."""
    for weights in ("squares", "model", "unit"):
        try:
            return field_of(graph, measured.layer, "energy", measured.unit, source=measured.source, weights=weights)
        except FovealError:
            continue
    return None


def record(request: Request, results: Sequence[Result]) -> dict[str, Any]:
    """Everything that is needed to make the results again, as plain values."""
    from foveal.core.serial import to_plain

    named = [weights for weights in request.weights if weights not in (RANDOM, "pretrained")]
    images = {item["name"]: item for result in results for item in result.measured.record["images"]}
    return {
        "schema": SCHEMA,
        "request": to_plain(request),
        "protocol": to_plain(protocol_of(request.protocol)),
        "weights": {name: file_digest(name) for name in named},
        "images": list(images.values()),
        "measured": [
            {"model": r.source, "weights": r.weights}
            | {k: r.measured.record[k] for k in ("layer", "unit", "source_shape", "crop", "skipped")}
            for r in results
        ],
        "versions": versions(),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is no longer as it was: images, weights, versions, the protocol."""
    found = changed(before, now)
    for name, digest in before.get("weights", {}).items():
        if now["weights"].get(name) != digest:
            found.append(f"weights {name} have changed")
    if before.get("protocol") != now["protocol"]:
        found.append(f"protocol {now['protocol']['name']} has changed")
    return found


def checked(request: Request) -> Request:
    """The request with its words checked before anything is built; raises FovealError."""
    if not request.sources:
        raise FovealError("name a network, such as torchvision:resnet18")
    if request.protocol not in PROTOCOLS:
        protocol_of(request.protocol)
    return replace(request, weights=request.weights or (RANDOM,))
