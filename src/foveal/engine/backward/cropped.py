"""Flows of one unit over a long source: only the stretch of an axis that a path can reach is kept.

A :class:`Flow` may say of an axis that it holds ``length`` positions from ``start`` on (``crop``: axis to start and
whole length); those before and behind contribute nothing. A step then acts on the stretch as on a short value, by the
same function and in the same order, so that every number stays as it is. Where there is no rule here, or positions are
treated by their place, the axis gets its whole length back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward.algebra import Crop, Flow
from foveal.engine.backward.stages import Stage
from foveal.ir import relation as rel
from foveal.ir.lengths import groups

LONG = 1 << 16
"""Sources of at least so many positions have their flows cropped."""
LARGEST = 1 << 27
"""No flow is made of more elements than this (1 GB)."""

KNOWN = (rel.Slide, rel.Table, rel.All, rel.Blocks, rel.Embed, rel.Relabel, rel.Expand, rel.Reshape, rel.Keep)
"""Steps that act on a stretch of an axis as on a short one, given the rules above."""


def uncropped(flow: Flow, axes: Iterable[int] | None = None) -> Flow:
    """The flow with the whole length of these axes (default: of all). Raises FovealError where it would not fit."""
    axes = tuple(flow.crop) if axes is None else tuple(axis for axis in axes if axis in flow.crop)
    if not axes:
        return flow
    pads, shape = [(0, 0)] * flow.data.ndim, list(flow.data.shape)
    for axis in axes:
        start, n = flow.crop[axis]
        pads[axis] = (start, n - start - shape[axis])
        shape[axis] = n
    if prod(shape) > LARGEST:
        raise FovealError(f"the field would be worked out over {' x '.join(map(str, shape))} elements: too many")
    return replace(flow, data=np.pad(flow.data, pads), crop={a: c for a, c in flow.crop.items() if a not in axes})


def aligned(a: Flow, b: Flow) -> tuple[Flow, Flow]:
    """Two flows that hold the same stretches."""
    if a.crop == b.crop and all(a.data.shape[axis] == b.data.shape[axis] for axis in a.crop):
        return a, b
    a, b = uncropped(a, a.crop.keys() - b.crop.keys()), uncropped(b, b.crop.keys() - a.crop.keys())
    for axis, (start, _) in tuple(a.crop.items()):
        other = b.crop[axis][0]
        first = min(start, other)
        end = max(start + a.data.shape[axis], other + b.data.shape[axis])
        a, b = _widened(a, axis, first, end), _widened(b, axis, first, end)
    return a, b


def _widened(flow: Flow, axis: int, first: int, end: int) -> Flow:
    start, n = flow.crop[axis]
    pads = [(0, 0)] * flow.data.ndim
    pads[axis] = (start - first, end - start - flow.data.shape[axis])
    return replace(flow, data=np.pad(flow.data, pads), crop={**flow.crop, axis: (first, n)})


def over_box(flow: Flow, axes: tuple[int, ...], box: tuple[tuple[int, int], ...]) -> Flow:
    """The flow with axes that hold just these ranges."""
    for axis, (first, end) in zip(axes, box, strict=True):
        if axis in flow.runs:  # of a group of channels that count as positions
            runs = dict(flow.runs)
            flow = replace(flow, data=np.repeat(flow.data, np.diff((0, *runs.pop(axis))), axis=axis), runs=runs)
        if axis not in flow.crop:
            cut = flow.data if flow.data.shape[axis] == 1 else flow.data.take(range(first, end), axis=axis)
            flow = replace(flow, data=cut)
            continue
        start = flow.crop[axis][0]
        wide = _widened(flow, axis, min(start, first), max(start + flow.data.shape[axis], end))
        inside = (slice(None),) * axis + (slice(first - wide.crop[axis][0], end - wide.crop[axis][0]),)
        flow = replace(wide, data=wide.data[inside], crop={a: c for a, c in wide.crop.items() if a != axis})
    return flow


def shortened(stage: Stage, flow: Flow) -> tuple[Stage, Flow, Crop]:
    """The stage as it acts on the stretches that the flow holds, the flow as a short one, and what it holds behind the
    step.
    """
    step: Any = stage.step
    if not isinstance(step, KNOWN):
        flow = uncropped(flow)
    elif isinstance(step, rel.Embed) or (isinstance(step, rel.Blocks) and step.groups < max(step.n_in, step.n_out)):
        flow = uncropped(flow, (step.axis,))
    elif isinstance(step, rel.Reshape):
        alone = {outs[0] for ins, outs in groups(step.before, step.after) if len(ins) == len(outs) == 1}
        flow = uncropped(flow, set(flow.crop) - alone)
    crop = dict(flow.crop)
    if not crop:
        return stage, flow, crop
    lengths = {axis: flow.data.shape[axis] for axis in crop}
    after = tuple(lengths.get(axis, n) for axis, n in enumerate(stage.after))
    before = stage.before
    if isinstance(step, (rel.Slide, rel.Table)) and step.axis in crop:
        step, crop[step.axis] = _along(step, crop[step.axis][0], lengths[step.axis])
    elif isinstance(step, rel.All):
        crop = {axis: c for axis, c in crop.items() if axis not in step.axes}
    elif isinstance(step, rel.Relabel):
        kept = [(i, axis) for i, axis in enumerate(step.order) if axis is not None and stage.before[axis] > 1]
        crop = {axis: crop[i] for i, axis in kept if i in crop}
    elif isinstance(step, rel.Expand):
        lead = len(step.after) - len(step.before)
        step = replace(step, after=after)
        crop = {axis - lead: c for axis, c in crop.items() if axis >= lead and step.before[axis - lead] > 1}
    elif isinstance(step, rel.Reshape):
        place = {outs[0]: ins[0] for ins, outs in groups(step.before, step.after) if len(ins) == len(outs) == 1}
        crop = {place[axis]: c for axis, c in crop.items()}
        short = {place[axis]: n for axis, n in lengths.items()}
        before = tuple(short.get(axis, n) for axis, n in enumerate(step.before))
        step = rel.Reshape(before, after)
    elif isinstance(step, rel.Keep):
        step = _kept(step, flow, crop)
    return stage._replace(step=step, before=before, after=after), replace(flow, crop={}), crop


def _along(step: rel.Slide | rel.Table, start: int, length: int) -> tuple[rel.Step, tuple[int, int]]:
    """The windows of outputs start to start + length - 1, over the inputs that they read."""
    if isinstance(step, rel.Slide):
        left = start * step.stride - step.before
        right = left + (length - 1) * step.stride + (step.kernel - 1) * step.dilation
        first, last = min(max(left, 0), step.n_in - 1), min(max(right, 0), step.n_in - 1)
        short: rel.Step = replace(step, n_in=last - first + 1, n_out=length, before=first - left)
        return short, (first, step.n_in)
    rows = slice(start, start + length)
    clipped = step.clipped[rows]
    used = clipped != rel.ABSENT
    first, last = (int(clipped[used].min()), int(clipped[used].max())) if used.any() else (0, 0)
    clipped = np.where(used, clipped - first, rel.ABSENT)
    weights = None if step.weights is None else step.weights[rows]
    short = rel.Table(step.axis, last - first + 1, length, clipped, clipped, None, weights)
    return short, (first, step.n_in)


def _kept(step: rel.Keep, flow: Flow, crop: Crop) -> rel.Keep:
    keep = step.keep.reshape((1,) * (flow.data.ndim - step.keep.ndim) + step.keep.shape)
    for axis, (start, _) in crop.items():
        if keep.shape[axis] > 1:
            keep = keep.take(range(start, start + flow.data.shape[axis]), axis=axis)
    return replace(step, keep=keep)
