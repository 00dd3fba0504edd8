"""Lowering of interpolation, padding, sliding windows and max-unpooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from foveal.frontends.torch.lowering.table import Sizes, Tracer, axis_of, ints, rule
from foveal.frontends.torch.lowering.views import RESHAPE, permute_op
from foveal.ir import ops
from foveal.ir.lengths import window_outputs

_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}
_PLAIN = [
    *(f"upsample_nearest{n}d" for n in (1, 2, 3)),
    *(f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)),
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
]


@rule(*_PLAIN)
def resample(t: Tracer, out: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> int:
    """Reads size or factors by the names of the schema: the factors are used where they were given."""
    given = t.arguments((x, *args), kwargs)
    count = t.spatial
    factors = given.get("scale_factors")
    if factors is None:
        letters = {1: ("",), 2: ("_h", "_w"), 3: ("_d", "_h", "_w")}[count]
        factors = [given.get(f"scales{letter}") for letter in letters]
    name = t.plain.removeprefix("_").removeprefix("upsample_")
    mode = "nearest-exact" if name.startswith("nearest_exact") else _MODES[name.split(f"{count}d")[0]]
    axes = tuple(range(x.dim() - count, x.dim()))
    antialias = name.endswith("_aa")
    if antialias and out.shape[-1] == 1 and any(x.shape[axis] != out.shape[axis] for axis in axes[:-1]):
        # PyTorch's kernel uses the first row's taps for every row when there is one output column
        return t.node(ops.Opaque(f"aten::{t.plain} to one column"), (t.value(x),), out.shape, "interpolate")
    # along an axis that keeps its length these kernels copy, whatever the factor; nearest in 2-D doubles likewise
    copied = (1, 2) if mode == "nearest" and count == 2 else (1,) if mode == "linear" or antialias else ()
    lengths = [(x.shape[axis], out.shape[axis]) for axis in axes]
    factors = tuple(None if any(m == k * n for k in copied) else f for f, (n, m) in zip(factors, lengths, strict=True))
    op = ops.Resample(axes, mode, bool(given.get("align_corners", False)), antialias, factors)
    return t.node(op, (t.value(x),), out.shape, "interpolate")


def _widths(pad: Sequence[int], rank: int) -> tuple[tuple[int, int], ...]:
    """PyTorch counts from the last axis backwards."""
    pairs = [(0, 0)] * rank
    for index in range(len(pad) // 2):
        pairs[rank - 1 - index] = (int(pad[2 * index]), int(pad[2 * index + 1]))
    return tuple(pairs)


def _pad(t: Tracer, out: Tensor, x: Tensor, pad: Sequence[int], mode: str, value: float | None = 0.0) -> int:
    widths = _widths(pad, x.dim())
    if not any(any(pair) for pair in widths):
        return t.value(x)
    op = ops.Pad(widths, mode, float(value or 0.0))
    return t.node(op, (t.value(x),), out.shape, "pad")


@rule("pad")
def pad(
    t: Tracer, out: Tensor, x: Tensor, widths: Sequence[int], mode: str = "constant", value: float | None = None
) -> int:
    return _pad(t, out, x, widths, mode, value)


@rule("constant_pad_nd")
def constant_pad(t: Tracer, out: Tensor, x: Tensor, widths: Sequence[int], value: float = 0) -> int:
    return _pad(t, out, x, widths, "constant", value)


@rule(*(f"{mode}_pad{n}d" for mode in ("reflection", "replication") for n in (1, 2, 3)))
def border_pad(t: Tracer, out: Tensor, x: Tensor, widths: Sequence[int]) -> int:
    return _pad(t, out, x, widths, "reflect" if t.plain.startswith("reflection") else "replicate")


@rule("_pad_circular")
def circular_pad(t: Tracer, out: Tensor, x: Tensor, widths: Sequence[int]) -> int:
    return _pad(t, out, x, widths, "circular")


@rule("im2col")
def im2col(t: Tracer, out: Tensor, x: Tensor, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> int:
    """Pad, slide along rows, slide along columns, bring the taps next to the channels."""
    kernel, dilation, padding, stride = (ints(item, 2) for item in (kernel, dilation, padding, stride))
    n, (c, h, w) = x.shape[0] if x.dim() == 4 else 1, x.shape[-3:]
    value = t.value(x)
    if x.dim() == 3:
        value = t.node(RESHAPE, (value,), (1, c, h, w), "im2col")
    h, w = h + 2 * padding[0], w + 2 * padding[1]
    if any(padding):
        widths = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
        value = t.node(ops.Pad(widths), (value,), (n, c, h, w), "im2col")
    oh, ow = (window_outputs(size, k, s, dilation=d) for size, k, s, d in zip((h, w), kernel, stride, dilation))
    value = t.node(ops.Unroll(2, kernel[0], stride[0], dilation[0]), (value,), (n, c, oh, w, kernel[0]), "im2col")
    value = t.node(ops.Unroll(3, kernel[1], stride[1], dilation[1]), (value,), (n, c, oh, ow, *kernel), "im2col")
    value = t.node(permute_op((0, 1, 4, 5, 2, 3)), (value,), (n, c, *kernel, oh, ow), "im2col")
    return t.node(RESHAPE, (value,), out.shape, "im2col")


@rule("col2im")
def col2im(
    t: Tracer, out: Tensor, x: Tensor, size: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> int:
    """The reverse: taps last, overlap along columns, overlap along rows."""
    size, kernel, dilation, padding, stride = (ints(item, 2) for item in (size, kernel, dilation, padding, stride))
    n, c = x.shape[0] if x.dim() == 3 else 1, x.shape[-2] // (kernel[0] * kernel[1])
    blocks = tuple(map(window_outputs, size, kernel, stride, zip(padding, padding), dilation))
    value = t.node(RESHAPE, (t.value(x),), (n, c, *kernel, *blocks), "col2im")
    value = t.node(permute_op((0, 1, 4, 5, 2, 3)), (value,), (n, c, *blocks, *kernel), "col2im")
    across = ops.Overlap(3, stride[1], dilation[1], padding[1])
    value = t.node(across, (value,), (n, c, blocks[0], size[1], kernel[0]), "col2im")
    down = ops.Overlap(2, stride[0], dilation[0], padding[0])
    value = t.node(down, (value,), (n, c, *size), "col2im")
    return value if tuple(out.shape) == (n, c, *size) else t.node(RESHAPE, (value,), out.shape, "col2im")


@rule("unfold_backward")
def overlap_add(t: Tracer, out: Tensor, x: Tensor, sizes: Sequence[int], dim: int, size: int, step: int) -> int:
    """The reverse of ``Tensor.unfold``: how ``istft`` puts its frames together."""
    if not out.dim():
        return t.node(RESHAPE, (t.value(x),), out.shape, "unfold_backward")
    return t.node(ops.Overlap(axis_of(dim, out.dim()), step), (t.value(x),), out.shape, "overlap_add")


@rule("max_unpool2d", "max_unpool3d", "max_unpool1d")
def max_unpool(t: Tracer, out: Tensor, x: Tensor, indices: Tensor, *_: object) -> int:
    """Each output reads the pooled cells (value and index) whose window holds it: the pool that made the indices tells.

    That is the dependency of a depthwise transposed convolution with the pool's own window.
    """
    values, places = t.value(x), t.value(indices)
    node = next((node for node in reversed(t.builder.graph.nodes) if node.output == places), None)
    if node is None or not isinstance(node.op, ops.Pool) or x.dim() < len(node.op.kernel) + 2:
        return t.node(ops.Sample("max_unpool"), (values, places), out.shape, "max_unpool")
    pool = node.op
    before = tuple(pair[0] for pair in pool.padding)
    op = ops.TransposedConvolution(pool.kernel, pool.stride, before, pool.dilation, x.shape[1])
    window = t.builder.parameter((x.shape[1], 1, *pool.kernel), "max_unpool window")
    joined = t.node(ops.Pointwise("max_unpool"), (values, places), x.shape, "max_unpool")
    lead, space = tuple(x.shape[: -len(pool.kernel)]), t.builder.graph.values[node.inputs[0]].shape[-len(pool.kernel) :]
    value = t.node(op, (joined, window), (*lead, *space), "max_unpool")
    if tuple(out.shape) == (*lead, *space):
        return value
    # the indices count through the pooled map row by row, and so they do through a map of another size
    n, m = prod(space), prod(out.shape[len(lead) :])
    value = t.node(RESHAPE, (value,), (*lead, n), "max_unpool")
    value = t.node(ops.Pad(((0, 0),) * len(lead) + ((0, m - n),)), (value,), (*lead, m), "max_unpool")
    return t.node(RESHAPE, (value,), out.shape, "max_unpool")
