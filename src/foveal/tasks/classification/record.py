"""Records of a classification audit: coverage of the image, layers by their paths, paths by length, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from foveal.report.results import PerAxis
from foveal.tasks.record import AuditTable


@dataclass(frozen=True)
class ImageCoverage:
    """A layer's middle unit on the image; lengths in positions per source axis, slowest first.

    size: unclipped, without global context, None where withheld; covered: share of the image inside its box, without
    global context; whole: whether some path sees all of it, whatever its size; region: share of the image in the
    effective region; side, side_90: effective side and 90 % side; sigmas: standard deviation of the weights; cells: the
    region's share of square cells by their mean weight, which a pattern of single strong pixels does not upset; why:
    what kept the effective numbers from being known, "" where they are.
    """

    layer: str
    size: tuple[int | None, ...]
    covered: float
    whole: bool
    region: float | None
    side: float | None
    side_90: int | None
    sigmas: tuple[float, ...] | None
    cells: float | None
    why: str = ""

    def ratio(self, lengths: Sequence[int]) -> float | None:
        """Smallest size over image length; None where no size is known."""
        known = [size / n for size, n in zip(self.size, lengths) if size is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class LayerPaths:
    """One layer that computes or joins, with regard to one source; per source axis, in source positions.

    smallest and largest: sizes over single paths, None where all are global; before: the smallest size of its inputs;
    span: length of its window on the incoming map, dilation included; maps: length of that map; stride: of its units;
    critical: Richter's word for smallest > image along every axis; reason: why it is a border layer, "context" (nothing
    new to see), "dense" (its window covers the map), or "" where it is productive; partly: smallest > image along some
    axes only.
    """

    layer: str
    value: int
    kind: str
    span: tuple[int, ...]
    maps: tuple[int | None, ...]
    stride: PerAxis
    smallest: PerAxis
    largest: PerAxis
    before: PerAxis
    critical: bool
    partly: bool
    reason: str
    parameters: int
    multiply_adds: int

    @property
    def border(self) -> bool:
        """Whether the layer can add no context at this resolution."""
        return bool(self.reason)

    @property
    def dense(self) -> bool:
        """Whether every path to it is global, so that it has no local size."""
        return None in self.smallest


@dataclass(frozen=True)
class Resolutions:
    """The feasible input lengths per axis, None where no layer says.

    smallest: the largest field that some layer gets as its smallest input, below which that layer is unproductive;
    spatial: the same without layers whose kernel has length 1; windows: below this some layer's window covers its map;
    largest: the largest path of any layer, beyond which no unit sees the whole image by a local path.
    """

    smallest: PerAxis
    spatial: PerAxis
    windows: PerAxis
    largest: PerAxis


@dataclass(frozen=True)
class PathLengths:
    """lengths and counts: how many paths hold so many weighted layers; both in order of length."""

    lengths: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of paths."""
        return sum(self.counts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each count over the total."""
        return tuple(count / self.total for count in self.counts)

    @property
    def mean(self) -> float:
        """Mean length of a path."""
        return sum(length * share for length, share in zip(self.lengths, self.shares))

    @property
    def deviation(self) -> float:
        """Standard deviation of the length."""
        mean = self.mean
        return sqrt(sum((n - mean) ** 2 * share for n, share in zip(self.lengths, self.shares)))


@dataclass(frozen=True)
class GradientReach:
    """Expected squared gradient of one output at a layer, as log10 of the sum over its positions per feature.

    with_shortcuts and without; None where nothing arrives.
    """

    layer: str
    depth: int
    with_shortcuts: float | None
    without: float | None


@dataclass(frozen=True)
class DepthCurves:
    """To be drawn: TRF, ERF and cost by depth, from the depth table, against the image's lengths."""

    network: str
    lengths: tuple[int, ...]
    depth: AuditTable


@dataclass(frozen=True)
class LayerSizes:
    """To be drawn: what each layer sees over its paths, against the image's lengths."""

    network: str
    lengths: tuple[int, ...]
    rows: tuple[LayerPaths, ...]


@dataclass(frozen=True)
class PathShares:
    """To be drawn: paths by their length."""

    network: str
    paths: PathLengths


@dataclass(frozen=True)
class GradientCurves:
    """To be drawn: the gradient at each convolution, with and without shortcuts."""

    network: str
    reach: tuple[GradientReach, ...]
