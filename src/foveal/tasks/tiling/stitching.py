"""Run a tile plan: feed the tiles, put the kept units together, compare with the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.core.progress import counted, progress
from foveal.frontends.backends import backend_of, forward_of, to_array
from foveal.ir.backend import Forward

if TYPE_CHECKING:
    from foveal.tasks.tiling.record import Tile, TilePlan

ROUNDING = 64
"""Units in the last place of the layer's largest value by which rounding may part tiles from the whole: the order in
which n numbers are added is the processor's, and their rounding errors leave about the root of n; this covers 4,096.
Seen: 3 in double, 33 in single precision."""


@dataclass(frozen=True)
class TileCheck:
    """The stitched layer against the whole. largest: of the differences; scale: largest value of the whole;
    rms: root mean square difference as a share of that of the whole; where: index of the largest difference in the
    layer; tiles: how many there were; rounding: the difference that rounding in the layer's precision explains.
    """

    largest: float
    scale: float
    rms: float
    where: tuple[int, ...]
    tiles: int
    rounding: float = 0.0

    @property
    def identical(self) -> bool:
        """Whether no number differs by more than rounding."""
        return self.largest <= self.rounding

    def __str__(self) -> str:
        if self.identical:
            apart = f", up to rounding ({self.largest:.2g})" if self.largest else ""
            return f"{self.tiles} tiles: identical to the whole{apart}"
        place = ", ".join(map(str, self.where))
        return (
            f"{self.tiles} tiles: largest difference {self.largest:.3g} at ({place}), the layer's largest value being "
            f"{self.scale:.3g}; {self.rms:.3g} of its root mean square"
        )


def run(plan: TilePlan, model: Any, image: Any, *, output: str | int | None = None) -> Any:
    """The layer over the whole image, tile by tile, as an array (a tensor where ``image`` is one) on the CPU.

    model: a PyTorch module (on any device), an ONNX Runtime session, or a function from an array to an array, tensor
    or several of them; output: which of several, by name or number. image: the source's whole array, batch and
    channels included. Raises FovealError where the image or what the model gives does not fit the plan.
    """
    array = to_array(image)
    _fits(plan, array)
    return backend_of(image).from_array(stitched(plan, forward_of(model, plan.layer, output), array))


def check(plan: TilePlan, model: Any, image: Any, *, output: str | int | None = None) -> TileCheck:
    """Run in tiles and on the whole, and compare. Raises as :func:`run` does."""
    array = to_array(image)
    _fits(plan, array)
    forward = forward_of(model, plan.layer, output)
    whole, tiles = forward(array), stitched(plan, forward, array)
    return compared(whole, tiles, plan.count)


def compared(whole: np.ndarray, stitched: np.ndarray, tiles: int) -> TileCheck:
    """The differences of two arrays of one shape; a not-a-number in one of them counts as infinite."""
    if whole.shape != stitched.shape:
        raise FovealError(f"the whole gives {whole.shape}, the tiles {stitched.shape}: they do not follow the plan")
    same = (whole == stitched) | (np.isnan(whole) & np.isnan(stitched))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(whole.astype(np.float64) - stitched))
    apart = np.where(np.isnan(apart), np.inf, apart)
    where = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape)) if apart.size else ()
    finite = np.abs(whole[np.isfinite(whole)].astype(np.float64))
    size = float(np.sqrt((finite**2).mean())) if finite.size else 0.0
    rms = float(np.sqrt((apart**2).mean())) if apart.size else 0.0
    largest, scale = float(apart.max(initial=0.0)), float(finite.max(initial=0.0))
    return TileCheck(largest, scale, rms / size if size else rms, where, tiles, ROUNDING * _last_place(whole) * scale)


def _last_place(array: np.ndarray) -> float:
    """A unit in the last place of 1; 0 for whole numbers and half precision, where it would excuse too much."""
    fine = array.dtype.kind == "f" and array.dtype.itemsize >= 4
    return float(np.finfo(array.dtype).eps) if fine else 0.0


def _fits(plan: TilePlan, array: np.ndarray) -> None:
    axes = plan.source.axes
    if array.ndim != len(plan.source.shape) or any(
        array.shape[axis] != item.length for axis, item in zip(axes, plan.axes)
    ):
        wanted = "x".join("any" if k not in axes else str(n) for k, n in enumerate(plan.source.shape))
        got = "x".join(map(str, array.shape))
        raise FovealError(f"image of {got}: the plan is for {wanted}; make one with source_size as the image has it")


def stitched(plan: TilePlan, forward: Forward, array: np.ndarray) -> np.ndarray:
    """The kept units of all tiles, put together."""
    whole: np.ndarray | None = None
    for tile in _tracked(plan.tiles(), plan.count, plan.layer):
        cut: list[slice] = [slice(None)] * array.ndim
        for axis, (first, last) in zip(plan.source.axes, tile.box):
            cut[axis] = slice(first, last)
        part = forward(array[tuple(cut)])
        if whole is None:
            whole = np.zeros(_whole_shape(plan, part), part.dtype)
        take, put = _places(plan, tile, part.shape, whole.shape)
        whole[put] = part[take]
    assert whole is not None
    return whole


def _whole_shape(plan: TilePlan, part: np.ndarray) -> tuple[int, ...]:
    """The layer's shape on the whole, from that of one tile: all tiles have one size."""
    shape = list(part.shape)
    for item, axis in zip(plan.axes, plan.value_axes):
        if axis >= part.ndim:
            raise FovealError(f"the model gives {part.shape}: layer '{plan.layer}' has an axis {axis}; which output?")
        shape[axis] += int((item.span - item.tile) / item.stride)
    return tuple(shape)


def _places(
    plan: TilePlan, tile: Tile, part: tuple[int, ...], whole: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    take, put = [slice(None)] * len(part), [slice(None)] * len(whole)
    for axis, (first, begin, end) in zip(plan.value_axes, tile.kept):
        stop = whole[axis] if end is None else end
        if stop - first > part[axis]:
            raise FovealError(
                f"a tile gives {part[axis]} units along axis {axis}, fewer than the {stop - first} of the plan"
            )
        take[axis], put[axis] = slice(begin - first, stop - first), slice(begin, stop)
    return tuple(take), tuple(put)


def _tracked(tiles: Iterable[Tile], count: int, layer: str) -> Iterator[Tile]:
    """The tiles with a bar on standard error, on a terminal, once there is something to wait for."""
    with progress(f"tiling {layer}"):
        yield from counted(tiles, count)
