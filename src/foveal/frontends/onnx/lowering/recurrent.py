"""Lowering of RNN, GRU and LSTM: a running operation over time that mixes the features."""

from __future__ import annotations

import numpy as np

from foveal.frontends.onnx.lowering.elementwise import dependent
from foveal.frontends.onnx.lowering.index import moved
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, lowering
from foveal.frontends.tables import places
from foveal.ir import ops

_ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu",
    "softsign", "softplus",
)  # fmt: skip


@lowering("RNN", "GRU", "LSTM")
def recurrent(
    call: Call,
    x: Operand,
    w: Operand,
    r: Operand,
    b: Operand | None = None,
    lengths: Operand | None = None,
    h: Operand | None = None,
    c: Operand | None = None,
    p: Operand | None = None,
) -> list[Operand]:
    """Y (time, direction, batch, features), the last state and, for an LSTM, the last cell, which reads the same.

    With ``layout`` 1 batch stands first. Steps beyond a sample's length are zero, and its reverse run begins there.
    """
    if dependent(lengths):
        return call.data_dependent()
    if dependent(w, r, b, p):
        raise Refused("the weights are computed")
    first = bool(call.attribute("layout", 0))
    if first:
        n, t, k = x.shape
        x = call.emit(ops.Permute((1, 0, 2)), x, (t, n, k))
    steps = _lengths(call, x, lengths)
    known = {"forward": ("forward",), "reverse": ("backward",), "bidirectional": ("forward", "backward")}
    directions = known[call.word("direction", *known)]
    unknown = [name for name in call.attribute("activations") or () if str(name).lower() not in _ACTIVATIONS]
    if unknown:
        raise Refused(f"activations has {unknown[0]!r}, which is no activation of {call.op_type}")
    runs, ends = [], []
    for index, direction in enumerate(directions):
        run, end = _run(call, x, direction, r.shape[-1], steps, [_state(call, s, index, first) for s in (h, c)])
        runs.append(run)
        ends.append(end)
    return _outputs(call, x, runs, ends, first)


def _lengths(call: Call, x: Operand, lengths: Operand | None) -> np.ndarray | None:
    """Steps per sample, None where all are full."""
    if lengths is None:
        return None
    steps = call.array(lengths, "sequence_lens").reshape(-1)
    return None if (steps >= x.shape[0]).all() else steps


def _run(
    call: Call, x: Operand, direction: str, width: int, steps: np.ndarray | None, states: list[Operand | None]
) -> tuple[Operand, Operand]:
    """All steps of one direction (time, batch, features), and the state after the last one (batch, features)."""
    t, n, _ = x.shape
    live = None
    if steps is not None:
        live = call.constant((np.arange(t)[:, None] < steps)[..., None].astype(np.float64))
        x = call.emit(ops.Pointwise("multiply"), (x, live), x.shape)
    shape = (t, n, width)
    run = call.emit(ops.Scan(0, direction, call.name, (2,)), x, shape)
    begun = [state for state in states if state is not None]
    if begun:
        run = call.emit(ops.Pointwise("add"), (run, *begun), shape)
    if live is not None:
        run = call.emit(ops.Pointwise("multiply"), (run, live), shape)
    if direction == "backward":
        end = call.emit(ops.Slice(0, 0), run, (1, n, width))
    elif steps is None:
        end = call.emit(ops.Slice(0, t - 1), run, (1, n, width))
    else:
        rows = places(shape)[np.maximum(steps - 1, 0), np.arange(n)]
        end = moved(call, run, rows[None])
    return run, call.emit(ops.Reshape(), end, (n, width))


def _state(call: Call, state: Operand | None, index: int, batch_first: bool) -> Operand | None:
    """An initial state that a source can change, all features together, ready to be added to every step."""
    if state is None or not state.depends:
        return None
    axis = 1 if batch_first else 0
    n = state.shape[1 - axis]
    one = call.emit(ops.Slice(axis, index), state, tuple(1 if k == axis else m for k, m in enumerate(state.shape)))
    reduced = call.emit(ops.Reduce((2,), True, "state"), one, tuple(1 if k in (axis, 2) else n for k in range(3)))
    return call.emit(ops.Reshape(), reduced, (1, n, 1))


def _outputs(call: Call, x: Operand, runs: list[Operand], ends: list[Operand], batch_first: bool) -> list[Operand]:
    t, n, width = runs[0].shape
    count = len(runs)
    every = [call.emit(ops.Reshape(), run, (t, 1, n, width)) for run in runs]
    joined = every[0] if count == 1 else call.emit(ops.Concatenate(1), every, (t, count, n, width))
    last = [call.emit(ops.Reshape(), end, (1, n, width)) for end in ends]
    final = last[0] if count == 1 else call.emit(ops.Concatenate(0), last, (count, n, width))
    if batch_first:
        joined = call.emit(ops.Permute((2, 0, 1, 3)), joined, (n, t, count, width))
        final = call.emit(ops.Permute((1, 0, 2)), final, (n, count, width))
    return [joined, final, final][: max(1, call.wanted)]
