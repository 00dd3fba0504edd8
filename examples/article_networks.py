"""The networks of docs/article.md, all as text: no framework is needed to run the article."""

from __future__ import annotations

from functools import cache

import foveal
from foveal.ir.graph import Graph

CHAIN = "conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid"
"""Five 3-wide layers without padding, of the essay's first example."""

WORKED = "conv5x8,valid pool2 conv3x8,valid conv3x8,s2"
"""The chain on which the formulas are worked through."""

FIFTEEN = " ".join(["conv3x1,valid"] * 15)
DILATED = "conv3x1,valid conv3x1,d2,valid conv3x1,d4,valid conv3x1,d8,valid"
"""Two structures with the same receptive field."""

EARLY = "conv3x32,s2 conv3x32,s2 " + " ".join(["conv3x32"] * 6)
LATE = " ".join(["conv3x32"] * 6) + " conv3x32,s2 conv3x32,s2"
"""The same eight layers with the strides placed first and last."""

DEEP = " ".join(["conv3x1,valid"] * 40)
DETECTOR = " ".join(["conv3x16,s2"] * 5)
BRANCHES = "conv3x16,s2 conv3x16,s2 {conv3x16 | conv3x16,d2 | conv3x16,d4}"
UPSAMPLED = "conv3x8,s2 conv3x8,s2 conv3x8 tconv2x8,s2 tconv2x8,s2"

_SHAPES = {
    CHAIN: (1, 1, 15),
    WORKED: (1, 3, 64, 64),
    FIFTEEN: (1, 1, 63, 63),
    DILATED: (1, 1, 63, 63),
    EARLY: (1, 3, 128, 128),
    LATE: (1, 3, 128, 128),
    DEEP: (1, 1, 101, 101),
    DETECTOR: (1, 3, 96, 96),
    BRANCHES: (1, 3, 96, 96),
    UPSAMPLED: (1, 1, 64, 64),
}


@cache
def graph(source: str, side: int | None = None) -> Graph:
    """The traced network; ``side`` overrides the height and width of a gallery network's input."""
    shape = _SHAPES.get(source) if side is None else (1, 3, side, side)
    return foveal.trace(source, shape)


def plane(source: str) -> Graph:
    """The essay's chain over a plane: the same layers, 3x3, on 15x15 inputs."""
    return foveal.trace(source, (1, 1, 15, 15))
