"""Lowering of convolutions, pools and other windows."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.core.errors import TraceError
from foveal.frontends import tables
from foveal.frontends.onnx.lowering.elementwise import dependent, with_vectors
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused, lowering, spread
from foveal.ir import ops
from foveal.ir.lengths import halves, same_padding, window_outputs, window_span


def window_padding(
    call: Call, x: Operand, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> ops.Pairs:
    """(before, after) per spatial axis, from ``pads`` or ``auto_pad``."""
    count = len(kernel)
    auto = call.word("auto_pad", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if auto == "VALID":
        return ((0, 0),) * count
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [same_padding(*axis) for axis in zip(x.shape[-count:], kernel, strides, dilations, strict=True)]
        return tuple(pairs) if auto == "SAME_UPPER" else tuple((large, small) for small, large in pairs)
    pads = spread(call.attribute("pads"), 2 * count, 0)
    return tuple(zip(pads[:count], pads[count:], strict=True))


def kernel_of(call: Call, w: Operand) -> tuple[int, ...]:
    """The kernel's lengths, as the weights have them."""
    told = call.attribute("kernel_shape")
    if told is not None and tuple(told) != w.shape[2:]:
        raise ValueError(f"kernel_shape is {list(told)}, the kernel {list(w.shape[2:])}")
    return w.shape[2:]


def convolve(call: Call, x: Operand, w: Operand, biased: bool = True) -> Operand:
    """The convolution that the call's attributes describe."""
    kernel = kernel_of(call, w)
    strides = spread(call.attribute("strides"), len(kernel), 1)
    dilations = spread(call.attribute("dilations"), len(kernel), 1)
    padding = window_padding(call, x, kernel, strides, dilations)
    op = ops.Convolution(kernel, strides, padding, dilations, int(call.attribute("group", 1)), biased)
    return call.emit(op, (x, call.weight(w)), call.shapes[0])


@lowering("Conv")
def convolution(call: Call, x: Operand, w: Operand, b: Operand | None = None) -> Operand:
    """A bias is no input, unless a source can change it."""
    return with_vectors(call, convolve(call, x, w, b is not None), 1, [b])


@lowering("ConvInteger")
def integer_convolution(
    call: Call, x: Operand, w: Operand, x_zero: Operand | None = None, w_zero: Operand | None = None
) -> Operand:
    """Zero points are numbers; computed ones move every output."""
    value = convolve(call, x, w)
    live = dependent(x_zero, w_zero)
    if any(prod(operand.shape) != 1 for operand in live):
        raise Refused("zero points per channel are computed")
    return value if not live else call.emit(ops.Pointwise("add"), (value, *_scalars(call, live, value.rank)))


def _scalars(call: Call, operands: list[Operand], rank: int) -> list[Operand]:
    return [call.emit(ops.Reshape(), operand, (1,) * rank) for operand in operands]


@lowering("ConvTranspose")
def transposed_convolution(call: Call, x: Operand, w: Operand, b: Operand | None = None) -> Operand:
    """``output_shape`` and ``auto_pad`` set the padding from the length that is asked for."""
    kernel, count = kernel_of(call, w), w.rank - 2
    strides = spread(call.attribute("strides"), count, 1)
    dilations = spread(call.attribute("dilations"), count, 1)
    extra = spread(call.attribute("output_padding"), count, 0)
    auto = call.word("auto_pad", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    before = spread(call.attribute("pads"), 2 * count, 0)[:count]
    if auto == "VALID":
        before = (0,) * count
    asked = call.attribute("output_shape")
    if asked is not None and (len(asked) not in (count, x.rank) or tuple(asked)[-count:] != call.shapes[0][2:]):
        raise ValueError(f"output_shape {list(asked)} does not fit an input of shape {list(x.shape)}")
    if asked is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
        written = list(map(window_span, x.shape[2:], kernel, strides, dilations))
        for n, out, *steps in zip(written, call.shapes[0][2:], strides, dilations, strict=True):
            if out < 1 or out - n >= max(steps):
                raise Refused(f"output_shape {list(asked or call.shapes[0][2:])}, where the windows cover {written}")
        cut = [max(0, n + e - out) for n, e, out in zip(written, extra, call.shapes[0][2:], strict=True)]
        before = tuple(halves(total)[auto != "SAME_UPPER"] for total in cut)
    op = ops.TransposedConvolution(kernel, strides, before, dilations, int(call.attribute("group", 1)), b is not None)
    return with_vectors(call, call.emit(op, (x, call.weight(w)), call.shapes[0]), 1, [b])


_POOLS = {"MaxPool": "max", "AveragePool": "average", "LpPool": "power"}


@lowering(*_POOLS)
def pool(call: Call, x: Operand) -> list[Operand]:
    """The indices of a maximum (second output) read what the maximum reads."""
    kernel = tuple(call.attribute("kernel_shape"))
    strides = spread(call.attribute("strides"), len(kernel), 1)
    dilations = spread(call.attribute("dilations"), len(kernel), 1)
    padding = _pool_padding(call, x, kernel, strides, dilations)
    ceil = bool(call.attribute("ceil_mode", 0))
    axes = zip(x.shape[-len(kernel) :], kernel, strides, padding, dilations, strict=True)
    out = tuple(window_outputs(*axis, ceil) for axis in axes)
    if min(out) < 1:
        raise TraceError(f"no window of {kernel} with padding {padding} fits a map of {x.shape[-len(kernel) :]}")
    if call.op_type == "MaxPool":
        padding = tuple((before, max(after, 0)) for before, after in padding)  # not cropped where it is negative
    op = ops.Pool(kernel, strides, padding, dilations, _POOLS[call.op_type])
    return [call.emit(op, x, (*x.shape[: -len(kernel)], *out))] * max(1, call.wanted)


def _pool_padding(
    call: Call, x: Operand, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> ops.Pairs:
    """That of a window; but "SAME" does not ask for the dilation, and may crop the end (onnxruntime's way)."""
    auto = call.attribute("auto_pad", "NOTSET")
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return window_padding(call, x, kernel, strides, dilations)
    pairs = []
    for n, k, s in zip(x.shape[-len(kernel) :], kernel, strides, strict=True):
        total = window_span(-(-n // s), k, s) - n
        before = int(total / 2) if auto == "SAME_UPPER" else max(0, total + 1) // 2
        pairs.append((before, total - before))
    return tuple(pairs)


_GLOBAL_POOLS = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max", "GlobalLpPool": "norm"}


@lowering(*_GLOBAL_POOLS)
def global_pool(call: Call, x: Operand) -> Operand:
    """All positions of the own channel."""
    return call.emit(ops.Reduce(tuple(range(2, x.rank)), True, _GLOBAL_POOLS[call.op_type]), x)


@lowering("MaxUnpool")
def max_unpool(call: Call, x: Operand, indices: Operand, shape: Operand | None = None) -> Operand | list[Operand]:
    """Constant indices are a move; those of a pool with the same windows stay inside them; others point anywhere."""
    places = indices.array
    plain = _unpooled(call, x)
    if places is None:
        pool = _pool_behind(call, indices, plain if shape is None else call.shapes[0])
        if pool is None or x.shape != indices.shape:
            return call.data_dependent([x, indices])
        before = tuple(pair[0] for pair in pool.padding)
        op = ops.TransposedConvolution(pool.kernel, pool.stride, before, pool.dilation, x.shape[1])
        joined = call.emit(ops.Pointwise("max_unpool"), (x, indices), x.shape)
        window = call.weight(call.constant(np.ones((x.shape[1], 1, *pool.kernel))))
        return call.emit(op, (joined, window), call.shapes[0])
    out = plain if shape is None else tuple(int(n) for n in call.array(shape, "the shape").reshape(-1))
    flat = places.reshape(-1).astype(np.int64)
    if out != plain:
        # The numbers count in the map that the plain formula gives, which lies in the corner of the larger one.
        flat = np.ravel_multi_index(np.unravel_index(flat, plain), out)
    back = np.full(prod(out), -1, dtype=np.int64)
    back[flat] = np.arange(flat.size)
    return call.emit(ops.Gather(back.reshape(out)), x)


def _pool_behind(call: Call, indices: Operand, out: tuple[int, ...]) -> ops.Pool | None:
    """The maximum pool that made the indices, if its input was as large as the map that is filled."""
    op, shapes = call.maker(indices)
    return op if isinstance(op, ops.Pool) and shapes and shapes[0] == out else None


def _unpooled(call: Call, x: Operand) -> tuple[int, ...]:
    kernel = tuple(call.attribute("kernel_shape"))
    count = len(kernel)
    strides = spread(call.attribute("strides"), count, 1)
    pads = spread(call.attribute("pads"), 2 * count, 0)
    lengths = (
        window_span(n, k, s) - pads[i] - pads[count + i]
        for i, (n, k, s) in enumerate(zip(x.shape[2:], kernel, strides, strict=True))
    )
    return (*x.shape[:2], *lengths)


@lowering("LRN")
def local_response_norm(call: Call, x: Operand) -> Operand:
    """Divided by the norm over a window of channels."""
    size = int(call.attribute("size"))
    if size < 1:
        raise ValueError(f"size is {size}")
    before, after = halves(size - 1)
    n, c, *space = x.shape
    widths = tuple((before, after) if axis == 1 else (0, 0) for axis in range(x.rank))
    padded = call.emit(ops.Pad(widths), x, (n, c + size - 1, *space))
    windows = call.emit(ops.Unroll(1, size, 1), padded, (n, c, *space, size))
    norm = call.emit(ops.Reduce((x.rank,), False, "norm"), windows, x.shape)
    return call.emit(ops.Pointwise("divide"), (x, norm))


@lowering("Col2Im")
def column_to_image(call: Call, x: Operand, image: Operand, block: Operand) -> Operand:
    """Taps and windows become axes, and the windows overlap axis by axis."""
    size = tuple(int(n) for n in call.array(image, "the image's shape").reshape(-1))
    kernel = tuple(int(n) for n in call.array(block, "the block's shape").reshape(-1))
    count = len(size)
    strides = spread(call.attribute("strides"), count, 1)
    dilations = spread(call.attribute("dilations"), count, 1)
    pads = spread(call.attribute("pads"), 2 * count, 0)
    pairs = zip(pads[:count], pads[count:], strict=True)
    windows = list(map(window_outputs, size, kernel, strides, pairs, dilations))
    n, c = x.shape[0], x.shape[1] // prod(kernel)
    value = call.emit(ops.Reshape(), x, (n, c, *kernel, *windows))
    order = (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count))
    lengths = [*windows, *kernel]
    value = call.emit(ops.Permute(order), value, (n, c, *lengths))
    for k in reversed(range(count)):
        lengths[k] = size[k]
        lengths.pop()
        value = call.emit(ops.Overlap(2 + k, strides[k], dilations[k], pads[k]), value, (n, c, *lengths))
    return value


_SAMPLERS = {"linear": "linear", "bilinear": "linear", "nearest": "nearest", "cubic": "cubic", "bicubic": "cubic"}


@lowering("GridSample")
def grid_sample(call: Call, x: Operand, grid: Operand) -> Operand | list[Operand]:
    """Constant points are a table; computed ones may be anywhere."""
    mode, padding = call.word("mode", *_SAMPLERS), call.word("padding_mode", "zeros", "border", "reflection")
    align = bool(call.attribute("align_corners", 0))
    if grid.known:
        moves = tables.sampling(x.shape, call.array(grid, "the grid"), _SAMPLERS[mode], padding, align)
        if moves is not None:
            for op, shape in moves:
                x = call.emit(op, x, shape)
            return x
    return call.data_dependent([x, grid])


@lowering("DeformConv", "RoiAlign", "MaxRoiPool", "NonMaxSuppression")
def sampled(call: Call, *operands: Operand | None) -> list[Operand]:
    """Reads where data says."""
    if call.op_type == "DeformConv" and operands[0] is not None:
        for name in ("group", "offset_group"):
            groups = int(call.attribute(name, 1))
            if groups < 1 or operands[0].shape[1] % groups:
                raise Refused(f"{name} is {groups}, which does not divide {operands[0].shape[1]} channels")
    return call.data_dependent([operand for operand in operands if operand is not None])
