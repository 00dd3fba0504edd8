"""Lowering of whole recurrent layers: a running operation over time that mixes the features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from foveal.frontends.torch.lowering.pointwise import with_all_of
from foveal.frontends.torch.lowering.table import Outputs, Tracer, rule
from foveal.frontends.torch.lowering.views import RESHAPE
from foveal.ir import ops


@rule("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(
    t: Tracer,
    out: Outputs,
    x: Tensor,
    hidden: Tensor | Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[int, ...]:
    """Output, last hidden state (and last cell state, which depends on the same)."""
    states = [hidden] if isinstance(hidden, Tensor) else list(hidden)
    time = 1 if batch_first and x.dim() == 3 else 0
    directions = ("forward", "backward") if bidirectional else ("forward",)
    width = out[0].shape[-1] // len(directions)
    value, last = t.value(x), []
    for layer in range(layers):
        runs = []
        for side, direction in enumerate(directions):
            shape = (*x.shape[:-1], width)
            op = ops.Scan(time, direction, t.plain, (x.dim() - 1,))
            run = with_all_of(t, t.node(op, (value,), shape, t.plain), shape, *params)
            run = _with_state(
                t, run, shape, [state for state in states if t.depends(state)], layer * len(directions) + side, time
            )
            runs.append(run)
            last.append(_at_end(t, run, shape, time, direction))
        value = runs[0]
        if len(runs) > 1:
            value = t.node(ops.Concatenate(x.dim() - 1), runs, (*x.shape[:-1], 2 * width), t.plain)
    final = t.node(ops.Concatenate(0), last, (len(last), *out[1].shape[1:-1], width), t.plain)
    if any(part.shape[-1] != width for part in out[1:]):
        return (value, *(_projected(t, final, part, len(last), width) for part in out[1:]))
    return (value, *(final for _ in out[1:]))


def _projected(t: Tracer, final: int, part: Tensor, count: int, width: int) -> int:
    """A state of another width (a projection) reads all features of the same state."""
    shape = (count, *part.shape[1:])
    if shape[-1] == width:
        return final
    reduced = t.node(ops.Reduce((part.dim() - 1,), True, "projection"), (final,), (*shape[:-1], 1), t.plain)
    return t.node(ops.Expand(), (reduced,), part.shape, t.plain)


def _at_end(t: Tracer, run: int, shape: tuple[int, ...], time: int, direction: str) -> int:
    """The state after the last step, with a leading axis for the layer."""
    start = shape[time] - 1 if direction == "forward" else 0
    one = (*shape[:time], 1, *shape[time + 1 :])
    value = t.node(ops.Slice(time, start), (run,), one, t.plain)
    return t.node(RESHAPE, (value,), (1, *shape[:time], *shape[time + 1 :]), t.plain)


def _with_state(t: Tracer, run: int, shape: tuple[int, ...], states: list[Tensor], index: int, time: int) -> int:
    """An initial state that depends on a source reaches every step of its sample."""
    for state in states:
        part = t.node(ops.Slice(0, index), (t.value(state),), (1, *state.shape[1:]), t.plain)
        reduced = (1, *state.shape[1:-1], 1)
        part = t.node(ops.Reduce((state.dim() - 1,), True, "state"), (part,), reduced, t.plain)
        at_time = (*shape[:time], 1, *shape[time + 1 : -1], 1)
        part = t.node(RESHAPE, (part,), at_time, t.plain)
        run = t.node(ops.Pointwise("add"), (run, part), shape, t.plain)
    return run
