"""How evenly all units of a network's outputs together read the source: the pattern that strides leave behind.

The expected squared gradient of all units, added up over the other axes, is periodic along an axis away from the
borders (docs/methods.md 2.3, non-uniform coverage). The reverse pass over the steps keeps one period of it: a number
while it is constant, else an array. Constant factors that all paths share are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import numpy as np

from foveal.designs.closed.steps import Step, Steps
from foveal.ir.cache import Bounded

Pattern = float | np.ndarray
ALIKE = 1e-9


def evenness(steps: Steps, rank: int, strides: Sequence[float]) -> float:
    """Least over most that a source position is read, away from the borders: 1 is even, 0 leaves positions unread.

    strides: of the outputs. An output has one unit per stride along each of the other axes too.
    """
    flows: list[Pattern | None] = [None] * (len(steps.steps) + 1)
    for output, stride in zip(steps.outputs, strides):
        flows[output.step] = float(stride ** (1 - rank))
    for index in range(steps.outputs[-1].step, -1, -1):
        here = flows[index]
        if here is None:
            continue
        step = steps.steps[index]
        for value, part in zip(step.inputs, _parts(steps, step, here, rank)):
            flows[value] = _sum(flows[value], part)
    found = flows[-1]
    return 1.0 if found is None or isinstance(found, float) else float(found.min() / found.max())


def _parts(steps: Steps, step: Step, here: Pattern, rank: int) -> list[Pattern]:
    """What flows to each input of a step."""
    if step.kind in ("conv", "maxpool"):
        return [_window(here, step.kernel, step.stride, step.before, step.dilation)]
    if step.kind == "avgpool":
        return [_window(here, step.kernel, step.stride, 0, 1) * (1.0 / step.kernel**rank)]
    if step.kind == "up":
        return [_gathered(here, step.kernel)]
    if step.kind == "add":
        return [here] * len(step.inputs)
    return [here * (steps.steps[value].channels / step.channels) for value in step.inputs]


def _window(here: Pattern, kernel: int, stride: int, before: int, dilation: int) -> Pattern:
    if isinstance(here, float):
        if stride == 1:
            return here
        return _constant(_table(1, kernel, stride, before % stride, dilation)[:, 0] * here)
    if kernel == 1 and stride == 1 and before == 0:
        return here
    # A kernel of one tap and any wider one are the same function of the period.
    period = len(here)
    return _constant(_table(period, kernel, stride, before % (period * stride), dilation) @ here)


@Bounded
def _table(period: int, kernel: int, stride: int, before: int, dilation: int) -> np.ndarray:
    """(period * stride, period): the weight of output phase o for input phase i, 1 / kernel for each tap."""
    made = np.zeros((period * stride, period))
    for output in range(period):
        for tap in range(kernel):
            made[(output * stride - before + tap * dilation) % (period * stride), output] += 1.0 / kernel
    return made


def _gathered(here: Pattern, factor: int) -> Pattern:
    if isinstance(here, float):
        return here * factor
    period = lcm(len(here), factor)
    return _constant(np.tile(here, period // len(here)).reshape(-1, factor).sum(axis=1))


def _constant(pattern: np.ndarray) -> Pattern:
    low, high = float(pattern.min()), float(pattern.max())
    return high if high - low <= ALIKE * high else pattern


def _sum(a: Pattern | None, b: Pattern) -> Pattern:
    if a is None:
        return b
    if isinstance(a, float) or isinstance(b, float):
        return a + b
    period = lcm(len(a), len(b))
    both: np.ndarray = np.tile(a, period // len(a)) + np.tile(b, period // len(b))
    return both
