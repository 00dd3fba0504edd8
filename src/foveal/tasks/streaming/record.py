"""The plan of a stream as a record: what the network needs, chunks with context, and what running it showed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.core.serial import from_plain, read_json, to_plain
from foveal.report.results import SourceInfo

SCHEMA = 2
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""
STATUSES = ("exact", "approximate", "unproven", "refused")


@dataclass(frozen=True)
class Way:
    """One way to run the stream. status: "exact" (it equals the whole, to rounding), "approximate" (``error`` is the
    root mean square difference as a share of the whole's, measured), "unproven" (nothing was run) or "refused"; why:
    what keeps it from being exact; chunks, largest: of the run that showed it, in float64; expected: the error that
    the energy field lets one expect where the context is too small, for weights and inputs without order.
    """

    status: str
    why: str = ""
    error: float | None = None
    chunks: int = 0
    largest: float | None = None
    expected: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status '{self.status}'")


@dataclass(frozen=True)
class Ends:
    """Units at one end of the stream that see further than all others, through padding that mirrors or wraps: how many,
    and how far (None: to the other end); read: of the first ones, how many positions they wait for.
    """

    units: int
    reach: Fraction | None
    read: int | None = None


@dataclass(frozen=True)
class Growth:
    """Units of a source of n positions: ``units * ((n - first) // period) + count``, tried at other lengths."""

    units: int
    period: int
    first: int
    count: int

    def __call__(self, positions: int) -> int:
        """Units of so many positions."""
        return max(0, self.units * ((positions - self.first) // self.period) + self.count)


def positions_word(source: SourceInfo, hop: int, axis: int = 0, stride: Fraction | None = None) -> str:
    """What positions along time are called: samples of a sound, tokens of a text; frames of what has a hop, of a
    spectrogram, of a film, and where the network makes several units of one.
    """
    if len(source.axes) == 1:
        return "frames" if source.unit == "samples" and (hop > 1 or (stride or 1) < 1) else source.unit
    film = (2, 3) if len(source.axes) == 2 else (2, 3, 4)
    image = len(source.axes) == 2 and source.axes == film and source.shape[1] == 3
    return "positions" if image or (len(source.axes) == 3 and axis != 0) or len(source.axes) > 3 else "frames"


def positions_of(what: str, given: int | str | None, rate: float | None, hop: int) -> int | None:
    """A length in positions, from a number of them or a time such as "80ms". Raises FovealError for anything else."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool)):
        number: float | None = given
    elif not isinstance(given, str):
        raise FovealError(f"{what} {given!r}: expected positions such as 1280, or a time such as 80ms")
    else:
        text = given.strip().lower()
        unit = next((u for u in ("ms", "s") if text.endswith(u)), "")
        try:
            number = float(text.removesuffix(unit))
        except ValueError:
            raise FovealError(f"{what} '{given}': expected positions such as 1280, or a time such as 80ms") from None
        if unit and rate is None:
            raise FovealError(f"{what} '{given}' is a time: give the rate too (samples per second)")
        if unit and rate is not None:
            number *= (0.001 if unit == "ms" else 1.0) * rate / hop
    if number is not None and not (number >= (1 if what == "chunk" else 0) and number < 1e15):
        raise FovealError(f"{what} {given}: expected a positive length")
    return None if number is None else round(number)


@dataclass(frozen=True)
class StreamPlan(show.Shown):
    """How to run one layer of one network along one axis of its source, chunk by chunk.

    Lengths are positions of the source axis, ``hop`` samples each; rate: samples per second, None where it is not
    known; origin: where it was found, "" where it was given. stride: positions per unit; step: positions by which the
    stream advances; lookback, lookahead: of the units far from the ends, None: all there is; left, right: positions
    that a chunk needs beyond itself (left is a multiple of the step); elements: numbers kept between chunks in the form
    with state, None where it is refused or grows; count: units of the traced source; growth: of sources of any length,
    None where that was not tried or is no rule; causes: (what keeps it from a bounded reach or from being exact, what
    would change it).
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
    count: int
    causes: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    growth: Growth | None = None
    origin: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")
        if self.step < 1 or self.chunk % self.step or self.left % self.step or self.stride <= 0:
            raise ValueError(f"no chunks of {self.chunk} by steps of {self.step} after {self.left}")

    @property
    def unit(self) -> str:
        """What positions of the source are called: samples, frames, tokens."""
        return positions_word(self.source, self.hop, self.axis, self.stride)

    @property
    def latency(self) -> Fraction | None:
        """Positions that one waits, at most, for the units that it belongs to; chunks not counted."""
        return None if self.lookahead is None else max(self.lookahead, self.stride - 1)

    @property
    def wait(self) -> int | None:
        """Positions that must have come before the units at the start can be computed; None: all."""
        if self.begin is None:
            return None if self.lookahead is None else int(self.lookahead) + 1
        return None if self.begin.reach is None else self.begin.read

    @property
    def twice(self) -> float:
        """Positions computed more than once in chunks with context, as a share of the stream."""
        return (self.left + self.right) / self.chunk

    def milliseconds(self, positions: Fraction | int | None) -> float | None:
        """So many positions in time; None where no rate is known."""
        if positions is None or self.rate is None:
            return None
        return float(positions) * self.hop / self.rate * 1000.0

    def units(self, positions: int | str) -> int:
        """Units of a source of so many positions, or of a time such as "3s".

        Raises FovealError where that is not known: a length that differs from the traced one by no multiple of the
        step, for a plan that was not checked or whose network counts by no rule.
        """
        number = positions_of("source", positions, self.rate, self.hop) or 0
        if self.growth is not None:
            return self.growth(number)
        apart = number - self.source.lengths[self.axis]
        if apart % self.step:
            raise FovealError(
                f"units of {number} positions: known for {self.source.lengths[self.axis]} and multiples of {self.step} "
                "more or less; a plan that is checked may know more"
            )
        return max(0, self.count + int(apart / self.stride))

    def covers(self, unit: int) -> tuple[Fraction, Fraction, Fraction] | None:
        """First position, last + 1 and center of what a unit far from the ends reads, over all phases; None without a
        bound. Frame 64 of wav2vec: 20480, 20880, 20680.
        """
        if self.lookback is None or self.lookahead is None:
            return None
        first, end = unit * self.stride - self.lookback, unit * self.stride + self.lookahead + 1
        return first, end, (first + end) / 2

    def seconds(self, unit: int) -> tuple[float, float, float] | None:
        """The same in seconds. Raises FovealError without a rate."""
        if self.rate is None:
            raise FovealError("seconds: give the rate (samples per second)")
        found = self.covers(unit)
        if found is None:
            return None
        first, end, center = (float(n) * self.hop / self.rate for n in found)
        return first, end, center

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
