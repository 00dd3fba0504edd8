"""Steps that carry more than past units: tails, states, running sums, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from foveal.frontends.torch.stream.program import Call, Prepared, Ref, Shapes, filled_in
from foveal.frontends.torch.stream.steps import (
    Result,
    Run,
    State,
    Step,
    Values,
    cut,
    empty,
    join,
    own_memory,
    time_of,
    units,
)


@dataclass
class Spread(Step):
    """A transposed convolution: what reaches into units that are not finished is kept, and the bias comes last.

    run: the operation without padding and bias; span, stride: of its window; drop: units left out at the end (negative:
    units of the bias alone); bias: along the channels, or nothing.
    """

    call: Call
    name: str
    shapes: Shapes
    out: Shapes
    span: int
    stride: int
    drop: int
    run: Run
    bias: Ref | None

    def begin(self, values: Values) -> State:
        return units(self.out, max(0, self.span - self.stride)), 0

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, (tail, gap) = time_of(self.out), state
        x = values[self.name]
        count, over = x.shape[time_of(self.shapes)] * self.stride, self.span - self.stride
        made = self.run(values, {self.name: x}) if count else units(self.out, 0).to(tail)
        if count and over > 0:
            made = join((cut(made, axis, 0, over) + tail, cut(made, axis, over)), axis)
            made, tail = cut(made, axis, 0, count), cut(made, axis, count)
            tail = own_memory(tail)
        elif count:  # windows with gaps between them
            made, gap = join((units(self.out, gap).to(made), made), axis), -over
        if last and self.drop < over:
            made = join((made, cut(tail, axis, 0, max(0, over - max(0, self.drop)))), axis) if over > 0 else made
            made = join((made, units(self.out, max(0, -self.drop)).to(made)), axis)
        elif last and self.drop < 0:
            made = join((made, units(self.out, -self.drop).to(made)), axis)
        if self.bias is not None:
            made = made + values[self.bias.name].reshape([1, -1] + [1] * (made.dim() - 2))
        return made, (tail, gap)


@dataclass
class Recurrent(Step):
    """An LSTM, GRU or plain recurrent layer: its state goes on."""

    call: Call
    name: str
    shapes: Shapes
    initial: list[Ref]

    def __post_init__(self) -> None:
        self.names = [f"(state {k})" for k in range(len(self.initial))]
        refs = [Ref(name) for name in self.names]
        self.run = Prepared(self.call.func, self.call.given | {"hx": refs if len(refs) > 1 else refs[0]})

    def begin(self, values: Values) -> State:
        return tuple(values[ref.name] for ref in self.initial)

    def push(self, state: State, values: Values, last: bool) -> Result:
        if not values[self.name].shape[time_of(self.shapes)]:
            return empty(self.call.shapes), state
        made = self.run(values, dict(zip(self.names, state)))
        return made, tuple(made[1:])


@dataclass
class Running(Step):
    """A running sum."""

    call: Call
    name: str
    shapes: Shapes

    def begin(self, values: Values) -> State:
        return (units(self.shapes, 1),)

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, x = time_of(self.shapes), values[self.name]
        if not x.shape[axis]:
            return empty(self.call.shapes), state
        made = torch.cumsum(torch.cat((state[0].to(x), x), axis), axis)
        return cut(made, axis, 1), (cut(made, axis, x.shape[axis]),)


@dataclass
class Upsample(Step):
    """Each unit repeated, or lines between them, by a whole factor."""

    call: Call
    name: str
    shapes: Shapes
    factor: int
    linear: bool

    def begin(self, values: Values) -> State:
        return units(self.shapes, 0), 0

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, x = time_of(self.shapes), values[self.name]
        if not self.linear:
            return x.repeat_interleave(self.factor, axis), state
        held, begun = state  # 0: nothing came; 1: nothing was given yet; 2
        x = join((held, x), axis)
        if not begun and x.shape[axis]:
            x, begun = join((cut(x, axis, 0, 1), x), axis), 1
        if last and x.shape[axis]:
            x = join((x, cut(x, axis, x.shape[axis] - 1)), axis)
        if x.shape[axis] < 2:
            return empty(self.call.shapes), (x, begun)
        made = functional.interpolate(x, scale_factor=float(self.factor), mode="linear", align_corners=False)
        half = self.factor // 2  # the first and the last line are cut in the middle, at a unit's edge
        first = self.factor if begun == 1 else half
        end = made.shape[axis] - (self.factor if last else self.factor - half)
        return cut(made, axis, first, end), (cut(x, axis, x.shape[axis] - 1), 2)


@dataclass
class Attention(Step):
    """Attention in a band: a query reads the keys of its own chunk of ``size`` positions, of ``back`` chunks before and
    ``ahead`` behind it; None: all before. Keys and values that are still to be read are kept, and queries that wait.
    sinks: so many positions at the begin of the stream stay in reach of all behind them.
    """

    call: Call
    names: tuple[str, str, str]
    shapes: tuple[Shapes, Shapes, Shapes]
    back: int | None
    ahead: int
    size: int = 1
    sinks: int = 0

    def begin(self, values: Values) -> State:
        return (*(units(shapes, 0) for shapes in self.shapes), 0, 0, *(units(shapes, 0) for shapes in self.shapes[1:]))

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, sinks = time_of(self.shapes[0]), state[5:7]
        away = sinks[0].shape[axis]  # sinks that the keys kept hold no more
        query, key, value = (join((old, values[name]), axis) for old, name in zip(state, self.names))
        before, phase = state[3], state[4]  # keys kept from before the first query that waits; its place in its chunk
        known = key.shape[axis] - before  # positions from the first query that waits on
        ready = (phase + known) // self.size * self.size - self.ahead * self.size - phase  # their chunks are complete
        count = min(query.shape[axis], known if last else max(0, ready))
        if not count:
            return empty(self.call.shapes), (query, key, value, before, phase, *state[5:])
        start = phase - before  # place of the first key, from the begin of the first query's chunk
        queries = (torch.arange(count) + phase) // self.size
        keys = torch.div(torch.arange(key.shape[axis]) + start, self.size, rounding_mode="floor")
        stop = min(key.shape[axis], ((phase + count - 1) // self.size + self.ahead + 1) * self.size - start)
        apart = queries[:, None] - keys[None, :stop]
        open_ = apart >= -self.ahead
        if self.back is not None:
            open_ = open_ & (apart <= self.back)
        if self.sinks:  # those that went stand before the others; the rest, from the first key on, while none is gone
            here = torch.arange(stop) < (self.sinks - away if away < self.sinks else 0)
            open_ = torch.cat((torch.ones(count, away, dtype=torch.bool), open_ | (here & (apart >= 0))), 1)
        keys, rows = (join((old, cut(x, axis, 0, stop)), axis) for old, x in zip(sinks, (key, value)))
        made = self.attend(cut(query, axis, 0, count), keys, rows, open_, values)
        place = phase + count  # of the next query
        first = 0 if self.back is None else max(0, (place // self.size - self.back) * self.size - start)
        kept = (cut(key, axis, first), cut(value, axis, first), before + count - first, place % self.size)
        more = min(first, self.sinks - away)
        sinks = tuple(join((old, cut(x, axis, 0, more)), axis) for old, x in zip(sinks, (key, value)))
        return made, (cut(query, axis, count), *kept, *sinks)

    def attend(self, query: Tensor, keys: Tensor, rows: Tensor, open_: Tensor, values: Values) -> Tensor:
        """The sums of the values that are open to each query."""
        given = {k: v for k, v in filled_in(self.call.given, values).items() if k in ("scale", "enable_gqa")}
        return functional.scaled_dot_product_attention(query, keys, rows, attn_mask=open_, **given)
