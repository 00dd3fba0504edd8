"""One model of the zoo: built without weights, traced, bounded and reported; what came out as a plain record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import foveal
from foveal.engine.forward.bounds import bounds
from foveal.frontends.torch.files.read import load
from foveal.ir.graph import Graph
from foveal.report.results import Report

ERROR_LENGTH = 300
"""Characters of an error kept in a record."""


@dataclass
class Record:
    """What is known of one model.

    status: "exact" (every layer), "data-dependent" or "bound" (some layer, the graver wins), "partial" (the trace ended
    early), "failed" (no report). ``causes``: operation -> in how many places. ``seconds``: per stage.
    """

    name: str
    input: list[list[int]] = field(default_factory=list)
    status: str = "failed"
    layers: int = 0
    exact: int = 0
    bound: int = 0
    data_dependent: int = 0
    withheld: int = 0
    operations: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str = ""


def examine(name: str) -> Record:
    """The record of the model that ``name`` (a foveal source such as ``timm:resnet50``) builds; never raises."""
    record = Record(name)
    try:
        _fill(record)
    except Exception as error:
        record.status = "failed"
        record.error = f"{type(error).__name__}: {error}".replace("\n", " | ")[:ERROR_LENGTH]
    return record


def names(library: str) -> list[str]:
    """The sources of a library ("torchvision" or "timm"): all that take an image or a video."""
    if library == "timm":
        import timm

        return [f"timm:{name}" for name in timm.list_models()]
    import torchvision

    # A quantized_* model is its float twin until it is converted; the twin stands in the list under its own name.
    return [f"torchvision:{name}" for name in torchvision.models.list_models() if not name.startswith("quantized_")]


def _fill(record: Record) -> None:
    with timed(record, "build"):
        model, inputs, axes, name = load(record.name)
    with timed(record, "trace"):
        graph = foveal.trace(model, inputs, axes=axes, name=name)
    record.input = [list(graph.values[source.value].shape) for source in graph.sources]
    record.operations = len(graph.nodes)
    with timed(record, "bounds"):
        bounds(graph)
    with timed(record, "report"):
        report = foveal.analyze(graph)
    count(record, graph, report)


@contextmanager
def timed(record: Record, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        record.seconds[stage] = round(time.perf_counter() - start, 4)


def count(record: Record, graph: Graph, report: Report) -> None:
    statuses = Counter(row.status for row in report.layers)
    record.layers = len(report.layers)
    record.exact, record.bound = statuses["exact"], statuses["bound"]
    record.data_dependent, record.withheld = statuses["data-dependent"], statuses["unavailable"]
    record.causes = _causes(report)
    record.notes = sorted({f"{note.code}: {note.layer}: {note.text}"[:ERROR_LENGTH] for note in graph.notes})
    record.status = _status(record, {note.code for note in graph.notes})


def _status(record: Record, codes: set[str]) -> str:
    if "partial" in codes:
        return "partial"
    if record.bound or "opaque" in codes:
        return "bound"
    return "data-dependent" if record.data_dependent or "data-dependent" in codes else "exact"


def _causes(report: Report) -> dict[str, int]:
    """Operations that keep numbers from being exact, each with the number of places where it does."""
    places = {cause for row in report.layers for cause in row.causes}
    return dict(Counter(cause.split(" at ")[0] for cause in places).most_common())
