"""From an exported operation to what does its work on a stream; what cannot be done so is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor

from foveal.frontends.torch.stream import steps
from foveal.frontends.torch.stream.program import Call, Program, Ref, Refused, Shapes, names_in
from foveal.frontends.torch.stream.steps import MIDDLE, Step

Maker = Callable[[Program, Call], Step]
MAKERS: dict[str, Maker] = {}
MOVES = {
    "transpose", "permute", "t", "unsqueeze", "squeeze", "select", "split",
    "chunk", "split_with_sizes", "unbind", "unsafe_split", "movedim", "swapaxes", "numpy_T",
    "narrow", "tensor_split", "flip", "glu", "softmax", "log_softmax", "_softmax",
    "_log_softmax", "mean", "sum", "amax", "amin", "var", "std",
    "linalg_vector_norm", "logsumexp", "max", "min", "argmax", "argmin", "embedding",
    "one_hot", "batch_norm", "layer_norm", "rms_norm", "dropout", "clone", "contiguous",
    "to", "_to_copy", "detach", "alias", "feature_dropout", "where", "lift_fresh",
    "prelu", "pixel_shuffle", "normalize", "zeros_like", "ones_like", "type_as", "square",
    "fft_fft", "fft_ifft", "fft_rfft", "fft_irfft", "complex", "polar", "view_as_complex", "view_as_real",
}  # fmt: skip
"""Operations that leave the order in time alone, where they do not act along it."""
DIMS = ("dim", "dims", "dim0", "axis", "normalized_shape")
WHOLE = "takes all of the stream at once"


def step_of(program: Program, call: Call) -> Step:
    """The step of a call. Raises Refused with the operation, its place and the reason."""
    try:
        found = MAKERS.get(call.plain)
        if found is not None:
            return found(program, call)
        if call.plain.startswith("adaptive_"):
            raise Refused("pools the whole stream into a fixed number of units")
        pointwise = torch.Tag.pointwise in getattr(call.func, "tags", ())
        if not pointwise and call.plain not in MOVES:
            raise Refused("has no form with state yet")
        if not pointwise:
            _leaves_time_alone(program, call)
        return each(program, call)
    except Refused as why:
        raise Refused(f"{call.place}: {why}") from None


def makes(*names: str) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        MAKERS.update(dict.fromkeys(names, maker))
        return maker

    return register


def stream(program: Program, item: Any) -> tuple[str, Shapes] | None:
    """The name and shapes of an argument that streams; raises Refused where it sums up the whole."""
    if not isinstance(item, Ref) or item.name not in program.shapes:
        return None
    shapes = program.shapes[item.name]
    if not isinstance(shapes, Shapes) or shapes.time is None:
        raise Refused("needs what sums up the whole stream")
    return item.name, shapes


def only(program: Program, call: Call) -> tuple[str, Shapes]:
    """The first argument, as the only one that streams."""
    names = [name for name in dict.fromkeys(names_in(call.given)) if name in program.shapes]
    first = next(iter(call.given.values()))
    found = stream(program, first)
    if found is None or names != [found[0]]:
        raise Refused("has weights that the stream makes")
    return found


def each(program: Program, call: Call, group: int = 1, **changed: Any) -> Step:
    """The same at every position."""
    operands, ramps = [], []
    out = _outputs(call)[0].time
    if out is None:
        raise Refused(WHOLE)
    for name in dict.fromkeys(names_in(call.given)):
        found = stream(program, Ref(name)) if name in program.shapes else None
        if found is not None:
            operands.append(found)
            continue
        short, long = program.fixed[name]
        if isinstance(short, Tensor) and short.shape != long.shape:
            axis = Shapes(tuple(short.shape), tuple(long.shape), short.dtype).time
            assert axis is not None
            ramps.append((name, axis, _at_the_end(short, long, axis)))
        elif isinstance(short, Tensor) and not torch.equal(short, long):
            raise Refused("reads numbers that depend on the length of the stream")
    rates = {shapes.lengths for _, shapes in operands}
    if len(rates) > 1:
        raise Refused("joins streams of different lengths")
    given = call.given | changed
    if not changed and _plain(call.given) != _plain(call.longer):
        raise Refused("is given numbers that depend on the length of the stream")
    return steps.Each(call, operands, ramps, given, group)


def _at_the_end(short: Tensor, long: Tensor, axis: int) -> int:
    """How many of the last numbers are told by the distance from the end, where all before are told by that from the
    begin (the normaliser of an overlap-add); raises Refused where neither tells.
    """
    count, more = short.shape[axis], long.shape[axis]
    for tail in range(count // 2 + 1):
        front, back = (0, count - tail), (count - tail, tail)
        same = torch.equal(short.narrow(axis, *front), long.narrow(axis, *front))
        if same and torch.equal(short.narrow(axis, *back), long.narrow(axis, more - tail, tail)):
            return tail
    raise Refused("reads numbers that depend on the length of the stream")


def _outputs(call: Call) -> list[Shapes]:
    made = call.shapes if isinstance(call.shapes, list) else [call.shapes]
    return [each for each in made if each is not None]


def _plain(given: dict[str, Any]) -> str:
    return repr(given)


def _leaves_time_alone(program: Program, call: Call) -> None:
    """Raises Refused where the operation acts along time, by the axes that it is given."""
    found = stream(program, next(iter(call.given.values())))
    rank = len(found[1].short) if found is not None else 0
    if found is None:
        return
    time = found[1].time
    whole = False
    if "normalized_shape" in call.given:
        whole = time is not None and rank - len(call.given["normalized_shape"]) <= time
    elif call.plain == "batch_norm":
        whole = time == 1 or bool(call.given["training"])
    else:
        dim = next((call.given[key] for key in ("dim", "dims") if key in call.given), ())
        dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
        moves = call.plain in ("unsqueeze", "permute", "movedim")
        if not moves:
            reduces = not dims and call.plain in ("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm")
            whole = reduces or any(d % rank == time for d in dims if isinstance(d, int))
    if whole or any(each.time is None for each in _outputs(call)):
        raise Refused(WHOLE)


@makes("getitem")
def pick(program: Program, call: Call) -> Step:
    name, index = call.given["0"].name, call.given["1"]
    if not isinstance(call.shapes, Shapes) or call.shapes.time is None:
        raise Refused(WHOLE)
    return steps.Pick(call, name, index)


@makes("view", "reshape", "flatten", "unflatten", "_unsafe_view", "expand", "repeat", "expand_as", "view_as")
def regrouped(program: Program, call: Call) -> Step:
    """Order kept: the axes before time hold as many elements, so that time runs on."""
    if len([n for n in names_in(call.given) if n in program.shapes]) > 1:
        raise Refused("takes its shape from another stream")
    (name, x), out = only(program, call), call.shapes
    if out.time is None:
        raise Refused(WHOLE)
    sizes = [-1 if k == out.time else n for k, n in enumerate(out.short)]
    (a, b), (c, d) = x.lengths, out.lengths
    if a * d != b * c:
        raise Refused("is given numbers that depend on the length of the stream")
    if call.plain in ("expand", "repeat"):
        if (a, b) != (c, d):
            raise Refused("repeats the stream")
        if call.plain == "expand":
            return each(program, call, size=sizes)
        if prod(x.short) and call.given["repeats"][out.time] != 1:
            raise Refused("repeats the stream")
        return each(program, call)
    if prod(x.short[: x.time]) != prod(out.short[: out.time]):
        raise Refused("lays time out between other axes")
    shaped = replace(call, func=torch.ops.aten.reshape.default, given={"self": Ref(name), "shape": sizes}, longer={})
    return each(program, shaped, a // gcd(a, c), shape=sizes)


@makes("linear", "matmul", "mm", "bmm", "addmm", "einsum")
def product(program: Program, call: Call) -> Step:
    """Time must not be what is summed over."""
    out = call.shapes
    if out.time is None:
        raise Refused("sums over the whole stream")
    if call.plain == "einsum":
        left, _, right = call.given["equation"].replace(" ", "").partition("->")
        for term, item in zip(left.split(","), call.given["tensors"]):
            found = stream(program, item)
            if found is not None and ("..." in left or term[found[1].time] not in right):
                raise Refused("sums over the whole stream")
        return each(program, call)
    pairs = [item for key, item in call.given.items() if key in ("input", "self", "mat1", "mat2", "other", "weight")]
    pairs = pairs[-2:] if call.plain == "addmm" else pairs[:2]
    for side, item in enumerate(pairs):
        found = stream(program, item)
        if found is None:
            continue
        rank, time = len(found[1].short), found[1].time
        assert time is not None
        summed = rank - 1 if side == 0 or call.plain == "linear" else max(0, rank - 2)
        if time == summed or (side == 1 and call.plain == "linear"):
            raise Refused("sums over the whole stream")
    return each(program, call)


@makes("cat", "concatenate", "concat", "stack")
def joined(program: Program, call: Call) -> Step:
    """Along other axes as any operation; along time with fixed units before and behind."""
    items: list[Any] = [item for item in call.given["tensors"] if not _nothing(program, item)]
    found = [stream(program, item) for item in items]
    first = next(each for each in found if each is not None)
    name, shapes = first
    axis = call.given.get("dim", call.given.get("axis", 0)) % (len(shapes.short) + (call.plain == "stack"))
    if axis != shapes.time or call.plain == "stack":
        return each(program, call)
    if len(items) == 1:
        return steps.Each(replace(call, func=torch.ops.aten.alias.default), [first], [], {"self": Ref(name)})
    place = found.index(first)
    if sum(item is not None for item in found) > 1:
        raise Refused("puts one stream behind the end of another")
    sides = [item for item in items if item is not items[place]]
    if any(program.fixed[ref.name][0].shape != program.fixed[ref.name][1].shape for ref in sides):
        raise Refused("is given numbers that depend on the length of the stream")
    return steps.Between(call, name, shapes, list(items[:place]), list(items[place + 1 :]))


def _nothing(program: Program, item: Any) -> bool:
    """An empty tensor without axes, as a cache begins with, which a concatenation leaves out."""
    found = program.fixed.get(item.name) if isinstance(item, Ref) else None
    return found is not None and isinstance(found[0], Tensor) and found[0].shape == (0,) == found[1].shape


@makes("slice")
def sliced(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), call.given
    rank, (short, long) = len(x.short), x.lengths
    if given["dim"] % rank != x.time:
        return each(program, call)
    step, end = given["step"], [each["end"] for each in (call.given, call.longer)]
    first, late = ((each["start"] or 0) for each in (call.given, call.longer))
    stops = [n if e is None else min(n, e + n if e < 0 else e) for n, e in zip((short, long), end)]
    if first != late or first < 0 or call.shapes.time is None or short - stops[0] != long - stops[1]:
        raise Refused("takes units by their distance from the end of the stream")
    crop = steps.Crop(call, name, x, first, short - stops[0])
    if step == 1:
        return crop
    window = steps.Window(call, MIDDLE, x, 1, step, 0, 0, lambda _, own: _every(own[MIDDLE], x.time, step))
    return steps.Chain(call, [crop, window])


def _every(x: Tensor, axis: int | None, step: int) -> Tensor:
    return x[(slice(None),) * (axis or 0) + (slice(None, None, step),)]
