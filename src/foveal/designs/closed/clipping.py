"""The part of the real source that a unit sees: its cone, carried back through every map and cut to it.

A position beyond a map is padding and depends on nothing, so the hull within the source can be smaller than the
unclipped hull cut to the source: a map whose last column was never read ends earlier. Where no window leaves a gap the
cone is an interval on every map; else the positions are listed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal.designs.closed.steps import Step, Steps

Span = tuple[int, int]


def seen(steps: Steps, lengths: Sequence[int], source: int, output: int) -> int:
    """Positions of the source axis (of that length) inside the clipped hull of the middle unit of a step's value.

    lengths: of the map of each step along the axis.
    """
    if any(_gaps(step) for step in steps.steps[: output + 1]):
        return _listed(steps, lengths, source, output)
    needed: list[Span | None] = [None] * (output + 2)
    middle = lengths[output] // 2
    needed[output] = (middle, middle)
    for index in range(output, -1, -1):
        here = needed[index]
        if here is None:
            continue
        step = steps.steps[index]
        for value in step.inputs:
            found = _back(step, here, lengths[value] if value >= 0 else source)
            before = needed[value]
            if found is not None and before is not None:
                found = min(found[0], before[0]), max(found[1], before[1])
            needed[value] = found if found is not None else before
    span = needed[-1]
    return 0 if span is None else span[1] - span[0] + 1


def _gaps(step: Step) -> bool:
    """Whether a window of the step reads positions that do not touch; a shortcut's do, inside those of its block."""
    if step.kind not in ("conv", "maxpool", "avgpool"):
        return False
    return (step.dilation > 1 and step.kernel > 1) or (step.stride > step.kernel and not step.name.endswith("shortcut"))


def _back(step: Step, here: Span, length: int) -> Span | None:
    if step.kind == "up":
        return here[0] // step.kernel, here[1] // step.kernel
    if step.kind in ("add", "cat"):
        return here
    first = max(here[0] * step.stride - step.before, 0)
    last = min(here[1] * step.stride - step.before + step.kernel - 1, length - 1)
    return (first, last) if first <= last else None


def _listed(steps: Steps, lengths: Sequence[int], source: int, output: int) -> int:
    """The same with all positions of the cone, for windows with gaps."""
    needed = [np.zeros(n, bool) for n in (*lengths[: output + 1], source)]
    needed[output][lengths[output] // 2] = True
    for index in range(output, -1, -1):
        step = steps.steps[index]
        here = np.flatnonzero(needed[index])
        for value in step.inputs:
            target = needed[value]
            if step.kind == "up":
                target[here // step.kernel] = True
            elif step.kind in ("add", "cat"):
                target[here] = True
            else:
                taps = (here * step.stride - step.before)[:, None] + np.arange(step.kernel) * step.dilation
                target[taps[(taps >= 0) & (taps < len(target))]] = True
    found = np.flatnonzero(needed[-1])
    return int(found[-1] - found[0] + 1) if found.size else 0
