"""Lowering of Fourier transforms."""

from __future__ import annotations

import numpy as np

from foveal.frontends.onnx.lowering.movement import cut, padded
from foveal.frontends.onnx.lowering.reduce import whole_axes
from foveal.frontends.onnx.lowering.table import Call, Operand, axis_of, lowering
from foveal.ir import ops
from foveal.ir.lengths import window_outputs

LISTED = 1 << 14
"""Transforms with up to this many pairs of position and bin leave out the pairs whose sine or cosine is zero."""


@lowering("DFT")
def fourier(
    call: Call, x: Operand, length: Operand | None = None, axis: Operand | None = None
) -> Operand | list[Operand]:
    """Each bin reads the whole signal, cut or padded to the length; an attribute before opset 20 names the axis."""
    if any(operand is not None and operand.depends for operand in (length, axis)):
        return call.data_dependent([item for item in (x, length, axis) if item is not None])
    given = (
        call.attribute("axis", 1)
        if call.opset < 20
        else -2
        if axis is None
        else int(call.array(axis, "axis").reshape(()))
    )
    along = axis_of(int(given), x.rank)
    n = x.shape[along] if length is None else int(call.array(length, "dft_length").reshape(()))
    value = cut(call, x, along, 0, min(n, x.shape[along]))
    if n > x.shape[along]:
        value = padded(call, value, tuple((0, n - x.shape[along] if k == along else 0) for k in range(x.rank)))
    return transform(call, value, along, call.shapes[0])


def transform(call: Call, x: Operand, axis: int, out: tuple[int, ...]) -> Operand:
    """Bins along ``axis`` of a signal whose last axis holds its real and imaginary part (or the real part alone)."""
    n, bins, last = x.shape[axis], out[axis], x.rank - 1
    if n * bins > LISTED:
        return whole_axes(call, x, (axis, last), "fft", out)
    angle = 4 * np.outer(np.arange(n), np.arange(bins)) % (4 * n)
    cosine, sine = (angle % (2 * n)) != n, (angle % (2 * n)) != 0
    real = np.stack([cosine, sine], axis=-1)
    imaginary = np.stack([sine, cosine], axis=-1)
    pairs = np.stack([real, imaginary], axis=1)[:, : x.shape[last], :, : out[last]]
    labels = tuple(range(x.rank))
    new = (x.rank, x.rank + 1)
    result = tuple(new[0] if k == axis else new[1] if k == last else k for k in labels)
    op = ops.Contract((labels, (axis, last, *new)), result)
    return call.emit(op, (x, call.constant(pairs.astype(np.float64))), out)


@lowering("STFT")
def short_time_fourier(
    call: Call, x: Operand, step: Operand, window: Operand | None = None, length: Operand | None = None
) -> Operand | list[Operand]:
    """Frames, weighed by the window (a zero of it reads nothing), then the transform of each."""
    given = [operand for operand in (step, window, length) if operand is not None and operand.depends]
    if given:
        return call.data_dependent([x, *given])
    stride = int(call.array(step, "frame_step").reshape(()))
    size = window.shape[0] if window is not None else int(call.array(length, "frame_length").reshape(()))
    shape = x.shape if x.rank == 3 else (*x.shape, 1)
    value = x if x.rank == 3 else call.emit(ops.Reshape(), x, shape)
    frames = window_outputs(shape[1], size, stride)
    value = call.emit(ops.Unroll(1, size, stride), value, (shape[0], frames, shape[2], size))
    if window is not None and window.known:
        value = call.emit(ops.Pointwise("multiply"), (value, call.constant(call.array(window, "window"))), value.shape)
    value = call.emit(ops.Permute((0, 1, 3, 2)), value, (shape[0], frames, size, shape[2]))
    bins = size // 2 + 1 if call.attribute("onesided", 1) else size
    return transform(call, value, 2, (shape[0], frames, bins, 2))


@lowering("MelWeightMatrix")
def mel_weights(call: Call, *numbers: Operand) -> Operand | list[Operand]:
    """All from a few numbers; where they are computed data decides the shape."""
    return call.data_dependent()
