"""Everything the search needs to know about a network, in closed form and without a trace: thousands a second.

Fields are unclipped unless the name says otherwise. Two passes over the steps: forward for hulls, supports, moments,
smallest paths and costs; backward for evenness. Sources: docs/methods.md 1 (hulls), 2.3 (moments), 4 (unproductive
layers), 6.1 (holes), 6.4 (halo). The whole engine gives the same numbers (tests/test_design_evaluate.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod, sqrt
from typing import NamedTuple

from foveal.designs.closed.clipping import seen
from foveal.designs.closed.reading import evenness
from foveal.designs.closed.steps import MisfitError, Output, Step, Steps, lay_out
from foveal.designs.closed.supports import SOURCE, Reach, joined, repeated, share, window
from foveal.designs.network import Network, fault
from foveal.fields.metrics.effective import gaussian_side
from foveal.ir.lengths import window_outputs

PER_SIDE = sqrt(2)
"""Effective side that a target asks for per side of the object or context: a network fits what is as wide as its
energy, counted like the effective side, would be; the gradient's size is wider by that (docs/methods.md 2.2).
"""
BYTES = 4
"""Of an activation: single precision."""


@dataclass(frozen=True)
class LevelField:
    """The field of one output's units, the same along every axis.

    stride: source positions per unit; size: the largest hull; smallest: over the phases of upsampling; sigma: of the
    energy field; effective: effective side of a Gaussian of that sigma (an approximation), at most ``size``; fits: side
    of the object or context that it is right for, the same over ``PER_SIDE`` before it is limited, at most ``size``;
    filled: share of the hull that the middle unit sees; offset: center of unit 0 minus the center of its own cell.
    """

    layer: str
    stride: Fraction
    size: int
    smallest: int
    sigma: float
    effective: float
    fits: float
    filled: float
    offset: Fraction
    lookback: Fraction
    lookahead: Fraction

    @property
    def capped(self) -> bool:
        """Whether the Gaussian is wider than the field, which then limits the effective side."""
        return self.effective == self.size


@dataclass(frozen=True)
class Evaluation:
    """levels: from the finest to the coarsest output. covered, effective, fits: shares of the source inside the middle
    unit's box and inside centered squares of those sides, for the widest level. halo: context a tile that starts on a
    multiple of ``grain`` needs on its worse side. unproductive: layers of the trunk that add no context here. memory:
    bytes of all activations alive at once, norms and activation functions in place. narrowest: channels of the
    narrowest convolution of the trunk.
    """

    levels: tuple[LevelField, ...]
    covered: float
    effective: float
    fits: float
    evenness: float
    unproductive: tuple[str, ...]
    halo: int
    grain: int
    multiply_adds: int
    parameters: int
    memory: int
    narrowest: int

    @property
    def widest(self) -> LevelField:
        """The level that fits the largest objects."""
        return max(self.levels, key=lambda level: level.fits)

    @property
    def filled(self) -> float:
        """The smallest share of the hull seen, over the levels."""
        return min(level.filled for level in self.levels)

    @property
    def lookahead(self) -> Fraction:
        """The largest over the levels."""
        return max(level.lookahead for level in self.levels)


class Moments(NamedTuple):
    """Of the energy field of unit o: mass, mean minus rate * o, variance."""

    mass: float
    mean: float
    variance: float


class Known(NamedTuple):
    """What is known of a value: its map, its field, the smallest path to it."""

    lengths: tuple[int, ...]
    channels: int
    reach: Reach
    moments: Moments
    smallest: float


def evaluate(network: Network) -> Evaluation:
    """All numbers of a network; raises MisfitError where it cannot be laid out on its input."""
    return evaluate_steps(lay_out(network), network)


def evaluated(network: Network) -> Evaluation | None:
    """As ``evaluate``; None where the network has a fault or cannot be laid out."""
    try:
        return None if fault(network) else evaluate(network)
    except MisfitError:
        return None


def evaluate_steps(steps: Steps, network: Network) -> Evaluation:
    """As ``evaluate``, for a network that is laid out already."""
    space = network.space
    values = {-1: Known(space, network.input[0], SOURCE, Moments(1.0, 0.0, 0.0), 1.0)}
    idle: list[str] = []
    cost = weights = 0
    for index, step in enumerate(steps.steps):
        source = values[step.inputs[0]]
        made = values[index] = _made(step, [values[i] for i in step.inputs], len(space))
        if step.kind == "conv":
            taps = step.kernel ** len(space) * (source.channels // step.groups)
            cost += prod(made.lengths) * made.channels * taps
            weights += made.channels * (taps + (2 if step.norm else 1))
        elif step.kind == "fc":
            cost += source.channels * step.channels
            weights += (source.channels + 1) * step.channels
        if step.trunk and step.kind in ("conv", "maxpool") and _idle(step, source, made, space):
            idle.append(step.name)
    levels = tuple([_level(output, values[output.step], len(space)) for output in steps.outputs])
    outer = [values[output.step] for output in steps.outputs]
    level, output = max(zip(levels, steps.outputs), key=lambda pair: pair[0].fits)
    near, fits = (prod(min(1.0, side / n) for n in space) for side in (level.effective, level.fits))
    grain = max(known.reach.shift for known in values.values())
    even = evenness(steps, len(space), [known.reach.shift / known.reach.period for known in outer])
    return Evaluation(
        levels, _covered(steps, values, output.step, space), near, fits, even, tuple(idle),
        _halo(outer, grain), grain, cost, weights, _memory(steps, values),
        min([step.channels for step in steps.steps if step.trunk and step.kind == "conv"], default=network.input[0]),
    )  # fmt: skip


def _made(step: Step, inputs: list[Known], rank: int) -> Known:
    first = inputs[0]
    if step.kind in ("conv", "maxpool", "avgpool"):
        return _through_window(step, first, rank)
    if step.kind == "up":
        factor = step.kernel
        rate = first.reach.shift / first.reach.period
        mass, mean, variance = first.moments
        moments = Moments(
            mass, mean - rate * (factor - 1) / (2 * factor), variance + rate * rate * (1 - 1 / factor**2) / 12
        )
        lengths = tuple([n * factor for n in first.lengths])
        return Known(lengths, step.channels, repeated(first.reach, factor), moments, first.smallest)
    if step.kind in ("gap", "fc"):
        return first._replace(lengths=(1,) * rank, channels=step.channels)
    whole = sum(known.channels for known in inputs)
    shares = [1.0 if step.kind == "add" else known.channels / whole for known in inputs]
    smallest = min(known.smallest for known in inputs)
    reach = joined([known.reach for known in inputs])
    return Known(first.lengths, step.channels, reach, _mixed(inputs, shares), smallest)


def _through_window(step: Step, source: Known, rank: int) -> Known:
    _, _, _, kernel, stride, before, after, dilation, _, _, _, _ = step
    reach = source.reach
    span = dilation * (kernel - 1)
    lengths = tuple([window_outputs(n, kernel, stride, (before, after), dilation) for n in source.lengths])
    if kernel == 1 and stride == 1:
        return source._replace(channels=step.channels)
    rate = reach.shift / reach.period
    mass, mean, variance = source.moments
    if step.kind == "avgpool":
        mass /= kernel**rank
    mean += rate * (span / 2 - before)
    variance += rate * rate * dilation * dilation * (kernel * kernel - 1) / 12
    found = window(reach, kernel, stride, before, dilation)
    return Known(lengths, step.channels, found, Moments(mass, mean, variance), source.smallest + span * rate)


def _mixed(inputs: list[Known], shares: list[float]) -> Moments:
    each = [known.moments for known in inputs]
    parts = [(own.mass * share, own.mean, own.variance) for own, share in zip(each, shares)]
    mass = sum([part[0] for part in parts])
    mean = sum([m * c for m, c, _ in parts]) / mass
    second = sum([m * (v + c * c) for m, c, v in parts]) / mass
    return Moments(mass, mean, second - mean * mean)


def _idle(step: Step, source: Known, made: Known, space: tuple[int, ...]) -> bool:
    """Richter et al.: all it reads saw the image already, or its window covers the map it reads (docs/methods.md 4)."""
    if source.smallest >= max(space) and made.smallest > max(space):
        return True
    return max(source.lengths) <= step.dilation * (step.kernel - 1) + 1


def effective_sides(sigma: float, size: int, rank: int) -> tuple[float, float]:
    """The effective side of a Gaussian energy, and the side of what it fits; both at least 1 and at most ``size``."""
    side = gaussian_side(sigma, rank)
    return min(size, max(1.0, side)), min(size, max(1.0, side / PER_SIDE))


def _level(output: Output, known: Known, rank: int) -> LevelField:
    period, shift, hulls = known.reach.period, known.reach.shift, known.reach.hulls
    rate = Fraction(shift, period)
    sizes = [last - first + 1 for first, last in hulls]
    sigma = sqrt(max(0.0, known.moments.variance))
    solid = len(known.reach.sides) == 1 and all(part[2] is None for part in known.reach.sides[0])
    filled = 1.0 if solid else share(known.reach, tuple([(n // 2) % period for n in known.lengths])) or 0.0
    return LevelField(
        output.name, rate, max(sizes), min(sizes), sigma, *effective_sides(sigma, max(sizes), rank), filled,
        Fraction(sum(hulls[0]), 2) - (rate - 1) / 2,
        max(rate * i - first for i, (first, _) in enumerate(hulls)),
        max(last - rate * i for i, (_, last) in enumerate(hulls)),
    )  # fmt: skip


def _covered(steps: Steps, values: dict[int, Known], widest: int, space: tuple[int, ...]) -> float:
    """The share of the source inside the clipped box of the middle unit of a step's value."""
    shares: dict[tuple[int, int], float] = {}
    covered = 1.0
    for axis, n in enumerate(space):
        key = (n, values[widest].lengths[axis])
        if key not in shares:
            lengths = [values[index].lengths[axis] for index in range(widest + 1)]
            shares[key] = seen(steps, lengths, n, widest) / n
        covered *= shares[key]
    return covered


def _halo(outer: list[Known], grain: int) -> int:
    """Reach beyond a tile's edges, rounded up to the grain that tiles must keep."""
    worst = 0
    for known in outer:
        shift = known.reach.shift
        for first, last in known.reach.hulls:
            worst = max(worst, -first, last - (shift - 1))
    return -(-worst // grain) * grain


def _memory(steps: Steps, values: dict[int, Known]) -> int:
    last = {}
    for index, step in enumerate(steps.steps):
        for value in step.inputs:
            last[value] = index
    alive = peak = prod(values[-1].lengths) * values[-1].channels
    for index, step in enumerate(steps.steps):
        known = values[index]
        alive += prod(known.lengths) * known.channels
        if alive > peak:
            peak = alive
        for value in set(step.inputs):
            if last[value] == index:
                alive -= prod(values[value].lengths) * values[value].channels
    return peak * BYTES
