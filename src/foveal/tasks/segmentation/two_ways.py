"""The two ways of segmentation compared on one image: a classifier per block size and pixel, and one network that
couples.

Way 1 cuts a block around every output position, for each of a few sizes, and runs a network of the same cost per pixel
on it. Way 2 runs once. What each covers is read off the spectrum of field sizes: a block of side b holds the routes
whose size is at most b.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from foveal.fields.receptive_field import ReceptiveField
from foveal.ir.graph import Graph
from foveal.report.costs import total_cost
from foveal.tasks.segmentation.coupling import Spectrum

SHARES = (0.1, 0.5, 0.9)
"""Quantiles of the spectrum that set the block sizes."""


@dataclass(frozen=True)
class Way:
    """name: what is run; block: side of its input in pixels; runs: how often; multiply_adds: all of them together;
    times: over the one run of the network; covers: share of the spectrum that lies in routes no larger than the block.
    """

    name: str
    block: tuple[int, int]
    runs: int
    multiply_adds: int
    times: float
    covers: float


def two_ways(graph: Graph, rf: ReceptiveField, found: Spectrum) -> tuple[Way, ...]:
    """Blocks of the sizes at 10, 50 and 90 % of the spectrum, all of them together, and the network as it is.

    A block's cost is its share of the image's area of the cost of one run (convolutions cost alike at every pixel).
    """
    whole = _number(total_cost(graph).value)
    height, width = rf.source_shape
    units = prod(rf.grid)
    # A block larger than the image is the image.
    longest = max(height, width)
    sizes = sorted({min(size, longest) for size in map(found.quantile, SHARES) if size is not None})
    ways = []
    for size in sizes:
        block = (min(size, height), min(size, width))
        cost = round(whole * prod(block) / (height * width) * units)
        covered = 1.0 if size >= longest else sum(weight for length, weight in found.sizes if length <= size)
        ways.append(Way("classifier of blocks", block, units, cost, cost / max(whole, 1), covered))
    if len(ways) > 1:
        cost = sum(way.multiply_adds for way in ways)
        largest = ways[-1]
        ways.append(
            Way("classifiers of all these sizes", largest.block, units * len(ways), cost, cost / max(whole, 1),
                largest.covers)
        )  # fmt: skip
    return (*ways, Way("one network that couples them", (height, width), 1, whole, 1.0, 1.0))


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) else 0
