"""What a network should do, as two objectives and a list of limits that an evaluation meets or breaks.

The misfit is counted in octaves (factors of two), both ways: a field too wide is as wrong as one too narrow. A level
fits what is as wide as its effective side over root 2 (``LevelField.fits``). Detection: each size of object meets the
level nearest to it (S3FD matches anchors with effective fields, docs/methods.md 5.1), whose stride is no larger.
Classification: the one map fits the objects, each at least two units wide; where nothing is known of them, the image.
Segmentation: the context a position needs, by default the largest object. Sequence: the context or the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import Evaluation, LevelField
from foveal.designs.network import TASKS

COSTS = ("multiply-adds", "parameters", "memory", "latency")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of object sizes, which stand for all of them."""
ROOM = 1.5
"""Sides of an object that a classifier's field should fit: the object and what is around it (docs/experiments.md)."""
UNITS_ACROSS = 2 * ROOM
"""Units of a classifier's last map across an object and its room, at least: two across the object."""


@dataclass(frozen=True)
class Target:
    """objects: sizes in pixels (square root of the area); context: side that a position must see well; past: source
    positions before a unit that it must reach; limits are None where nothing is limited. latency in milliseconds.
    """

    task: str
    space: tuple[int, ...]
    objects: tuple[float, ...] = ()
    context: float | None = None
    past: int | None = None
    multiply_adds: float | None = None
    parameters: float | None = None
    memory: float | None = None
    latency: float | None = None
    halo: int | None = None
    lookahead: int | None = None
    no_holes: bool = True
    productive: bool = True
    registered: bool = False
    even: float | None = None
    cost: str = "multiply-adds"
    spend: float | None = None
    """The least cost: without it a search for the best field ends at the smallest network that has it."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise FovealError(f"unknown task '{self.task}'; expected one of {', '.join(TASKS)}")
        if self.cost not in COSTS:
            raise FovealError(f"unknown cost '{self.cost}'; expected one of {', '.join(COSTS)}")
        for name in ("multiply_adds", "parameters", "memory", "latency", "context", "past"):
            given = getattr(self, name)
            if given is not None and not given > 0:
                raise FovealError(f"{name.replace('_', '-')} {given}: expected a number above 0")
        for name in ("halo", "lookahead"):
            given = getattr(self, name)
            if given is not None and not given >= 0:
                raise FovealError(f"{name} {given}: expected a number of positions, 0 or more")
        if not all(0 < size < float("inf") for size in self.objects):
            raise FovealError("sizes of objects: expected numbers above 0, in pixels of the input")
        image = prod(self.space) ** (1 / len(self.space))
        if self.objects and max(self.objects) > image * (1 + 1e-9):
            raise FovealError(
                f"an object of {max(self.objects):.4g} px is larger than the input of {image:.4g} px: sizes are those "
                "in the input; give a larger --input or smaller --sizes"
            )
        if self.task == "detection" and not self.objects:
            raise FovealError("detection needs the sizes of the objects: give --objects FILE or --sizes 16,32,64")

    @property
    def budget(self) -> float | None:
        """The limit of the cost that is kept small; None without one."""
        given: float | None = getattr(self, self.cost.replace("-", "_"))
        return given

    @property
    def image_alone(self) -> bool:
        """Whether nothing is known of the objects or the context."""
        return not self.objects and self.context is None and self.past is None

    @property
    def measured(self) -> bool:
        """Whether candidates must be run."""
        return self.latency is not None or self.cost == "latency"


class Limit(NamedTuple):
    """A limit that was asked for: what it is, the candidate's value, the limit, and by how much it is broken.

    excess: 0 where it is met, else relative to the limit.
    """

    name: str
    value: float
    limit: float
    excess: float


def objectives(target: Target, found: Evaluation, latency: float | None = None) -> tuple[float, float]:
    """(misfit, cost), both the smaller the better."""
    return misfit(target, found), cost_of(target.cost, found, latency)


def cost_of(cost: str, found: Evaluation, latency: float | None = None) -> float:
    """A candidate's cost of that kind; latency counts as infinite where it was not measured."""
    values = {"multiply-adds": found.multiply_adds, "parameters": found.parameters, "memory": found.memory}
    return float(values[cost]) if cost in values else latency if latency is not None else float("inf")


def misfit(target: Target, found: Evaluation) -> float:
    """Octaves between what the effective field fits and what the task wants, the mean over its sizes; 0 is best."""
    if target.task == "detection":
        return sum(match(size, found)[1] for size in target.objects) / len(target.objects)
    level = found.widest
    return float(misfit_of(target, level.fits, float(level.stride)))


def misfit_of(target: Target, fits: Any, stride: Any) -> Any:
    """The same of one map, from the side that it fits and its stride; numbers, or arrays of them."""
    sizes = wanted(target)
    units = UNITS_ACROSS if target.task == "classification" else 0
    # Beyond that is rounding, which must not put one of two equal candidates first.
    return np.round(sum([_off(size, fits, stride, units) for size in sizes]) / len(sizes), 9)


def least_misfit(target: Target) -> float:
    """The least that any one map can have, whatever its field: above 0 where sizes differ."""
    sizes = wanted(target)
    return float(min(misfit_of(target, size, min(sizes) / UNITS_ACROSS) for size in sizes))


def wanted(target: Target) -> tuple[float, ...]:
    """Sides in pixels of what a unit should see: the context or past, the objects (for a classifier with room around
    them), or the image where no more is known.
    """
    given = target.context or target.past
    if given is not None:
        return (float(given),)
    if target.objects and target.task == "classification":
        return tuple(ROOM * size for size in target.objects)
    if target.objects:
        return target.objects if target.task == "detection" else (max(target.objects),)
    return (prod(target.space) ** (1 / len(target.space)),)


def match(size: float, found: Evaluation) -> tuple[LevelField, float]:
    """The level for objects of that size, and how many octaves it is off: what it fits from the size, and its stride
    where that is larger than the object.
    """
    offs = [(_off(size, level.fits, float(level.stride), 1), number) for number, level in enumerate(found.levels)]
    off, number = min(offs)
    return found.levels[number], float(off)


def _off(size: float, fits: Any, stride: Any, units: float) -> Any:
    """units: strides that an object is wide at least; 0 where that does not matter."""
    off = np.abs(np.log2(fits / size))
    return off + np.maximum(0.0, np.log2(units * stride / size)) if units else off


def limits(target: Target, found: Evaluation, latency: float | None = None) -> tuple[Limit, ...]:
    """Every limit that was asked for, met or not, always in the same order."""
    made = []
    for name in ("multiply_adds", "parameters", "memory", "halo"):
        limit = getattr(target, name)
        if limit is not None:
            made.append(_most(name.replace("_", "-"), float(getattr(found, name)), float(limit)))
    if target.latency is not None:
        made.append(_most("latency", latency if latency is not None else float("inf"), target.latency))
    if target.lookahead is not None:
        made.append(_most("lookahead", float(found.lookahead), float(target.lookahead)))
    if target.past is not None:
        reach = float(max(level.lookback for level in found.levels))
        made.append(Limit("past", reach, float(target.past), max(0.0, 1.0 - reach / target.past)))
    if target.no_holes:
        made.append(Limit("holes", 1.0 - found.filled, 0.0, 1.0 - found.filled))
    if target.productive:
        idle = float(len(found.unproductive))
        made.append(Limit("unproductive-layers", idle, 0.0, idle))
    if target.registered:
        off = max(abs(level.offset / Fraction(level.stride)) for level in found.levels)
        made.append(Limit("registration", float(off), 0.0, float(off)))
    if target.spend is not None:
        spent = cost_of(target.cost, found, latency)
        made.append(Limit("spend", spent, target.spend, max(0.0, 1.0 - spent / target.spend)))
    if target.even is not None:
        made.append(Limit("evenness", found.evenness, target.even, max(0.0, target.even - found.evenness)))
    return tuple(made)


def limit_names(target: Target) -> list[str]:
    """The names of the limits asked for, in the order of :func:`limits`."""
    numbers = ("multiply_adds", "parameters", "memory", "halo", "latency", "lookahead", "past")
    given = [name.replace("_", "-") for name in numbers if getattr(target, name) is not None]
    flags = {"holes": target.no_holes, "unproductive-layers": target.productive, "registration": target.registered}
    flags |= {"spend": target.spend is not None, "evenness": target.even is not None}
    return [*given, *(name for name, on in flags.items() if on)]


def _most(name: str, value: float, limit: float) -> Limit:
    return Limit(name, value, limit, max(0.0, value / limit - 1.0) if limit else max(0.0, value))
