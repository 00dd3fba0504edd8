"""The operations at work on a stream: each keeps what it still needs and gives what is finished.

A step gets the newest units of its operands, any number of them, and its state, and returns the units that are finished
and the new state: a tuple of tensors and whole numbers. ``last`` says that the stream ends with these units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foveal.core.errors import FovealError
from foveal.frontends.torch.stream.program import Call, Prepared, Ref, Shapes

State = tuple[Any, ...]
Values = dict[str, Any]
Result = tuple[Any, State]
Run = Callable[[Values, Values], Any]
"""An operation on values, some of them by others of the same name."""


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


def own_memory(x: Tensor) -> Tensor:
    """A copy, so that the few units that are kept do not keep the chunk that they are cut from."""
    return x.clone(memory_format=torch.contiguous_format) if x.numel() else x


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

    operands: (name, shapes) of what streams; ramps: (name, axis, how many are told by the distance from the end) of
    fixed numbers that differ by position; given: its arguments, for any length; group: units of the first operand that
    are taken together.
    """

    call: Call
    operands: list[tuple[str, Shapes]]
    ramps: list[tuple[str, int, int]]
    given: dict[str, Any]
    group: int = 1

    def __post_init__(self) -> None:
        self.run = Prepared(self.call.func, self.given)
        self.axes = [time_of(shapes) for _, shapes in self.operands]
        self.late = max([tail for _, _, tail in self.ramps], default=0)  # units that wait for the end of the stream
        self.kept = len(self.operands) > 1 or self.group > 1 or self.late > 0
        self.alone = not self.kept and not self.ramps

    def begin(self, values: Values) -> State:
        return (*(units(shapes, 0) for _, shapes in self.operands if self.kept), *([0] if self.ramps else []))

    def push(self, state: State, values: Values, last: bool) -> Result:
        if self.alone:
            given = values[self.operands[0][0]].shape[self.axes[0]]
            return self.run(values, ()) if given else empty(self.call.shapes), state
        names = [name for name, _ in self.operands]
        parts = [values[name] for name in names]
        if self.kept:
            parts = [join((old, new), axis) for old, new, axis in zip(state, parts, self.axes)]
        sizes = [part.shape[axis] for part, axis in zip(parts, self.axes)]
        count = max(0, min(sizes) - (0 if last else self.late)) // self.group * self.group
        own = {name: cut(part, axis, 0, count) for name, part, axis in zip(names, parts, self.axes)}
        for name, axis, tail in self.ramps:
            place, known = state[-1], values[name].shape[axis] - tail
            end = place + count - (tail if last else 0)  # up to here the begin of the stream tells
            if end > known:
                raise FovealError(
                    f"{self.call.place}: its numbers differ from position to position and are known for "
                    f"{values[name].shape[axis]}; trace a longer source"
                )
            own[name] = cut(values[name], axis, place, end) if end > place else cut(values[name], axis, 0, 0)
            if last and tail:
                own[name] = join((own[name], cut(values[name], axis, known + max(0, place - end))), axis)
        made = self.run(values, own) if count else empty(self.call.shapes)
        rest = [cut(part, axis, count) for part, axis in zip(parts, self.axes)] if self.kept else []
        return made, (*rest, *([state[-1] + count] if self.ramps else []))


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

    run: the operation on units that already hold the padding, which it takes for ``name``; before, after: padding, of
    ``fill``.
    """

    call: Call
    name: str
    shapes: Shapes
    span: int
    stride: int
    before: int
    after: int
    run: Run
    fill: float = 0.0

    def begin(self, values: Values) -> State:
        return units(self.shapes, self.before, self.fill), 0

    def push(self, state: State, values: Values, last: bool) -> Result:
        axis = time_of(self.shapes)
        kept, skip = state
        x = join((kept, values[self.name]), axis)
        if last and self.after:
            x = join((x, units(self.shapes, self.after, self.fill).to(x)), axis)
        if skip:
            gone = min(skip, x.shape[axis])
            x, skip = cut(x, axis, gone), skip - gone
        size = x.shape[axis]
        count = 0 if size < self.span or skip else (size - self.span) // self.stride + 1
        if not count:
            return empty(self.call.shapes), (x, skip)
        made = self.run(values, {self.name: cut(x, axis, 0, (count - 1) * self.stride + self.span)})
        used = min(count * self.stride, size)
        return made, (own_memory(cut(x, axis, used)), count * self.stride - used)


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
        if begun and not last and (self.mode == "constant" or not self.after):
            return x, state
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
        made, kept = None, []
        for step, own in zip(self.steps, state):
            made, own = step.push(own, values, last)
            values[MIDDLE] = made
            kept.append(own)
        return made, tuple(kept)


MIDDLE = "(middle)"
"""The name of what the steps of a chain hand on."""


def time_of(shapes: Shapes) -> int:
    """The axis of time."""
    found = shapes.time
    assert found is not None
    return found
