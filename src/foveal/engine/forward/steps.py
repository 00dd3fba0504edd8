"""How each step of a relation acts on a hull. One function per step; none knows an operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd
from typing import Any

import numpy as np

from foveal.engine.forward.hull import (
    EMPTY,
    NO_STEP,
    Hull,
    Progress,
    all_dense,
    compact,
    dense,
    extend,
    find_period,
    minimal,
    obeys,
    strided,
    without,
)
from foveal.engine.forward.reshaping import reshape
from foveal.ir import relation as rel

Index = tuple[Any, ...]


def _slide(step: rel.Slide, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis):
        return hull
    hull = dense(hull, axis)
    data = extend(hull, axis, step.before, step.after)
    lead = (slice(None),) * (axis + 1)
    span = (step.n_out - 1) * step.stride + 1
    if step.kernel > 64 or (step.kernel > 8 and step.stride < step.kernel):
        result = _window_minimum(data, axis, step.kernel, step.dilation)[(*lead, slice(0, span, step.stride))]
    else:
        result = data[(*lead, slice(0, span, step.stride))]
        for tap in range(1, step.kernel):
            offset = tap * step.dilation
            result = np.minimum(result, data[(*lead, slice(offset, offset + span, step.stride))])
    steps = hull.steps
    if axis in steps:
        steps = {**steps, axis: strided(steps[axis], step.stride)}
    context = hull.context
    if step.whole and result.size == 4 and not any(p.shift for a, p in steps.items() if a != axis):
        context = 2
    return Hull(result, steps, hull.runs, context)


def _window_minimum(data: np.ndarray, axis: int, kernel: int, dilation: int) -> np.ndarray:
    """Minimum over windows of ``kernel`` taps by doubling: log2(kernel) passes."""
    lead = (slice(None),) * (axis + 1)
    n, width, result = data.shape[axis + 1], 1, data
    while width < kernel:
        jump = min(width, kernel - width)
        length = n - (width + jump - 1) * dilation
        result = np.minimum(
            result[(*lead, slice(0, length))], result[(*lead, slice(jump * dilation, jump * dilation + length))]
        )
        width += jump
    return result


def _table(step: rel.Table, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis):
        return hull
    hull = dense(hull, axis)
    before, after = step.reach
    data = extend(hull, axis, before, after)
    nothing_shape = list(data.shape)
    nothing_shape[axis + 1] = 1
    slot = data.shape[axis + 1]
    data = np.concatenate([data, np.full(nothing_shape, EMPTY)], axis=axis + 1)
    clipped = np.where(step.clipped == rel.ABSENT, slot, step.clipped + before)
    unclipped = np.where(step.unclipped == rel.ABSENT, slot, step.unclipped + before)
    result = np.concatenate([_least(data[0:2], clipped, axis), _least(data[2:4], unclipped, axis)])
    steps = hull.steps
    if axis in steps:
        steps = {**steps, axis: _ratio(steps[axis], step, result)}
    return Hull(result, steps, hull.runs, hull.context)


def _ratio(progress: Progress, step: rel.Table, data: np.ndarray) -> Progress:
    if step.ratio is None:
        return NO_STEP
    a, b = step.ratio
    if not progress.regular:
        return Progress(1, progress.rate * a / b, False)
    common = gcd(progress.period, a)
    times = progress.period // common
    found = minimal(data, step.axis, Progress(times * b, progress.shift * (times * a // progress.period)))
    return found if step.weights is None or obeys(data, step.axis, found) else found._replace(regular=False)


def _all(step: rel.All, hull: Hull) -> Hull:
    shape = hull.data.shape
    varied = [axis for axis in step.axes if shape[axis + 1] > 1]
    if not varied and not any(axis in hull.steps for axis in step.axes):
        return hull
    data = hull.data.min(axis=tuple(axis + 1 for axis in varied), keepdims=True) if varied else hull.data
    steps = {axis: p for axis, p in hull.steps.items() if axis not in step.axes}
    runs = {axis: e for axis, e in hull.runs.items() if axis not in step.axes}
    moving = any(p.shift for p in steps.values())
    whole = data.size == 4 and not moving and any(axis in hull.steps for axis in varied)
    return Hull(data, steps, runs, 2 if whole else hull.context)


def _prefix(step: rel.Prefix, hull: Hull) -> Hull:
    if not hull.varies(step.axis):
        return hull
    hull = dense(hull, step.axis)
    axis = step.axis + 1
    if step.reverse:
        data = np.flip(np.minimum.accumulate(np.flip(hull.data, axis), axis=axis), axis)
    else:
        data = np.minimum.accumulate(hull.data, axis=axis)
    return replace(hull, data=data, steps=_irregular(hull.steps, step.axis))


def _irregular(steps: dict[int, Progress], axis: int) -> dict[int, Progress]:
    return {**steps, axis: steps[axis]._replace(regular=False)} if axis in steps else steps


def _blocks(step: rel.Blocks, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis):
        return hull
    if step.groups == 1:
        return _all(rel.All((axis,)), hull)
    if step.groups == step.n_in == step.n_out:
        return hull
    data = dense(hull, axis).data
    shape = data.shape
    blocked = data.reshape(*shape[: axis + 1], step.groups, step.n_in // step.groups, *shape[axis + 2 :])
    data = blocked.min(axis=axis + 2)
    size = step.n_out // step.groups
    runs = without(hull.runs, axis)
    if size > 1:
        runs = {**runs, axis: tuple(range(size, step.n_out + 1, size))}
    return Hull(data, without(hull.steps, axis), runs, hull.context)


def _relabel(step: rel.Relabel, hull: Hull) -> Hull:
    kept = [axis for axis in step.order if axis is not None]
    dropped = [axis for axis in range(hull.data.ndim - 1) if axis not in kept]
    data = hull.data.transpose(0, *(axis + 1 for axis in kept), *(axis + 1 for axis in dropped))
    index = tuple(slice(None) if axis is not None else None for axis in step.order)
    data = data[(slice(None), *index, *((0,) * len(dropped)))]
    place = {axis: i for i, axis in enumerate(step.order) if axis is not None}
    steps = {place[axis]: p for axis, p in hull.steps.items() if axis in place}
    runs = {place[axis]: e for axis, e in hull.runs.items() if axis in place}
    return Hull(data, steps, runs, hull.context)


def _expand(step: rel.Expand, hull: Hull) -> Hull:
    lead = len(step.after) - len(step.before)
    data = hull.data.reshape(4, *((1,) * lead), *hull.data.shape[1:]) if lead else hull.data
    steps = {a + lead: p for a, p in hull.steps.items() if step.before[a] == step.after[a + lead]}
    runs = {a + lead: e for a, e in hull.runs.items()}
    return Hull(data, steps, runs, hull.context)


def _scatter(step: rel.Scatter, hull: Hull) -> Hull:
    hull = all_dense(hull)
    if hull.data.size == 4 and (step.index >= 0).all():
        return Hull(hull.data.reshape(4, *((1,) * len(step.after))), {}, {}, hull.context)
    flat = np.broadcast_to(hull.data, (4, *step.before)).reshape(4, -1)
    flat = np.concatenate([flat, np.full((4, 1), EMPTY)], axis=1)
    data = _least(flat, np.where(step.index < 0, flat.shape[1] - 1, step.index), 0).reshape(4, *step.after)
    steps = {}
    for axis in range(len(step.after)):
        data = compact(data, axis)
        progress = find_period(data, axis) if data.shape[axis + 1] > 1 else None
        if progress is not None:
            steps[axis] = progress
    return Hull(data, steps, {}, hull.context)


def _least(data: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """The numbers at ``index`` along an axis; of several (an index of two axes) the least."""
    if index.ndim == 1:
        return data.take(index, axis=axis + 1)
    if index.shape[1] == 1:
        return data.take(index[:, 0], axis=axis + 1)
    if index.shape[1] >= MANY and (found := _least_by_kind(data, index, axis)) is not None:
        return found
    rows = max(1, GATHERED * data.shape[axis + 1] // max(1, data.size * index.shape[1]))
    parts = [data.take(index[i : i + rows], axis=axis + 1).min(axis=axis + 2) for i in range(0, len(index), rows)]
    return np.concatenate(parts, axis=axis + 1) if parts else data.take(index[:, 0], axis=axis + 1)


def _least_by_kind(data: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray | None:
    """The same where many slices along the axis are equal, as those of channels are; None where few are."""
    kinds: dict[bytes, int] = {}
    own = np.array([kinds.setdefault(part.tobytes(), len(kinds)) for part in np.moveaxis(data, axis + 1, 0)])
    if 2 * len(kinds) > len(own):
        return None
    reads = np.zeros((len(index), len(kinds)), dtype=bool)
    reads[np.arange(len(index))[:, None], own[index]] = True
    rows, place = np.unique(reads, axis=0, return_inverse=True)
    one = data.take(np.unique(own, return_index=True)[1], axis=axis + 1)
    least = np.stack([one.compress(row, axis + 1).min(axis + 1) for row in rows], axis + 1)
    return least.take(place.reshape(-1), axis=axis + 1)


def _reverse(step: rel.Reverse, hull: Hull) -> Hull:
    data, steps = hull.data, dict(hull.steps)
    for axis in step.axes:
        if hull.varies(axis):
            data = np.flip(dense(Hull(data, {}, hull.runs), axis).data, axis + 1)
            if axis in steps:
                steps[axis] = steps[axis]._replace(shift=-steps[axis].shift)
    runs = {axis: e for axis, e in hull.runs.items() if axis not in step.axes}
    return Hull(data, steps, runs, hull.context)


def _rotate(step: rel.Rotate, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis) or step.shift == 0:
        return hull
    hull = dense(hull, axis)
    return replace(hull, data=np.roll(hull.data, step.shift, axis + 1), steps=_irregular(hull.steps, axis))


def _unroll(step: rel.Unroll, hull: Hull) -> Hull:
    axis, last = step.axis, hull.data.ndim - 1
    if not hull.varies(axis):
        return replace(hull, data=hull.data[..., None])
    hull = dense(hull, axis)
    index = np.arange(step.count)[:, None] * step.step + np.arange(step.size) * step.dilation
    data = np.moveaxis(hull.data[(slice(None),) * (axis + 1) + (index,)], axis + 2, -1)
    steps = dict(hull.steps)
    if axis in steps:
        steps[last] = strided(steps[axis], step.dilation)
        steps[axis] = strided(steps[axis], step.step)
    return Hull(data, steps, hull.runs, hull.context)


def _overlap(step: rel.Overlap, hull: Hull) -> Hull:
    axis, last = step.axis, hull.data.ndim - 2
    hull = dense(dense(hull, axis), last)
    covered = np.zeros(step.n_out, dtype=bool)
    reached = np.arange(step.count)[:, None] * step.step + np.arange(step.size) * step.dilation - step.before
    covered[reached[(reached >= 0) & (reached < step.n_out)]] = True
    if not hull.varies(axis) and not hull.varies(last) and covered.all():
        return replace(hull, data=hull.data[..., 0], steps=without(hull.steps, last))
    # unclipped, windows go on beyond both ends and reach positions near the border too
    more = (step.size - 1) * step.dilation // step.step + 1
    extended = extend(hull, axis, more, more) if hull.varies(axis) else hull.data
    count = step.count + 2 * more
    full = list(hull.data.shape)
    full[axis + 1], full[-1] = count, step.size
    source = np.array(np.broadcast_to(extended, full))
    lead: Index = (slice(None),) * (axis + 1)
    source[0:2][(*lead, slice(0, more))] = EMPTY
    source[0:2][(*lead, slice(count - more, None))] = EMPTY
    data = np.full((*full[: axis + 1], step.n_out, *full[axis + 2 : -1]), EMPTY)
    for tap in range(step.size):
        target = (np.arange(count) - more) * step.step + tap * step.dilation - step.before
        inside = (target >= 0) & (target < step.n_out)
        data[(*lead, target[inside])] = np.minimum(data[(*lead, target[inside])], source[..., tap][(*lead, inside)])
    data[0:2][(*lead, ~covered)] = EMPTY
    steps = without(hull.steps, last)
    if axis in steps and steps[axis].regular:
        period, shift, _ = steps[axis]
        steps = {**steps, axis: minimal(data, axis, Progress(period * step.step, shift))}
    elif axis in steps:
        steps = {**steps, axis: Progress(1, steps[axis].rate / step.step, False)}
    return Hull(data, steps, hull.runs, hull.context)


def _keep(step: rel.Keep | rel.Outside, hull: Hull) -> Hull:
    keep = _to_rank(step.keep, hull.data.ndim - 1)
    if isinstance(step, rel.Keep) and step.padding:
        return _keep_clipped(keep, hull)
    varied = [axis for axis, n in enumerate(keep.shape) if n > 1]
    steps, runs = dict(hull.steps), hull.runs
    for axis in varied:
        hull = dense(replace(hull, runs=runs), axis)
        runs = hull.runs
        steps = _irregular(steps, axis)
    return Hull(np.where(keep[None], hull.data, EMPTY), steps, runs, hull.context)


def _keep_clipped(keep: np.ndarray, hull: Hull) -> Hull:
    """Padding reads nothing as long as the source ends; unclipped it is a position like any other."""
    for axis, n in enumerate(keep.shape):
        if n > 1:
            hull = dense(hull, axis)
    clipped = np.where(keep[None], hull.data[:2], EMPTY)
    return replace(hull, data=np.concatenate([clipped, np.broadcast_to(hull.data[2:], clipped.shape)]))


def _keep_all(step: rel.KeepAll, hull: Hull) -> Hull:
    if step.mask is not None:
        return _keep_all(rel.KeepAll(step.keep, step.axes, step.padding), _keep(rel.Keep(step.mask), hull))
    keep = _to_rank(step.keep, hull.data.ndim - 1)
    if all(hull.data.shape[axis + 1] == 1 for axis in step.axes):
        any_kept = np.asarray(keep.any(axis=step.axes, keepdims=True))
        reduced = _all(rel.All(step.axes), hull)
        return reduced if any_kept.all() else _keep(rel.Keep(any_kept, step.padding), reduced)
    if (
        len(step.axes) == 1
        and keep.ndim == step.keep.ndim
        and keep.size > PATTERNED
        and not hull.runs
        and not step.padding
    ):
        return _keep_all_by_pattern(step, hull)
    return _all(rel.All(step.axes), _keep(rel.Keep(keep, step.padding), hull))


def _keep_all_by_pattern(step: rel.KeepAll, hull: Hull) -> Hull:
    """The same by distinct mask rows: one reduction for each, then a look-up."""
    axis = step.axes[0] + 1
    rows, which = step.patterns
    found = np.stack(
        [np.take(hull.data, np.flatnonzero(row), axis).min(axis, keepdims=True, initial=EMPTY) for row in rows]
    )
    full = np.broadcast_shapes((4, *which.shape), found.shape[1:])
    index = [np.arange(n).reshape([-1 if i == k else 1 for i in range(len(full))]) for k, n in enumerate(full)]
    picked = tuple(i if n > 1 else np.zeros_like(i[:1]) for i, n in zip(index, found.shape[1:], strict=True))
    steps = {a: p for a, p in hull.steps.items() if a not in step.axes}
    for other, n in enumerate(step.keep.shape):
        if n > 1:
            steps = _irregular(steps, other)
    return Hull(found[(which[None], *picked)], steps, {}, hull.context)


def _to_rank(mask: np.ndarray, rank: int) -> np.ndarray:
    return mask.reshape((1,) * (rank - mask.ndim) + mask.shape)


def _everything(step: rel.Everything, hull: Hull) -> Hull:
    data = hull.data.reshape(4, -1).min(axis=1).reshape(4, *((1,) * len(step.after)))
    return Hull(data, {}, {}, 0)


MANY = 8
"""From so many reads of one position on, equal slices are read once."""
GATHERED = 1 << 22
"""So many numbers are gathered at once."""
PATTERNED = 1 << 14
"""Masks with more elements than this are worked through by their distinct rows."""

FORWARD: dict[type[rel.Step], Callable[[Any, Hull], Hull]] = {
    rel.Slide: _slide,
    rel.Table: _table,
    rel.All: _all,
    rel.Prefix: _prefix,
    rel.Blocks: _blocks,
    rel.Reshape: reshape,
    rel.Relabel: _relabel,
    rel.Expand: _expand,
    rel.Scatter: _scatter,
    rel.Reverse: _reverse,
    rel.Rotate: _rotate,
    rel.Unroll: _unroll,
    rel.Overlap: _overlap,
    rel.Keep: _keep,
    rel.Outside: _keep,
    rel.KeepAll: _keep_all,
    rel.Everything: _everything,
}
