"""Exact tiling of an ONNX network with global means (squeeze-and-excitation), in passes.

One pass over the tiles per wave of means: it computes what each of them averages, tile by tile on the cores only, and
adds sums and counts in double precision; the means so found are inputs of the next pass. The last computes the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.frontends.backends import backend_of
from foveal.ir.backend import Cuttable, Mean
from foveal.ir.graph import Graph
from foveal.tasks.shared.equivariance import shifts
from foveal.tasks.tiling.grid import plan_axis
from foveal.tasks.tiling.plan import tile
from foveal.tasks.tiling.record import TilePlan
from foveal.tasks.tiling.stitching import _places, _tracked, _whole_shape

TRACED = 256
"""Image lengths at which widths are read and the parts are traced, at least; the plan is for the real image."""


@dataclass(frozen=True)
class Passes:
    """What was computed. output: the whole layer; plans: of the last tensor of each pass; means: names, per pass."""

    output: np.ndarray
    plans: tuple[TilePlan, ...]
    means: tuple[tuple[str, ...], ...]


def run_in_passes(
    model: str | Path | bytes, image: np.ndarray, tile: int | Sequence[int], *, output: str | None = None
) -> Passes:
    """``output`` (default: the first) of an ONNX model with one image input, over ``image``, in tiles of at most
    ``tile`` positions (halo included), equal to the whole but for rounding.

    Raises FovealError where something other than a global mean stands in the way of exact tiles, naming the layer.
    """
    network = backend_of(model).cuttable(model)
    wanted = network.outputs[0] if output is None else output
    if wanted not in network.outputs:
        raise FovealError(f"output '{wanted}': the model has {', '.join(network.outputs)}")
    if len(network.inputs) != 1 or image.ndim < 3:
        raise FovealError("tiling in passes: expected a model with one input, an image with batch and channels")
    waves = network.waves(wanted, image.ndim)
    values: dict[str, np.ndarray] = {}
    done: list[Mean] = []
    plans = []
    for wave in waves:
        reads = list(dict.fromkeys(mean.reads for mean in wave))
        walk = _Pass(network, reads, done, image, tile, values)
        found = walk.means()
        values.update({mean.makes: found[mean.reads] for mean in wave})
        done += wave
        plans.append(walk.plans[-1])
    last = _Pass(network, [wanted], done, image, tile, values)
    whole = last.stitched()
    return Passes(whole, (*plans, last.plans[-1]), (*(tuple(m.name for m in wave) for wave in waves), ()))


class _Pass:
    """One walk over the tiles: the tensors that it computes, with one set of tiles for all of them."""

    def __init__(
        self, network: Cuttable, wanted: list[str], means: list[Mean], image: np.ndarray, size: int | Sequence[int],
        values: dict[str, np.ndarray],
    ) -> None:  # fmt: skip
        source, lengths = network.inputs[0], image.shape[2:]
        near = (*image.shape[:2], *(min(n, TRACED + n % TRACED) for n in lengths))
        self.part = network.part(wanted, means, {source: near, **{name: array.shape for name, array in values.items()}})
        self.feeds = {name: array for name, array in values.items() if name in self.part.inputs}
        self.wanted, self.source, self.image = wanted, source, image
        layers = self.part.layers
        missing = [name for name in wanted if name not in layers]
        if missing:
            raise FovealError(f"{network.name}: tensor '{missing[0]}' is no layer of the trace; it cannot be tiled")
        plans = [_exact_plan(self.part.graph, layers[name], lengths, size, source) for name in wanted]
        self.plans = _joined(plans, size)

    def means(self) -> dict[str, np.ndarray]:
        """The mean over space of each tensor, (batch, channels, 1, ...), in the image's type."""
        sums: dict[str, Any] = dict.fromkeys(self.wanted, 0.0)
        counts = dict.fromkeys(self.wanted, 0)
        for name, _, taken in self._walk():
            axes = tuple(range(2, taken.ndim))
            sums[name] = sums[name] + taken.sum(axes, dtype=np.float64, keepdims=True)
            counts[name] += int(np.prod(taken.shape[2:]))
        return {name: (sums[name] / counts[name]).astype(self.image.dtype) for name in self.wanted}

    def stitched(self) -> np.ndarray:
        """The (one) tensor over the whole image."""
        whole: np.ndarray | None = None
        for _, put, taken in self._walk():
            if whole is None:
                whole = np.zeros(self.shape, taken.dtype)
            whole[put] = taken
        assert whole is not None
        return whole

    def _walk(self) -> Any:
        """(tensor, its place in the whole, the values that the tile contributes), tile by tile."""
        first = self.plans[0]
        rows = list(zip(*(plan.tiles() for plan in self.plans)))
        for number, lead in enumerate(_tracked(first.tiles(), first.count, first.layer)):
            pieces = rows[number]
            box = tuple(slice(*ends) for ends in lead.box)
            fed = np.ascontiguousarray(self.image[(slice(None), slice(None), *box)])
            found = self.part.run({self.source: fed, **self.feeds})
            for name, plan, piece, values in zip(self.wanted, self.plans, pieces, found):
                self.shape = _whole_shape(plan, values)
                take, put = _places(plan, piece, values.shape, self.shape)
                yield name, put, values[take]


def _exact_plan(graph: Graph, layer: str, lengths: tuple[int, ...], size: int | Sequence[int], source: str) -> TilePlan:
    """The exact plan of one layer. Raises FovealError naming what stands in the way."""
    index = [item.name for item in graph.sources].index(source)
    # Asked first: the halo by the effective field, which an inexact plan looks for, takes long and is of no use here.
    obstacles = tuple(str(item) for item in shifts(graph, graph.layer(layer).value, index).obstacles)
    plan = None if obstacles else tile(graph, layer, lengths, size, source=source)
    if plan is not None and plan.exact:
        return plan
    why = "; ".join(obstacles or (plan.obstacles if plan is not None else ())) or f"{layer}: its field is only a bound"
    raise FovealError(
        f"tiling in passes is not possible exactly because of {why}: only global means over space can be passed on"
    )


def _joined(plans: Sequence[TilePlan], size: int | Sequence[int]) -> list[TilePlan]:
    """The plans with one set of tiles: the largest need and the least common multiple of all."""
    count = len(plans[0].axes)
    sizes = (size,) * count if isinstance(size, int) else tuple(size)
    axes = []
    for k in range(count):
        each = [plan.axes[k] for plan in plans]
        multiple = int(np.lcm.reduce([axis.multiple for axis in each]))
        need = tuple(max(axis.need[side] for axis in each) for side in range(2))
        axes.append([plan_axis(a.name, a.length, sizes[k], need, multiple, a.stride) for a in each])
    return [replace(plan, axes=tuple(row[n] for row in axes)) for n, plan in enumerate(plans)]
