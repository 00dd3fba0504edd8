"""Measured fields of ONNX models: how a unit answers small changes of the source, run with onnxruntime.

No converter to a framework with autodiff takes every model, so derivatives are finite differences in the file's own
precision. While the source has few elements each is changed by itself, both ways. A larger one is changed by blocks of
positions with random signs, all channels together: the response is then the root of the sum of the squared gradients in
the block, spread evenly over it. The result's method says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.frontends.gradients import reduced
from foveal.frontends.onnx.run import OnnxRunner
from foveal.ir.backend import Procedure, Target

SINGLY = 1024
"""Changed inputs per image, up to which each element is changed by itself."""
BLOCKS = 256
"""Blocks per image at most."""
STEP = 2.0**-6
"""Size of a change, in standard deviations of the image; single precision carries 1e-7 of a unit's value."""


class Differentiator:
    """A model ready to give finite differences of one source."""

    def __init__(self, runner: OnnxRunner, source: str, axes: tuple[int, ...], dtype: str | None = None) -> None:
        if dtype not in (None, "float32"):
            raise FovealError(f"an ONNX model is measured in its own precision; {dtype} is not available")
        self.runner, self.source, self.axes = runner, source, axes
        self.others = {name: array for name, array in runner.example(0).items() if name != source}

    def maps(
        self,
        images: np.ndarray,
        targets: Sequence[Target],
        protocol: Procedure,
        signs: Sequence[Sequence[np.random.Generator]],
        batched: bool = True,
    ) -> list[np.ndarray]:
        """One array (images, *source axes) in float64 per target; see :class:`foveal.ir.backend.Gradient`."""
        rows: list[list[np.ndarray]] = [[] for _ in targets]
        for number in range(images.shape[0] if batched else 1):
            image = images[number : number + 1] if batched else images
            for index, found in enumerate(self._image(image, targets, protocol, [s[number] for s in signs])):
                rows[index].append(found)
        return [np.stack(found) for found in rows]

    def features(self, images: np.ndarray, targets: Sequence[Target], batched: bool = True) -> list[np.ndarray]:
        """One array (images, features) per target, image by image; see :class:`foveal.ir.backend.Gradient`."""
        parts = np.split(images, images.shape[0]) if batched else [images]
        return [np.stack(rows) for rows in zip(*(self._features(part, targets) for part in parts))]

    def _image(
        self, image: np.ndarray, targets: Sequence[Target], protocol: Procedure, signs: Sequence[np.random.Generator]
    ) -> list[np.ndarray]:
        draws = protocol.draws if protocol.channels == "signs" else 1
        first = self._features(image, targets)
        weights = [_weights(rows.size, protocol, signs[i], draws) for i, rows in enumerate(first)]
        singly = 2 * image.size <= SINGLY
        self.runner.measured_by = (
            f"finite differences with onnxruntime, each of {image.size} elements changed both ways"
            if singly
            else f"finite differences with onnxruntime, blocks of {'x'.join(map(str, self._block(image)))} positions, "
            "all channels together (root of the sum of squares)"
        )
        shape = (draws, *image.shape) if singly else (draws, *(image.shape[a] for a in self.axes))
        found = [np.zeros(shape) for _ in targets]
        step = STEP * (float(image.std()) or 1.0)
        probes = self._elements(image, targets, step) if singly else self._blocks(image, targets, first, step)
        for place, share, up, down in probes:
            for index, (a, b) in enumerate(zip(up, down, strict=True)):
                change = (_scalars(a, weights[index], protocol) - _scalars(b, weights[index], protocol)) / share
                found[index][(slice(None), *place)] = change.reshape(-1, *(1,) * (found[index][(0, *place)].ndim))
        return [self._map(values, protocol, singly) for values in found]

    def _elements(self, image: np.ndarray, targets: Sequence[Target], size: float) -> Iterator[Any]:
        for place in product(*map(range, image.shape)):
            both = []
            for step in (size, -size):
                changed = image.copy()
                changed[place] += step
                both.append(self._features(changed, targets))
            yield place, 2 * size, both[0], both[1]

    def _blocks(
        self, image: np.ndarray, targets: Sequence[Target], first: list[np.ndarray], step: float
    ) -> Iterator[Any]:
        """Place on the map, divisor, responses; of root mean square: the response over the root of the block's size."""
        sizes = self._block(image)
        lengths = [image.shape[a] for a in self.axes]
        generator = np.random.default_rng(0)
        for corner in product(*(range(0, n, size) for n, size in zip(lengths, sizes, strict=True))):
            place = tuple(slice(c, min(n, c + size)) for c, size, n in zip(corner, sizes, lengths, strict=True))
            index: list[slice] = [slice(None)] * image.ndim
            for axis, part in zip(self.axes, place, strict=True):
                index[axis] = part
            changed = image.copy()
            block = changed[tuple(index)]
            block += step * generator.choice([-1.0, 1.0], block.shape)
            area = prod(part.stop - part.start for part in place)
            yield place, step * area**0.5, self._features(changed, targets), first

    def _block(self, image: np.ndarray) -> tuple[int, ...]:
        """The smallest block, of like sides, with which the source is covered by few enough."""
        lengths = [image.shape[a] for a in self.axes]
        side = 1
        while prod(-(-n // side) for n in lengths) > BLOCKS:
            side += 1
        return tuple(min(side, n) for n in lengths)

    def _map(self, values: np.ndarray, protocol: Procedure, singly: bool) -> np.ndarray:
        """(draws, *source) or (draws, *source axes) to (*source axes)."""
        if not singly:
            return np.asarray((values**2 if protocol.each == "square" else np.abs(values)).mean(0))
        return np.asarray(reduced(values, tuple(a + 1 for a in self.axes), protocol, True).mean(0))

    def _features(self, image: np.ndarray, targets: Sequence[Target]) -> list[np.ndarray]:
        """The features of each unit, one after the other."""
        outputs = self.runner.run({**self.others, self.source: image}, list(dict.fromkeys(t.layer for t in targets)))
        found = []
        for target in targets:
            rows = outputs[target.layer][tuple(slice(None) if i is None else i for i in target.place)].reshape(-1)
            found.append(rows[target.features])
        return found


def _weights(count: int, protocol: Procedure, generator: np.random.Generator, draws: int) -> np.ndarray:
    """(draws, features): how features become one number."""
    if protocol.channels == "signs":
        return generator.integers(0, 2, (draws, count)) * 2.0 - 1.0
    return np.full((1, count), 1.0 / count if protocol.channels == "mean" else 1.0)


def _scalars(rows: np.ndarray, weights: np.ndarray, protocol: Procedure) -> np.ndarray:
    return np.asarray(weights @ (np.maximum(rows, 0) if protocol.features == "relu" else rows))
