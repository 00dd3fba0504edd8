"""Chunks with context: each is computed with what its units see before and behind it, and only they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.frontends.backends import backend_of, forward_of, to_array
from foveal.ir.backend import Forward
from foveal.tasks.tiling.stitching import TileCheck, compared

if TYPE_CHECKING:
    from foveal.tasks.streaming.record import StreamPlan


class Overlap:
    """A stream under way: ``push`` takes the newest positions and gives the units that are finished with them."""

    def __init__(self, plan: StreamPlan, forward: Forward) -> None:
        self.plan, self.forward = plan, forward
        self.time = plan.source.axes[plan.axis]
        self.origin, self.done, self.chunks = 0, 0, 0
        self.kept: np.ndarray | None = None

    def push(self, part: np.ndarray, last: bool = False) -> np.ndarray | None:
        """The units that are finished, None where there are none."""
        plan, stride = self.plan, self.plan.stride
        self.kept = part if self.kept is None else np.concatenate((self.kept, part), self.time)
        total = self.origin + self.kept.shape[self.time]
        if last:
            return self._units(total, None)
        right = plan.right + ((plan.phase - plan.right) % plan.step if plan.aligned else 0)
        end = (total - right) // plan.step * plan.step
        if end <= self.done * stride:
            return None
        if plan.begin is not None and self.done < plan.begin.units and (plan.wait is None or end + right < plan.wait):
            return None
        made = self._units(end + right, int(end / stride))
        back = plan.left if plan.end is None else max(plan.left, int(plan.end.reach or total))
        origin = max(self.origin, (end - back) // plan.step * plan.step)
        self.kept = np.take(self.kept, range(origin - self.origin, self.kept.shape[self.time]), self.time)
        self.origin = origin
        return made

    def _units(self, stop: int, end: int | None) -> np.ndarray:
        """The units from the first that is not done to ``end``, computed from what is kept up to ``stop``."""
        assert self.kept is not None
        self.chunks += 1
        fed = np.take(self.kept, range(stop - self.origin), self.time)
        out, axis = self.forward(fed), self.plan.value_axis
        first = int(self.origin / self.plan.stride)
        begin, close = self.done - first, out.shape[axis] if end is None else end - first
        if close > out.shape[axis]:
            raise FovealError(f"a chunk of {fed.shape[self.time]} gives {out.shape[axis]} units, fewer than {close}")
        self.done = first + close
        return np.take(out, range(begin, max(begin, close)), axis)


def streamed(plan: StreamPlan, forward: Forward, array: np.ndarray, sizes: Iterable[int]) -> tuple[np.ndarray, int]:
    """All units of ``array``, given in parts of these sizes; how many chunks were computed."""
    state, made, place = Overlap(plan, forward), [], 0
    time, total = plan.source.axes[plan.axis], array.shape[plan.source.axes[plan.axis]]
    for size in sizes:
        end = min(total, place + size)
        part = state.push(np.take(array, range(place, end), time), end == total)
        made += [] if part is None else [part]
        place = end
        if place == total:
            break
    return np.concatenate(made, plan.value_axis), state.chunks


def run(plan: StreamPlan, model: Any, sound: Any, sizes: Iterable[int] | None = None) -> Any:
    """The layer over the whole of ``sound``, in chunks with context: an array (a tensor where ``sound`` is one).

    model: a PyTorch module, an ONNX Runtime session or a function; sound: the source's whole array, of any length;
    sizes: of the parts in which it comes (default: the plan's chunk). Raises FovealError where a chunk cannot be run.
    """
    array = to_array(sound)
    made, _ = streamed(plan, forward_of(model, plan.layer, None), array, repeat(plan.chunk) if sizes is None else sizes)
    return backend_of(sound).from_array(made)


def check(plan: StreamPlan, model: Any, sound: Any, sizes: Iterable[int] | None = None) -> TileCheck:
    """Run in chunks and on the whole, and compare. Raises as :func:`run` does."""
    array, forward = to_array(sound), forward_of(model, plan.layer, None)
    made, chunks = streamed(plan, forward, array, repeat(plan.chunk) if sizes is None else sizes)
    return compared(forward(array), made, chunks)
