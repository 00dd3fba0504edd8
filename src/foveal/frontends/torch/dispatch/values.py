"""What each tensor of a traced run stands for in the graph.

A :class:`Handle` ties one tensor object to a value of the graph. A tensor that shares memory with another one (a
view) has a parent and the steps that lead from the parent to it. Writing into a view writes a new value for the view,
then a new value for every parent, by the inverse of the steps; a view whose root was written meanwhile is read by
replaying its steps. A tensor without a handle is a constant: it depends neither on a source nor on weights, and is
known by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from foveal.ir import ops
from foveal.ir.graph import GraphBuilder

Shape = tuple[int, ...]


class Step(NamedTuple):
    """One move on the way from a tensor to a view of it: the operation and the shapes before and after."""

    op: ops.Operation
    before: Shape
    after: Shape


class Handle:
    """One tensor: its value, and for a view its parent, steps and the version of the root at which the value was
    read.
    """

    __slots__ = ("original", "parent", "root", "seen", "steps", "tensor", "value", "version")

    def __init__(self, tensor: Tensor, value: int, parent: Handle | None = None, steps: Sequence[Step] = ()) -> None:
        self.tensor = tensor
        self.value = value
        self.parent = parent
        self.steps = steps
        self.root: Handle = self if parent is None else parent.root
        self.version = 0
        self.seen = self.root.version
        self.original: Tensor | None = None


class Values:
    """The tensors of one run and the values they stand for."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder
        self.handles: dict[int, Handle] = {}
        self.depends: dict[int, bool] = {}
        self.constants: dict[int, tuple[Tensor, int]] = {}
        self.views: dict[int, tuple[Tensor, Tensor, Sequence[Step]]] = {}
        self.written: set[int] = set()
        """Memory of constants that was written to."""

    def source(self, tensor: Tensor, axes: Sequence[int] | None, name: str) -> int:
        """Make ``tensor`` a network input."""
        value = self.builder.source(tuple(tensor.shape), axes, name)
        self.depends[value] = True
        self.handles[id(tensor)] = Handle(tensor, value)
        return value

    def parameter(self, tensor: Tensor, name: str = "") -> Handle:
        """Make ``tensor`` weights: generic numbers, never zero."""
        handle = Handle(tensor, self.builder.parameter(tuple(tensor.shape), name))
        self.handles[id(tensor)] = handle
        return handle

    def weights(self, stand_in: Tensor, original: Tensor, name: str) -> None:
        """Make ``stand_in``, and ``original`` wherever the model holds it elsewhere, the weights ``name``."""
        handle = self.parameter(stand_in, name)
        if original is not stand_in:
            self.handles[id(original)] = handle
        if not original.is_meta:
            handle.original = original

    def node(self, op: ops.Operation, inputs: Sequence[int], shape: Sequence[int], origin: str = "") -> int:
        """Add an operation; keeps note of what depends on a source."""
        value = self.builder.node(op, inputs, shape, origin)
        depends = self.depends
        for used in inputs:
            if used in depends:
                depends[value] = True
                break
        return value

    def bind(self, tensor: Tensor, value: int) -> None:
        """Let ``tensor``, which owns its memory, stand for ``value``."""
        self.handles[id(tensor)] = Handle(tensor, value)

    def bind_view(self, tensor: Tensor, parent: Handle, steps: Sequence[Step], origin: str) -> int:
        """Let ``tensor`` stand for the view of ``parent`` that ``steps`` describe; returns its value."""
        value = self.replay(self.read(parent), steps, origin)
        self.handles[id(tensor)] = Handle(tensor, value, parent, steps)
        return value

    def replay(self, value: int, steps: Sequence[Step], origin: str = "") -> int:
        """Apply ``steps`` to ``value``."""
        for step in steps:
            value = self.node(step.op, (value,), step.after, origin)
        return value

    def value(self, tensor: Tensor) -> int:
        """The value ``tensor`` stands for now."""
        handle = self.handles.get(id(tensor))
        return self.constant(tensor) if handle is None else self.read(handle)

    def read(self, handle: Handle) -> int:
        """The value of ``handle`` now; a view of a root written meanwhile is made again."""
        if handle.parent is None or handle.seen == handle.root.version:
            return handle.value
        handle.value = self.replay(self.read(handle.parent), handle.steps, "view")
        handle.seen = handle.root.version
        return handle.value

    def write(self, handle: Handle, value: int) -> None:
        """Let ``handle`` stand for ``value`` from now on, and its parents for what follows from that."""
        if handle.parent is None:
            handle.version += 1
        else:
            self.write(handle.parent, self._put_back(self.read(handle.parent), handle.steps, value))
        handle.value = value
        handle.seen = handle.root.version

    def _put_back(self, root: int, steps: Sequence[Step], part: int) -> int:
        """``root`` with the elements that ``steps`` select replaced by ``part``."""
        if not steps:
            return part
        first, rest = steps[0], steps[1:]
        if rest:
            part = self._put_back(self.replay(root, (first,), "view"), rest, part)
        op, before = first.op, first.before
        if isinstance(op, ops.Reshape):
            return self.node(op, (part,), before, "view")
        if isinstance(op, ops.Permute):
            inverse = tuple(op.order.index(axis) for axis in range(len(op.order)))
            return self.node(ops.Permute(inverse), (part,), before, "view")
        if isinstance(op, ops.Slice):
            starts = tuple(op.start if axis == op.axis else 0 for axis in range(len(before)))
            steps_ = tuple(op.step if axis == op.axis else 1 for axis in range(len(before)))
            return self.node(ops.Place(starts, steps_), (root, part), before, "write")
        if isinstance(op, ops.Gather):
            return self._scatter(root, op.index, part, before)
        return self.node(ops.Opaque("write into a view"), (root, part), before, "write")

    def _scatter(self, root: int, index: np.ndarray, part: int, shape: Shape) -> int:
        """``root`` with the elements ``index`` (row-major positions) replaced by those of ``part``."""
        back = np.full(int(np.prod(shape)), -1, dtype=np.int64)
        back[index.reshape(-1)] = np.arange(index.size)
        moved = self.node(ops.Gather(back.reshape(shape)), (part,), shape, "write")
        mask = self.array((back >= 0).reshape(shape))
        return self.node(ops.Select(), (mask, moved, root), shape, "write")

    def constant(self, tensor: Tensor) -> int:
        """The constant value for ``tensor``, recorded once until a constant is written again."""
        known = self.constants.get(id(tensor))
        if known is None:
            known = (tensor, self.array(to_array(tensor)))
            self.constants[id(tensor)] = known
        return known[1]

    def array(self, data: np.ndarray) -> int:
        """A constant value."""
        return self.builder.constant(data)

    def rewrote(self, tensors: Sequence[Tensor]) -> None:
        """Constants were written with other constants."""
        self.constants.clear()
        self.written.update(map(memory_of, tensors))

    def wrote(self, tensor: Tensor) -> bool:
        """Whether a tensor was written to since it was a constant or weights."""
        handle = self.handles.get(id(tensor))
        if handle is not None:
            return handle.original is None or handle.version > 0
        return memory_of(tensor) in self.written - {0}

    def promote(self, tensor: Tensor) -> Handle:
        """Let a constant that is about to be written with traced data take part in the trace from its root on."""
        known = self.handles.get(id(tensor))
        if known is not None:
            return known
        if id(tensor) not in self.views:
            self.bind(tensor, self.array(to_array(tensor)))
        else:
            _, base, steps = self.views[id(tensor)]
            parent = self.promote(base)
            if id(tensor) not in self.handles:
                self.bind_view(tensor, parent, steps, "view")
        for view, base, _ in list(self.views.values()):
            if base is tensor:
                self.promote(view)
        return self.handles[id(tensor)]


def memory_of(tensor: Tensor) -> int:
    """Which storage a tensor has; 0 for one without, such as a sparse one."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return 0


def to_array(tensor: Tensor) -> np.ndarray:
    """A NumPy copy of a real tensor's data."""
    data = tensor.detach()
    if data.is_quantized:
        data = data.dequantize()
    if data.layout is not torch.strided:
        data = data.to_dense()
    if data.dtype is torch.bfloat16 or data.is_conj() or data.is_neg():
        data = data.resolve_conj().resolve_neg()
        data = data.float() if data.dtype is torch.bfloat16 else data
    return np.array(data.numpy(), copy=True)


class NeedsValues(Exception):
    """The model reads a value that a meta tensor does not have."""


def steps_of(shape: tuple[int, ...], path: list[tuple[ops.Operation, tuple[int, ...]]]) -> list[Step]:
    """The moves of a view with the shape before and after each."""
    steps = []
    for op, after in path:
        steps.append(Step(op, shape, tuple(after)))
        shape = tuple(after)
    return steps
