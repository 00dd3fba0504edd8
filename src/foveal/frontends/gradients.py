"""What the gradients of several front ends share."""

from __future__ import annotations

import numpy as np

from foveal.core.errors import FovealError
from foveal.ir.backend import Procedure


def only_plain(device: str | None, dtype: str | None) -> None:
    """Raises FovealError for what PyTorch models alone have: other devices and mixed precision."""
    if device not in (None, "cpu") or dtype == "mixed":
        raise FovealError("another device and mixed precision are for PyTorch models")


def reduced(gradient: np.ndarray, axes: tuple[int, ...], protocol: Procedure, batched: bool) -> np.ndarray:
    """(images, *source axes) of a gradient of the source's shape, in float64."""
    values = gradient.astype(np.float64)
    if protocol.each == "square":
        values = values**2
    elif protocol.each == "relu":
        values = np.maximum(values, 0)
    elif protocol.each != "plain":
        values = np.abs(values)
    colours = tuple(a for a in range(values.ndim) if a not in axes and not (batched and a == 0))
    if colours:
        values = values.sum(colours) if protocol.colours == "sum" else values.mean(colours)
    if protocol.after == "relu":
        values = np.maximum(values, 0)
    return values if batched else values[None]
