"""A whole space of chains (no neck) at once: the closed forms of ``foveal.designs.closed`` over arrays of candidates.

Stages are put on one after another. Field and cost only grow and an idle layer stays idle, so a start of a chain that
is beyond a limit is left with all that could follow it (branch and bound); nothing else is left out. What is kept is
the misfit, the cost and the merit of every other candidate, exactly as ``evaluate`` gives them; limits that have no
closed form here (holes, memory, halo ...) are for who scores the candidates one by one, from the best on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from foveal.designs.closed.evaluate import PER_SIDE
from foveal.designs.network import SHORTCUTS
from foveal.designs.spaces.space import Genome, Space, filled_template
from foveal.designs.targets import Target, misfit_of
from foveal.fields.metrics.effective import gaussian_side

MOST_CHAINS = 3_000_000
"""Chains that are gone through to their last stage, some ten seconds of work."""
MOST_GROUPS = 2_000
"""Of linked choices of blocks and kernels, each gone through by itself."""


class Chains(NamedTuple):
    """Starts of chains, one a column. place: in the order of all candidates; lengths: (axis, chain); smallest: path."""

    place: np.ndarray
    first: np.ndarray
    rate: np.ndarray
    width: np.ndarray
    lengths: np.ndarray
    variance: np.ndarray
    size: np.ndarray
    smallest: np.ndarray
    cost: np.ndarray
    weights: np.ndarray
    idle: np.ndarray
    image: np.ndarray
    narrowest: np.ndarray

    def of(self, kept: np.ndarray) -> Chains:
        """Only some of them."""
        return Chains(*(values[..., kept] for values in self))


class Covered(NamedTuple):
    """Candidates within the limits that are counted here: their numbers, and which they are."""

    misfit: np.ndarray
    cost: np.ndarray
    parameters: np.ndarray
    fits: np.ndarray
    stride: np.ndarray
    narrowest: np.ndarray
    group: np.ndarray
    place: np.ndarray


class _Bounds:
    """What a start of a chain must keep to, since it only grows."""

    def __init__(self, target: Target, worst: float) -> None:
        self.target = target
        sides = 2.0 ** np.arange(0, 12, 1 / 64)
        fitting = sides[misfit_of(target, sides, 1 / 64) <= worst]
        self.widest = float(fitting[-1]) * 2 ** (1 / 64) if len(fitting) else 0.0

    def kept(self, c: Chains) -> np.ndarray:
        kept: np.ndarray = np.isfinite(c.cost) & (_fits(c) <= self.widest)
        for limit, values in ((self.target.multiply_adds, c.cost), (self.target.parameters, c.weights)):
            if limit is not None:
                kept &= values <= limit
        return kept & ~c.idle if self.target.productive else kept


class Group(NamedTuple):
    """Candidates that differ in stem, widths and what each stage chooses. firsts: picks of stem and widths."""

    firsts: list[dict[str, int]]
    stages: list[list[dict[str, int]]]

    def picks(self, place: int) -> dict[str, int]:
        """All choices of one candidate."""
        found: dict[str, int] = {}
        for options in reversed(self.stages):
            place, own = divmod(place, len(options))
            found |= options[own]
        return self.firsts[place] | found

    def filled(self, space: Space, picks: dict[str, int]) -> dict[str, Any]:
        """The template with some choices made; the others are the first ones."""
        return filled_template(space, self.picks(0) | picks)


def coverable(space: Space, target: Target) -> bool:
    """Whether the space is one of chains for one map, small enough in what is linked."""
    template = space.template
    plain = not template.get("causal") and template.get("neck", {}).get("kind", "none") == "none"
    known = target.cost in ("multiply-adds", "parameters") and target.task == "classification"
    if not (plain and known) or any("pool" in stage or "choose" in stage for stage in template["stages"]):
        return False
    linked, _, _ = _kinds(space)
    return prod(space.choices[i].count for i in linked) <= MOST_GROUPS and _odd(template)


def _odd(template: dict[str, Any]) -> bool:
    """Whether every kernel is odd: windows then stay centered, and shortcuts inside them."""
    parts = [template.get("stem", {}), *template["stages"]]
    kernels = [part.get("kernel", 3) for part in parts]
    return all(k % 2 for kernel in kernels for k in (kernel["choose"] if isinstance(kernel, dict) else [kernel]))


def cover(space: Space, target: Target, worst: float = np.inf) -> tuple[list[Group], Covered] | None:
    """Every candidate within the budgets of work and weights, of a misfit of at most ``worst`` and, where asked for,
    without an idle layer; None where they are too many to go through.
    """
    linked, free, local = _kinds(space)
    groups: list[Group] = []
    found: list[Covered] = []
    made = 0
    classes = space.template.get("head", {}).get("classes", 10)
    for picked in product(*(range(space.choices[i].count) for i in linked)):
        fixed = {space.choices[i].name: own for i, own in zip(linked, picked)}
        group = Group(
            [fixed | one for one in _products(space, free)],
            [_distinct(space, fixed, number, own) for number, own in enumerate(local)],
        )
        for chains in _chained(space, group, _Bounds(target, worst)):
            found.append(_judged(chains, target, classes, len(groups)))
            made += len(chains.cost)
            if made > MOST_CHAINS:
                return None
        groups.append(group)
    return groups, Covered(*(np.concatenate(parts) for parts in zip(*found)))


def genome_of(space: Space, groups: list[Group], covered: Covered, index: int) -> Genome:
    """The candidate of one entry."""
    picks = groups[covered.group[index]].picks(int(covered.place[index]))
    return tuple(picks[choice.name] for choice in space.choices)


def _kinds(space: Space) -> tuple[list[int], list[int], list[list[int]]]:
    """Choices (by number) that are gone through one by one, those of stem and widths, those of each stage alone."""
    places: dict[str, set[str]] = {}
    _places(space.template, "", places)
    linked, free = [], []
    local: list[list[int]] = [[] for _ in space.template["stages"]]
    for number, choice in enumerate(space.choices):
        own = places[choice.name]
        stages = {place.split(".")[1] for place in own if place.startswith("stages.")}
        if all(place.startswith("stem.") or place.endswith(".width") for place in own):
            free.append(number)
        elif len(stages) == 1 and all(place.startswith("stages.") for place in own):
            local[int(stages.pop())].append(number)
        else:
            linked.append(number)
    return linked, free, local


def _places(part: Any, place: str, found: dict[str, set[str]]) -> None:
    if isinstance(part, dict) and "choose" in part:
        found.setdefault(str(part.get("as", place)), set()).add(place)
        return
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list | tuple) else ()
    for key, value in items:
        _places(value, f"{place}.{key}" if place else str(key), found)


def _products(space: Space, numbers: list[int]) -> list[dict[str, int]]:
    chosen = [space.choices[i] for i in numbers]
    return [{c.name: own for c, own in zip(chosen, one)} for one in product(*(range(c.count) for c in chosen))]


def _distinct(space: Space, fixed: dict[str, int], number: int, numbers: list[int]) -> list[dict[str, int]]:
    """The ways to choose a stage that differ: without blocks nothing else counts, nor a dilation no block takes."""
    found: dict[Any, dict[str, int]] = {}
    names = [choice.name for choice in space.choices]
    for own in _products(space, numbers):
        stage = filled_template(space, dict.fromkeys(names, 0) | fixed | own)["stages"][number]
        count, dilation = stage.get("count", 2), _dilations(stage)
        turns = tuple(dilation[i % len(dilation)] for i in range(count))
        rest = {k: v for k, v in stage.items() if k not in ("dilation", "width")} if count else {"count": 0}
        found.setdefault((turns, str(sorted(rest.items()))), own)
    return list(found.values())


def _dilations(stage: dict[str, Any]) -> list[int]:
    given = stage.get("dilation", 1)
    return [given] if isinstance(given, int) else list(given)


def _chained(space: Space, group: Group, bounds: _Bounds) -> Iterator[Chains]:
    """All chains of a group, a part at a time."""
    templates = [group.filled(space, one) for one in group.firsts]
    chains = _stems(templates)
    chains = chains.of(bounds.kept(chains))
    widths = np.array([[stage.get("width", 64) for stage in t["stages"]] for t in templates])
    *inner, last = range(len(group.stages))
    for number in inner:
        parts = [_staged(space, group, chains, number, own, widths, bounds) for own in range(len(group.stages[number]))]
        chains = Chains(*(np.concatenate(values, axis=-1) for values in zip(*parts)))
    for own in range(len(group.stages[last])):
        yield _staged(space, group, chains, last, own, widths, bounds)


def _stems(templates: list[dict[str, Any]]) -> Chains:
    parts = []
    for number, template in enumerate(templates):
        stem = {"kernel": 3, "stride": 1, "width": 64, "pool": False} | template.get("stem", {})
        channels, *space = template["input"]
        one = np.ones(1)
        start = Chains(np.array([number]), np.array([number]), one, one * channels, np.array(space, float)[:, None],
                       0 * one, one, one, 0 * one, 0 * one, np.zeros(1, bool), one * max(space), one * 1e9)  # fmt: skip
        if stem["width"]:
            start = _window(start, one * stem["width"], stem["kernel"], stem["stride"])
            start = _window(start, None, 3, 2) if stem["pool"] else start
        parts.append(start)
    return Chains(*(np.concatenate(values, axis=-1) for values in zip(*parts)))


def _staged(
    space: Space, group: Group, chains: Chains, number: int, own: int, widths: np.ndarray, bounds: _Bounds
) -> Chains:
    """The chains with one more stage, of one way to choose it; those beyond a limit go."""
    options = group.stages[number]
    stage = group.filled(space, options[own])["stages"][number]
    made = chains._replace(place=chains.place * len(options) + own)
    stage = {"block": "residual", "count": 2, "kernel": 3, "stride": 1} | stage
    dilations, stride = _dilations(stage), stage["stride"]
    for index in range(stage["count"]):
        width = widths[made.first, number].astype(float)
        made = _block(made, stage["block"], width, stage["kernel"], stride, dilations[index % len(dilations)])
        made, stride = made.of(bounds.kept(made)), 1
    return made


def _fits(c: Chains) -> np.ndarray:
    """As ``LevelField.fits``; a path more only makes it larger."""
    side = gaussian_side(1.0, len(c.lengths)) * np.sqrt(c.variance)
    fits: np.ndarray = np.minimum(c.size, np.maximum(1.0, side / PER_SIDE))
    return fits


def _block(chains: Chains, block: str, width: np.ndarray, kernel: int, stride: int, dilation: int) -> Chains:
    """As ``steps._block`` lays it out."""
    changes = (chains.width != width) | (stride > 1)
    if block == "large":
        patched = _window(chains, width, stride, stride)
        chains = Chains(*(np.where(changes, new, old) for new, old in zip(patched, chains)))
        changes = np.zeros_like(changes)
    end = chains
    if block in ("plain", "dilated"):
        end = _window(end, width, kernel, stride, dilation)
    elif block == "residual":
        end = _window(_window(end, width, kernel, stride, dilation), width, kernel, 1, dilation)
    elif block == "bottleneck":
        end = _window(_window(end, width // 4, 1), width // 4, kernel, stride, dilation)
        end = _window(end, width, 1)
        end.cost[width % 4 > 0] = np.inf
    elif block == "separable":
        end = _window(_window(end, end.width, kernel, stride, dilation, True), width, 1)
    else:
        end = _window(end, width, kernel, 1, dilation, True)
        end = _window(_window(end, 4 * width, 1, norm=False), width, 1)
    if block not in SHORTCUTS:
        return end
    short = _window(chains, width, 1, stride)
    cost = end.cost + np.where(changes, short.cost - chains.cost, 0)
    weights = end.weights + np.where(changes, short.weights - chains.weights, 0)
    idle = end.idle | (changes & short.idle)
    # Both ways carry the same mass: the spread is the mean of theirs.
    return end._replace(variance=(end.variance + chains.variance) / 2, smallest=chains.smallest, cost=cost,
                        weights=weights, idle=idle)  # fmt: skip


def _window(
    c: Chains, channels: np.ndarray | None, kernel: int, stride: int = 1, dilation: int = 1, depthwise: bool = False,
    norm: bool = True,
) -> Chains:  # fmt: skip
    """A convolution, or (channels None) a max pooling: as ``evaluate._through_window`` and its costs."""
    span = dilation * (kernel - 1)
    padded = 0 if kernel == stride and kernel % 2 == 0 else 2 * (span // 2)
    lengths = (c.lengths + padded - span - 1) // stride + 1
    longest = c.lengths.max(0)
    taps = kernel ** len(lengths) * (1 if depthwise else c.width)
    cost, weights, narrowest = c.cost, c.weights, c.narrowest
    if channels is not None:
        narrowest = np.minimum(narrowest, channels)
        cost = cost + lengths.prod(0) * channels * taps
        weights = weights + channels * (taps + (2 if norm else 1))
    smallest = c.smallest + span * c.rate
    seen = (c.smallest >= c.image) & (smallest > c.image)
    return c._replace(
        rate=c.rate * stride, width=c.width if channels is None else channels, lengths=lengths,
        variance=c.variance + c.rate**2 * dilation**2 * (kernel**2 - 1) / 12, size=c.size + span * c.rate,
        smallest=smallest, cost=np.where(lengths.min(0) < 1, np.inf, cost), weights=weights,
        idle=c.idle | seen | (longest <= span + 1), narrowest=narrowest,
    )  # fmt: skip


def _judged(c: Chains, target: Target, classes: int, group: int) -> Covered:
    """With the head's work, and the misfit of the map that it reads."""
    cost, parameters = c.cost + c.width * classes, c.weights + (c.width + 1) * classes
    work = cost if target.cost == "multiply-adds" else parameters
    kept = work >= (target.spend or 0)
    for limit, values in ((target.multiply_adds, cost), (target.parameters, parameters)):
        kept &= limit is None or values <= limit
    fits, number = _fits(c), np.full(len(cost), group)
    made = Covered(misfit_of(target, fits, c.rate), work, parameters, fits, c.rate, c.narrowest, number, c.place)
    return Covered(*(values[kept] for values in made))
