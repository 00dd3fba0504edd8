"""Attention that a model writes as products of its own: scores, what is done to them, softmax, the sum of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from foveal.frontends.torch.stream import carried
from foveal.frontends.torch.stream.program import Call, Prepared, Program, Ref, Refused, Shapes, names_in
from foveal.frontends.torch.stream.steps import Result, State, Step, Values
from foveal.frontends.torch.stream.table import makes, stream
from foveal.frontends.torch.stream.windows import band_of, note_of_all

PLAIN = "attention_by_products"
PRODUCTS, SOFTMAX = ("matmul", "bmm", "baddbmm", "einsum"), ("softmax", "_softmax")


@dataclass
class Products(carried.Attention):
    """Attention in a band whose scores and sums the model's own operations make. first, last: the products; between:
    (the name of what it takes, operation) on the scores, in order; None: closes what lies outside of the band. turned:
    the keys come with time behind their features.
    """

    turned: bool = field(kw_only=True)
    first: Prepared = field(kw_only=True)
    between: list[tuple[str, Prepared | None]] = field(kw_only=True)
    last: tuple[str, Prepared] = field(kw_only=True)

    def push(self, state: State, values: Values, last: bool) -> Result:
        key = self.names[1]
        keys = {key: values[key].transpose(-1, -2)} if self.turned else {}
        return super().push(state, values | keys, last)

    def attend(self, query: Tensor, keys: Tensor, rows: Tensor, open_: Tensor, values: Values) -> Tensor:
        keys = keys.transpose(-1, -2) if self.turned else keys
        made = self.first(values, {self.names[0]: query, self.names[1]: keys})
        for name, run in self.between:
            made = made.masked_fill(~open_, float("-inf")) if run is None else run(values, {name: made})
        name, run = self.last
        found: Tensor = run(values, {name: made, self.names[2]: rows})
        return found


def fuse(program: Program) -> None:
    """Takes the products of each attention, and what stands between them, for one call."""
    users: dict[str, list[Call]] = {}
    for call in program.calls:
        for name in set(names_in(call.given)):
            users.setdefault(name, []).append(call)
    made = {call.name: call for call in program.calls}
    for softmax in [call for call in program.calls if call.plain in SOFTMAX and _square(call.shapes)]:
        if softmax.given["dim"] % len(softmax.shapes.short) != len(softmax.shapes.short) - 1:
            continue
        calls = [softmax]
        while calls[0].plain not in PRODUCTS:
            before = [name for name in names_in(calls[0].given) if _square(program.shapes.get(name))]
            if len(set(before)) != 1 or len(users[before[0]]) != 1:
                break
            calls.insert(0, made[before[0]])
        while calls[-1].plain not in PRODUCTS or calls[-1] is calls[0]:
            after = users.get(calls[-1].name, [])
            if len(after) != 1:
                break
            calls.append(after[0])
        if len(calls) > 2 and calls[0].plain in PRODUCTS and calls[-1].plain in PRODUCTS:
            _put_one(program, calls)


def _put_one(program: Program, calls: list[Call]) -> None:
    """One call in place of these; its arguments are the values that stream, those between, and the calls."""
    inside = {call.name for call in calls}
    masks = [name for call in calls[:-1] for name in names_in(call.given) if _square_pair(program.fixed.get(name))]
    others = {name for call in calls for name in names_in(call.given)} - inside - set(masks)
    given = {"calls": calls, "used": [Ref(name) for name in sorted(others)], "masks": masks}
    last = calls[-1]
    one = Call(last.name, last.func, PLAIN, given, {}, last.shapes, last.scope)
    program.calls = [one if call is last else call for call in program.calls if call is last or call.name not in inside]


def _square(shapes: Any) -> bool:
    """Whether a value grows along its last two axes, and no other."""
    if not isinstance(shapes, Shapes) or len(shapes.short) != len(shapes.long):
        return False
    rank = len(shapes.short)
    return [k for k, (a, b) in enumerate(zip(shapes.short, shapes.long)) if a != b] == [rank - 2, rank - 1]


def _square_pair(pair: Any) -> bool:
    if pair is None or not isinstance(pair[0], Tensor):
        return False
    return _square(Shapes(tuple(pair[0].shape), tuple(pair[1].shape), pair[0].dtype))


@makes(PLAIN)
def products(program: Program, call: Call) -> Step:
    """A mask that is a band of one width at both lengths, by whatever operation it is put on."""
    calls, masks = call.given["calls"], []
    head, tail = calls[0], calls[-1]
    between: list[tuple[str, Prepared | None]] = []
    if head.plain == "baddbmm":
        masks.append(_added([program.fixed[head.given["self"].name][k] for k in (0, 1)]))
        between.append((head.name, None))
        pair = {"self": head.given["batch1"], "mat2": head.given["batch2"]}
        head = replace(head, func=torch.ops.aten.bmm.default, given=pair)
    three = [stream(program, Ref(name)) for name in (*_operands(head), *_operands(tail, calls[-2].name))]
    if len(three) != 3 or any(item is None for item in three):
        raise Refused("attends from one sequence to another")
    (query, of_queries), (key, of_keys), (value, of_values) = (item for item in three if item is not None)
    turned = of_keys.time == len(of_keys.short) - 1
    if turned:
        short, long = ((*shape[:-2], shape[-1], shape[-2]) for shape in (of_keys.short, of_keys.long))
        of_keys = Shapes(short, long, of_keys.dtype)
    names, shapes = (query, key, value), (of_queries, of_keys, of_values)
    if len({(len(s.short), s.time, s.lengths) for s in shapes}) > 1:
        raise Refused("attends from one sequence to another")
    for before, each in pairwise(calls[:-1]):
        if any(name in call.given["masks"] for name in names_in(each.given)):
            masks.append(_allowed(program, each, before.name))
            between.append((before.name, None))
        elif repr(each.given) != repr(each.longer) or any(_grows(program, name) for name in names_in(each.given)):
            raise Refused("does to its scores what depends on the length of the stream")
        else:
            between.append((before.name, Prepared(each.func, each.given)))
    if not masks:
        raise Refused("attends to the whole stream, the future included")
    back, ahead, size, sinks = band_of(*(reduce(torch.logical_and, parts) for parts in zip(*masks)))
    if back is None:
        program.notes.append(note_of_all(call.place, shapes[0].lengths[1]))
    last = (calls[-2].name, Prepared(tail.func, tail.given))
    first = Prepared(head.func, head.given)
    return Products(
        call, names, shapes, back, ahead, size, sinks, turned=turned, first=first, between=between, last=last
    )


def _operands(call: Call, but: str = "") -> list[str]:
    """What is multiplied, queries before keys."""
    names = [name for name in names_in(call.given) if name != but]
    if call.plain == "einsum" and not but:
        terms, _, made = call.given["equation"].replace(" ", "").partition("->")
        return [name for _, name in sorted((made[-1] in term, name) for term, name in zip(terms.split(","), names))]
    return names


def _grows(program: Program, name: str) -> bool:
    pair = program.fixed.get(name)
    return pair is not None and isinstance(pair[0], Tensor) and pair[0].shape != pair[1].shape


def _added(mask: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """What a mask that is added leaves open; it must add nothing there."""
    opened = [each > -100 for each in mask]
    if any(bool((each[allowed] != 0).any()) for each, allowed in zip(mask, opened)):
        raise Refused("adds numbers to the scores")
    return opened[0], opened[1]


def _allowed(program: Program, call: Call, scores: str) -> tuple[Tensor, Tensor]:
    """What a mask leaves open, at both lengths: added, filled in, or chosen by it."""
    places = {key: item.name for key, item in call.given.items() if isinstance(item, Ref)}
    mask = next(program.fixed[name] for name in places.values() if name != scores and _grows(program, name))
    if call.plain == "add" and call.given.get("alpha", 1) == 1:
        return _added(mask)
    fill = call.given.get("value")
    if call.plain == "masked_fill" and isinstance(fill, (int, float)) and fill <= -100:
        return ~mask[0], ~mask[1]
    if call.plain == "where":
        rest = next(item for key, item in call.given.items() if key != "condition" and item != Ref(scores))
        rest = program.fixed[rest.name][1] if isinstance(rest, Ref) else rest
        if float(rest.max() if isinstance(rest, Tensor) else rest) <= -100:
            chosen = places.get("self") == scores
            return (mask[0], mask[1]) if chosen else (~mask[0], ~mask[1])
    raise Refused("has a mask that is not one band along time")
