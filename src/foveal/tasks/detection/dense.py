"""A classifier turned into a dense detector: sliding the network over windows against running it once on the whole
image.

Where no window meets padding and units see exactly one window, both give the same score for each region, and the dense
form shares the work of overlapping windows. Both are run here for real, so the answer is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.backend import Backend
from foveal.ir.graph import Graph, Source
from foveal.report.costs import total_cost

BATCH = 1024
"""Windows that are run together."""
ELEMENTS = 1 << 24
"""Source elements of the windows that are run together, at most."""


@dataclass(frozen=True)
class DenseCheck:
    """Window by window against once. window: (height, width) of the field; windows: how many of the units see a whole
    window inside the image; grid: units of the dense form; difference: the largest between both scores, scale: the
    largest score; sliding, dense: multiply-adds of all those windows and of the one run.
    """

    layer: str
    window: tuple[int, int]
    grid: tuple[int, int]
    windows: int
    compared: int
    difference: float
    scale: float
    sliding: int
    dense: int

    @property
    def same(self) -> bool:
        """Whether the scores agree up to rounding in single precision."""
        return self.difference <= 1e-5 * max(self.scale, 1e-12)

    @property
    def cheaper(self) -> float:
        """Multiply-adds of the sliding form over those of the dense form."""
        return self.sliding / max(self.dense, 1)


def dense_check(graph: Graph, layer: str, image: np.ndarray | None = None, most: int = 4096) -> DenseCheck:
    """Run ``layer`` on the whole ``image`` (an array as the source takes it; default: seeded noise) and on windows of
    the size of its field, one per unit, and compare.

    At most ``most`` windows, evenly chosen, are run; costs are for all. Raises FovealError where there is no model to
    run, where the field is not known or has phases, and where no window fits the image.
    """
    rf, source = _checked(graph, layer)
    boxes = _whole_windows(rf)
    height, width = (last - first for first, last in boxes[0][1])
    whole = _model(graph).example(0)[source.name] if image is None else np.asarray(image)
    if whole.shape != graph.values[source.value].shape:
        raise FovealError(
            f"dense form: the image has shape {whole.shape}, the source takes {graph.values[source.value].shape}"
        )
    scores = _run(graph, source, layer, whole)
    chosen = [boxes[i] for i in np.unique(np.linspace(0, len(boxes) - 1, min(most, len(boxes))).astype(int))]
    size = max(1, min(BATCH, ELEMENTS // (prod(whole.shape) // prod(rf.source_shape) * height * width)))
    difference = 0.0
    for first in range(0, len(chosen), size):
        part = chosen[first : first + size]
        windows = np.concatenate([whole[_cut(source, whole.ndim, box)] for _, box in part])
        single = _middle_unit(_run(graph, source, layer, windows))
        there = np.stack([scores[0, :, row, column] for (row, column), _ in part])
        difference = max(difference, float(np.abs(single - there).max()))
    cost = len(boxes) * _cost_of_window(graph, source, (height, width))
    return DenseCheck(
        layer, (height, width), (rf.grid[0], rf.grid[1]), len(boxes), len(chosen), difference,
        float(np.abs(scores).max()), cost, int(_number(total_cost(graph).value)),
    )  # fmt: skip


def _checked(graph: Graph, layer: str) -> tuple[ReceptiveField, Source]:
    _model(graph)
    rf = receptive_field(graph, layer)
    source = next(item for item in graph.sources if item.name == rf.source)
    shape = graph.values[source.value].shape
    if len(rf.grid) != 2 or len(shape) != 4 or source.axes != (2, 3) or shape[0] != 1:
        raise FovealError(f"dense form: '{layer}' must have a grid of units over one image of shape (1, C, H, W)")
    if rf.local is not None:
        raise FovealError(
            f"dense form: '{layer}' has global context, which a window and the whole image fill differently; "
            "leave it out or check a layer before it"
        )
    if None in rf.size or rf.period != (1, 1):
        raise FovealError(
            f"dense form: the field of '{layer}' is not the same for all units; check a layer before upsampling"
        )
    return rf, source


def _model(graph: Graph) -> Backend:
    if graph.backend is None:
        raise FovealError(f"dense form: {graph.name} has no PyTorch model behind it to run; trace a module")
    return graph.backend


def _whole_windows(rf: ReceptiveField) -> list[tuple[tuple[int, int], tuple[tuple[int, int], ...]]]:
    """(unit, box) of each unit whose whole field lies inside the image."""
    found = []
    for row in range(rf.grid[0]):
        for column in range(rf.grid[1]):
            box = rf.box((row, column))
            if all(first >= 0 and last <= n for (first, last), n in zip(box, rf.source_shape)):
                found.append(((row, column), box))
    if not found:
        raise FovealError(
            f"dense form: the field of '{rf.layer}' ({rf.size_text()}) fits nowhere into the image; trace it larger"
        )
    return found


def _cut(source: Source, rank: int, box: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    index = [slice(None)] * rank
    for axis, (first, last) in zip(source.axes, box):
        index[axis] = slice(first, last)
    return tuple(index)


def _run(graph: Graph, source: Source, layer: str, array: np.ndarray) -> np.ndarray:
    inputs = {**_model(graph).example(0), source.name: array}
    return np.asarray(_model(graph).run(inputs, [layer], dtype="float32")[layer])


def _middle_unit(scores: np.ndarray) -> np.ndarray:
    """A window's own score; where padding makes several units of a window, the middle one."""
    return np.asarray(scores[:, :, scores.shape[2] // 2, scores.shape[3] // 2])


def _cost_of_window(graph: Graph, source: Source, window: tuple[int, int]) -> int:
    shape = list(graph.values[source.value].shape)
    for axis, n in zip(source.axes, window):
        shape[axis] = n
    small = _model(graph).retraced(source.name, tuple(shape))
    if small is None:
        raise FovealError(f"dense form: {graph.name} does not run on a window of {window[0]}x{window[1]}")
    return int(_number(total_cost(small).value))


def _number(value: Any) -> int:
    return int(value[0]) if isinstance(value, tuple) else int(value or 0)
