"""Where a layer of a text specification is built: the graph so far, the layer's text, and its checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from foveal.core.errors import SourceError
from foveal.frontends.text.limits import MAX_ELEMENTS, MAX_GRID, MAX_LENGTH, MAX_TAPS
from foveal.frontends.text.model import LayerSpec, Spans
from foveal.ir.graph import GraphBuilder
from foveal.ir.ops import Operation


@dataclass
class Site:
    """One layer being built. ``parameters`` counts the weights that its builder adds."""

    builder: GraphBuilder
    spec: LayerSpec
    parameters: int = 0

    def shape(self, value: int) -> tuple[int, ...]:
        """Shape of a value, (N, C, *space)."""
        return self.builder.graph.values[value].shape

    def space(self, value: int) -> tuple[int, ...]:
        """Spatial lengths of a value; an error where it has none, as after ``fc``."""
        shape = self.shape(value)
        if len(shape) < 3:
            raise self.error(f"needs spatial axes, and its input has shape {shape_text(shape)}")
        return shape[2:]

    def error(self, text: str) -> SourceError:
        """An error at this layer's place in the text."""
        return SourceError(f"{self.spec.where}: {text}")

    def weight(self, shape: Sequence[int], name: str = "weight") -> int:
        """Add weights and count them."""
        self.parameters += math.prod(shape)
        return self.builder.parameter(shape, name)

    def node(self, op: Operation, inputs: Sequence[int], shape: Sequence[int]) -> int:
        """Add an operation; every length of its output must be positive, its size sane."""
        if min(shape) < 1:
            given = " and ".join(shape_text(self.shape(value)) for value in inputs[:1])
            raise self.error(f"gives an empty output {shape_text(shape)} for the input {given}; use a larger input")
        pairs = self.spec.kind == "attention"  # one number per pair of positions is not kept for each pair
        if math.prod(shape[2:]) > MAX_GRID and not pairs:
            raise self.error(f"gives an output of {shape_text(shape)}, more than {MAX_GRID} positions")
        if math.prod(shape) > MAX_ELEMENTS or max(shape[2:], default=0) > MAX_LENGTH:
            limits = f"{MAX_ELEMENTS} elements or {MAX_LENGTH} along an axis"
            raise self.error(f"gives an output of {shape_text(shape)}, more than {limits}")
        return self.builder.node(op, inputs, shape, self.spec.kind)

    def spans(self, spans: Spans | None, rank: int, default: Spans) -> Spans:
        """Numbers for each of ``rank`` axes: a single pair stands for all."""
        given = spans or default
        if max(map(max, given), default=0) > MAX_LENGTH:
            raise self.error(f"has a number larger than {MAX_LENGTH}")
        if len(given) == 1:
            return given * rank
        if len(given) != rank:
            raise self.error(f"has numbers for {len(given)} axes, and its input has {rank} spatial axes")
        return given

    def taps(self, kernel: Sequence[int], shape: Sequence[int]) -> None:
        """An error where the windows of an output of this shape read more than can be counted."""
        for k, n in zip(kernel, shape[2:], strict=True):
            if n > 0 and k * n > MAX_TAPS:
                raise self.error(f"reads {k} positions for each of {n}, more than {MAX_TAPS} in all")

    def ints(self, spans: Spans | None, rank: int, default: int | Sequence[int]) -> tuple[int, ...]:
        """One number for each of ``rank`` axes."""
        defaults = (default,) if isinstance(default, int) else tuple(default)
        return tuple(before for before, _ in self.spans(spans, rank, tuple((n, n) for n in defaults)))


def shape_text(shape: Sequence[int]) -> str:
    """``1x64x56x56``."""
    return "x".join(map(str, shape))
