"""The plan of a stream as a record: what the network needs, chunks with context, and what running it showed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from foveal.core import show
from foveal.core.serial import from_plain, read_json, to_plain
from foveal.report.results import SourceInfo

SCHEMA = 1
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""
STATUSES = ("exact", "approximate", "unproven", "refused")


@dataclass(frozen=True)
class Way:
    """One way to run the stream. status: "exact" (it equals the whole, to rounding), "approximate" (``error`` is the
    root mean square difference as a share of the whole's, measured), "unproven" (nothing was run) or "refused"; why:
    what keeps it from being exact; chunks, largest: of the run that showed it, in float64.
    """

    status: str
    why: str = ""
    error: float | None = None
    chunks: int = 0
    largest: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status '{self.status}'")


@dataclass(frozen=True)
class Ends:
    """Units at one end of the stream that see further than all others, through padding that mirrors or wraps: how many,
    and how far (None: to the other end).
    """

    units: int
    reach: Fraction | None


@dataclass(frozen=True)
class StreamPlan(show.Shown):
    """How to run one layer of one network along one axis of its source, chunk by chunk.

    Lengths are positions of the source axis, ``hop`` samples each; rate: samples per second, None where it is not
    known. stride: positions per unit; step: positions by which the stream advances; lookback, lookahead: of the units
    far from the ends, None: all there is; left, right: positions that a chunk needs beyond itself (left is a multiple
    of the step); elements: numbers kept between chunks in the form with state, None where it is refused or grows;
    causes: (what keeps it from a bounded reach or from being exact, what would change it).
    """

    network: str
    layer: str
    source: SourceInfo
    axis: int
    value_axis: int
    rate: float | None
    hop: int
    stride: Fraction
    step: int
    phase: int
    start: Fraction
    lookback: Fraction | None
    lookahead: Fraction | None
    begin: Ends | None
    end: Ends | None
    chunk: int
    left: int
    right: int
    aligned: bool
    overlap: Way
    state: Way
    elements: int | None
    causes: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")
        if self.step < 1 or self.chunk % self.step or self.left % self.step or self.stride <= 0:
            raise ValueError(f"no chunks of {self.chunk} by steps of {self.step} after {self.left}")

    @property
    def latency(self) -> Fraction | None:
        """Positions that one waits, at most, for the units that it belongs to; chunks not counted."""
        return None if self.lookahead is None else max(self.lookahead, self.stride - 1)

    @property
    def wait(self) -> int | None:
        """Positions that must have come before the units at the start can be computed; None: all."""
        if self.begin is None:
            return None if self.lookahead is None else int(self.lookahead) + 1
        if self.begin.reach is None:
            return None
        return int(self.begin.reach + (self.begin.units - 1) * self.stride) + 1

    @property
    def twice(self) -> float:
        """Positions computed more than once in chunks with context, as a share of the stream."""
        return (self.left + self.right) / self.chunk

    def milliseconds(self, positions: Fraction | int | None) -> float | None:
        """So many positions in time; None where no rate is known."""
        if positions is None or self.rate is None:
            return None
        return float(positions) * self.hop / self.rate * 1000.0

    def units(self, positions: int) -> int:
        """Units of a source of so many positions, as many as the traced source has in proportion."""
        count = Fraction(self.source.lengths[self.axis])
        return max(0, int((positions - count) / self.stride) + self._units)

    @property
    def _units(self) -> int:
        return int(Fraction(self.source.lengths[self.axis]) / self.stride)

    def span(self, unit: int) -> tuple[Fraction, Fraction]:
        """First and last + 1 position of a unit's cell: frame i covers i * stride ... (i + 1) * stride."""
        return unit * self.stride, (unit + 1) * self.stride

    def run(self, model: Any, sound: Any, sizes: Any = None) -> Any:
        """The whole of ``sound`` in chunks with context; see :func:`foveal.tasks.streaming.overlap.run`."""
        from foveal.tasks.streaming.overlap import run

        return run(self, model, sound, sizes)

    def check(self, model: Any, sound: Any, sizes: Any = None) -> Any:
        """Chunks with context against the whole; see :func:`foveal.tasks.streaming.overlap.check`."""
        from foveal.tasks.streaming.overlap import check

        return check(self, model, sound, sizes)

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` gives back an equal plan."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> StreamPlan:
        """The plan that ``text`` describes; raises FormatError (one line) for anything else."""
        result: StreamPlan = from_plain(cls, read_json(text, "stream plan"), "stream plan")
        return result
