"""What each layer of a decoder reads of the past, and what must stay in the cache for an exact next token."""

from __future__ import annotations

from typing import NamedTuple

from foveal.fields.measured.cropping import behind
from foveal.ir.graph import Graph, Node
from foveal.tasks.streaming.buffers import RUNNING, past
from foveal.tasks.streaming.findings import PICKS
from foveal.tasks.streaming.reach_in_time import Reach, reach_of
from foveal.tasks.streaming.tokens.masks import attention

WHOLE = "a state of all before"
LOOP = 3
"""Picks of single tokens in one module from which on they are a loop."""


class Memory(NamedTuple):
    """One place that mixes tokens. kind: "attention", "convolution", "state" or "loop"; reads: of the past, in words;
    reach: of what it makes; tokens: kept, None where they grow with the text; elements: kept in all, or per token where
    they grow; None where they are not known.
    """

    layer: str
    kind: str
    reads: str
    reach: Reach
    tokens: int | None
    elements: int | None
    ahead: int = 0


def memories(graph: Graph, value: int, source: int, axis: int) -> list[Memory]:
    """The places on the path to a value that mix positions, in execution order."""
    found: list[Memory] = []
    picked: dict[str, int] = {}
    for node in sorted(behind(graph, [value]), key=lambda node: node.output):
        known = [reach_of(graph, i, source, axis) for i in node.inputs]
        out = reach_of(graph, node.output, source, axis)
        if out is None:
            continue
        found += _of(graph, node, known, out)
        if node.origin in PICKS and out.axis is None and known[0] is not None and known[0].axis is not None:
            picked[node.scope] = picked.get(node.scope, 0) + 1
            if picked[node.scope] == LOOP:
                whole = out._replace(back=None)
                found.append(Memory(node.scope or "(top)", "loop", WHOLE, whole, 1, None))
    return found


def _of(graph: Graph, node: Node, known: list[Reach | None], out: Reach) -> list[Memory]:
    attended = attention(graph, node, known, out)
    if attended is not None:
        pattern, size = attended.pattern, attended.keys + attended.values
        kept = size if pattern.kept is None else size * pattern.kept
        return [Memory(node.scope or "(top)", "attention", pattern.text, out, pattern.kept, kept, pattern.ahead)]
    found = []
    for layer, purpose, kept, elements in past(graph, node, known):
        state = purpose == RUNNING
        kind, reads = ("state", WHOLE) if state else ("convolution", f"its own and {kept} before")
        found.append(Memory(layer, kind, reads, out, kept, elements))
    return found
