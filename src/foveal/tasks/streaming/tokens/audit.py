"""Tokens: how far a decoder's token reaches back, layer by layer; what an exact next token needs; what is used of it.

The reach comes from the masks that the trace holds (windows, chunks, first tokens). Its use is the expected field
(attention with uniform weights) beside two measured ones, on the user's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.core.words import bytes_text
from foveal.ir.graph import Graph
from foveal.report.results import SourceInfo
from foveal.tasks.record import Audit, AuditTable, Cell, gravest_first
from foveal.tasks.streaming.audit import question
from foveal.tasks.streaming.context import Stream
from foveal.tasks.streaming.reach_in_time import Reach, reach_of
from foveal.tasks.streaming.tokens.findings import FINDINGS, Facts
from foveal.tasks.streaming.tokens.measured import Effects, differentiated, exchanged
from foveal.tasks.streaming.tokens.memory import Memory, memories
from foveal.tasks.streaming.tokens.record import TokenMap, TokenReach, TokenUse
from foveal.tasks.streaming.used import SHARES, expected, lookbacks
from foveal.tasks.task import Option, Task

LAYERS, USE, DISTANCES = "what each layer reads and keeps", "look-back that is used", "influence by distance"
EXPECTED, GRADIENT, EXCHANGED = "expected", "by gradients", "by exchanged tokens"
NONE: tuple[int | None, ...] = (None,) * len(SHARES)
METHOD = (
    "reach: index ranges of every token through the masks of the trace; expected: squared gradient for independent "
    "weights of unit gain and attention of uniform weights; by gradients: squared gradients by the tokens' embeddings, "
    "outputs with random signs; by exchanged tokens: squared change of the outputs where one token is another of the "
    "same text (float64); both as means over the pairs of one distance; bytes: 4 a number, one item of the batch"
)


class Used(NamedTuple):
    """weights: by way of asking, the influence at distance 0, 1 ...; effects: of exchanged tokens; why: what could not
    be asked.
    """

    weights: dict[str, np.ndarray]
    effects: Effects | None
    why: tuple[str, ...]


def tokens(graph: Graph, /, **options: Any) -> Audit:
    """The audit of one layer (default: the output) along the tokens of one source."""
    asked = question(graph, {**options, "rate": None, "hop": 1, "latency": None})
    reach = reach_of(graph, asked.value, asked.source, asked.axis)
    assert reach is not None
    if reach.ahead is not None and (reach.axis is None or reach.stride != 1):
        raise FovealError(f"layer '{asked.layer}' has not one unit per token: ask for one that has (--layer)")
    found = graph.sources[asked.source]
    info = SourceInfo(found.name, graph.values[found.value].shape, found.axes)
    length = info.lengths[asked.axis]
    rows = memories(graph, asked.value, asked.source, asked.axis)
    text = _tokens(asked, options)
    used = Used({}, None, ())
    if reach.ahead == 0:
        used = _used(asked, reach, text, measure=not options["static"])
    back = None if reach.back is None else int(reach.back)
    far = used.weights.get(EXCHANGED)
    told = None if far is None else lookbacks(far[::-1], length - 1)
    facts = Facts(asked.layer, reach.ahead != 0, rows, back, length, None if told is None else told[-1],
                  _beyond(far, back), _window(graph))  # fmt: skip
    tables = [_layers_table(rows), *_use_tables(used, length)]
    given = "of the example" if text is None else "given"
    figures: dict[str, object] = {"reach": TokenReach(graph.name, tuple(r.layer for r in rows), tuple(
        None if r.reach.back is None else int(r.reach.back) for r in rows), length)}  # fmt: skip
    if used.weights:
        figures["use"] = TokenUse(graph.name, {way: _shares(w) for way, w in used.weights.items()})
    if used.effects is not None:
        figures["map"] = TokenMap(graph.name, used.effects.values, used.effects.places)
    return Audit(
        "tokens", graph.name, found.name, info.lengths, _summary(asked, reach, rows, used, length, given),
        tuple(tables), gravest_first(FINDINGS.found(facts)), METHOD, figures=figures,
    )  # fmt: skip


def _tokens(asked: Stream, options: dict[str, Any]) -> np.ndarray | None:
    """The user's tokens, as many as the trace has; None where none were given."""
    if options["text"] is not None and options["ids"] is not None:
        raise FovealError("audit tokens: give --ids or --text, not both")
    length = asked.graph.values[asked.graph.sources[asked.source].value].shape[
        asked.graph.sources[asked.source].axes[asked.axis]
    ]
    if options["text"] is not None:
        if options["tokenizer"] is None:
            raise FovealError(
                "audit tokens: --text needs --tokenizer (a folder, or a name in the cache); or give --ids"
            )
        ids = _of_text(options["tokenizer"], _read(options["text"]))
    elif options["ids"] is not None:
        words = _read(options["ids"]).replace(",", " ").split()
        if not words or not all(word.isdecimal() for word in words):
            raise FovealError("audit tokens: --ids: expected whole numbers such as 5,17,3, or a file of them")
        ids = [int(word) for word in words]
    else:
        return None
    if len(ids) < length:
        why = f"{len(ids)} tokens are given and {length} traced"
        raise FovealError(f"audit tokens: {why}: give an input of that length (--input int:1,{len(ids)})")
    return np.asarray(ids[:length], np.int64)


def _of_text(tokenizer: str, text: str) -> list[int]:
    try:
        from foveal.frontends.sources.huggingface import token_ids
    except ImportError:
        raise FovealError("audit tokens: --tokenizer needs transformers: pip install transformers") from None
    return token_ids(tokenizer, text)


def _read(given: str) -> str:
    """What was given, or what stands in the file of that name."""
    try:
        path = Path(given)
        return path.read_text(encoding="utf-8") if len(given) < 256 and path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise FovealError(f"{given}: not read: {error}") from None


def _used(asked: Stream, reach: Reach, text: np.ndarray | None, measure: bool) -> Used:
    graph, why = asked.graph, []
    source, shape = graph.sources[asked.source], graph.values[asked.value].shape
    assert reach.axis is not None
    weights: dict[str, np.ndarray] = {}
    last = shape[reach.axis] - 1
    thought = expected(graph, asked.layer, asked.source, asked.axis, reach.axis, last)
    if thought is not None:
        weights[EXPECTED] = thought[: last + 1][::-1]
    effects = None
    if measure and graph.backend is not None and len(source.axes) == 1:
        example = np.asarray(graph.backend.example(0)[source.name])
        given = example if text is None else np.broadcast_to(text.astype(example.dtype), example.shape).copy()
        asking = (graph.backend, source, asked.layer, reach.axis, given)
        for way in (GRADIENT, EXCHANGED):
            try:
                found = exchanged(*asking) if way == EXCHANGED else differentiated(*asking, shape)
            except FovealError as error:
                why.append(f"{way}: {error}")
                continue
            weights[way] = found.by_distance()
            effects = found if way == EXCHANGED else effects
    return Used(weights, effects, tuple(why))


def _window(graph: Graph) -> int | None:
    """The sliding window, or chunk, that the model's own configuration names."""
    config = getattr(getattr(graph.backend, "model", None), "config", None)
    if getattr(config, "use_sliding_window", True) is False:
        return None
    found = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return next((n for n in found if isinstance(n, int) and n > 0), None)


def _beyond(far: np.ndarray | None, reach: int | None) -> int | None:
    if far is None or reach is None:
        return None
    places = np.flatnonzero(far[reach + 1 :] > 1e-20 * far.max(initial=0.0))
    return int(places[0]) + reach + 1 if places.size else None


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights / total if total > 0 else weights


def _layers_table(rows: Sequence[Memory]) -> AuditTable:
    cells = tuple(
        (row.layer, row.kind, row.reads, "all" if row.reach.back is None else int(row.reach.back),
         "all" if row.tokens is None else row.tokens, row.elements) for row in rows
    )  # fmt: skip
    note = "tokens before that what it makes has seen; numbers: kept in all, and a token where all are kept"
    return AuditTable(LAYERS, ("layer", "kind", "reads", "reach", "tokens kept", "numbers"), cells, note)


def _use_tables(used: Used, length: int) -> list[AuditTable]:
    ways = list(used.weights)
    if not ways:
        return []
    backs = {way: lookbacks(weights[::-1], len(weights) - 1) for way, weights in used.weights.items()}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (f"{share:.0%}", *((backs[way] or NONE)[k] for way in ways)) for k, share in enumerate(SHARES)
    )
    edges = sorted({0, 1, *(2**k for k in range(1, 40) if 2**k < length), length})
    shares = {way: _shares(weights) for way, weights in used.weights.items()}
    parts: tuple[tuple[Cell, ...], ...] = tuple(
        (str(a) if b == a + 1 else f"{a} to {b - 1}", *(float(f"{shares[way][a:b].sum():.4g}") for way in ways))
        for a, b in pairwise(edges)
    )
    note = "; ".join(["tokens before the newest that hold so much of the influence, itself counted in", *used.why])
    return [AuditTable(USE, ("share", *ways), rows, note), AuditTable(DISTANCES, ("tokens before", *ways), parts)]


def _summary(
    asked: Stream, reach: Reach, rows: Sequence[Memory], used: Used, length: int, given: str
) -> tuple[str, ...]:
    if reach.ahead != 0:
        return (f"{asked.layer} reads tokens that come after: it is no decoder that writes one token after the other.",)
    back = "all tokens before it"
    if reach.back is not None:
        back = f"{int(reach.back)} tokens before it ({int(reach.back) + 1} with its own)"
    fixed = sum(row.elements or 0 for row in rows if row.tokens is not None)
    more = sum(row.elements or 0 for row in rows if row.tokens is None)
    loops = sum(row.elements is None for row in rows)
    kept = [f"{fixed} numbers ({bytes_text(4 * fixed)})"] * bool(fixed or not more)
    kept += [f"{more} numbers a token, of all tokens before"] * bool(more)
    kept += [f"the state of {loops} loop(s)"] * bool(loops)
    lines = [f"{asked.layer}: a token sees {back}.", f"For an exact next token keep {' and '.join(kept)}."]
    said = []
    for way, weights in used.weights.items():
        found = lookbacks(weights[::-1], len(weights) - 1)
        if found is not None:
            said.append(f"{found[1]} {way}")
    if said:
        free = asked.graph.backend is not None and asked.graph.backend.weightless
        where = (
            f"measured on the {length} tokens {given}{', with random weights' * free}"
            if used.effects is not None
            else "not measured"
        )
        lines.append(f"90% of the influence lies within so many tokens before: {', '.join(said)} ({where}).")
    return tuple(lines)


TASK = Task(
    "tokens",
    "A decoder of tokens: reach by layer, what the cache must keep for an exact next token, how much is used.",
    tokens,
    (
        Option("layer", str, "the layer that is asked; default: the output", metavar="NAME"),
        Option("axis", str, "the source axis of the tokens; default: the last", metavar="NAME"),
        Option("ids", str, "the tokens to measure on: numbers such as 5,17,3, or a file of them; default: the example",
               metavar="IDS|FILE"),
        Option("text", str, "or a text, or a file of it (needs --tokenizer)", metavar="TEXT|FILE"),
        Option("tokenizer", str, "a tokenizer of transformers: a folder, or a name in the cache", metavar="NAME"),
        Option("static", bool, "leave out what is measured by running the model"),
    ),
)  # fmt: skip
