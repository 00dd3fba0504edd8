"""What is known about a value before any input is seen: known zeros, and scores that a softmax switches off.

Asked for by need, from the values that an operation multiplies or contracts with, back along their producers.
Parameters are generic: never zero, unless they were kept by value.
"""

from __future__ import annotations

import numpy as np

from foveal.engine.forward.boxes import apply
from foveal.engine.forward.hull import EMPTY, NOTHING, Hull, Progress
from foveal.ir import ops
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import Facts, reads
from foveal.ir.rules.registry import FACTUAL

SWITCHED_OFF = -100.0
"""A constant this small added before a softmax is a mask (Swin uses -100, others -1e4 or minus infinity)."""

KEEPS_ZERO = frozenset(
    ("relu", "negative", "abs", "tanh", "gelu", "silu", "sqrt", "square", "sin", "sinh", "tan", "asin", "atan", "elu")
    + ("leaky_relu", "selu", "hardtanh", "cast", "sign", "softsign", "hardshrink", "softshrink", "prelu", "scale")
)
"""Functions f with f(0) = 0."""

LINEAR = (
    ops.Flip, ops.Roll, ops.Take, ops.Gather, ops.Unroll, ops.Overlap, ops.Resample, ops.Interpolate, ops.AdaptivePool,
    ops.Pool,
)  # fmt: skip
"""Sums and maxima of inputs, and moves: zero where all that they read is zero."""

MOVES = (ops.Reshape, ops.Permute, ops.Expand, ops.Slice, ops.Concatenate)


class FactFinder:
    """Facts about the values of one graph, each worked out at most once."""

    def __init__(self, graph: Graph) -> None:
        self.values = graph.values
        self.producers: dict[int, Node] = {}
        self._zero: dict[int, np.ndarray | None] = {}
        self.padded: set[int] = set()
        """Values whose known zeros are (also) zero padding."""
        self._closed: dict[int, np.ndarray | None] = {}
        self.masks_trusted: set[int] = set()
        """Outputs of nodes whose relation leaves something out because of a fact."""

    def ways(self, node: Node) -> tuple[Read, ...]:
        """How the node's output reads its operands, with what is known about them."""
        shapes = tuple([self.values[i].shape for i in node.inputs])
        facts = self.about(node) if type(node.op) in FACTUAL else None
        return reads(node.op, shapes, self.values[node.output].shape, facts)

    def about(self, node: Node) -> tuple[Facts, ...] | None:
        """The facts that the node's rule may use, one per operand; None where there are none."""
        found = None
        for position, operand in enumerate(node.inputs):
            if self.values[operand].kind in ("parameter", "source"):
                continue
            facts = self._about(node.op, operand, position)
            if facts is not None:
                found = found or [Facts() for _ in node.inputs]
                found[position] = facts
        if found is None:
            return None
        if any((f.zero is not None and not f.padding) or f.closed is not None or f.value is not None for f in found):
            self.masks_trusted.add(node.output)
        return tuple(found)

    def _about(self, op: ops.Operation, operand: int, position: int) -> Facts | None:
        if isinstance(op, ops.Select):
            value = self.values[operand].data if position == 0 else None
            return None if value is None else Facts(value=value)
        if isinstance(op, ops.Mix):
            closed = self.closed(operand) if op.name in ("softmax", "log_softmax") else None
            return None if closed is None else Facts(closed=closed)
        if isinstance(op, ops.Pointwise) and not (op.name == "multiply" or (op.name == "divide" and position == 0)):
            return None
        zero = self.zero(operand)
        return None if zero is None else Facts(zero=zero, padding=operand in self.padded)

    def zero(self, value: int) -> np.ndarray | None:
        """Where the value is zero whatever the input; None where nothing is known to be."""
        if value not in self._zero:
            self._zero[value] = _some(self._find_zero(value))
            node = self.producers.get(value)
            if node is not None and (isinstance(node.op, ops.Pad) or self.padded.intersection(node.inputs)):
                self.padded.add(value)
        return self._zero[value]

    def closed(self, value: int) -> np.ndarray | None:
        """Where a softmax of the value is zero whatever the input."""
        if value not in self._closed:
            self._closed[value] = _some(self._find_closed(value))
        return self._closed[value]

    def _find_zero(self, value: int) -> np.ndarray | None:
        data = self.values[value].data
        if data is not None:
            return np.asarray(data == 0)
        node = self.producers.get(value)
        if node is None:
            return None
        op = node.op
        if isinstance(op, ops.Pointwise) and op.name == "multiply":
            return self._either([self.zero(v) for v in node.inputs], node)
        if isinstance(op, ops.Pointwise) and (op.name == "divide" or (op.name in KEEPS_ZERO and len(node.inputs) == 1)):
            return self._either([self.zero(node.inputs[0])], node)
        if isinstance(op, ops.Mix) and op.name == "softmax":
            return self.closed(node.inputs[0])
        if isinstance(op, ops.Select):
            return self._selected(node, self.zero)
        if isinstance(op, MOVES):
            return self._moved(node, self.zero)
        if isinstance(op, LINEAR) or (isinstance(op, ops.Pad) and op.mode == "constant" and op.value == 0):
            return self._read_zeros_only(node)
        return None

    def _read_zeros_only(self, node: Node) -> np.ndarray | None:
        """Where a sum of inputs adds up zeros only: the relation itself says so, with "zero" for "reads nothing"."""
        operand = node.inputs[0]
        shape, zero = self.values[operand].shape, self.zero(operand)
        if zero is None and not isinstance(node.op, ops.Pad):
            return None
        live = np.where(np.zeros((1,) * len(shape), dtype=bool) if zero is None else zero, EMPTY, 0)
        lengths = [n if isinstance(node.op, ops.Pad) else live.shape[axis] for axis, n in enumerate(shape)]
        data = np.broadcast_to(live, (4, *lengths))
        steps = {axis: Progress(1, 0) for axis, n in enumerate(lengths) if n > 1}
        (way,) = reads(node.op, (shape,), self.values[node.output].shape)
        (hull,) = apply(way.relation, (Hull(data, steps, {}),))
        return np.asarray(hull.data[0] >= NOTHING)

    def _find_closed(self, value: int) -> np.ndarray | None:
        data = self.values[value].data
        if data is not None:
            return np.asarray(data <= SWITCHED_OFF) if data.dtype.kind == "f" else None
        node = self.producers.get(value)
        if node is None:
            return None
        if isinstance(node.op, ops.Pointwise) and node.op.name == "add":
            return self._either([self.closed(v) for v in node.inputs], node)
        if isinstance(node.op, ops.Select):
            return self._selected(node, self.closed)
        if isinstance(node.op, MOVES):
            return self._moved(node, self.closed)
        return None

    def _either(self, masks: list[np.ndarray | None], node: Node) -> np.ndarray | None:
        rank = len(self.values[node.output].shape)
        result = None
        for mask in masks:
            if mask is not None:
                mask = mask.reshape((1,) * (rank - mask.ndim) + mask.shape)
                result = mask if result is None else result | mask
        return result

    def _selected(self, node: Node, ask) -> np.ndarray | None:  # type: ignore[no-untyped-def]
        condition = self.values[node.inputs[0]].data
        if condition is None:
            return None
        a, b = (ask(v) for v in node.inputs[1:])
        no = np.zeros((), dtype=bool)
        return np.where(condition.astype(bool), no if a is None else a, no if b is None else b)

    def _moved(self, node: Node, ask) -> np.ndarray | None:  # type: ignore[no-untyped-def]
        masks = [ask(v) for v in node.inputs]
        if all(mask is None for mask in masks):
            return None
        full = [
            np.zeros(self.values[v].shape, dtype=bool) if m is None else np.broadcast_to(m, self.values[v].shape)
            for v, m in zip(node.inputs, masks, strict=True)
        ]
        op, shape = node.op, self.values[node.output].shape
        if isinstance(op, ops.Permute):
            return full[0].transpose(op.order)
        if isinstance(op, ops.Slice):
            index = op.start + np.arange(shape[op.axis]) * op.step
            return full[0].take(index, axis=op.axis)
        if isinstance(op, ops.Concatenate):
            return np.concatenate(full, axis=op.axis)
        if isinstance(op, ops.Expand):
            return np.broadcast_to(full[0], shape)
        return full[0].reshape(shape)


def _some(mask: np.ndarray | None) -> np.ndarray | None:
    """None for a mask without a true element; length 1 along axes that do not matter."""
    if mask is None or not mask.any():
        return None
    for axis in range(mask.ndim):
        if mask.shape[axis] > 1 and (mask == mask.take([0], axis=axis)).all():
            mask = mask.take([0], axis=axis)
    return mask
