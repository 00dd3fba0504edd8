"""Results: frozen records that say for each number how sure it is, and that travel as JSON both ways.

Lengths and positions are in pixels (positions) of the source; a tuple has one entry per source axis. Sizes, starts and
centers are unclipped unless the field says otherwise; ``covered`` is clipped to the real source.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction

from foveal.core import show
from foveal.core.errors import UnknownLayerError
from foveal.core.finding import Finding
from foveal.core.serial import FormatError, from_plain, read_json, to_plain

SCHEMA = 3
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""

STATUSES = ("exact", "bound", "data-dependent", "unavailable", "contradicted")
"""The last two have no value."""

Number = int | Fraction
PerAxis = tuple[Number | None, ...]

_AXIS_NAMES = {1: ("T",), 2: ("H", "W"), 3: ("D", "H", "W")}


def unit_of(axes: int) -> str:
    """What a position of a source with so many axes is called."""
    return {1: "samples", 2: "px", 3: "voxels"}.get(axes, "positions")


@dataclass(frozen=True)
class Measure:
    """A number, how sure it is, and the method behind it.

    status: "exact"; "bound" (never too small); "data-dependent" (holds for what the data can reach); "unavailable";
    "contradicted" (a run of the model showed the number to be wrong: it is withheld). Raises ValueError where these do
    not fit together.
    """

    status: str
    value: int | tuple[int | None, ...] | None
    method: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status '{self.status}' is none of {', '.join(STATUSES)}")
        if (self.status in STATUSES[-2:]) != (self.value is None):
            raise ValueError(f"status '{self.status}' does not go with the value {self.value}")
        if not self.method.strip():
            raise ValueError("a measure needs a method")


@dataclass(frozen=True)
class SourceInfo:
    """A network input: its shape, the axes whose positions are counted, and what a position is.

    unit: what a position is called: a sample or a frame along one axis, a token of a text, a pixel of two axes, a voxel
    of three. step: its length along each axis, in the unit ``measure`` ("ms", "mm"); empty where nobody said.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    unit: str = ""
    step: tuple[float, ...] = ()
    measure: str = ""

    def __post_init__(self) -> None:
        if not self.unit:
            object.__setattr__(self, "unit", unit_of(len(self.axes)))

    @property
    def axis_names(self) -> tuple[str, ...]:
        """T for one counted axis, H W for two, D H W for three, else the axis numbers."""
        return _AXIS_NAMES.get(len(self.axes)) or tuple(f"axis{axis}" for axis in self.axes)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Positions along each counted axis."""
        return tuple(self.shape[axis] for axis in self.axes)


@dataclass(frozen=True)
class LayerResult:
    """One layer with regard to one source.

    size: the largest RF over the layer's units; sizes: (smallest, largest) per axis; clipped: the largest size inside
    the real source; stride: pixels per unit; start: first position of unit 0; period: phases after upsampling; center:
    middle of the RF of unit 0; offset: the center without global context minus the center of the unit's own cell of
    ``stride`` pixels, where units advance evenly; local: the size without global context where it differs; covered:
    share of the source inside the middle unit's RF box; parameters: the layer's own, or for a container those beneath
    it; causes: "operation at layer" for what is not exact.
    """

    name: str
    source: str
    kind: str
    type: str
    leaf: bool
    shape: tuple[int, ...]
    size: Measure
    sizes: tuple[tuple[int, int] | None, ...]
    clipped: tuple[int | None, ...]
    stride: PerAxis
    start: PerAxis
    period: PerAxis
    center: PerAxis
    offset: PerAxis
    local: tuple[int | None, ...] | None
    covered: float | None
    parameters: int
    multiply_adds: Measure
    causes: tuple[str, ...]

    @property
    def status(self) -> str:
        """How sure the size and all that follows from it are."""
        return self.size.status


@dataclass(frozen=True)
class Totals:
    """Of the whole network, whichever layers the report shows."""

    layers: int
    operations: int
    parameters: int
    multiply_adds: Measure


@dataclass(frozen=True)
class Verdict:
    """What a person asks first, of the last layer with several units.

    size: unclipped, of the unit that sees most; smallest: of the one that sees least, where units differ; local:
    without global context, where that differs; whole: the first layer whose units see the whole source; effective
    and side_90: effective side and 90 % side of the middle unit's energy (:mod:`foveal.fields.metrics.effective`);
    at_border: whether what counts reaches the end of the source. None where there is no such number; unasked: because
    the unit sees so many positions that it is worked out only when asked for.
    """

    layer: str
    source: str
    lengths: tuple[int, ...]
    size: tuple[int | None, ...]
    smallest: tuple[int, ...] | None
    local: tuple[int | None, ...] | None
    stride: PerAxis
    status: str
    whole: str | None
    effective: float | None
    side_90: int | None
    at_border: bool = False
    unasked: bool = False


@dataclass(frozen=True)
class PackageVersion:
    """A package that took part."""

    name: str
    version: str


@dataclass(frozen=True, repr=False)
class Report(show.Shown):
    """All layers of a network. ``str(report)`` is the answer and a short table, ``to_text(every=True)`` has all rows;
    JSON goes both ways without loss.
    """

    name: str
    sources: tuple[SourceInfo, ...]
    layers: tuple[LayerResult, ...]
    findings: tuple[Finding, ...]
    totals: Totals
    verdict: Verdict | None
    schema: int
    versions: tuple[PackageVersion, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")
        known = {source.name for source in self.sources}
        for row in self.layers:
            if row.source not in known:
                raise ValueError(f"layer '{row.name}' reads source '{row.source}', which is not listed")

    def layer(self, name: str, source: str | None = None) -> LayerResult:
        """The row of that layer and source (default: its first); raises UnknownLayerError."""
        for row in self.layers:
            if row.name == name and source in (None, row.source):
                return row
        raise UnknownLayerError(name, [row.name for row in self.layers])

    __getitem__ = layer

    def to_json(self) -> str:
        """The report as JSON; :meth:`from_json` gives back an equal report."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that ``text`` describes; raises FormatError (one line) for anything else."""
        data = read_json(text, "report")
        if isinstance(data, dict) and data.get("schema", SCHEMA) != SCHEMA:
            raise FormatError(f"report: unknown schema version {data['schema']}; this version of foveal reads {SCHEMA}")
        result: Report = from_plain(cls, data)
        return result

    def to_text(self, every: bool = False, width: int | None = None) -> str:
        """The answer and a table of the stages, or of every layer; as wide as it needs to be, or to fit a width."""
        return show.text(self, every=every, width=width)

    def to_csv(self) -> str:
        """One line per layer, with a column per quantity and source axis."""
        return show.csv(self)


@dataclass(frozen=True)
class Grown:
    """One layer: the RF size before and after it, what it added, stride and start; per source axis."""

    name: str
    type: str
    before: tuple[int, ...]
    size: Measure
    added: tuple[int | None, ...]
    stride: PerAxis
    start: PerAxis


@dataclass(frozen=True)
class Step:
    """A layer of each network that go together; None where one has no partner. ``differs`` names what differs."""

    first: Grown | None
    second: Grown | None
    differs: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Comparison(show.Shown):
    """The layers of two networks in order. ``parting``: index of the first step with a difference, None where there is
    none.
    """

    first: str
    second: str
    steps: tuple[Step, ...]
    parting: int | None
    notes: tuple[str, ...] = ()
    """What the reader must know about the traces."""

    def to_json(self) -> str:
        """The comparison as JSON."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False)


@dataclass(frozen=True, repr=False)
class Growth(show.Shown):
    """One row per layer, for the layer's middle unit, along the source's last axis (columns, samples); in positions.

    trf: unclipped RF size; erf: effective side (:mod:`foveal.fields.metrics.effective`); sigma: standard deviation of
    the weights as a distribution of positions.
    """

    network: str
    kind: str
    layers: tuple[str, ...]
    trf: tuple[int, ...]
    erf: tuple[float, ...]
    sigma: tuple[float, ...]
    unit: str = "px"
    """What a position of the source is called."""
