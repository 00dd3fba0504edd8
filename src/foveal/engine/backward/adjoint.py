"""How each step of a relation acts backward: from contributions of its outputs to contributions of its inputs.

One function per step, for any algebra. ``before`` and ``after`` are the shapes on both sides of the step, ``roles`` the
roles of its output axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from foveal.engine.backward.algebra import Algebra, Flow, dense, either, with_runs
from foveal.engine.backward.cropped import shortened
from foveal.engine.backward.stages import Shape, Stage, with_length
from foveal.ir import relation as rel
from foveal.ir.cache import Bounded
from foveal.ir.lengths import groups


def adjoint(relation: rel.Relation, flow: Flow, stages: tuple[Stage, ...], algebra: Algebra) -> Flow:
    """Contributions of the operand's elements that reach the unit through this relation."""
    for stage in reversed(stages):
        flow = back(stage, flow, algebra)
    return flow


def back(stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    """The same for one step."""
    if not flow.crop:
        return BACKWARD[type(stage.step)](stage.step, stage, flow, algebra)
    stage, flow, crop = shortened(stage, flow)
    return replace(BACKWARD[type(stage.step)](stage.step, stage, flow, algebra), crop=crop)


def _slide(step: rel.Slide, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    axis = step.axis
    features = step.kernel == step.stride == 1 and stage.roles_before[axis] != "s"
    cut = _cut(step, flow) if features else None
    if cut is not None:
        return cut
    flow = dense(flow, axis, step.n_out)
    source = flow.data if algebra.logical else algebra.safe(flow.data, step.kernel)
    result = np.zeros(with_length(source.shape, axis, step.n_in), dtype=source.dtype)
    lead: tuple[Any, ...] = (slice(None),) * axis
    for tap in range(step.kernel):
        offset = tap * step.dilation - step.before
        first = max(0, -(offset // step.stride))
        last = min(step.n_out, (step.n_in - 1 - offset) // step.stride + 1)
        if last <= first:
            continue
        start = offset + first * step.stride
        target = (*lead, slice(start, start + (last - first - 1) * step.stride + 1, step.stride))
        piece = source[(*lead, slice(first, last))]
        result[target] = result[target] | piece if algebra.logical else result[target] + piece
    moved = Flow(result, flow.runs, flow.scale)
    return with_runs(moved, axis) if features else moved


def _cut(step: rel.Slide, flow: Flow) -> Flow | None:
    """A stretch of features: runs before it and behind it contribute nothing. None where it reaches into padding."""
    axis, start = step.axis, -step.before
    ends = flow.runs.get(axis) or ((step.n_out,) if flow.data.shape[axis] == 1 else tuple(range(1, step.n_out + 1)))
    zero = np.zeros_like(flow.data.take([0], axis=axis))
    pieces, new_ends = [flow.data], [min(start + e, step.n_in) for e in ends]
    if start > 0:
        pieces.insert(0, zero)
        new_ends.insert(0, start)
    if new_ends[-1] < step.n_in:
        pieces.append(zero)
        new_ends.append(step.n_in)
    if start < 0 or len(set(new_ends)) < len(new_ends):
        return None
    return Flow(np.concatenate(pieces, axis=axis), {**flow.runs, axis: tuple(new_ends)}, flow.scale)


def _table(step: rel.Table, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    axis = step.axis
    flow = dense(flow, axis, step.n_out)
    moved = np.moveaxis(flow.data, axis, 0)
    flat = moved.reshape(step.n_out, prod(moved.shape[1:]))  # also of no output at all
    matrix = _matrix(step, algebra.weigh)
    if flat.dtype == bool:
        result = (matrix @ flat.astype(np.float64)) > 0
    elif algebra.logical:
        result = np.zeros((step.n_in, flat.shape[1]), dtype=flat.dtype)
        inputs, outputs = matrix.nonzero()
        np.bitwise_or.at(result, inputs, flat[outputs])
    elif flat.dtype.kind in "iu":
        flat = algebra.safe(flat, step.clipped.shape[1])
        result = matrix.astype(flat.dtype) @ flat
    else:
        result = matrix @ flat
    data = np.moveaxis(np.asarray(result).reshape(step.n_in, *moved.shape[1:]), 0, axis)
    return Flow(data, flow.runs, flow.scale)


@Bounded
def _matrix(step: rel.Table, weigh: bool) -> Any:
    """Inputs by outputs: 1 per tap, or the squared tap weight."""
    from scipy import sparse  # loaded where it is needed: a report of a plain network starts without it

    out, tap = np.nonzero(step.clipped != rel.ABSENT)
    used = np.ones(out.size) if step.weights is None or not weigh else step.weights[out, tap] ** 2
    return sparse.csr_array((used, (step.clipped[out, tap], out)), shape=(step.n_in, step.n_out))


def _all(step: rel.All | rel.KeepAll, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    for axis in step.axes:
        flow = algebra.total(flow, axis, stage.after[axis], stage.roles_after[axis])
    return flow


def _prefix(step: rel.Prefix, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    flow = dense(flow, step.axis, stage.after[step.axis])
    data = flow.data if step.reverse else np.flip(flow.data, step.axis)
    add = np.bitwise_or if algebra.logical else np.add
    data = add.accumulate(algebra.safe(data, data.shape[step.axis]), axis=step.axis)
    return Flow(data if step.reverse else np.flip(data, step.axis), flow.runs, flow.scale)


def _blocks(step: rel.Blocks, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    axis, role = step.axis, stage.roles_after[step.axis]
    if step.groups == 1:
        return algebra.total(flow, axis, step.n_out, role)
    if step.groups == step.n_in == step.n_out:
        return flow
    size = step.n_out // step.groups
    if flow.data.shape[axis] == 1 and axis not in flow.runs:
        return algebra.total(flow, axis, size, role)
    if algebra.name == "paths" and axis in flow.runs:
        result = _run_sums(flow, axis, step.n_out, size, algebra)
    else:
        data = algebra.safe(dense(flow, axis, step.n_out).data, size)
        shape = data.shape
        blocked = data.reshape(*shape[:axis], step.groups, size, *shape[axis + 1 :])
        result = either(blocked, axis + 1) if algebra.logical else np.asarray(blocked.sum(axis=axis + 1))
    width = step.n_in // step.groups
    runs = {a: e for a, e in flow.runs.items() if a != axis}
    if width > 1:
        runs[axis] = tuple(range(width, step.n_in + 1, width))
    return Flow(result, runs, flow.scale)


def _run_sums(flow: Flow, axis: int, n: int, size: int, algebra: Algebra) -> np.ndarray:
    """Sums over blocks of ``size`` features in which each run, or the part of it in the block, counts once."""
    ends = np.array(sorted({*flow.runs[axis], *range(size, n + 1, size)}))
    pieces = flow.data.take(np.searchsorted(np.array(flow.runs[axis]), ends), axis=axis)
    first = np.searchsorted(ends, np.arange(0, n, size), side="right")
    return np.asarray(np.add.reduceat(algebra.safe(pieces, size), first, axis=axis))


def _reshape(step: rel.Reshape, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    shape: list[int] = []
    runs, changed = {}, False
    wide: dict[int, int] = {}
    for ins, outs in groups(step.before, step.after):
        if len(ins) == len(outs) == 1:
            shape.append(flow.data.shape[outs[0]])
            if outs[0] in flow.runs:
                runs[ins[0]] = flow.runs[outs[0]]
        elif all(flow.data.shape[o] == 1 and o not in flow.runs for o in outs):
            shape += [1] * len(ins)
        elif (inner := _alike_behind(step, stage, flow, ins, outs)) > 1:
            changed = True
            wide[ins[0]] = inner
            shape.append(step.before[ins[0]] // inner)
            flow = dense(flow, next(axis for axis in outs if step.after[axis] > 1), shape[-1])
        else:
            changed = True
            for axis in outs:
                flow = dense(flow, axis, step.after[axis])
            shape += [step.before[i] for i in ins]
    result = Flow(flow.data.reshape(shape), runs, flow.scale)
    if changed:
        for axis, role in enumerate(stage.roles_before):
            if role != "s":
                result = with_runs(result, axis)
    for axis, inner in wide.items():
        n = result.data.shape[axis]
        ends = result.runs.get(axis, tuple(range(1, n + 1)) if n > 1 else ())
        wider = {axis: tuple(end * inner for end in ends)} if ends else {}
        result = replace(result, runs=result.runs | wider)
    return result


def _alike_behind(step: rel.Reshape, stage: Stage, flow: Flow, ins: list[int], outs: list[int]) -> int:
    """How many features in a row are alike where one axis was split and only the outermost part matters; else 1."""
    place, first = next((k, axis) for k, axis in enumerate(outs) if step.after[axis] > 1)
    alone = all(flow.data.shape[axis] == 1 and axis not in flow.runs for axis in outs[place + 1 :])
    if len(ins) > 1 or stage.roles_before[ins[0]] == "s" or (flow.data.shape[first] == 1 and first not in flow.runs):
        return 1
    return prod(step.after[axis] for axis in outs[place + 1 :]) if alone else 1


def _relabel(step: rel.Relabel, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    for i, axis in enumerate(step.order):
        if axis is None or stage.before[axis] == 1:
            flow = algebra.total(flow, i, stage.after[i], stage.roles_after[i])
    kept = {axis: i for i, axis in enumerate(step.order) if axis is not None}
    new = [i for i, axis in enumerate(step.order) if axis is None]
    data = flow.data.transpose(*new, *[kept[axis] for axis in sorted(kept)]) if flow.data.ndim else flow.data
    data = data[(0,) * len(new)]
    index = tuple(slice(None) if axis in kept else None for axis in range(len(stage.before)))
    runs = {axis: flow.runs[i] for axis, i in kept.items() if i in flow.runs}
    return Flow(data[index], runs, flow.scale)


def _expand(step: rel.Expand, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    lead = len(step.after) - len(step.before)
    for axis, n in enumerate(step.after):
        if axis < lead or (step.before[axis - lead] == 1 and n > 1):
            flow = algebra.total(flow, axis, n, stage.roles_after[axis])
    runs = {a - lead: e for a, e in flow.runs.items() if a >= lead}
    return Flow(flow.data[(0,) * lead], runs, flow.scale)


def _scatter(step: rel.Scatter, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    for axis, n in enumerate(step.after):
        flow = dense(flow, axis, n)
    used = step.index >= 0
    flat = flow.data.reshape(-1, *[1] * (step.index.ndim - 1))
    if step.weights is not None and algebra.weigh:
        flat = flat * step.weights**2
    result = np.zeros(int(np.prod(step.before)), dtype=flat.dtype)
    (np.bitwise_or if algebra.logical else np.add).at(result, step.index[used], np.broadcast_to(flat, used.shape)[used])
    return Flow(result.reshape(step.before), {}, flow.scale)


def _embed(step: rel.Embed, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    axis, start, stop = step.axis, step.start, step.start + step.n_in
    runs = flow.runs.get(axis)
    if runs is None:
        if flow.data.shape[axis] == 1:
            return flow
        return Flow(flow.data[(slice(None),) * axis + (slice(start, stop),)], flow.runs, flow.scale)
    begins = np.array((0, *runs[:-1]))
    ends = np.array(runs)
    chosen = np.flatnonzero((begins < stop) & (ends > start))
    new_ends = tuple(int(e) for e in np.minimum(ends[chosen], stop) - start)
    rest = {a: e for a, e in flow.runs.items() if a != axis}
    data = flow.data.take(chosen, axis=axis)
    return Flow(data, rest if len(new_ends) == 1 else {**rest, axis: new_ends}, flow.scale)


def _reverse(step: rel.Reverse, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    for axis, n in zip(step.axes, step.lengths, strict=True):
        if flow.data.shape[axis] > 1:
            flow = dense(flow, axis, n)
    return Flow(np.flip(flow.data, step.axes), flow.runs, flow.scale)


def _rotate(step: rel.Rotate, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    if flow.data.shape[step.axis] == 1 and step.axis not in flow.runs:
        return flow
    flow = dense(flow, step.axis, stage.after[step.axis])
    return Flow(np.roll(flow.data, -step.shift, step.axis), flow.runs, flow.scale)


def _unroll(step: rel.Unroll, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    axis, last = step.axis, flow.data.ndim - 1
    flow = dense(dense(flow, axis, step.count), last, step.size)
    result = np.zeros(with_length(flow.data.shape[:-1], axis, stage.before[axis]), dtype=flow.data.dtype)
    lead: tuple[Any, ...] = (slice(None),) * axis
    for tap in range(step.size):
        target = (*lead, np.arange(step.count) * step.step + tap * step.dilation)
        piece = flow.data[..., tap]
        result[target] = result[target] | piece if algebra.logical else result[target] + piece
    return Flow(result, flow.runs, flow.scale)


def _overlap(step: rel.Overlap, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    flow = dense(flow, step.axis, step.n_out)
    index = np.arange(step.count)[:, None] * step.step + np.arange(step.size) * step.dilation - step.before
    inside = (index >= 0) & (index < step.n_out)
    data = flow.data[(slice(None),) * step.axis + (np.where(inside, index, 0),)]
    data = np.moveaxis(data, step.axis + 1, -1)
    shape = [1] * data.ndim
    shape[step.axis], shape[-1] = inside.shape
    return Flow(np.where(inside.reshape(shape), data, np.zeros((), data.dtype)), flow.runs, flow.scale)


def _keep(step: rel.Keep | rel.Outside, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    return _masked(step, flow, stage.before)


def _keep_all(step: rel.KeepAll, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    return _masked(step, _all(step, stage, flow, algebra), stage.before)


def _masked(step: rel.Keep | rel.KeepAll | rel.Outside, flow: Flow, shape: Shape) -> Flow:
    keep = step.keep.reshape((1,) * (flow.data.ndim - step.keep.ndim) + step.keep.shape)
    for axis, n in enumerate(keep.shape):
        if n > 1 and axis in flow.runs:
            flow = dense(flow, axis, shape[axis])
    return Flow(flow.data & keep if flow.data.dtype == bool else flow.data * keep, flow.runs, flow.scale)


def _taps(step: rel.Taps, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    result: Flow | None = None
    for offsets in step.offsets:
        part, after = flow, stage.after
        for axis, n_in, n_out, stride, offset in zip(
            step.axes, step.n_in, step.n_out, step.stride, offsets, strict=True
        ):
            slide = rel.Slide(axis, n_in, n_out, 1, stride, -int(offset), 1)
            inner = Stage(slide, with_length(after, axis, n_in), after, stage.roles_before, stage.roles_after)
            part, after = _slide(slide, inner, part, algebra), inner.before
        result = algebra.add(result, part)
    return result or flow


def _everything(step: rel.Everything, stage: Stage, flow: Flow, algebra: Algebra) -> Flow:
    for axis, n in enumerate(step.after):
        flow = algebra.total(flow, axis, n, stage.roles_after[axis])
    return Flow(flow.data.reshape((1,) * len(step.before)), {}, flow.scale)


BACKWARD: dict[type[rel.Step], Callable[[Any, Stage, Flow, Algebra], Flow]] = {
    rel.Slide: _slide,
    rel.Table: _table,
    rel.All: _all,
    rel.Prefix: _prefix,
    rel.Blocks: _blocks,
    rel.Reshape: _reshape,
    rel.Relabel: _relabel,
    rel.Expand: _expand,
    rel.Scatter: _scatter,
    rel.Embed: _embed,
    rel.Reverse: _reverse,
    rel.Rotate: _rotate,
    rel.Unroll: _unroll,
    rel.Overlap: _overlap,
    rel.Keep: _keep,
    rel.Outside: _keep,
    rel.KeepAll: _keep_all,
    rel.Taps: _taps,
    rel.Everything: _everything,
}
