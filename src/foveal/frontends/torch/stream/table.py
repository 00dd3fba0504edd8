"""From an exported operation to what does its work on a stream; what cannot be done so is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foveal.frontends.torch.stream import steps
from foveal.frontends.torch.stream.program import Call, Program, Ref, Refused, Shapes, filled_in, names_in
from foveal.frontends.torch.stream.steps import MIDDLE, Step, Values

Maker = Callable[[Program, Call], Step]
MAKERS: dict[str, Maker] = {}
MOVES = {"transpose", "permute", "t", "unsqueeze", "squeeze", "select", "split", "chunk", "split_with_sizes", "unbind",
         "unsafe_split", "movedim", "swapaxes", "numpy_T", "narrow", "tensor_split", "flip", "glu", "softmax",
         "log_softmax", "_softmax", "_log_softmax", "mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm",
         "logsumexp", "max", "min", "argmax", "argmin", "embedding", "one_hot", "batch_norm", "layer_norm", "rms_norm",
         "dropout", "clone", "contiguous", "to", "_to_copy", "detach", "alias", "feature_dropout", "where", "lift_fresh",
         "prelu", "channel_shuffle", "pixel_shuffle", "normalize", "zeros_like", "ones_like", "type_as", "square"}  # fmt: skip
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
            if not torch.equal(long.narrow(axis, 0, short.shape[axis]), short):
                raise Refused("reads numbers that depend on the length of the stream")
            ramps.append((name, axis))
        elif isinstance(short, Tensor) and not torch.equal(short, long):
            raise Refused("reads numbers that depend on the length of the stream")
    rates = {shapes.lengths for _, shapes in operands}
    if len(rates) > 1:
        raise Refused("joins streams of different lengths")
    given = call.given | changed
    if not changed and _plain(call.given) != _plain(call.longer):
        raise Refused("is given numbers that depend on the length of the stream")
    return steps.Each(call, operands, ramps, given, group)


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
        whole = rank - len(call.given["normalized_shape"]) <= time
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
    name, index = call.given[0].name, call.given[1]
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
    items = call.given.get("tensors", call.given.get("self"))
    found = [stream(program, item) for item in items]
    first = next(each for each in found if each is not None)
    name, shapes = first
    axis = call.given.get("dim", call.given.get("axis", 0)) % (len(shapes.short) + (call.plain == "stack"))
    if axis != shapes.time or call.plain == "stack":
        return each(program, call)
    place = found.index(first)
    if sum(item is not None for item in found) > 1:
        raise Refused("puts one stream behind the end of another")
    sides = [item for item in items if item is not items[place]]
    if any(program.fixed[ref.name][0].shape != program.fixed[ref.name][1].shape for ref in sides):
        raise Refused("is given numbers that depend on the length of the stream")
    return steps.Between(call, name, shapes, list(items[:place]), list(items[place + 1 :]))


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
    window = steps.Window(call, MIDDLE, x, 1, step, 0, 0, lambda part, values: _every(part, x.time, step))
    return steps.Chain(call, [crop, window])


def _every(x: Tensor, axis: int | None, step: int) -> Tensor:
    return x[(slice(None),) * (axis or 0) + (slice(None, None, step),)]


@makes("pad", "constant_pad_nd", "reflection_pad1d", "replication_pad1d")
def padded(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), call.given
    widths = list(given.get("pad", given.get("padding")))
    rank = len(x.short)
    assert x.time is not None
    place = 2 * (rank - 1 - x.time)
    if widths != list(call.longer.get("pad", call.longer.get("padding"))):
        raise Refused("pads by a number that depends on the length of the stream")
    mode = {"reflection_pad1d": "reflect", "replication_pad1d": "replicate"}.get(call.plain, given.get("mode", "constant"))
    before, after = (widths + [0] * (2 * rank))[place : place + 2]
    made: list[Step] = []
    rest = [0 if place <= k < place + 2 else width for k, width in enumerate(widths)]
    if any(rest):
        other = replace(call, given=given | {"pad": rest}, longer=given | {"pad": rest})
        made.append(steps.Each(other, [(name, x)], [], other.given))
    if before < 0 or after < 0:
        made.append(steps.Crop(call, MIDDLE if made else name, x, max(0, -before), max(0, -after)))
    if max(before, after) > 0:
        if mode not in ("constant", "reflect", "replicate"):
            raise Refused(f"pads by {mode} numbers from the end of the stream")
        shapes = x if not any(rest) else call.shapes
        fill = float(given.get("value") or 0.0)
        made.append(steps.Pad(call, MIDDLE if made else name, shapes, max(0, before), max(0, after), mode, fill))
    if not made:
        return steps.Each(replace(call, func=torch.ops.aten.alias.default), [(name, x)], [], {"self": Ref(name)})
    return made[0] if len(made) == 1 else steps.Chain(call, made)


@makes("conv1d", "conv2d", "conv3d", "convolution")
def convolved(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), dict(call.given)
    if given.get("transposed"):
        return spread(program, call)
    kernel = program.fixed[given["weight"].name][0].shape[2:]
    count = len(kernel)
    if x.time is None or x.time < len(x.short) - count:
        raise Refused("takes time for channels")
    k = x.time - (len(x.short) - count)
    stride, dilation = _list(given["stride"], count), _list(given["dilation"], count)
    padding = given["padding"]
    if isinstance(padding, str):
        total = [d * (n - 1) if padding == "same" else 0 for d, n in zip(dilation, kernel)]
        sides = [(t // 2, t - t // 2) for t in total]
        if any(a != b for n, (a, b) in enumerate(sides) if n != k):
            raise Refused("pads another axis unevenly")
    else:
        sides = [(n, n) for n in _list(padding, count)]
    given["padding"] = [0 if n == k else a for n, (a, _) in enumerate(sides)]
    func = getattr(torch.ops.aten, f"conv{count}d").default if call.plain != "convolution" else call.func
    span = (kernel[k] - 1) * dilation[k] + 1
    return _window(call, name, x, span, stride[k], sides[k], func, given)


def _window(call: Call, name: str, x: Shapes, span: int, stride: int, sides: tuple[int, int], func: Any, given: Any,
            fill: float = 0.0, ref: str = "") -> Step:  # fmt: skip
    run = lambda part, values: func(**filled_in(given, {**values, name: part}))  # noqa: E731
    return steps.Window(call, name, x, span, stride, *sides, run, fill)


def _list(numbers: Any, count: int) -> list[int]:
    found = [numbers] if isinstance(numbers, int) else list(numbers)
    return found * count if len(found) == 1 else found


@makes("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def spread(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), dict(call.given)
    kernel = program.fixed[given["weight"].name][0].shape[2:]
    count = len(kernel)
    if x.time is None or x.time < len(x.short) - count:
        raise Refused("takes time for channels")
    k = x.time - (len(x.short) - count)
    stride, dilation, padding, more = (
        _list(given[key], count) for key in ("stride", "dilation", "padding", "output_padding")
    )
    bias = given.get("bias")
    span, before, drop = (kernel[k] - 1) * dilation[k] + 1, padding[k], padding[k] - more[k]
    given |= {"bias": None, "padding": [0 if n == k else p for n, p in enumerate(padding)]}
    given["output_padding"] = [0 if n == k else p for n, p in enumerate(more)]
    run = lambda part, values: call.func(**filled_in(given, {**values, name: part}))  # noqa: E731
    over = max(0, span - stride[k])
    made: Step = steps.Spread(call, name, x, call.shapes, span, stride[k], drop, run, bias)
    if before == 0 and drop <= over:
        return made
    return steps.Chain(call, [made, steps.Crop(call, MIDDLE, call.shapes, before, max(0, drop - over))])


@makes("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def pooled(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), dict(call.given)
    count = int(call.plain[-2])
    if x.time is None or x.time < len(x.short) - count:
        raise Refused("takes time for channels")
    k = x.time - (len(x.short) - count)
    kernel, padding = _list(given["kernel_size"], count), _list(given["padding"], count)
    stride = _list(given["stride"], count) or kernel
    dilation = _list(given.get("dilation", 1), count)
    most = call.plain.startswith("max")
    if given.get("ceil_mode") or (padding[k] and not most and not given.get("count_include_pad", True)):
        raise Refused("has windows at the ends unlike the others (ceil_mode, count_include_pad)")
    given |= {"padding": [0 if n == k else p for n, p in enumerate(padding)], "stride": stride}
    span, sides = (kernel[k] - 1) * dilation[k] + 1, (padding[k], padding[k])
    return _window(call, name, x, span, stride[k], sides, call.func, given, float("-inf") if most else 0.0)


@makes("unfold")
def unfolded(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), call.given
    if given["dimension"] % len(x.short) != x.time:
        return each(program, call)
    return _window(call, name, x, given["size"], given["step"], (0, 0), call.func, given)


@makes("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(program: Program, call: Call) -> Step:
    given = call.given
    if not isinstance(given.get("batch_first"), bool):
        raise Refused("is given packed sequences")
    found = stream(program, given["input"])
    if found is None or found[1].time != (1 if given["batch_first"] and len(found[1].short) == 3 else 0):
        raise Refused("runs along another axis than time")
    if given["bidirectional"]:
        raise Refused("also runs backwards from the end of the stream")
    initial = given["hx"] if isinstance(given["hx"], list) else [given["hx"]]
    if any(ref.name in program.shapes for ref in initial):
        raise Refused("starts from what the stream makes")
    return steps.Recurrent(call, *found, initial)


@makes("group_norm", "instance_norm", "native_group_norm")
def statistics(program: Program, call: Call) -> Step:
    raise Refused("takes its statistics over the whole stream")


@makes("cumsum")
def running(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    return steps.Running(call, name, x) if call.given["dim"] % len(x.short) == x.time else each(program, call)


@makes("upsample_nearest1d", "upsample_linear1d")
def upsampled(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    (a, b), (c, d) = x.lengths, call.shapes.lengths
    if c % a or d * a != b * c or call.given.get("align_corners"):
        raise Refused("resamples by what is not a whole factor")
    return steps.Upsample(call, name, x, c // a, "linear" in call.plain)


@makes("repeat_interleave")
def repeated(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    if not isinstance(call.given.get("repeats"), int) or call.given["dim"] is None:
        raise Refused("repeats by numbers that are computed")
    if call.given["dim"] % len(x.short) != x.time:
        return each(program, call)
    return steps.Upsample(call, name, x, call.given["repeats"], False)


@makes("scaled_dot_product_attention")
def attention(program: Program, call: Call) -> Step:
    """A mask that is a band of one width at both lengths."""
    found = [stream(program, call.given[key]) for key in ("query", "key", "value")]
    three = [item for item in found if item is not None]
    if len(three) < 3 or len({(s.lengths, s.time) for _, s in three}) > 1:
        raise Refused("attends from one sequence to another")
    rank, axis = len(three[0][1].short), three[0][1].time
    if axis != rank - 2:
        return each(program, call)
    mask, back, ahead = call.given["attn_mask"], None, 0
    if mask is not None:
        if mask.name in program.shapes:
            raise Refused("is masked by what the stream makes")
        back, ahead = _band(*program.fixed[mask.name])
    elif not call.given["is_causal"]:
        raise Refused("attends to the whole stream, the future included")
    names = tuple(name for name, _ in three)
    return steps.Attention(call, names, tuple(s for _, s in three), back, ahead)  # type: ignore[arg-type]


def _band(short: Tensor, long: Tensor) -> tuple[int | None, int]:
    """How far a mask lets a query look back (None: to the beginning) and ahead; raises Refused for any other mask."""
    reach = []
    for mask in (short, long):
        rows = mask.reshape(-1, *mask.shape[-2:])
        allowed = rows if rows.dtype == torch.bool else rows > -100
        number = allowed.shape[-1]
        place = torch.arange(number)[:, None] - torch.arange(number)[None]
        seen = place[allowed[0]]
        back, ahead = int(seen.max()), int(-seen.min())
        if not bool((allowed == ((place <= back) & (place >= -ahead))).all()):
            raise Refused("has a mask that is not one band along time")
        if mask.dtype != torch.bool and bool((rows[allowed] != 0).any()):
            raise Refused("adds numbers to the scores")
        reach.append((back, ahead))
    if reach[0][1] != reach[1][1]:
        raise Refused("attends to the whole stream, the future included")
    return (reach[0][0] if reach[0][0] == reach[1][0] else None), reach[0][1]


__all__ = ["functional", "step_of"]
