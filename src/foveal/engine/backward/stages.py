"""The steps of a relation with the shapes and roles that stand on both sides of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from foveal.engine.roles import Roles, through
from foveal.ir import relation as rel
from foveal.ir.cache import Bounded

Shape = tuple[int, ...]


class Stage(NamedTuple):
    """One step with what stands on both sides of it."""

    step: rel.Step
    before: Shape
    after: Shape
    roles_before: Roles
    roles_after: Roles


@Bounded
def stages(relation: rel.Relation, operand: Shape, out: Shape, roles: Roles, out_roles: Roles) -> tuple[Stage, ...]:
    """The steps of a relation with shapes and roles. Reductions keep their axes, so lengths are worked out from both
    ends.
    """
    forward = [operand]
    for step in relation:
        forward.append(shape_after(step, forward[-1]))
    backward = [out]
    for step, shape in zip(reversed(relation), reversed(forward[:-1]), strict=True):
        backward.append(_shape_before(step, backward[-1], shape))
    backward.reverse()
    kinds = [roles]
    for step in relation:
        kinds.append(through((step,), kinds[-1]))
    if len(kinds[-1]) == len(out_roles):
        kinds[-1] = out_roles
    return tuple(Stage(step, backward[i], backward[i + 1], kinds[i], kinds[i + 1]) for i, step in enumerate(relation))


def shape_after(step: rel.Step, shape: Shape) -> Shape:
    """The shape behind a step, as far as the shape before it tells."""
    if isinstance(step, (rel.Slide, rel.Table, rel.Blocks, rel.Embed)):
        return with_length(shape, step.axis, step.n_out)
    if isinstance(step, (rel.Reshape, rel.Expand, rel.Scatter, rel.Everything)):
        return step.after
    if isinstance(step, rel.Relabel):
        return tuple(1 if axis is None else shape[axis] for axis in step.order)
    if isinstance(step, rel.Unroll):
        return (*with_length(shape, step.axis, step.count), step.size)
    if isinstance(step, rel.Overlap):
        return with_length(shape, step.axis, step.n_out)[:-1]
    if isinstance(step, rel.Taps):
        for axis, n in zip(step.axes, step.n_out, strict=True):
            shape = with_length(shape, axis, n)
    if isinstance(step, (rel.Keep, rel.KeepAll)):
        # a new axis of length 1 gets its length from the mask
        shape = np.broadcast_shapes(shape, step.keep.shape)
    return shape


def _shape_before(step: rel.Step, after: Shape, forward: Shape) -> Shape:
    if isinstance(step, (rel.Slide, rel.Table, rel.Blocks, rel.Embed)):
        return with_length(after, step.axis, step.n_in)
    if isinstance(step, (rel.Reshape, rel.Expand, rel.Scatter, rel.Everything)):
        return step.before
    if isinstance(step, (rel.All, rel.KeepAll)):
        return tuple(forward[i] if i in step.axes else n for i, n in enumerate(after))
    if isinstance(step, rel.Relabel):
        shape = [1] * len(forward)
        for i, axis in enumerate(step.order):
            if axis is not None:
                shape[axis] = forward[axis] if forward[axis] == 1 else after[i]
        return tuple(shape)
    if isinstance(step, (rel.Unroll, rel.Overlap, rel.Taps)):
        return forward
    return after


def with_length(shape: Shape, axis: int, n: int) -> Shape:
    """The shape with another length along one axis."""
    return (*shape[:axis], n, *shape[axis + 1 :])
