"""Row-major reshapes of hulls: which axes really merge or split, and how positions go on along the new ones."""

from __future__ import annotations

from math import prod

import numpy as np

from foveal.engine.forward.hull import Hull, Progress, compact, dense, find_period, minimal, strided
from foveal.ir import relation as rel
from foveal.ir.lengths import groups


def reshape(step: rel.Reshape, hull: Hull) -> Hull:
    """The hull of the reshaped value."""
    data, steps, runs = hull.data, {}, {}
    shape = [4]
    pieces: list[tuple[Hull, list[int], list[int]]] = []
    for ins, outs in groups(step.before, step.after):
        if len(ins) == len(outs) == 1:
            shape.append(data.shape[ins[0] + 1])
            if ins[0] in hull.steps:
                steps[outs[0]] = hull.steps[ins[0]]
            if ins[0] in hull.runs:
                runs[outs[0]] = hull.runs[ins[0]]
        elif not any(hull.varies(axis) for axis in ins):
            shape += [1] * len(outs)
        else:
            pieces.append((hull, ins, outs))
            shape += [step.after[axis] for axis in outs]
    if not pieces:
        return Hull(data.reshape(shape), steps, runs, hull.context)
    for _, ins, _ in pieces:
        for axis in ins:
            hull = dense(hull, axis)
    full = list(hull.data.shape)
    for _, ins, _ in pieces:
        for axis in ins:
            full[axis + 1] = step.before[axis]
    data = np.broadcast_to(hull.data, full).reshape(shape)
    for _, ins, outs in pieces:
        split = _split_progress(_merged_progress(hull, ins, step.before), outs, step.after)
        for position, axis in enumerate(outs):
            inside = any(step.after[a] > 1 for a in outs[:position])
            data, progress = _along_new_axis(data, axis, split.get(axis), inside)
            if progress is not None:
                steps[axis] = progress
    return Hull(data, steps, runs, hull.context)


def _along_new_axis(
    data: np.ndarray, axis: int, progress: Progress | None, inside: bool
) -> tuple[np.ndarray, Progress | None]:
    """The numbers (of length 1 where they do not vary) and how they go on along an axis made by a reshape.

    ``inside``: the axis counts within blocks of an outer one. A period that is not seen within a block says nothing
    about it; then the numbers themselves must show how they go on.
    """
    n = data.shape[axis + 1]
    if n == 1:
        return data, progress
    if progress is None:
        return compact(data, axis), None
    if inside and (not progress.regular or progress.period >= n):
        data = compact(data, axis)
        alike = data.shape[axis + 1] == 1
        return data, None if alike else find_period(data, axis) or Progress(1, 0, False)
    progress = minimal(data, axis, progress)
    if progress.shift == 0:
        data = compact(data, axis)
    return data, progress if data.shape[axis + 1] > 1 else None


def _merged_progress(hull: Hull, axes: list[int], shape: tuple[int, ...]) -> Progress | None:
    """The progress along the one axis that ``axes`` merge into: the outermost that moves sets it."""
    for position, axis in enumerate(axes):
        if shape[axis] == 1:
            continue
        inner = prod(shape[a] for a in axes[position + 1 :])
        progress = hull.steps.get(axis)
        if progress is None:
            if hull.data.shape[axis + 1] > 1:
                return None
            progress = Progress(1, 0)
        return progress._replace(period=progress.period * inner)
    return next((hull.steps[axis] for axis in axes if axis in hull.steps), None)


def _split_progress(progress: Progress | None, axes: list[int], shape: tuple[int, ...]) -> dict[int, Progress]:
    """The progress along each of the axes that one axis splits into."""
    found: dict[int, Progress] = {}
    if progress is None:
        return found
    for position, axis in enumerate(axes):
        inner = prod(shape[a] for a in axes[position + 1 :])
        if shape[axis] == 1 and (inner > 1 or position > 0):
            # a new axis of length 1 or a block of one: how it would go on cannot be told
            found[axis] = Progress(1, 0, False)
            continue
        found[axis] = strided(progress, inner)
    return found
