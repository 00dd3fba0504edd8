"""Boxes: one hull per source axis. A position reads nothing when any of its hulls is empty there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foveal.engine.forward.folded import LONG, Folded, act, all_dense, full, join
from foveal.engine.forward.hull import EMPTY, Hull, empties, without
from foveal.engine.forward.steps import FORWARD, Index
from foveal.ir import relation as rel

Box = tuple[Hull, ...]
TANGLING = (rel.Reshape, rel.Keep, rel.Outside, rel.KeepAll, rel.Scatter, rel.Prefix)
"""Steps after which "reads nothing" is no longer a product of axes, so that it must stand in every hull before."""


def apply(relation: rel.Relation, box: Box) -> Box:
    """The box of each output position that reads the operand through the relation."""
    for step in relation:
        if isinstance(step, rel.Taps):
            box = _taps(step, box)
            continue
        function = FORWARD[type(step)]
        if isinstance(step, TANGLING):
            box = align(box)
        after = tuple([act(step, hull) if isinstance(hull, Folded) else function(step, hull) for hull in box])
        if isinstance(step, (rel.Slide, rel.Table)):
            after = _mark_nothing(step, after)
        box = after
    return box


def align(box: Box) -> Box:
    """Make a position that reads nothing empty in every hull, so that boxes can be joined axis by axis."""
    marks = [empties(hull.told) for hull in box]
    if len(box) < 2 or not any(mark.any() for mark in marks):
        return box
    box = tuple(all_dense(full(hull)) for hull in box)
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


def _mark_nothing(step: rel.Slide | rel.Table, box: Box) -> Box:
    """Outputs without a tap must be empty in at least one hull; hulls that vary along the axis are so already."""
    if step.n_out >= LONG and any(hull.lengths[step.axis] > 1 for hull in box):
        return box  # without a table of all outputs
    nothing = step.reads_nothing
    if nothing is None or any(hull.lengths[step.axis] > 1 for hull in box):
        return box
    first = full(box[0])
    lengths = list(first.data.shape)
    lengths[step.axis + 1] = step.n_out
    data = np.broadcast_to(first.data, lengths).copy()
    lead: Index = (slice(None),) * step.axis
    data[0:2][(slice(None), *lead, nothing)] = EMPTY
    beyond = step.reads_nothing_unclipped if isinstance(step, rel.Table) else None
    if beyond is not None:
        data[2:4][(slice(None), *lead, beyond)] = EMPTY
    return (replace(first, data=data, runs=without(first.runs, step.axis)), *box[1:])


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
