"""Which keys the queries of an attention read: a window, all before, first tokens and a window, chunks."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import Graph, Node
from foveal.ir.rules import traits
from foveal.tasks.streaming.reach_in_time import Reach


class Pattern(NamedTuple):
    """text: what a query reads; window: keys of the band, its own counted, None without one; kept: past keys that a
    later query can still read, None where they grow with the stream; ahead: keys behind its own, at most; size: of
    chunks that begin at fixed places.
    """

    text: str
    window: int | None
    kept: int | None
    ahead: int
    size: int = 1


class Attended(NamedTuple):
    """An attention along time. keys, values: elements that a token adds to a cache, before they are shared by heads."""

    pattern: Pattern
    keys: int
    values: int


def attention(graph: Graph, node: Node, known: list[Reach | None], out: Reach | None) -> Attended | None:
    """The attention whose sum over time ``node`` is; known: the reach of its operands. None for another operation."""
    product = traits(node.op).product(node.op)
    if product is None or out is None or out.axis is None or len(node.inputs) != 2:
        return None
    query = product.out[out.axis]
    for operand, reach in enumerate(known):
        if reach is None or reach.axis is None or known[1 - operand] is None:
            continue
        key, labels = product.labels[operand][reach.axis], product.labels[1 - operand]
        if key in product.out or key not in labels or query not in labels:
            continue
        weights = node.inputs[1 - operand]
        shape = graph.values[weights].shape
        time = shape[labels.index(key)]
        if shape[labels.index(query)] != time:
            return None
        open_ = _open(bounds(graph).facts.zero(weights), shape, labels.index(query), labels.index(key))
        values = node.inputs[operand]
        return Attended(pattern_of(open_), _stored(graph, _keys(graph, weights, values), time),
                        _stored(graph, values, time))  # fmt: skip
    return None


def pattern_of(open_: np.ndarray) -> Pattern:
    """open_: (queries, keys) alike in number, whether the key is read."""
    count = len(open_)
    place = np.arange(count)
    past = np.tril(open_, -1).sum(1)
    seen = np.asarray(open_.any(1))
    first, last = open_.argmax(1), count - 1 - open_[:, ::-1].argmax(1)
    ahead = int(np.max(last - place, where=seen, initial=0))
    whole = open_ == (place[None] >= first[:, None]) & (place[None] <= last[:, None]) & seen[:, None]
    more = f" and {ahead} after" if ahead else ""
    if whole.all() and count > 1:
        back = int((place - first).max())
        if back == count - 1:
            behind = "" if ahead == 0 else ", and all after" if ahead == count - 1 else more
            return Pattern(f"all before{behind}", None, None, ahead)
        if (first == np.maximum(0, place - back)).all() and (last == np.minimum(count - 1, place + ahead)).all():
            return Pattern(f"its own and {back} before{more}", back + 1 + ahead, back, ahead)
        size = _chunk(first)
        if size:
            return Pattern(f"chunks of {size}: up to {back} before{more}", None, int(past.max()), ahead, size)
    sinks = _first_tokens(open_)
    if sinks:
        near = open_.copy()
        near[:, :sinks] = False
        rest = pattern_of(near[sinks:, sinks:])
        if rest.window is not None and rest.kept is not None:
            kept = sinks + rest.kept
            return Pattern(f"the first {sinks}, {rest.text}", rest.window, kept, ahead)
    grows = bool(past[-1] > past[: count // 2 + 1].max(initial=0))
    return Pattern(f"up to {int(past.max(initial=0))} of those before{more}", None, None if grows else int(past.max()),
                   ahead)  # fmt: skip


def _chunk(first: np.ndarray) -> int:
    """The size of chunks at whose begin the first key moves on; 0 where they are not of one size."""
    moves = np.flatnonzero(np.diff(first)) + 1
    if moves.size < 2:
        return 0
    steps = np.diff(first)[moves - 1]
    return int(steps[0]) if (steps == steps[0]).all() and (np.diff(moves) == steps[0]).all() and steps[0] > 1 else 0


def _first_tokens(open_: np.ndarray) -> int:
    """Keys at the begin that every later query reads, though not all keys between."""
    closed = np.flatnonzero(~open_[-1])
    count = int(closed[0]) if closed.size else 0
    return count if count and np.tril(np.ones_like(open_))[:, :count][~open_[:, :count]].sum() == 0 else 0


def _open(zero: np.ndarray | None, shape: tuple[int, ...], query: int, key: int) -> np.ndarray:
    if zero is None:
        return np.ones((shape[query], shape[key]), bool)
    others = tuple(k for k in range(len(shape)) if k not in (query, key))
    wide = [n if k in (query, key) else m for k, (n, m) in enumerate(zip(shape, zero.shape))]
    closed = np.asarray(np.broadcast_to(zero, wide).all(axis=others))
    return np.asarray(~(closed if query < key else closed.T))


def _keys(graph: Graph, weights: int, values: int) -> int:
    """What the weights were made with: the second operand of the product before them that two signals make."""
    for node in graph.behind(weights):
        product = traits(node.op).product(node.op)
        if product is not None and len(set(node.inputs)) == 2 and graph.values[node.inputs[1]].kind == "computed":
            return node.inputs[1]
    return values


def _stored(graph: Graph, value: int, time: int) -> int:
    """Elements per token, at the narrowest place behind views and copies."""
    shape = graph.values[value].shape
    batch = graph.values[graph.sources[0].value].shape[0]
    least, node = prod(shape), graph.producers().get(value)
    while node is not None and len(node.inputs) == 1:
        least = min(least, prod(graph.values[node.inputs[0]].shape))
        node = graph.producers().get(node.inputs[0])
    return max(1, least // (time * max(1, batch)))
