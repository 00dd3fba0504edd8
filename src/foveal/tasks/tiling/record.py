"""The plan of a tiling as a record: where tiles lie along each axis, what is cut out and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from foveal.core import show
from foveal.core.serial import from_plain, read_json, to_plain
from foveal.report.results import SourceInfo

SCHEMA = 1
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""
SMALL = "the traced source is smaller than the field: trace with a larger one"
"""Said where the source cuts the field off."""


STATUSES = ("exact", "approximate", "unproven")


@dataclass(frozen=True)
class AxisPlan:
    """One source axis. need: what the units of a tile see beyond it (before, after); halo: the same, rounded so that
    starts stay multiples of ``multiple`` and all tiles have the source's remainder; tile: length fed to the network,
    halos included; smallest: the smallest such length; stride: source positions per unit; unread: positions at the end
    that no unit reads (a strided window that does not fit any more): tiles leave them out.
    """

    name: str
    length: int
    tile: int
    need: tuple[int, int]
    halo: tuple[int, int]
    multiple: int
    smallest: int
    stride: Fraction
    unread: int = 0

    @property
    def span(self) -> int:
        """Source positions that are read at all."""
        return self.length - self.unread

    def __post_init__(self) -> None:
        step = self.tile - sum(self.halo)
        whole = 0 < self.length < 1 << 48 and self.tile > 0 and self.multiple > 0 and self.stride > 0
        if not whole or min(self.halo) < 0 or (self.tile < self.length and self.length > max(step, 0) << 24):
            raise ValueError(f"axis '{self.name}': no tiles of {self.tile} with a halo of {self.halo} on {self.length}")

    @property
    def starts(self) -> tuple[int, ...]:
        """First source position of each tile; one tile where it is the whole axis."""
        if self.tile >= self.span:
            return (0,)
        step = self.tile - sum(self.halo)
        last = self.span - self.tile
        return (*range(0, last, step), last)

    @property
    def cores(self) -> tuple[int, ...]:
        """Where the part of each tile that is kept begins: from there to the next one's (the last: to the end)."""
        starts = self.starts
        return (0, *(start + self.tile - self.halo[1] for start in starts[:-1]))

    def units(self, number: int) -> tuple[int, int, int | None]:
        """Of a tile: the whole's index of its first unit, and the units (of the whole) that it contributes.

        The end is None for the last tile: all the rest.
        """
        cores = self.cores
        first = _whole(Fraction(self.starts[number]) / self.stride)
        begin = _whole(Fraction(cores[number]) / self.stride)
        end = _whole(Fraction(cores[number + 1]) / self.stride) if number + 1 < len(cores) else None
        return first, begin, end


@dataclass(frozen=True)
class Tile:
    """box: (first, last + 1) of the source that is fed in; kept: per grid axis of the layer (first unit of the whole
    that the tile computes, first that it contributes, one past the last; None: all the rest).
    """

    box: tuple[tuple[int, int], ...]
    kept: tuple[tuple[int, int, int | None], ...]


@dataclass(frozen=True, repr=False)
class TilePlan(show.Shown):
    """How to tile one layer of one network over one source.

    status: "exact"; "approximate" (``error`` is the expected relative error, or the one measured in a run; None where
    no field tells); or "unproven" (the index ranges allow it, but nothing shows that the network does the same at a
    tile's length); obstacles: why it is not exact (or would not be); value_axes: the layer's own axis that follows each
    source axis; memory: bytes of activations at once, (whole, tile), for 4-byte numbers, weights not counted; overhead:
    positions computed more than once, as a share of the source.
    """

    network: str
    layer: str
    source: SourceInfo
    axes: tuple[AxisPlan, ...]
    value_axes: tuple[int, ...]
    status: str
    obstacles: tuple[str, ...]
    error: float | None
    memory: tuple[int, int]
    method: str
    warnings: tuple[str, ...] = ()
    """What the reader must know about the trace."""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")
        if self.status not in STATUSES or (self.status != "approximate" and self.error is not None):
            raise ValueError(f"status '{self.status}' with error {self.error}")

    @property
    def exact(self) -> bool:
        """Whether tiles give what the whole gives, to the last bit where the arithmetic does."""
        return self.status == "exact"

    @property
    def cut(self) -> bool:
        """Whether the halo comes from a traced source too small for the field, so that the error may be larger."""
        return SMALL in self.method

    @property
    def halo(self) -> tuple[tuple[int, int], ...]:
        """(before, after) per source axis."""
        return tuple(axis.halo for axis in self.axes)

    @property
    def multiple(self) -> tuple[int, ...]:
        """What the start of each tile must be a multiple of, per source axis."""
        return tuple(axis.multiple for axis in self.axes)

    @property
    def tile(self) -> tuple[int, ...]:
        """Size of a tile as it is fed to the network, halo included."""
        return tuple(axis.tile for axis in self.axes)

    @property
    def smallest(self) -> tuple[int, ...]:
        """The smallest tile there can be."""
        return tuple(axis.smallest for axis in self.axes)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return prod(len(axis.starts) for axis in self.axes)

    @property
    def overhead(self) -> float:
        """Positions computed more than once, as a share of the source."""
        return prod(len(axis.starts) * axis.tile / axis.length for axis in self.axes) - 1.0

    def tiles(self) -> Iterator[Tile]:
        """The tiles, row by row."""
        for numbers in product(*(range(len(axis.starts)) for axis in self.axes)):
            places = [(axis, axis.starts[n], axis.units(n)) for axis, n in zip(self.axes, numbers)]
            yield Tile(
                tuple((start, start + axis.tile) for axis, start, _ in places), tuple(units for _, _, units in places)
            )

    def run(self, model: Any, image: Any, *, output: str | int | None = None) -> Any:
        """The layer over the whole image, tile by tile; see :func:`foveal.tasks.tiling.stitching.run`."""
        from foveal.tasks.tiling.stitching import run

        return run(self, model, image, output=output)

    def check(self, model: Any, image: Any, *, output: str | int | None = None) -> Any:
        """The stitched layer against the whole; see :func:`foveal.tasks.tiling.stitching.check`."""
        from foveal.tasks.tiling.stitching import check

        return check(self, model, image, output=output)

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` gives back an equal plan."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TilePlan:
        """The plan that ``text`` describes; raises FormatError (one line) for anything else."""
        result: TilePlan = from_plain(cls, read_json(text, "tile plan"), "tile plan")
        return result


def _whole(number: Fraction) -> int:
    assert number.denominator == 1, "starts are multiples of every stride"
    return number.numerator
