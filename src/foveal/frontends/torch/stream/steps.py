"""The operations at work on a stream: each keeps what it still needs and gives what is finished.

A step gets the newest units of its operands, any number of them, and its state, and returns the units that are finished
and the new state: a tuple of tensors and whole numbers. ``last`` says that the stream ends with these units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foveal.core.errors import FovealError
from foveal.frontends.torch.stream.program import Call, Ref, Shapes, filled_in

State = tuple[Any, ...]
Values = Mapping[str, Any]
Result = tuple[Any, State]


def empty(shapes: Any) -> Any:
    """No unit of a value."""
    if isinstance(shapes, list):
        return tuple(None if each is None else empty(each) for each in shapes)
    shape = list(shapes.short)
    if shapes.time is not None:
        shape[shapes.time] = 0
    return torch.zeros(shape, dtype=shapes.dtype)


def units(shapes: Shapes, count: int, fill: float = 0.0) -> Tensor:
    """So many units of one number."""
    shape = list(shapes.short)
    assert shapes.time is not None
    shape[shapes.time] = count
    return torch.full(shape, fill, dtype=shapes.dtype)


def join(parts: Sequence[Tensor], axis: int) -> Tensor:
    """Units one after the other."""
    real = [part for part in parts if part.shape[axis]]
    return real[0] if len(real) == 1 else torch.cat(real, axis) if real else parts[0]


def cut(x: Tensor, axis: int, first: int, end: int | None = None) -> Tensor:
    """Units from one to another; x itself where that is all."""
    end = x.shape[axis] if end is None else end
    return x if first == 0 and end == x.shape[axis] else x.narrow(axis, first, max(0, end - first))


class Step:
    """An operation at work."""

    call: Call

    def begin(self, values: Values) -> State:
        """The state before the first unit."""
        return ()

    def push(self, state: State, values: Values, last: bool) -> Result:
        """What is finished with these units; raises FovealError where the stream is longer than what is known."""
        raise NotImplementedError


@dataclass
class Each(Step):
    """An operation that does the same at every position, on as many units as all its operands have.

    operands, ramps: (name, time axis, shapes) of what streams, and of fixed numbers that differ by position; given: its
    arguments, for any length; group: units of the first operand that are taken together.
    """

    call: Call
    operands: list[tuple[str, Shapes]]
    ramps: list[tuple[str, int]]
    given: dict[str, Any]
    group: int = 1

    def begin(self, values: Values) -> State:
        if len(self.operands) == 1 and self.group == 1:
            return (0,) if self.ramps else ()
        return (*(units(shapes, 0) for _, shapes in self.operands), *([0] if self.ramps else []))

    def push(self, state: State, values: Values, last: bool) -> Result:
        parts, kept = [], len(self.operands) if len(self.operands) > 1 or self.group > 1 else 0
        for k, (name, shapes) in enumerate(self.operands):
            parts.append(join((state[k], values[name]), time_of(shapes)) if kept else values[name])
        sizes = [part.shape[time_of(shapes)] for part, (_, shapes) in zip(parts, self.operands)]
        count = min(sizes) // self.group * self.group
        here = dict(values)
        rest: list[Any] = []
        for part, (name, shapes) in zip(parts, self.operands):
            here[name] = cut(part, time_of(shapes), 0, count)
            rest.append(cut(part, time_of(shapes), count))
        for name, axis in self.ramps:
            place = state[-1]
            if place + count > values[name].shape[axis]:
                raise FovealError(
                    f"{self.call.place}: its numbers differ from position to position and are known for "
                    f"{values[name].shape[axis]}; trace a longer source"
                )
            here[name] = cut(values[name], axis, place, place + count)
        made = self.call.func(**filled_in(self.given, here)) if count else empty(self.call.shapes)
        position = (state[-1] + count,) if self.ramps else ()
        return made, (*(rest if kept else ()), *position)


@dataclass
class Pick(Step):
    """One of several results."""

    call: Call
    name: str
    index: int

    def push(self, state: State, values: Values, last: bool) -> Result:
        return values[self.name][self.index], ()


@dataclass
class Window(Step):
    """A window of ``span`` units that moves by ``stride``: what later windows need is kept.

    run: the operation on units that already hold the padding; before, after: padding, of ``fill``.
    """

    call: Call
    name: str
    shapes: Shapes
    span: int
    stride: int
    before: int
    after: int
    run: Callable[[Tensor, Values], Any]
    fill: float = 0.0

    def begin(self, values: Values) -> State:
        return units(self.shapes, self.before, self.fill), 0

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis = time_of(self.shapes)
        kept, skip = state
        x = join((kept, values[self.name]), axis)
        if last and self.after:
            x = join((x, units(self.shapes, self.after, self.fill).to(x)), axis)
        gone = min(skip, x.shape[axis])
        x, skip = cut(x, axis, gone), skip - gone
        count = 0 if x.shape[axis] < self.span or skip else (x.shape[axis] - self.span) // self.stride + 1
        if not count:
            return empty(self.call.shapes), (x, skip)
        made = self.run(cut(x, axis, 0, (count - 1) * self.stride + self.span), values)
        used = min(count * self.stride, x.shape[axis])
        return made, (cut(x, axis, used), count * self.stride - used)


@dataclass
class Crop(Step):
    """Without the first units and the last ones."""

    call: Call
    name: str
    shapes: Shapes
    first: int
    last: int

    def begin(self, values: Values) -> State:
        return units(self.shapes, 0), self.first

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, (held, skip) = time_of(self.shapes), state
        x = values[self.name]
        gone = min(skip, x.shape[axis])
        x = join((held, cut(x, axis, gone)), axis)
        ready = max(0, x.shape[axis] - self.last)
        return cut(x, axis, 0, ready), (cut(x, axis, ready), skip - gone)


@dataclass
class Pad(Step):
    """Padding at the ends of the stream: constant, replicate, reflect (which waits for the units that it mirrors)."""

    call: Call
    name: str
    shapes: Shapes
    before: int
    after: int
    mode: str
    fill: float = 0.0

    def begin(self, values: Values) -> State:
        return units(self.shapes, 0), 0

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis, (held, begun) = time_of(self.shapes), state
        x = values[self.name]
        past = join((held, x), axis)
        made = x
        if not begun:
            wait = {"constant": 0, "replicate": 1, "reflect": self.before + 1}[self.mode] if self.before else 0
            if past.shape[axis] < wait:
                if last:
                    raise FovealError(f"{self.call.place}: the stream ends before the {wait} units that padding needs")
                return cut(x, axis, 0, 0), (past, 0)
            made = join((self._edge(past, axis, self.before, 0), past), axis)
        if last and self.after:
            made = join((made, self._edge(past, axis, self.after, -1)), axis)
        keep = 0 if self.mode == "constant" or not self.after else self.after + 1
        return made, (cut(past, axis, max(0, past.shape[axis] - keep)), 1)

    def _edge(self, x: Tensor, axis: int, count: int, side: int) -> Tensor:
        if self.mode == "constant" or not count:
            return units(self.shapes, count, self.fill).to(x)
        if self.mode == "replicate":
            one = cut(x, axis, 0, 1) if side == 0 else cut(x, axis, x.shape[axis] - 1)
            return one.repeat_interleave(count, axis)
        mirrored = (
            cut(x, axis, 1, count + 1) if side == 0 else cut(x, axis, x.shape[axis] - count - 1, x.shape[axis] - 1)
        )
        return mirrored.flip(axis)


@dataclass
class Between(Step):
    """Fixed units before and behind a stream."""

    call: Call
    name: str
    shapes: Shapes
    before: list[Ref]
    after: list[Ref]

    def begin(self, values: Values) -> State:
        return (0,)

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis = time_of(self.shapes)
        head = [values[ref.name] for ref in self.before] if not state[0] else []
        tail = [values[ref.name] for ref in self.after] if last else []
        parts = [*head, values[self.name], *tail]
        return join([part.to(parts[len(head)]) for part in parts], axis), (1,)


@dataclass
class Chain(Step):
    """One step on the result of another."""

    call: Call
    steps: list[Step]

    def begin(self, values: Values) -> State:
        return tuple(step.begin(values) for step in self.steps)

    def push(self, state: State, values: Values, last: bool) -> Result:
        made, kept, here = None, [], dict(values)
        for step, own in zip(self.steps, state):
            made, own = step.push(own, here, last)
            here[MIDDLE] = made
            kept.append(own)
        return made, tuple(kept)


MIDDLE = "(middle)"
"""The name of what the steps of a chain hand on."""


def time_of(shapes: Shapes) -> int:
    """The axis of time."""
    found = shapes.time
    assert found is not None
    return found
