"""Builders of the layer kinds of a text specification: one small function per kind, value in, value out.

All values are (N, C, *space), or (N, C) after ``fc``. A builder is registered under the words that mean it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from foveal.frontends.text.kinds import ACTIVATIONS
from foveal.frontends.text.limits import MAX_FLAT
from foveal.frontends.text.model import Spans
from foveal.frontends.text.site import Site, shape_text
from foveal.ir import ops
from foveal.ir.lengths import same_padding, window_outputs, window_span

Builder = Callable[[Site, int], int]
BUILDERS: dict[str, Builder] = {}


def _builds(*kinds: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        BUILDERS.update(dict.fromkeys(kinds, builder))
        return builder

    return register


def _groups(site: Site, inputs: int, outputs: int) -> int:
    groups = inputs if "dw" in site.spec.flags else site.ints(site.spec.number("g"), 1, 1)[0]
    if inputs % groups or outputs % groups:
        raise site.error(f"cannot divide {inputs} input and {outputs} output channels into {groups} groups")
    return groups


def _padding(site: Site, space: tuple[int, ...], window: tuple[tuple[int, int, int], ...], default: Spans) -> Spans:
    """Padding per axis from ``same``, ``valid``, ``p`` or the default; ``window`` is (kernel, stride, dilation)."""
    given = [option for option in ("same", "valid") if option in site.spec.flags]
    if len(given) + (site.spec.number("p") is not None) > 1:
        raise site.error("gives its padding twice; keep one of same, valid and p")
    if "same" in given:
        return tuple(same_padding(n, *axis) for n, axis in zip(space, window, strict=True))
    if "valid" in given:
        return ((0, 0),) * len(space)
    return site.spans(site.spec.number("p"), len(space), default)


def _bias(site: Site, channels: int) -> None:
    if "nobias" not in site.spec.flags:
        site.parameters += channels


@_builds("conv", "causal")
def _convolution(site: Site, value: int) -> int:
    spec, space, inputs = site.spec, site.space(value), site.shape(value)[1]
    rank = len(space)
    kernel = site.ints(spec.size, rank, 1)
    stride, dilation = site.ints(spec.number("s"), rank, 1), site.ints(spec.number("d"), rank, 1)
    window = tuple(zip(kernel, stride, dilation, strict=True))
    if spec.kind == "causal":
        if rank != 1:
            raise site.error(f"is for one time axis, and its input has {rank} spatial axes")
        padding: Spans = ((dilation[0] * (kernel[0] - 1), 0),)
    else:
        centred = tuple((d * (k - 1) // 2,) * 2 for k, _, d in window)
        padding = _padding(site, space, window, centred)
    outputs = inputs if spec.channels is None else spec.channels
    groups = _groups(site, inputs, outputs)
    weight = site.weight((outputs, inputs // groups, *kernel))
    _bias(site, outputs)
    lengths = [window_outputs(n, k, s, p, d) for n, (k, s, d), p in zip(space, window, padding, strict=True)]
    op = ops.Convolution(kernel, stride, padding, dilation, groups, "nobias" not in spec.flags)
    site.taps(kernel, (1, 1, *lengths))
    return site.node(op, [value, weight], (site.shape(value)[0], outputs, *lengths))


@_builds("tconv")
def _transposed(site: Site, value: int) -> int:
    spec, space, inputs = site.spec, site.space(value), site.shape(value)[1]
    rank = len(space)
    kernel = site.ints(spec.size, rank, 1)
    stride, dilation = site.ints(spec.number("s"), rank, 1), site.ints(spec.number("d"), rank, 1)
    extra = site.ints(spec.number("op"), rank, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise site.error("needs an output padding smaller than its stride or its dilation")
    centred = tuple((d * (k - 1) // 2,) * 2 for k, d in zip(kernel, dilation, strict=True))
    padding = site.spans(spec.number("p"), rank, centred)
    outputs = inputs if spec.channels is None else spec.channels
    groups = _groups(site, inputs, outputs)
    weight = site.weight((inputs, outputs // groups, *kernel))
    _bias(site, outputs)
    lengths = [
        window_span(n, k, s, d) - sum(p) + e
        for n, k, s, d, p, e in zip(space, kernel, stride, dilation, padding, extra, strict=True)
    ]
    site.taps(kernel, (1, 1, *lengths))
    before = tuple(before for before, _ in padding)
    op = ops.TransposedConvolution(kernel, stride, before, dilation, groups, "nobias" not in spec.flags)
    return site.node(op, [value, weight], (site.shape(value)[0], outputs, *lengths))


@_builds("pool", "maxpool", "avgpool")
def _pool(site: Site, value: int) -> int:
    spec, space = site.spec, site.space(value)
    rank = len(space)
    kernel = site.ints(spec.size, rank, 1)
    stride, dilation = site.ints(spec.number("s"), rank, kernel), site.ints(spec.number("d"), rank, 1)
    window = tuple(zip(kernel, stride, dilation, strict=True))
    padding = _padding(site, space, window, ((0, 0),))
    if any(2 * max(p) > window_span(1, *axis) for axis, p in zip(window, padding, strict=True)):
        raise site.error("has more padding than half its window, so that some windows would hold padding only")
    ceil = "ceil" in spec.flags
    lengths = [window_outputs(n, k, s, p, d, ceil) for n, (k, s, d), p in zip(space, window, padding, strict=True)]
    site.taps(kernel, (1, 1, *lengths))
    op = ops.Pool(kernel, stride, padding, dilation, "average" if spec.kind == "avgpool" else "max")
    return site.node(op, [value], (*site.shape(value)[:2], *lengths))


@_builds("adaptive")
def _adaptive(site: Site, value: int) -> int:
    space = site.space(value)
    lengths = site.ints(site.spec.size, len(space), 1)
    op = ops.AdaptivePool(len(space), "max" if "max" in site.spec.flags else "average")
    return site.node(op, [value], (*site.shape(value)[:2], *lengths))


@_builds("up")
def _up(site: Site, value: int) -> int:
    flags, space = site.spec.flags, site.space(value)
    factors = site.ints(site.spec.size, len(space), 2)
    modes = {"linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic", "nearest": "nearest"}
    chosen = {modes[flag] for flag in flags if flag in modes}
    if len(chosen) > 1:
        raise site.error("names two ways to interpolate; keep one of nearest, bilinear and bicubic")
    mode = chosen.pop() if chosen else "nearest"
    if mode == "nearest" and "align" in flags:
        raise site.error("'align' needs bilinear or bicubic")
    axes = tuple(range(2, 2 + len(space)))
    taps = {"nearest": 1, "linear": 2, "cubic": 4}[mode]
    site.taps((4 * taps,) * len(space), (1, 1, *(n * f for n, f in zip(space, factors, strict=True))))
    op = ops.Resample(axes, mode, "align" in flags, scales=tuple(float(f) for f in factors))
    return site.node(op, [value], (*site.shape(value)[:2], *(n * f for n, f in zip(space, factors, strict=True))))


@_builds("pad", "crop")
def _pad(site: Site, value: int) -> int:
    space = site.space(value)
    spans = site.spans(site.spec.size, len(space), ((0, 0),))
    mode = next(iter(site.spec.flags), "constant")
    if len(site.spec.flags) > 1:
        raise site.error("names two ways to pad; keep one of reflect, replicate and circular")
    # Reflection cannot reach further than the data it mirrors.
    limit = {"reflect": -1, "circular": 0}.get(mode)
    if limit is not None and any(max(span) > n + limit for span, n in zip(spans, space, strict=True)):
        raise site.error(f"pads by more than the input has: {shape_text(site.shape(value))}")
    sign = -1 if site.spec.kind == "crop" else 1
    widths = ((0, 0), (0, 0), *((sign * before, sign * after) for before, after in spans))
    lengths = [n + before + after for n, (before, after) in zip(site.shape(value), widths, strict=True)]
    return site.node(ops.Pad(widths, mode), [value], lengths)


@_builds("shuffle")
def _shuffle(site: Site, value: int) -> int:
    batch, channels, *space = site.shape(value)
    factors = site.ints(site.spec.size, len(site.space(value)), 2)
    if channels % math.prod(factors):
        raise site.error(f"cannot divide {channels} channels by {math.prod(factors)}")
    rank, kept = len(space), channels // math.prod(factors)
    split = site.node(ops.Reshape(), [value], (batch, kept, *factors, *space))
    order = (0, 1, *(axis for i in range(rank) for axis in (2 + rank + i, 2 + i)))
    woven = [length for n, f in zip(space, factors, strict=True) for length in (n, f)]
    moved = site.node(ops.Permute(order), [split], (batch, kept, *woven))
    return site.node(ops.Reshape(), [moved], (batch, kept, *(n * f for n, f in zip(space, factors, strict=True))))


@_builds("unshuffle")
def _unshuffle(site: Site, value: int) -> int:
    batch, channels, *space = site.shape(value)
    factors = site.ints(site.spec.size, len(site.space(value)), 2)
    if any(n % f for n, f in zip(space, factors, strict=True)):
        raise site.error(f"cannot divide the space of {shape_text(site.shape(value))} by {shape_text(factors)}")
    coarse = [n // f for n, f in zip(space, factors, strict=True)]
    woven = [length for pair in zip(coarse, factors, strict=True) for length in pair]
    split = site.node(ops.Reshape(), [value], (batch, channels, *woven))
    rank = len(space)
    order = (0, 1, *(3 + 2 * i for i in range(rank)), *(2 + 2 * i for i in range(rank)))
    moved = site.node(ops.Permute(order), [split], (batch, channels, *factors, *coarse))
    return site.node(ops.Reshape(), [moved], (batch, channels * math.prod(factors), *coarse))


@_builds("gap")
def _global_pool(site: Site, value: int) -> int:
    rank = len(site.space(value))
    op = ops.Reduce(tuple(range(2, 2 + rank)), keepdims=True, name="mean")
    return site.node(op, [value], (*site.shape(value)[:2], *(1,) * rank))


@_builds("fc")
def _linear(site: Site, value: int) -> int:
    batch, *rest = site.shape(value)
    features, outputs = math.prod(rest), site.spec.size[0][0]
    if len(site.spec.size) > 1:
        raise site.error("has one output count, as in fc1000")
    if len(rest) > 1 and features > MAX_FLAT:
        raise site.error(f"would flatten {shape_text(site.shape(value))}, more than {MAX_FLAT} elements")
    flat = value if len(rest) == 1 else site.node(ops.Reshape(), [value], (batch, features))
    weight = site.weight((outputs, features))
    _bias(site, outputs)
    return site.node(ops.Contract(((0, 1), (2, 1)), (0, 2)), [flat, weight], (batch, outputs))


def _map(site: Site, value: int, name: str) -> int:
    return site.node(ops.Pointwise(name), [value], site.shape(value))


@_builds(*ACTIVATIONS, "dropout", "id")
def _pointwise(site: Site, value: int) -> int:
    return value if site.spec.kind == "id" else _map(site, value, site.spec.kind)


@_builds("bn", "gn", "in", "ln")
def _norm(site: Site, value: int) -> int:
    shape, kind, flags = site.shape(value), site.spec.kind, site.spec.flags
    groups = site.ints(site.spec.size, 1, 1)[0] if kind == "gn" else None
    if groups is not None and shape[1] % groups:
        raise site.error(f"cannot divide {shape[1]} channels into {groups} groups")
    if kind != "in" or "affine" in flags:
        site.parameters += 2 * shape[1]
    if kind == "bn" and "train" not in flags:
        return _map(site, value, "batch_norm")
    space = tuple(range(2, 2 + len(site.space(value)))) if kind == "in" else tuple(range(2, len(shape)))
    # ln: over the channels of each position, as in ConvNeXt and transformers; gn1 normalises over space too.
    axes = {"bn": (0, *space), "gn": (1, *space), "in": space, "ln": (1,)}[kind]
    return site.node(ops.Mix(axes, "normalize", (1, groups) if groups else None), [value], shape)


@_builds("softmax")
def _softmax(site: Site, value: int) -> int:
    return site.node(ops.Mix((1,), "softmax"), [value], site.shape(value))


@_builds("se")
def _squeeze_excite(site: Site, value: int) -> int:
    shape, space = site.shape(value), site.space(value)
    rank, channels = len(space), shape[1]
    hidden = max(1, channels // site.ints(site.spec.size, 1, 16)[0])
    ones = (1,) * rank
    gate = _global_pool(site, value)
    for outputs, name in ((hidden, "relu"), (channels, "sigmoid")):
        weight = site.weight((outputs, site.shape(gate)[1], *ones))
        _bias(site, outputs)
        op = ops.Convolution(ones, ones, ((0, 0),) * rank, ones)
        gate = _map(site, site.node(op, [gate, weight], (shape[0], outputs, *ones)), name)
    return site.node(ops.Pointwise("multiply"), [value, gate], shape)


@_builds("attention")
def _attention(site: Site, value: int) -> int:
    """Self-attention over all positions: four 1x1 projections with bias; no norm, no residual."""
    shape, space = site.shape(value), site.space(value)
    batch, channels, tokens = shape[0], shape[1], math.prod(space)
    heads = site.ints(site.spec.size, 1, 1)[0]
    if channels % heads:
        raise site.error(f"cannot divide {channels} channels into {heads} heads")

    def project(given: int) -> int:
        weight = site.weight((channels, channels))
        _bias(site, channels)
        return site.node(ops.Contract(((0, 1, 2), (3, 1)), (0, 3, 2)), [given, weight], (batch, channels, tokens))

    flat = site.node(ops.Reshape(), [value], (batch, channels, tokens))
    split = (batch, heads, channels // heads, tokens)
    query, key, content = (site.node(ops.Reshape(), [project(flat)], split) for _ in range(3))
    square = (batch, heads, tokens, tokens)
    scores = site.node(ops.Contract(((0, 1, 2, 3), (0, 1, 2, 4)), (0, 1, 3, 4)), [query, key], square)
    weights = site.node(ops.Mix((3,), "softmax"), [scores], square)
    mixed = site.node(ops.Contract(((0, 1, 3, 4), (0, 1, 2, 4)), (0, 1, 2, 3)), [weights, content], split)
    joined = site.node(ops.Reshape(), [mixed], (batch, channels, tokens))
    return site.node(ops.Reshape(), [project(joined)], shape)
