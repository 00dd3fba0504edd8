"""What a network should do, as two objectives and a list of limits that an evaluation meets or breaks.

A level fits what is as wide as its effective side over root 2 (``LevelField.fits``). Classification: that covers the
image. Detection: each size of object meets a level that fits it (S3FD matches anchors with effective fields,
docs/methods.md 5.1) and whose stride is no larger. Segmentation: it covers the context a position needs, by default the
largest object. Sequence: it covers the past (or context) that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import log2
from typing import NamedTuple

from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import Evaluation, LevelField
from foveal.designs.network import TASKS

COSTS = ("multiply-adds", "parameters", "memory", "latency")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of object sizes, which stand for all of them."""


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
        if self.task == "detection" and not self.objects:
            raise FovealError("detection needs the sizes of the objects: give --objects FILE or --sizes 16,32,64")

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
    """0 where the effective field is what the task wants; see the module's text."""
    if target.task == "detection":
        return sum(match(size, found)[1] for size in target.objects) / len(target.objects)
    if target.context is None and target.past is None and not target.objects:
        return 1.0 - found.fits
    wanted = target.context or target.past or max(target.objects)
    return max(0.0, 1.0 - found.widest.fits / float(wanted))


def match(size: float, found: Evaluation) -> tuple[LevelField, float]:
    """The level for objects of that size, and how far it is off in factors of two: what it fits from the size, and its
    stride where that is larger than the object.
    """
    offs = [
        (abs(log2(level.fits / size)) + max(0.0, log2(float(level.stride) / size)), number)
        for number, level in enumerate(found.levels)
    ]
    off, number = min(offs)
    return found.levels[number], off


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
