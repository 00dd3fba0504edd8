"""Records of a detection audit that are drawn: regions of outputs on the image, and levels against sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """What one output sees. box: (top, left, bottom, right) of the theoretical field inside the image, ends exclusive;
    effective: the same of the box whose Gaussian the energy is, None where unknown; label: of the object that
    the output would learn, "background", "ignored", or "" without objects.
    """

    unit: tuple[int, int]
    box: tuple[int, int, int, int]
    effective: Box | None
    label: str


@dataclass(frozen=True)
class Regions:
    """Neighbouring outputs of one level. overlap: pixels that two neighbours share per axis, before clipping (negative:
    a gap); source_shape: (height, width) of the image.
    """

    layer: str
    source_shape: tuple[int, int]
    regions: tuple[Region, ...]
    overlap: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class RegionPicture:
    """To be drawn: neighbouring outputs on the image.

    objects: (top, left, height, width, label), drawn dotted; image: a photo's path, which is fitted to the source, or
    (H, W, 3) in 0..1; else grey ground.
    """

    cells: Regions
    objects: tuple[tuple[float, float, float, float, str], ...] = ()
    image: str | np.ndarray | None = None


class LevelBar(NamedTuple):
    """One level: its name, smallest theoretical field, effective side, box of its Gaussian, anchor sizes."""

    name: str
    trf: float | None
    erf: float | None
    box: float | None
    anchors: tuple[float, ...]


@dataclass(frozen=True)
class LevelPicture:
    """To be drawn: what each level sees against its anchors, and how many objects have which size."""

    levels: tuple[LevelBar, ...]
    sizes: tuple[float, ...]


class LevelRow(NamedTuple):
    """One level: its first head, the map below the heads, grid, stride; field: (smallest, largest) size per axis, None
    where withheld; effective: effective side, capped: whether the field limits it; object: side of the box whose
    Gaussian the energy is; both sides None where unknown.
    """

    layer: str
    map: str
    grid: tuple[int, int]
    stride: tuple[float, float]
    field: tuple[tuple[int, int], tuple[int, int]] | None
    effective: float | None
    capped: bool
    object: float | None
    status: str


@dataclass(frozen=True)
class Heads:
    """A detector's levels, finest first; the layers that are made from the heads' outputs (post-processing); those of
    the modules that hold the heads.
    """

    levels: tuple[LevelRow, ...]
    behind: frozenset[str]
    inside: frozenset[str]
