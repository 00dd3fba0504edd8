"""What moves along time: padding, windows, recurrent layers, resampling, attention."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foveal.frontends.torch.stream import carried, steps
from foveal.frontends.torch.stream.program import Call, Prepared, Program, Ref, Refused, Shapes
from foveal.frontends.torch.stream.steps import MIDDLE, Step
from foveal.frontends.torch.stream.table import each, makes, only, stream


@makes("pad", "constant_pad_nd", "reflection_pad1d", "replication_pad1d")
def padded(program: Program, call: Call) -> Step:
    (name, x), given = only(program, call), call.given
    key = "pad" if "pad" in given else "padding"
    widths = list(given[key])
    rank = len(x.short)
    assert x.time is not None
    place = 2 * (rank - 1 - x.time)
    if widths != list(call.longer[key]):
        raise Refused("pads by a number that depends on the length of the stream")
    mode = {"reflection_pad1d": "reflect", "replication_pad1d": "replicate"}.get(
        call.plain, given.get("mode", "constant")
    )
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
    if x.time == 0 and len(x.short) == count + 2:
        return each(program, call)  # windows of the stream, as a batch
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
    return steps.Window(call, name, x, span, stride, *sides, Prepared(func, given), fill)


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
    run = Prepared(call.func, given)
    over = max(0, span - stride[k])
    made: Step = carried.Spread(call, name, x, call.shapes, span, stride[k], drop, run, bias)
    if before == 0 and drop <= over:
        return made
    return steps.Chain(call, [made, steps.Crop(call, MIDDLE, call.shapes, before, max(0, drop - over))])


@makes("col2im")
def folded(program: Program, call: Call) -> Step:
    """Windows of one line added up where they overlap."""
    (name, x), given = only(program, call), call.given
    (high, span), (_, stride) = given["kernel_size"], given["stride"]
    if (
        x.time != len(x.short) - 1
        or any(given["padding"])
        or {high, given["output_size"][0], *given["dilation"]} != {1}
    ):
        raise Refused("puts windows of several lines together")

    def run(values: Any, own: Any) -> Tensor:
        size = (own[name].shape[-1] - 1) * stride + span
        return functional.fold(own[name], (1, size), (1, span), stride=(1, stride))

    return carried.Spread(call, name, x, call.shapes, span, stride, 0, run, None)


@makes("istft")
def spectra(program: Program, call: Call) -> Step:
    """Spectra put together: their sum and that of the squared windows, cut at the ends and divided."""
    (name, x), given = only(program, call), call.given
    size, hop = given["n_fft"], given["hop_length"] or given["n_fft"] // 4
    odd = given["length"] is not None or given["return_complex"] or given["onesided"] is False
    if odd or x.time != len(x.short) - 1 or given["win_length"] not in (None, size) or given["window"] is None:
        raise Refused("puts spectra together in a way that has no form with state yet")

    def run(values: Any, own: Any) -> Tensor:
        window, count = values[given["window"].name], own[name].shape[-1]
        parts = torch.fft.irfft(own[name], size, dim=-2) * window[:, None] * (size**0.5 if given["normalized"] else 1.0)
        squares = (window**2)[:, None].expand(*parts.shape[:-1], count)
        sums = torch.stack((parts, squares), -3).reshape(-1, size, count)
        made = functional.fold(sums, (1, (count - 1) * hop + size), (1, size), stride=(1, hop))
        return made.reshape(*parts.shape[:-2], 2, -1)

    short, long = ((*shape[:-1], 2, shape[-1]) for shape in (call.shapes.short, call.shapes.long))
    both = Shapes(short, long, call.shapes.dtype)
    made: list[Step] = [carried.Spread(call, name, x, both, size, hop, 0, run, None)]
    if given["center"]:
        made.append(steps.Crop(call, MIDDLE, both, size // 2, size // 2))
    ratio = replace(call, func=lambda x: x[..., 0, :] / x[..., 1, :], given={"x": Ref(MIDDLE)}, longer={})
    return steps.Chain(call, [*made, steps.Each(ratio, [(MIDDLE, both)], [], ratio.given)])


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


@makes("stft")
def spectrum(program: Program, call: Call) -> Step:
    """Spectra of windows; the padding by which the first is centered stands before, as an operation of its own."""
    (name, x), given = only(program, call), call.given
    size = given["n_fft"]
    if given.get("center") or x.time != len(x.short) - 1:
        raise Refused("takes spectra in a way that has no form with state yet")
    return _window(call, name, x, size, given["hop_length"] or size // 4, (0, 0), call.func, given)


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
    return carried.Recurrent(call, *found, initial)


@makes("group_norm", "instance_norm", "native_group_norm")
def statistics(program: Program, call: Call) -> Step:
    raise Refused("takes its statistics over the whole stream")


@makes("cumsum")
def running(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    return carried.Running(call, name, x) if call.given["dim"] % len(x.short) == x.time else each(program, call)


@makes("upsample_nearest1d", "upsample_linear1d")
def upsampled(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    (a, b), (c, d) = x.lengths, call.shapes.lengths
    if c % a or d * a != b * c or call.given.get("align_corners"):
        raise Refused("resamples by what is not a whole factor")
    return carried.Upsample(call, name, x, c // a, "linear" in call.plain)


@makes("repeat_interleave")
def repeated(program: Program, call: Call) -> Step:
    name, x = only(program, call)
    if not isinstance(call.given.get("repeats"), int) or call.given["dim"] is None:
        raise Refused("repeats by numbers that are computed")
    if call.given["dim"] % len(x.short) != x.time:
        return each(program, call)
    return carried.Upsample(call, name, x, call.given["repeats"], False)


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
    mask, back, ahead, size, sinks = call.given["attn_mask"], None, 0, 1, 0
    if mask is not None:
        if mask.name in program.shapes:
            raise Refused("is masked by what the stream makes")
        back, ahead, size, sinks = band_of(*program.fixed[mask.name])
        if back is None:
            program.notes.append(note_of_all(call.place, three[0][1].lengths[1]))
    elif not call.given["is_causal"]:
        raise Refused("attends to the whole stream, the future included")
    names = tuple(name for name, _ in three)
    shapes = tuple(s for _, s in three)
    return carried.Attention(call, names, shapes, back, ahead, size, sinks)  # type: ignore[arg-type]


def note_of_all(place: str, count: int) -> str:
    """What a mask without an end to the past may hide."""
    return (
        f"{place}: its mask lets a unit read all units before it, {count} at most here; "
        "a window that is longer looks the same: trace a source that is longer than the window"
    )


def band_of(short: Tensor, long: Tensor) -> tuple[int | None, int, int, int]:
    """How many chunks a mask lets a query look back (None: to the beginning) and ahead, their size (1: positions), and
    how many first positions stay in reach; raises Refused for any other mask.
    """
    reach = []
    for mask in (short, long):
        number = mask.shape[-1]  # a mask of keys alone is the same for every query
        rows = mask.reshape(-1, *mask.shape[-2:]).expand(-1, number, -1)
        allowed = rows if rows.dtype == torch.bool else rows > -100
        if not bool((allowed == allowed[0]).all()) or not bool(allowed[0].any(1).all()):
            raise Refused("has a mask that is not one band along time")
        if mask.dtype != torch.bool and bool((rows[allowed] != 0).any()):
            raise Refused("adds numbers to the scores")
        reach.append(_banded(allowed[0]))
    (back, ahead, size, sinks), (far, later, other, firsts) = reach
    if sinks != firsts:
        raise Refused("has a mask that is not one band along time")
    if size != other and {size, other} != {1, max(size, other)}:
        raise Refused("has a mask that is not one band along time")
    if (ahead, size) != (later, other):
        raise Refused("attends to the whole stream, the future included")
    if sinks and back != far:
        raise Refused("has a mask that is not one band along time")
    return (back if back == far else None), ahead, size, sinks


def _banded(allowed: Tensor) -> tuple[int, int, int, int]:
    """Chunks back and ahead, their size, and the first positions that stay in reach, of a mask (queries, keys)."""
    number = allowed.shape[-1]
    place = torch.arange(number)
    moves = [k for k in range(1, number) if not torch.equal(allowed[k], allowed[k - 1])]
    sizes = {1, *(b - a for a, b in pairwise(moves))}
    for size in sorted(sizes):
        apart = (place // size)[:, None] - (place // size)[None]
        seen = apart[allowed]
        back, ahead = int(seen.max()), int(-seen.min())
        if bool((allowed == ((apart <= back) & (apart >= -ahead))).all()):
            return back, ahead, size, 0
    apart, sinks = place[:, None] - place[None], int((~allowed[-1]).to(torch.uint8).argmax())
    behind = apart[allowed & (place >= sinks)]
    if sinks and behind.numel():
        back, ahead = int(behind.max()), int(-behind.min())
        if ahead == 0 and bool((allowed == ((apart >= 0) & ((apart <= back) | (place < sinks)))).all()):
            return back, 0, 1, sinks
    raise Refused("has a mask that is not one band along time")
