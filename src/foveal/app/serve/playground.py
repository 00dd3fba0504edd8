"""What the playground asks for: a specification's sizes and cost, its growth, one field, its PyTorch code.

Every answer is plain values. What is wrong with a text is an answer too, with the place where it is wrong: people see
it while they type. All functions take the text and the input shape as it is typed beside it (``3x224x224``), which
counts where the text does not say one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from foveal.app.serve.places import place_of
from foveal.core.errors import FovealError, SourceError
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import moments
from foveal.frontends.backends import PASTED
from foveal.frontends.text import gallery
from foveal.frontends.text.emit import pytorch_code
from foveal.frontends.text.grammar import input_lengths
from foveal.frontends.text.model import BranchSpec, Item, RepeatSpec, ScopeSpec, Specification
from foveal.frontends.text.trace import parse_spec, trace_spec
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph
from foveal.report.analyze import analyze
from foveal.report.results import LayerResult, Report
from foveal.views.page.fields import default_kinds, field_answer

LONGEST = 20_000
"""Most characters of a text."""
BUILT = re.compile(r"(?:torchvision|timm):[\w.\-]{1,100}")
"""Networks of libraries, by name."""
PARTS = 2_000
"""Most layers and joins, repeats counted."""
GROWN = 48
"""Most layers whose field is computed for the growth chart."""
KEPT = 16
"""Networks that a worker remembers."""

Answer = dict[str, Any]


def summary(text: str, shape: str) -> Answer:
    """Totals, and for every layer its output, receptive field, stride and cost."""
    return _told(text, lambda: _summary(*_network(text, shape)))


def growth(text: str, shape: str) -> Answer:
    """Of layers spread over the network: effective side (docs/methods.md 2.1) and sigma."""
    return _told(text, lambda: _growth(*_network(text, shape)))


def field(text: str, shape: str, layer: str, kind: str) -> Answer:
    """The packed field of the layer's middle unit, or under "missing" why there is none."""
    return _told(text, lambda: field_answer(_network(text, shape)[0], layer, kind))


def code(text: str, shape: str) -> Answer:
    """The network as a PyTorch module."""
    return _told(text, lambda: {"code": _code(text, shape)})


def _code(text: str, shape: str) -> str:
    word = text.strip()
    if PASTED.match(text):
        return text
    if BUILT.fullmatch(word):
        library, name = word.split(":")
        make = (
            f"timm.create_model({name!r})"
            if library == "timm"
            else f"torchvision.models.get_model({name!r}, weights=None)"
        )
        return f"import {library}\n\nmodel = {make}\n"
    return pytorch_code(*_read(text, shape))


def _told(text: str, answer: Callable[[], Answer]) -> Answer:
    try:
        return answer()
    except FovealError as error:
        message = " ".join(str(error).split())
        return {"error": {"message": message, "place": place_of(message, text)}}


def _text(text: str) -> str:
    """The text itself, or that of a gallery network named in it."""
    word = text.strip()
    return gallery.text(word.removeprefix("gallery:")) if word.startswith("gallery:") and len(word) < 60 else text


@lru_cache(KEPT)
def _network(text: str, shape: str) -> tuple[Graph, Report]:
    word = text.strip()
    if BUILT.fullmatch(word) or PASTED.match(text):
        graph = _built(word, shape)
    else:
        spec, lengths = _read(text, shape)
        graph = trace_spec(spec, (1, *lengths))
    return graph, analyze(graph)


def _built(word: str, shape: str) -> Graph:
    """A network of a library by its name, or a pasted ``nn.Sequential(...)``, which is read and never run."""
    if len(word) > LONGEST:
        raise SourceError(f"the playground takes {LONGEST} characters, this text has {len(word)}")
    return trace(word, (1, *input_lengths(shape.strip(), "input")))


def _read(text: str, shape: str) -> tuple[Specification, tuple[int, ...]]:
    """The tree and the input (channels, *space). Raises SourceError, also for a text that is too large for here."""
    if len(text) > LONGEST:
        raise SourceError(f"the playground takes {LONGEST} characters, this text has {len(text)}")
    try:
        spec = parse_spec(_text(text))
    except RecursionError:
        raise SourceError("specification: nested too deeply") from None
    parts = _count(spec.items)
    if parts > PARTS:
        raise SourceError(
            f"the playground takes {PARTS} layers, this network has {parts}; use foveal analyze for larger ones"
        )
    return spec, spec.input or input_lengths(shape.strip(), "input")


def _count(items: tuple[Item, ...]) -> int:
    total = 0
    for item in items:
        if isinstance(item, RepeatSpec):
            total += item.times * _count(item.items)
        elif isinstance(item, ScopeSpec):
            total += _count(item.items)
        elif isinstance(item, BranchSpec):
            total += 1 + sum(_count(path) for path in item.paths)
        else:
            total += 1
        if total > PARTS:
            break
    return total


def _summary(graph: Graph, report: Report) -> Answer:
    source, totals = report.sources[0], report.totals
    return {
        "name": report.name,
        "input": "x".join(map(str, source.shape[1:])),
        "lengths": list(source.lengths),
        "axes": list(source.axis_names),
        "kinds": list(default_kinds(graph)),
        "parameters": totals.parameters,
        "adds": totals.multiply_adds.value,
        "adds_status": totals.multiply_adds.status,
        "findings": [{"severity": f.severity, "layer": f.layer, "text": f.text} for f in report.findings],
        "layers": [_row(row) for row in report.layers],
    }


def _row(row: LayerResult) -> Answer:
    return {
        "name": row.name,
        "type": row.type,
        "leaf": row.leaf,
        "shape": list(row.shape[1:]),
        "size": list(row.size.value) if isinstance(row.size.value, tuple) else None,
        "local": None if row.local is None else list(row.local),
        "clipped": list(row.clipped),
        "stride": [None if n is None else float(n) for n in row.stride],
        "start": [None if n is None else float(n) for n in row.start],
        "period": [None if n is None else float(n) for n in row.period],
        "covered": row.covered,
        "status": row.status,
        "causes": list(row.causes),
        "parameters": row.parameters,
        "adds": row.multiply_adds.value,
    }


def _growth(graph: Graph, report: Report) -> Answer:
    names = [row.name for row in report.layers if row.leaf]
    picks = np.unique(np.linspace(0, len(names) - 1, min(GROWN, len(names))).round().astype(int))
    grown: dict[str, Answer] = {}
    for name in (names[i] for i in picks):
        try:
            seen = field_of(graph, name, kind="energy")
        except FovealError:
            continue  # no fixed gains: the curve of the effective field has a gap there
        spread, counts = moments(seen.normalized(), seen.origin), seen.effective()
        if spread is not None and counts is not None:
            grown[name] = {"erf": counts.side, "sigma": [float(s) for s in spread.sigmas]}
    return {"grown": grown}
