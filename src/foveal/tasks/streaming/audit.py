"""Streaming: how much past and future a layer needs, how late its output is, what must be kept, what leaks the future.

A unit's own position is its index times its stride. Lookback and lookahead are how far the units reach before and
behind it, the largest over all units and phases of the steady stream; units at its ends that reach further, through
padding that mirrors or wraps, have numbers of their own. A strided layer also waits: a position that comes after what
a unit reads first shows in the next one, stride - 1 positions later at most. So latency = the larger of lookahead and
stride - 1: the frame counts once (docs/methods.md 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from foveal.core.errors import FovealError
from foveal.core.words import bytes_text, counted
from foveal.engine.certainty import certainty
from foveal.ir.graph import Graph, Layer, Node
from foveal.report.findings import reachable
from foveal.report.units import source_info
from foveal.tasks.record import Audit, AuditFinding, AuditTable, Cell, Excerpt, gravest_first
from foveal.tasks.shared.equivariance import shifts
from foveal.tasks.streaming.buffers import Buffer, buffers
from foveal.tasks.streaming.context import Stream, chunks_of, size_of
from foveal.tasks.streaming.findings import FINDINGS, Facts
from foveal.tasks.streaming.reach_in_time import Reach, first_to_read_all, reach_of
from foveal.tasks.streaming.record import positions_word
from foveal.tasks.streaming.tokens.masks import attention
from foveal.tasks.streaming.used import SHARES, expected, lookbacks
from foveal.tasks.task import Option, Task

NEEDS, LAYERS, BUFFERS, CHUNKS = "what the output needs", "reach by layer", "buffers", "chunk and context"
USED = "lookback that is used"
LENGTHS = ("quantity", "positions", "samples", "output frames", "ms")
LONG = 30
"""Layers up to which a printed report lists each."""
METHOD = (
    "index ranges of every unit and phase; latency = the larger of lookahead and stride - 1; buffers hold 4-byte "
    "numbers of one item of the batch: (kernel - 1) x dilation + 1 - stride positions of each window, and what waits "
    "for a slower branch"
)


def stream(graph: Graph, /, **options: Any) -> Audit:
    """The audit of one layer (default: the output) along one source axis."""
    asked = question(graph, options)
    reach = reach_of(graph, asked.value, asked.source, asked.axis)
    assert reach is not None
    found = graph.sources[asked.source]
    info = source_info(graph, found)
    rows = _layer_rows(asked)
    kept = buffers(graph, asked.value, asked.source, asked.axis)
    findings = gravest_first(FINDINGS.found(_facts(asked, reach, rows, options["lookahead"], options["latency"])))
    tables: tuple[AuditTable, ...] = (_needs_table(asked, reach), _layers_table(rows), _buffers_table(kept))
    tables += (*_used_table(asked, reach), *_chunks_table(asked, reach))
    summary = _summary(asked, reach, info.axis_names[asked.axis], kept)
    summary += (f"{asked.rate:g} samples per second, from {asked.origin}.",) if asked.origin else ()
    excerpts = _excerpts(rows, kept)
    return Audit(
        "streaming", graph.name, found.name, info.lengths, summary, tables, findings, METHOD, excerpts=excerpts
    )


def latency_of(reach: Reach) -> Fraction | None:
    """Positions that one waits, at most, until the units that it belongs to are out: those of its own cell of
    ``stride`` positions, or the next that reads it; None where the whole future is needed.
    """
    if reach.ahead is None or reach.stride is None:
        return None
    return max(reach.ahead, reach.stride - 1)


def question(graph: Graph, options: dict[str, Any]) -> Stream:
    """The question that the options ask; raises FovealError where they are wrong."""
    if not graph.layers:
        raise FovealError(f"{graph.name}: the network has no layer")
    for name in ("rate", "hop", "latency"):
        if options[name] is not None and options[name] <= 0:
            raise FovealError(f"audit streaming: --{name} must be above 0, got {options[name]}")
    layer = options["layer"] or graph.main
    value = graph.layer(layer).value
    names = [source.name for source in graph.sources]
    behind_it = reachable(graph).get(value, frozenset())
    if not behind_it:
        raise FovealError(f"layer '{layer}' depends on no source: it is a constant")
    source = min(names.index(name) for name in behind_it)
    axis, rate, hop = _axis(graph, source, options["axis"]), options["rate"], options["hop"]
    found = graph.backend.sampling(names[source]) if graph.backend is not None and rate is None and hop == 1 else None
    return Stream(graph, layer, value, source, axis, *(found or (rate, hop, "")))


def findings_of(asked: Stream, reach: Reach) -> tuple[AuditFinding, ...]:
    """What keeps a layer from a stream, or from an exact one."""
    return gravest_first(FINDINGS.found(_facts(asked, reach, (), 0, None)))


def _axis(graph: Graph, source: int, given: str | None) -> int:
    """The source axis that is time: by name or number; by default the last."""
    found = graph.sources[source]
    names = source_info(graph, found).axis_names
    if given is None:
        return len(names) - 1
    if given.upper() in names:
        return names.index(given.upper())
    if given.isdecimal() and int(given) < len(names):
        return int(given)
    raise FovealError(f"audit streaming: --axis '{given}': expected one of {', '.join(names)}, or its number from 0")


class LayerRow(NamedTuple):
    """A named layer on the path: its reach, how much of the future it adds to what it reads, and whether its reach
    or stride is unlike that of all it reads.
    """

    name: str
    type: str
    reach: Reach
    adds: Fraction | None
    changes: bool


def _layer_rows(asked: Stream) -> list[LayerRow]:
    graph = asked.graph
    path = graph.values_behind(asked.value)
    named: dict[int, Layer] = {}
    for layer in graph.layer_table.values():
        if layer.value in path:
            named.setdefault(layer.value, layer)  # of modules that return one value, the innermost
    rows = []
    for value in sorted(named):
        reach = reach_of(graph, value, asked.source, asked.axis)
        if reach is None:
            continue
        before = [reach_of(graph, i, asked.source, asked.axis) for i in _named_before(graph, value, named)]
        known = [r.ahead for r in before if r is not None]
        adds = (
            None if reach.ahead is None or None in known else reach.ahead - max([Fraction(0), *(a or 0 for a in known)])
        )
        changes = all(
            r is None or (*r[:3], *r[4:]) != (*reach[:3], *reach[4:]) for r in before
        )  # whatever axis it lies along
        rows.append(LayerRow(named[value].name, named[value].type, reach, adds, changes))
    return rows


def _named_before(graph: Graph, value: int, named: dict[int, Any]) -> set[int]:
    """The nearest named values (or sources) that a value is made of."""
    used = {i for node in graph.behind(value, stop=named) for i in node.inputs}
    return {i for i in used if i in named or i not in graph.producers()}


def _facts(asked: Stream, reach: Reach, rows: Sequence[LayerRow], allowed: int, budget: float | None) -> Facts:
    late = latency_of(reach)
    if budget is not None and late is not None and asked.rate is None:
        raise FovealError("audit streaming: --latency is in milliseconds: give --rate (samples per second) too")
    place = (asked.graph, asked.value, asked.source, asked.axis)
    past = first_to_read_all(*place, future=False) if reach.back is None and reach.ahead is not None else None
    if past is not None and _bounded(asked, past):
        past = None
    return Facts(
        asked.layer, None if reach.ahead is None else float(reach.ahead), str(_plain(reach.ahead)), allowed,
        [(row.name, str(_plain(row.adds))) for row in rows if row.adds is not None and row.adds > 0],
        certainty(asked.graph, asked.value), first_to_read_all(*place, future=True),
        past, _milliseconds(asked, late), budget, reach.begin, _word(asked),
    )  # fmt: skip


def _bounded(asked: Stream, past: Node) -> bool:
    """Whether it is an attention that keeps a window and the first positions, which needs no more with time."""
    for node in asked.graph.behind(asked.value):
        if (node.scope, node.origin) == (past.scope, past.origin):
            known = [reach_of(asked.graph, i, asked.source, asked.axis) for i in (*node.inputs, node.output)]
            found = attention(asked.graph, node, known[:-1], known[-1])
            if found is not None:
                return found.pattern.kept is not None
    return False


def _needs_table(asked: Stream, reach: Reach) -> AuditTable:
    if reach.axis is None or not reach.stride:
        multiple = shifts(asked.graph, asked.value, asked.source).multiples[asked.axis]
    else:
        multiple = chunks_of(asked, reach).step
    past, ahead = reach.back, reach.ahead
    both = None if past is None or ahead is None else past + ahead + 1
    quantities: list[tuple[str, Fraction | None]] = [
        ("lookback", past), ("lookahead", ahead), ("latency", latency_of(reach)), ("receptive field", both),
        ("stride", reach.stride), ("smallest step", Fraction(multiple)),
    ]  # fmt: skip
    if reach.begin is not None:
        first = f"{reach.begin.units} units"
        late = latency_of(reach._replace(ahead=reach.begin.reach))
        quantities += [(f"lookahead, first {first}", reach.begin.reach), (f"latency, first {first}", late)]
    if reach.end is not None:
        quantities.append((f"lookback, last {reach.end.units} units", reach.end.reach))
    rows = [_quantity(asked, reach, name, number) for name, number in quantities]
    note = (
        "positions of the source axis; receptive field: lookback + lookahead + 1, over all phases; output frames: "
        "positions / stride; the stream advances by the smallest step"
    )
    return AuditTable(NEEDS, LENGTHS, tuple(rows), note)


def _quantity(asked: Stream, reach: Reach, name: str, number: Fraction | None) -> tuple[Cell, ...]:
    if number is None:
        return (name, "all", None, None, None)
    frames = _plain_float(number / reach.stride) if reach.stride else None
    return (name, _plain(number), _plain(number * asked.hop), frames, _milliseconds(asked, number))


def _used_table(asked: Stream, reach: Reach) -> list[AuditTable]:
    """Of a causal layer, the look-back that holds each share of the expected energy of its last unit."""
    if reach.axis is None or not reach.stride or reach.back == 0:
        return []
    if reach.ahead is None or reach.ahead > max(Fraction(0), reach.stride - 1):
        return []
    unit = asked.graph.values[asked.value].shape[reach.axis] - 1
    weights = expected(asked.graph, asked.layer, asked.source, asked.axis, reach.axis, unit)
    found = None if weights is None else lookbacks(weights, int(unit * reach.stride))
    rows = [_quantity(asked, reach, f"{share:.0%} of the energy", Fraction(n)) for share, n in zip(SHARES, found or ())]
    note = "expected squared gradient of the last unit: the shortest lookback that holds so much of it"
    return [AuditTable(USED, LENGTHS, tuple(rows), note)] if rows else []


def _chunks_table(asked: Stream, reach: Reach) -> list[AuditTable]:
    """The chunk to use, as ``foveal stream`` plans it; nothing where the layer has no time axis."""
    if reach.axis is None or not reach.stride:
        return []
    step, left, right, _ = chunks_of(asked, reach)
    found = asked.graph.sources[asked.source]
    length = asked.graph.values[found.value].shape[found.axes[asked.axis]]
    before = None if left is None else -(-left // step) * step
    sizes: list[tuple[str, int | None]] = [
        ("chunks are multiples of", step), ("chunk", size_of(step, left, right, length)), ("context before", before),
        ("context behind", right),
    ]  # fmt: skip
    rows = tuple(_quantity(asked, reach, name, None if n is None else Fraction(n)) for name, n in sizes)
    note = "the smallest chunk that computes at most half twice"
    if before is None or right is None:
        note = "no context makes chunks equal the whole" + (
            ": the past has to be carried as a state" if right is not None else ""
        )
    return [AuditTable(CHUNKS, LENGTHS, rows, f"{note}; foveal stream runs it and compares it with the whole")]


def _layers_table(rows: Sequence[LayerRow]) -> AuditTable:
    cells: list[tuple[Cell, ...]] = [
        (
            row.name, row.type, None if row.reach.stride is None else _plain(row.reach.stride),
            "all" if row.reach.back is None else _plain(row.reach.back),
            "all" if row.reach.ahead is None else _plain(row.reach.ahead),
            None if row.adds is None else _plain(row.adds),
        )
        for row in rows
    ]  # fmt: skip
    headings = ("layer", "type", "stride", "lookback", "lookahead", "adds")
    return AuditTable(LAYERS, headings, tuple(cells), "adds: lookahead beyond that of the layers it reads")


def _excerpts(rows: Sequence[LayerRow], kept: Sequence[Buffer]) -> dict[str, Excerpt]:
    """Of a long list of layers, those that say something new."""
    holding = {buffer.layer for buffer in kept}
    shown = tuple(place for place, row in enumerate(rows) if row.changes or row.name in holding)
    if len(rows) <= LONG or len(shown) == len(rows):
        return {}
    return {LAYERS: Excerpt(shown, "layers that neither change the reach nor hold a buffer")}


def _buffers_table(kept: Sequence[Buffer]) -> AuditTable:
    cells = tuple((b.layer, b.purpose, b.positions, b.elements, 4 * b.elements) for b in kept)
    return AuditTable(BUFFERS, ("layer", "for", "positions", "elements", "bytes"), cells)


def _summary(asked: Stream, reach: Reach, axis: str, kept: Sequence[Buffer]) -> tuple[str, ...]:
    late = latency_of(reach)
    if reach.ahead is None or late is None:
        return (f"{asked.layer} cannot be streamed along {axis}: it needs the whole future.",)
    word = _word(asked)
    past = "the whole past" if reach.back is None else f"{counted(reach.back, word)} of the past"
    spent = _milliseconds(asked, late)
    time = "" if spent is None else f" = {spent:.4g} ms"
    total = sum(b.elements for b in kept)
    causal = "is causal" if reach.ahead == 0 else f"needs {counted(reach.ahead, word)} of the future"
    if reach.begin is not None:
        most = "all" if reach.begin.reach is None else _plain(reach.begin.reach)
        causal += f" (steady: {_plain(reach.ahead)}; first {reach.begin.units} units: {most})"
    return (
        f"{asked.layer} {causal} along {axis}, and sees {past}; latency {counted(late, word)}{time}.",
        f"State to keep between steps: {total} elements, {bytes_text(4 * total)}, in {len(kept)} buffers.",
    )


def _word(asked: Stream) -> str:
    return positions_word(source_info(asked.graph, asked.graph.sources[asked.source]), asked.hop)


def _milliseconds(asked: Stream, positions: Fraction | None) -> float | None:
    if asked.rate is None or positions is None:
        return None
    return float(positions) * asked.hop / asked.rate * 1000.0


def _plain(number: Fraction | None) -> int | str | None:
    if number is None:
        return None
    return int(number) if number.denominator == 1 else str(number)


def _plain_float(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else round(float(number), 4)


TASK = Task(
    "streaming",
    "Can it run on a stream: past and future needed, latency, buffers, the layer that leaks the future.",
    stream,
    (
        Option("layer", str, "the layer that is streamed; default: the output", metavar="NAME"),
        Option("axis", str, "the source axis that is time (T, or H, W of a spectrogram); default: the last",
               metavar="NAME"),
        Option("rate", float, "samples per second, for milliseconds", metavar="HZ"),
        Option("hop", int, "samples per position of the source axis (of a spectrogram's frames)", 1, "N"),
        Option("lookahead", int, "positions of the future that are allowed", 0, "N"),
        Option("latency", float, "milliseconds of latency that are allowed", metavar="MS"),
    ),
)  # fmt: skip
