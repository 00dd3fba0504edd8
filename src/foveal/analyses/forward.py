"""How each step of a relation acts on boxes of hulls. One function per step; none knows an operation.

A box is one hull per source axis. A position reads nothing when any of its hulls is empty there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import gcd, prod
from typing import Any

import numpy as np

from foveal import relation as rel
from foveal.analyses.hull import (
    EMPTY,
    Hull,
    Progress,
    compact,
    dense,
    empties,
    extend,
    find_period,
    join,
    minimal,
    without,
)

Box = tuple[Hull, ...]
Index = tuple[Any, ...]


def apply(relation: rel.Relation, box: Box) -> Box:
    """The box of each output position that reads the operand through the relation."""
    for step in relation:
        if isinstance(step, rel.Taps):
            box = _taps(step, box)
            continue
        function = FORWARD[type(step)]
        if isinstance(step, TANGLING):
            box = align(box)
        after = tuple([function(step, hull) for hull in box])
        if isinstance(step, (rel.Slide, rel.Table)):
            after = _mark_nothing(step, after)
        box = after
    return box


def align(box: Box) -> Box:
    """Make a position that reads nothing empty in every hull, so that boxes can be joined axis by axis."""
    marks = [empties(hull.data) for hull in box]
    if len(box) < 2 or not any(mark.any() for mark in marks):
        return box
    box = tuple(all_dense(hull) for hull in box)
    marks = [empties(hull.data) for hull in box]
    union = np.logical_or.reduce(np.broadcast_arrays(*marks))
    aligned = []
    for hull, mark in zip(box, marks, strict=True):
        if np.array_equal(np.broadcast_to(mark, union.shape), union):
            aligned.append(hull)
            continue
        data = np.where(np.repeat(union, 2, axis=0), EMPTY, hull.data)
        aligned.append(replace(hull, data=data))
    return tuple(aligned)


def join_boxes(a: Box, b: Box) -> Box:
    """The union, position by position."""
    if a is b:
        return a
    return tuple(join(x, y) for x, y in zip(align(a), align(b), strict=True))


def all_dense(hull: Hull) -> Hull:
    """The same hull without runs."""
    for axis in tuple(hull.runs):
        hull = dense(hull, axis)
    return hull


def _mark_nothing(step: rel.Slide | rel.Table, box: Box) -> Box:
    """Outputs without a tap must be empty in at least one hull; hulls that vary along the axis are so already."""
    nothing = step.reads_nothing
    if nothing is None or any(hull.data.shape[step.axis + 1] > 1 for hull in box):
        return box
    first = box[0]
    lengths = list(first.data.shape)
    lengths[step.axis + 1] = step.n_out
    data = np.broadcast_to(first.data, lengths).copy()
    lead: Index = (slice(None),) * step.axis
    data[0:2][(slice(None), *lead, nothing)] = EMPTY
    beyond = step.reads_nothing_unclipped if isinstance(step, rel.Table) else None
    if beyond is not None:
        data[2:4][(slice(None), *lead, beyond)] = EMPTY
    return (replace(first, data=data, runs=without(first.runs, step.axis)), *box[1:])


def _slide(step: rel.Slide, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis):
        return hull
    hull = dense(hull, axis)
    data, known = extend(hull, axis, step.before, step.after)
    lead = (slice(None),) * (axis + 1)
    span = (step.n_out - 1) * step.stride + 1
    if step.kernel > 8 and step.stride < step.kernel:
        result = _window_minimum(data, axis, step.kernel, step.dilation)[(*lead, slice(0, span, step.stride))]
    else:
        result = data[(*lead, slice(0, span, step.stride))]
        for tap in range(1, step.kernel):
            offset = tap * step.dilation
            result = np.minimum(result, data[(*lead, slice(offset, offset + span, step.stride))])
    steps = hull.steps
    if axis in steps:
        steps = {**steps, axis: _stride(steps[axis], step.stride)}
    return Hull(result, steps, hull.runs, hull.context, known)


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


@cache
def _stride(progress: Progress, stride: int) -> Progress:
    period, shift, regular = progress
    if not regular:
        return Progress(1, Fraction(shift) * stride / period, False)
    common = gcd(period, stride)
    return Progress(period // common, shift * (stride // common), True)


def _table(step: rel.Table, hull: Hull) -> Hull:
    axis = step.axis
    if not hull.varies(axis):
        return hull
    hull = dense(hull, axis)
    before, after = step.reach
    data, known = extend(hull, axis, before, after)
    lead: Index = (slice(None),) * (axis + 1)
    nothing_shape = list(data.shape)
    nothing_shape[axis + 1] = 1
    slot = data.shape[axis + 1]
    data = np.concatenate([data, np.full(nothing_shape, EMPTY)], axis=axis + 1)
    clipped = np.where(step.clipped == rel.ABSENT, slot, step.clipped + before)
    unclipped = np.where(step.unclipped == rel.ABSENT, slot, step.unclipped + before)
    result = np.concatenate(
        [
            data[0:2][(*lead, clipped)].min(axis=axis + 2),
            data[2:4][(*lead, unclipped)].min(axis=axis + 2),
        ]
    )
    steps = hull.steps
    if axis in steps:
        steps = {**steps, axis: _ratio(steps[axis], step, result)}
    return Hull(result, steps, hull.runs, hull.context, known)


def _ratio(progress: Progress, step: rel.Table, data: np.ndarray) -> Progress:
    if step.ratio is None or not progress.regular:
        return Progress(1, progress.rate * step.n_in / step.n_out, False)
    a, b = step.ratio
    common = gcd(progress.period, a)
    times = progress.period // common
    return minimal(data, step.axis, Progress(times * b, progress.shift * (times * a // progress.period)))


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
    return Hull(data, steps, runs, 2 if whole else hull.context, hull.known)


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
    return Hull(data, without(hull.steps, axis), runs, hull.context, hull.known)


def _relabel(step: rel.Relabel, hull: Hull) -> Hull:
    kept = [axis for axis in step.order if axis is not None]
    dropped = [axis for axis in range(hull.data.ndim - 1) if axis not in kept]
    data = hull.data.transpose(0, *(axis + 1 for axis in kept), *(axis + 1 for axis in dropped))
    index = tuple(slice(None) if axis is not None else None for axis in step.order)
    data = data[(slice(None), *index, *((0,) * len(dropped)))]
    place = {axis: i for i, axis in enumerate(step.order) if axis is not None}
    steps = {place[axis]: p for axis, p in hull.steps.items() if axis in place}
    runs = {place[axis]: e for axis, e in hull.runs.items() if axis in place}
    return Hull(data, steps, runs, hull.context, hull.known)


def _expand(step: rel.Expand, hull: Hull) -> Hull:
    lead = len(step.after) - len(step.before)
    data = hull.data.reshape(4, *((1,) * lead), *hull.data.shape[1:]) if lead else hull.data
    steps = {a + lead: p for a, p in hull.steps.items() if step.before[a] == step.after[a + lead]}
    runs = {a + lead: e for a, e in hull.runs.items()}
    return Hull(data, steps, runs, hull.context, hull.known)


def _scatter(step: rel.Scatter, hull: Hull) -> Hull:
    hull = all_dense(hull)
    if hull.data.size == 4 and (step.index >= 0).all():
        return Hull(hull.data.reshape(4, *((1,) * len(step.after))), {}, {}, hull.context, hull.known)
    flat = np.broadcast_to(hull.data, (4, *step.before)).reshape(4, -1)
    flat = np.concatenate([flat, np.full((4, 1), EMPTY)], axis=1)
    data = flat[:, np.where(step.index < 0, flat.shape[1] - 1, step.index)].reshape(4, *step.after)
    for axis in range(len(step.after)):
        data = compact(data, axis)
    return Hull(data, {}, {}, hull.context, hull.known)


def _reverse(step: rel.Reverse, hull: Hull) -> Hull:
    data, steps = hull.data, dict(hull.steps)
    for axis in step.axes:
        if hull.varies(axis):
            data = np.flip(dense(Hull(data, {}, hull.runs), axis).data, axis + 1)
            if axis in steps:
                steps[axis] = steps[axis]._replace(shift=-steps[axis].shift)
    runs = {axis: e for axis, e in hull.runs.items() if axis not in step.axes}
    return Hull(data, steps, runs, hull.context, hull.known)


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
        steps[last] = _stride(steps[axis], step.dilation)
        steps[axis] = _stride(steps[axis], step.step)
    return Hull(data, steps, hull.runs, hull.context, hull.known)


def _overlap(step: rel.Overlap, hull: Hull) -> Hull:
    axis, last = step.axis, hull.data.ndim - 2
    hull = dense(dense(hull, axis), last)
    if not hull.varies(axis) and not hull.varies(last):
        return replace(hull, data=hull.data[..., 0], steps=without(hull.steps, last))
    full = list(hull.data.shape)
    full[axis + 1], full[-1] = step.count, step.size
    source = np.broadcast_to(hull.data, full)
    data = np.full((*full[: axis + 1], step.n_out, *full[axis + 2 : -1]), EMPTY)
    lead: Index = (slice(None),) * (axis + 1)
    for tap in range(step.size):
        target = np.arange(step.count) * step.step + tap * step.dilation - step.before
        inside = (target >= 0) & (target < step.n_out)
        data[(*lead, target[inside])] = np.minimum(data[(*lead, target[inside])], source[..., tap][(*lead, inside)])
    steps = without(hull.steps, last)
    if axis in steps:
        progress = Progress(1, steps[axis].rate / step.step, False)
        steps = {**steps, axis: find_period(data, axis, (step.step,)) or progress}
    return Hull(data, steps, hull.runs, hull.context, hull.known)


def _keep(step: rel.Keep | rel.Outside, hull: Hull) -> Hull:
    keep = _to_rank(step.keep, hull.data.ndim - 1)
    varied = [axis for axis, n in enumerate(keep.shape) if n > 1]
    steps, runs = dict(hull.steps), hull.runs
    for axis in varied:
        hull = dense(replace(hull, runs=runs), axis)
        runs = hull.runs
        steps = _irregular(steps, axis)
    return Hull(np.where(keep[None], hull.data, EMPTY), steps, runs, hull.context, hull.known)


def _keep_all(step: rel.KeepAll, hull: Hull) -> Hull:
    keep = _to_rank(step.keep, hull.data.ndim - 1)
    if all(hull.data.shape[axis + 1] == 1 for axis in step.axes):
        any_kept = np.asarray(keep.any(axis=step.axes, keepdims=True))
        reduced = _all(rel.All(step.axes), hull)
        return reduced if any_kept.all() else _keep(rel.Keep(any_kept), reduced)
    if len(step.axes) == 1 and keep.ndim == step.keep.ndim and keep.size > PATTERNED and not hull.runs:
        return _keep_all_by_pattern(step, hull)
    return _all(rel.All(step.axes), _keep(rel.Keep(keep), hull))


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
    return Hull(found[(which[None], *picked)], steps, {}, hull.context, hull.known)


def _to_rank(mask: np.ndarray, rank: int) -> np.ndarray:
    return mask.reshape((1,) * (rank - mask.ndim) + mask.shape)


def _everything(step: rel.Everything, hull: Hull) -> Hull:
    data = hull.data.reshape(4, -1).min(axis=1).reshape(4, *((1,) * len(step.after)))
    return Hull(data, {}, {}, 0, hull.known)


def _taps(step: rel.Taps, box: Box) -> Box:
    result: Box | None = None
    for offsets in step.offsets:
        shifted = box
        for axis, n_in, n_out, stride, offset in zip(
            step.axes, step.n_in, step.n_out, step.stride, offsets, strict=True
        ):
            shifted = apply((rel.Slide(axis, n_in, n_out, 1, stride, -int(offset), 1),), shifted)
        result = shifted if result is None else join_boxes(result, shifted)
    if result is None:
        raise ValueError("a window without taps")
    return result


def _reshape(step: rel.Reshape, hull: Hull) -> Hull:
    data, steps, runs, known = hull.data, {}, {}, hull.known
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
        return Hull(data.reshape(shape), steps, runs, hull.context, known)
    for _, ins, _ in pieces:
        for axis in ins:
            hull = dense(hull, axis)
    full = list(hull.data.shape)
    for _, ins, _ in pieces:
        for axis in ins:
            full[axis + 1] = step.before[axis]
    data = np.broadcast_to(hull.data, full).reshape(shape)
    for _, ins, outs in pieces:
        steps.update(_split_progress(_merged_progress(hull, ins, step.before), outs, step.after))
        for axis in outs:
            if axis in steps:
                steps[axis] = minimal(data, axis, steps[axis])
            data = (
                compact(data, axis) if step.after[axis] > 1 and (axis not in steps or steps[axis].shift == 0) else data
            )
            if data.shape[axis + 1] == 1 and step.after[axis] > 1:
                steps.pop(axis, None)
    return Hull(data, steps, runs, hull.context, known)


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
        found[axis] = _stride(progress, inner)
    return found


@cache
def groups(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[tuple[list[int], list[int]], ...]:
    """The finest pairing of input and output axes with equal products: what a row-major reshape really rearranges."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        ins, outs = [], []
        m = n = 1
        if i < len(before):
            ins, m, i = [i], before[i], i + 1
        if j < len(after):
            outs, n, j = [j], after[j], j + 1
        while m != n or not ins or not outs:
            if (m < n or not ins) and i < len(before):
                ins.append(i)
                m, i = m * before[i], i + 1
            elif j < len(after):
                outs.append(j)
                n, j = n * after[j], j + 1
            elif i < len(before):
                ins.append(i)
                m, i = m * before[i], i + 1
            else:
                break
        found.append((ins, outs))
    return tuple(found)


TANGLING = (rel.Reshape, rel.Keep, rel.Outside, rel.KeepAll, rel.Scatter, rel.Prefix)
"""Steps after which "reads nothing" is no longer a product of axes, so that it must stand in every hull before."""

PATTERNED = 1 << 14
"""Masks with more elements than this are worked through by their distinct rows."""

FORWARD: dict[type[rel.Step], Callable[[Any, Hull], Hull]] = {
    rel.Slide: _slide,
    rel.Table: _table,
    rel.All: _all,
    rel.Prefix: _prefix,
    rel.Blocks: _blocks,
    rel.Reshape: _reshape,
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
