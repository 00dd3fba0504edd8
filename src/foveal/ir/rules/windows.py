"""Windows: convolution, transposed convolution, pooling. Formulas: docs/methods.md 1.1 and 1.2."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.ir import ops
from foveal.ir.cache import Bounded
from foveal.ir.fixed import Fixed, zeros
from foveal.ir.relation import ABSENT, All, Blocks, Read, Relabel, Relation, Slide, Step, Table, Taps
from foveal.ir.rules.registry import Facts, Shape, Shapes, rule
from foveal.ir.rules.tables import taps as taps_of
from foveal.ir.traits import NEITHER, Alike, Known, Mask, Window


def _size(op: ops.Convolution | ops.Pool) -> str:
    """A window that crops its map begins inside it, and must be told anew where."""
    return "given" if min(min(pair) for pair in op.padding) < 0 else "free"


def only_zeros_read(op: ops.Operation, known: Known) -> Mask:
    """Sums and maxima of inputs, and moves: zero where all that they read is zero."""
    return known.only_zeros_read()


def sums_of_zeros(op: ops.Convolution | ops.TransposedConvolution, known: Known) -> Fixed | None:
    """Zero where only padding, gaps or other zeros are read, and nothing is added."""
    zero = None if op.biased or not _reaches_out(op, known) else known.only_zeros_read()
    return None if zero is None else zeros(zero)


def _reaches_out(op: ops.Convolution | ops.TransposedConvolution, known: Known) -> bool:
    """Whether an output may read nothing but padding, or something that is known."""
    if known.fixed(0) is not None or isinstance(op, ops.TransposedConvolution):
        return True
    for (before, after), k, d in zip(op.padding, op.kernel, op.dilation, strict=True):
        if before > k - 1 or after > k - 1 or d > 1:
            return True
    return False


@rule(
    ops.Convolution,
    multiply_adds=lambda op, shapes, out: prod(out) * prod(op.kernel) * (shapes[0][1] // op.groups),
    window=lambda op: Window(op.kernel, op.stride, op.padding, op.dilation, op.groups, weighted=True),
    gain="fixed", alike=NEITHER, shift="", size=_size,
    wants=lambda op, i: "zero" if i == 1 else "", fixed=sums_of_zeros,
)  # fmt: skip
def convolution(op: ops.Convolution, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Window over the spatial axes, all channels of the own group; kernel taps that are known zeros are not read."""
    x = shapes[0]
    zero = facts[1].zero if len(facts) > 1 else None
    if zero is not None and zero.any():
        return _masked_convolution(op, x, shapes[1], out, zero)
    relation = _channels(x[1], out[1], op.groups) + _slides(op.kernel, op.stride, op.padding, op.dilation, x, out)
    fan = prod(op.kernel) * x[1] // op.groups
    return Read(0, relation, fan=fan, edges=True), *_computed_kernel(shapes, out)


@rule(
    ops.TransposedConvolution,
    multiply_adds=lambda op, shapes, out: prod(shapes[0]) * prod(op.kernel) * (out[1] // op.groups),
    window=lambda op: Window(
        op.kernel, op.stride, tuple((b, 0) for b in op.before), op.dilation, op.groups, weighted=True, transposed=True
    ),
    gain="fixed", alike=NEITHER, shift="", size="given",
    wants=lambda op, i: "zero" if i == 1 else "", fixed=sums_of_zeros,
)  # fmt: skip
def transposed(op: ops.TransposedConvolution, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Output o reads inputs (o + before - t dilation) / stride where that is whole: its phases differ."""
    x, n = shapes[0], len(op.kernel)
    zero = facts[1].zero if len(facts) > 1 else None
    offset = len(x) - n
    tables = []
    for i in range(n):
        taps = np.arange(op.kernel[i])
        if zero is not None:
            others = tuple(a for a in range(n + 2) if a != i + 2)
            taps = taps[~np.broadcast_to(zero, shapes[1]).all(axis=others)]
        size = (x[offset + i], out[offset + i])
        tables.append(_transposed_table(offset + i, *size, tuple(taps), op.stride[i], op.before[i], op.dilation[i]))
    fan = x[1] // op.groups * prod(max(1.0, k / s) for k, s in zip(op.kernel, op.stride, strict=True))
    relation = (*_channels(x[1], out[1], op.groups), *tables)
    return Read(0, relation, fan=fan, edges=True), *_computed_kernel(shapes, out, by_output=False)


@rule(
    ops.Pool,
    window=lambda op: Window(op.kernel, op.stride, op.padding, op.dilation),
    alike=lambda op: Alike(any(s < k for s, k in zip(op.stride, op.kernel, strict=True)), False),
    passes=lambda op: set(op.kernel) == set(op.stride) == {1},
    multiply_adds=0, gain="fixed", pools=True, shift="", size=_size, zero=only_zeros_read,
)  # fmt: skip
def pool(op: ops.Pool, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """A window without channels; ceil_mode shows in the output's length only."""
    relation = _slides(op.kernel, op.stride, op.padding, op.dilation, shapes[0], out, sums=True)
    return (Read(0, relation, fan=prod(op.kernel), averaged=op.name == "average", edges=True),)


@rule(
    ops.AdaptivePool, multiply_adds=0, gain="fixed", alike=NEITHER, pools=True, zero=only_zeros_read,
    shift="windows depend on the size of the map",
)  # fmt: skip
def adaptive_pool(op: ops.AdaptivePool, shapes: Shapes, out: Shape, facts: tuple[Facts, ...]) -> tuple[Read, ...]:
    """Output o of m reads inputs floor(o n / m) .. ceil((o + 1) n / m) - 1."""
    x = shapes[0]
    first = len(x) - op.axes
    relation = tuple(_adaptive_step(axis, x[axis], out[axis]) for axis in range(first, len(x)))
    fan = prod(max(1.0, x[axis] / out[axis]) for axis in range(first, len(x)))
    return (Read(0, relation, fan=fan, averaged=op.name == "average", edges=True),)


def _slides(
    kernel: ops.Ints,
    stride: ops.Ints,
    padding: ops.Pairs,
    dilation: ops.Ints,
    x: Shape,
    out: Shape,
    sums: bool = False,
) -> Relation:
    windows = zip(range(len(x) - len(kernel), len(x)), kernel, stride, padding, dilation, strict=True)
    return tuple(
        Slide(axis, x[axis], out[axis], k, s, pad[0], d, sums)
        for axis, k, s, pad, d in windows
        if (k, s, *pad) != (1, 1, 0, 0)
    )


def _computed_kernel(shapes: Shapes, out: Shape, by_output: bool = True) -> tuple[Read, ...]:
    """A kernel that is itself computed from the input (dynamic convolution) is read as a whole by every output of its
    channel, the kernel's first axis; by every output of all channels where that axis is not the output's.
    """
    if len(shapes) < 2:
        return ()
    rank = len(shapes[1])
    if not by_output or len(out) < 2:
        return (Read(1, (All(tuple(range(rank))), Relabel((None,) * len(out))), kind="weights"),)
    relation = (All(tuple(range(1, rank))), Relabel((None, 0, *(None,) * (len(out) - 2))))
    return (Read(1, relation, kind="weights"),)


def _channels(n_in: int, n_out: int, groups: int) -> Relation:
    if groups == n_in == n_out:
        return ()
    return (Blocks(1, n_in, n_out, groups),)


def _masked_convolution(op: ops.Convolution, x: Shape, kernel: Shape, out: Shape, zero: np.ndarray) -> tuple[Read, ...]:
    """Group the taps by which channel pairs they serve; one relation for each group."""
    n = len(op.kernel)
    live = ~np.broadcast_to(zero, kernel)
    per_tap = live.reshape(kernel[0], kernel[1], -1)
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in op.kernel), indexing="ij"), axis=-1).reshape(-1, n)
    before = np.array([p[0] for p in op.padding])
    axes = tuple(range(len(x) - n, len(x)))
    patterns: dict[bytes, list[int]] = {}
    for tap in range(grid.shape[0]):
        if per_tap[:, :, tap].any():
            patterns.setdefault(per_tap[:, :, tap].tobytes(), []).append(tap)
    found = list(_computed_kernel((x, kernel), out))
    fan = int(live.sum()) / kernel[0]
    for taps in patterns.values():
        offsets = grid[taps] * np.array(op.dilation) - before
        window = Taps(axes, tuple(x[a] for a in axes), tuple(out[a] for a in axes), op.stride, offsets)
        pairs = per_tap[:, :, taps[0]]
        channels = _channels(x[1], out[1], op.groups) if pairs.all() else _channel_pairs(pairs, x, op.groups)
        found.append(Read(0, (*channels, window), fan=fan, edges=True))
    return tuple(found)


def _channel_pairs(pairs: np.ndarray, x: Shape, groups: int) -> Relation:
    """Which input channels each output channel reads, as an index table along the channel axis."""
    n_out, per_group = pairs.shape
    index = taps_of(pairs)
    index = np.where(index == ABSENT, ABSENT, index + (np.arange(n_out) * groups // n_out * per_group)[:, None])
    return (Table(1, x[1], n_out, index, index),)


@Bounded
def _transposed_table(
    axis: int, n_in: int, n_out: int, taps: tuple[int, ...], stride: int, before: int, dilation: int
) -> Table:
    numerator = np.arange(n_out)[:, None] + before - np.array(taps, dtype=int)[None, :] * dilation
    raw = np.where(numerator % stride == 0, numerator // stride, ABSENT)
    clipped = np.where((raw >= 0) & (raw < n_in), raw, ABSENT)
    return Table(axis, n_in, n_out, clipped, raw, (1, stride))


@Bounded
def _adaptive_step(axis: int, n_in: int, n_out: int) -> Step:
    if n_out == 1:
        return All((axis,))
    if n_in % n_out == 0:
        k = n_in // n_out
        return Slide(axis, n_in, n_out, k, k, 0, 1)
    o = np.arange(n_out)
    first = o * n_in // n_out
    last = -((-(o + 1) * n_in) // n_out) - 1
    reach = np.arange(int((last - first).max()) + 1)
    index = np.where(first[:, None] + reach <= last[:, None], first[:, None] + reach, ABSENT)
    g = int(np.gcd(n_in, n_out))
    return Table(axis, n_in, n_out, index, index, (n_in // g, n_out // g))
