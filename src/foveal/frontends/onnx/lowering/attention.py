"""Lowering of Attention: query times key, masks, softmax, times value."""

from __future__ import annotations

import numpy as np

from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, lowering
from foveal.ir import ops


@lowering("Attention")
def attention(
    call: Call,
    query: Operand,
    key: Operand,
    value: Operand,
    mask: Operand | None = None,
    past_key: Operand | None = None,
    past_value: Operand | None = None,
    lengths: Operand | None = None,
) -> list[Operand]:
    """Operands (batch, heads, positions, features), or three axes with the heads inside the features."""
    if lengths is not None and not lengths.known:
        raise Refused("nonpad_kv_seqlen is computed")
    q = heads_apart(call, query, int(call.attribute("q_num_heads", 0) or 0))
    count = int(call.attribute("kv_num_heads", 0) or 0)
    k = _behind(call, past_key, heads_apart(call, key, count))
    v = _behind(call, past_value, heads_apart(call, value, count))
    offset = 0 if past_key is None else past_key.shape[2]
    shared = [repeat_heads(call, operand, q.shape[1]) for operand in (k, v)]
    scores = product(call, q, shared[0])
    mode = int(call.attribute("qk_matmul_output_mode", 0))
    bias = _fixed_mask(call, mask, scores.shape, offset, lengths)
    biased = masked(call, scores, mask, bias)
    weights = call.emit(ops.Mix((3,), "softmax"), biased, biased.shape)
    out = blend(call, weights, shared[1])
    if query.rank == 3:
        out = heads_together(call, out)
    return [out, k, v, (scores, scores, biased, weights)[mode] if call.opset < 25 or mode != 1 else scores][
        : max(1, call.wanted)
    ]


def heads_apart(call: Call, x: Operand, count: int) -> Operand:
    """(batch, positions, heads x features) as (batch, heads, positions, features)."""
    if x.rank == 4:
        return x
    if count < 1 or x.shape[-1] % count:
        raise Refused(f"{count} heads for {x.shape[-1]} features")
    n, length, width = x.shape
    split = call.emit(ops.Reshape(), x, (n, length, count, width // count))
    return call.emit(ops.Permute((0, 2, 1, 3)), split, (n, count, length, width // count))


def heads_together(call: Call, x: Operand) -> Operand:
    """The reverse of :func:`heads_apart`."""
    n, count, length, width = x.shape
    moved = call.emit(ops.Permute((0, 2, 1, 3)), x, (n, length, count, width))
    return call.emit(ops.Reshape(), moved, (n, length, count * width))


def _behind(call: Call, past: Operand | None, x: Operand) -> Operand:
    if past is None:
        return x
    n, count, length, width = x.shape
    return call.emit(ops.Concatenate(2), (past, x), (n, count, past.shape[2] + length, width))


def repeat_heads(call: Call, x: Operand, count: int) -> Operand:
    """Each head of keys or values as often as queries share it."""
    n, own, length, width = x.shape
    if own == count:
        return x
    index = np.repeat(np.arange(own), count // own)
    return call.emit(ops.Take(1, index), x, (n, count, length, width))


def product(call: Call, q: Operand, k: Operand) -> Operand:
    """Scores (batch, heads, queries, keys)."""
    op = ops.Contract(((0, 1, 2, 4), (0, 1, 3, 4)), (0, 1, 2, 3))
    return call.emit(op, (q, k), (*q.shape[:3], k.shape[2]))


def blend(call: Call, weights: Operand, v: Operand) -> Operand:
    """Values weighed by attention (batch, heads, queries, features)."""
    op = ops.Contract(((0, 1, 2, 3), (0, 1, 3, 4)), (0, 1, 2, 4))
    return call.emit(op, (weights, v), (*weights.shape[:3], v.shape[3]))


def masked(call: Call, scores: Operand, mask: Operand | None, fixed: np.ndarray | None) -> Operand:
    """Scores with a computed mask (numbers to add, or true where a key takes part) and a constant one."""
    if mask is not None and not mask.known:
        if mask.dtype.kind == "b":
            closed = call.constant(np.asarray(-np.inf))
            scores = call.emit(ops.Select(), (mask, scores, closed), scores.shape)
        else:
            scores = call.emit(ops.Pointwise("add"), (scores, mask), scores.shape)
    if fixed is None:
        return scores
    return call.emit(ops.Pointwise("add"), (scores, call.constant(fixed)), scores.shape)


def additive(mask: np.ndarray) -> np.ndarray:
    """A mask as numbers to add: true takes part."""
    return np.where(mask, 0.0, -np.inf) if mask.dtype.kind == "b" else mask.astype(np.float64)


def _fixed_mask(
    call: Call, mask: Operand | None, shape: tuple[int, ...], offset: int, lengths: Operand | None
) -> np.ndarray | None:
    """All masks that are known by value, as one array to add."""
    n, _, queries, keys = shape
    parts = []
    if mask is not None and mask.known:
        own = additive(call.array(mask, "the mask"))
        short = keys - own.shape[-1]
        parts.append(np.pad(own, [(0, 0)] * (own.ndim - 1) + [(0, short)], constant_values=-np.inf))
    elif mask is not None and mask.shape[-1] != keys:
        raise Refused("a computed mask is shorter than the keys")
    shift: np.ndarray = np.asarray(offset)
    if lengths is not None:
        steps = call.array(lengths, "nonpad_kv_seqlen").reshape(n, 1, 1, 1)
        parts.append(additive(np.arange(keys) < steps))
        shift = steps - queries
    place = np.arange(queries)[:, None] + shift - np.arange(keys)
    if call.attribute("is_causal", 0):
        parts.append(additive(place >= 0))
    left, right = int(call.attribute("left_window_size", -1)), int(call.attribute("right_window_size", -1))
    if left >= 0:
        parts.append(additive(place <= left))
    if right >= 0:
        parts.append(additive(-place <= right))
    return None if not parts else np.asarray(sum(parts))
