"""What is known about a value before any input is seen: known zeros, and scores that a softmax switches off.

Asked for by need, from the values that an operation multiplies or contracts with, back along their producers.
Parameters are generic: never zero, unless they were kept by value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.boxes import apply
from foveal.engine.forward.hull import EMPTY, NOTHING, Hull, Progress
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import Facts, reads, traits
from foveal.ir.traits import Mask

SWITCHED_OFF = -100.0
"""A constant this small added before a softmax is a mask (Swin uses -100, others -1e4 or minus infinity)."""


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
        return reads(node.op, shapes, self.values[node.output].shape, self.about(node))

    def about(self, node: Node) -> tuple[Facts, ...] | None:
        """The facts that the node's rule may use, one per operand; None where there are none."""
        found, wants = None, traits(node.op).wants
        for position, operand in enumerate(node.inputs):
            if self.values[operand].kind in ("parameter", "source"):
                continue
            facts = self._about(wants(node.op, position), operand)
            if facts is not None:
                found = found or [Facts() for _ in node.inputs]
                found[position] = facts
        if found is None:
            return None
        if any((f.zero is not None and not f.padding) or f.closed is not None or f.value is not None for f in found):
            self.masks_trusted.add(node.output)
        return tuple(found)

    def _about(self, wanted: str, operand: int) -> Facts | None:
        if wanted == "value":
            value = self.values[operand].data
            return None if value is None else Facts(value=value)
        if wanted == "closed":
            closed = self.closed(operand)
            return None if closed is None else Facts(closed=closed)
        zero = self.zero(operand) if wanted == "zero" else None
        if zero is None:
            return None
        return Facts(zero=zero, value=self.values[operand].data, padding=operand in self.padded)

    def zero(self, value: int) -> np.ndarray | None:
        """Where the value is zero whatever the input; None where nothing is known to be."""
        if value not in self._zero:
            self._zero[value] = _some(self._find_zero(value))
            node = self.producers.get(value)
            if node is not None and (traits(node.op).pads(node.op) or self.padded.intersection(node.inputs)):
                self.padded.add(value)
        return self._zero[value]

    def closed(self, value: int) -> np.ndarray | None:
        """Where a softmax of the value is zero whatever the input."""
        if value not in self._closed:
            self._closed[value] = _some(self._find_closed(value))
        return self._closed[value]

    def _find_zero(self, value: int) -> Mask:
        data = self.values[value].data
        if data is not None:
            return np.asarray(data == 0)
        node = self.producers.get(value)
        if node is None:
            return None
        known = traits(node.op)
        return self._moved(node, self.zero) if known.apply else known.zero(node.op, _Known(self, node))

    def _find_closed(self, value: int) -> Mask:
        data = self.values[value].data
        if data is not None:
            return np.asarray(data <= SWITCHED_OFF) if data.dtype.kind == "f" else None
        node = self.producers.get(value)
        if node is None:
            return None
        known = traits(node.op)
        return self._moved(node, self.closed) if known.apply else known.closed(node.op, _Known(self, node))

    def _moved(self, node: Node, ask: Callable[[int], Mask]) -> Mask:
        masks = [ask(v) for v in node.inputs]
        apply_to = traits(node.op).apply
        if apply_to is None or all(mask is None for mask in masks):
            return None
        full = [
            np.zeros(self.values[v].shape, dtype=bool) if m is None else np.broadcast_to(m, self.values[v].shape)
            for v, m in zip(node.inputs, masks, strict=True)
        ]
        return apply_to(node.op, full, self.values[node.output].shape)


class _Known(NamedTuple):
    """What a rule's own functions may ask about the operands of one node."""

    finder: FactFinder
    node: Node

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.finder.values[i].shape for i in self.node.inputs)

    @property
    def out(self) -> tuple[int, ...]:
        return self.finder.values[self.node.output].shape

    def zero(self, operand: int) -> Mask:
        return self.finder.zero(self.node.inputs[operand])

    def closed(self, operand: int) -> Mask:
        return self.finder.closed(self.node.inputs[operand])

    def value(self, operand: int) -> np.ndarray | None:
        return self.finder.values[self.node.inputs[operand]].data

    def only_zeros_read(self) -> Mask:
        """The relations themselves say where, with "zero" for "reads nothing"."""
        op, result = self.node.op, None
        for way in reads(op, self.shapes, self.out):
            shape, zero, pads = self.shapes[way.operand], self.zero(way.operand), traits(op).pads(op)
            if zero is None and not pads:
                return None
            live = np.where(np.zeros((1,) * len(shape), dtype=bool) if zero is None else zero, EMPTY, 0)
            lengths = [n if pads else live.shape[axis] for axis, n in enumerate(shape)]
            data = np.broadcast_to(live, (4, *lengths))
            steps = {axis: Progress(1, 0) for axis, n in enumerate(lengths) if n > 1}
            (hull,) = apply(way.relation, (Hull(data, steps, {}),))
            silent = np.asarray(hull.data[0] >= NOTHING)
            result = silent if result is None else result & silent
        return result


def _some(mask: np.ndarray | None) -> np.ndarray | None:
    """None for a mask without a true element; length 1 along axes that do not matter."""
    if mask is None or not mask.any():
        return None
    for axis in range(mask.ndim):
        if mask.shape[axis] > 1 and (mask == mask.take([0], axis=axis)).all():
            mask = mask.take([0], axis=axis)
    return mask
