"""What is known about a value before any input is seen: numbers, and scores that a softmax switches off.

Asked for by need, from the values that an operation multiplies or contracts with, back along their producers.
Parameters are generic: never zero, unless they were kept by value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from foveal.engine.forward.boxes import apply
from foveal.engine.forward.hull import EMPTY, NOTHING, Hull, Progress
from foveal.ir.fixed import FREE, Cells, Fixed, constant, made, number, rows
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Keep, Read
from foveal.ir.rules import Facts, reads, traits
from foveal.ir.rules.along import moved
from foveal.ir.traits import Mask

LISTED = 1 << 16
"""Matrices up to this many elements carry their known numbers in the bounds; whoever reads a larger one asks for
them."""
DEEPEST = 30
"""Values that wait for one another before the last is worked out first: Python's own limit is near behind it."""


class _TooDeep(Exception):
    """The value has to be worked out before those that wait for it."""


class FactFinder:
    """Facts about the values of one graph, each worked out at most once. ``pads``: what is known because a source was
    padded counts too.
    """

    def __init__(self, graph: Graph, pads: bool = True) -> None:
        self.graph, self.pads = graph, pads
        self.values = graph.values
        self.producers: dict[int, Node] = {}
        self._fixed: dict[int, Fixed | None] = {}
        self.moving = {source.value for source in graph.sources}
        """What sources can change."""
        for node in graph.nodes:
            if not self.moving.isdisjoint(node.inputs):
                self.moving.add(node.output)
        self.depth = 0
        self._ways: dict[int, tuple[Read, ...]] = {}
        self.padded: set[int] = set()
        """Values that sources set and that padding may take part in; weights and masks do not go on beyond."""
        self._masks: FactFinder | None = None
        self.masks_trusted: set[int] = set()
        """Outputs of nodes whose relation leaves something out because of a fact."""
        self.finite: dict[int, str] = {}
        """Outputs of nodes that took a finite constant for a mask, and their layers."""
        self.doubts: dict[int, str] = {}
        """Outputs of nodes that may read less than is said, and because of which operation."""

    def ways(self, node: Node) -> tuple[Read, ...]:
        """How the node's output reads its operands, with what is known about them; worked out once."""
        if node.output not in self._ways:
            self._ways[node.output] = self._read_by(node)
        return self._ways[node.output]

    def _read_by(self, node: Node) -> tuple[Read, ...]:
        shapes = tuple([self.values[i].shape for i in node.inputs])
        ways = reads(node.op, shapes, self.values[node.output].shape, self.about(node))
        if self._settles(node):
            keep = self._settled(node)
            if keep is not None:
                step = Keep(keep, node.output in self.padded)
                ways = tuple(replace(way, relation=(*way.relation, step)) for way in ways)
        return ways

    def about(self, node: Node) -> tuple[Facts, ...] | None:
        """The facts that the node's rule may use, one per operand; None where there are none."""
        found, wants = None, traits(node.op).wants
        for position, operand in enumerate(node.inputs):
            if self.values[operand].kind in ("parameter", "source"):
                continue
            facts = self._about(wants(node.op, position), operand, node)
            if facts is not None:
                found = found or [Facts() for _ in node.inputs]
                found[position] = facts
        if found is None:
            return None
        masks = [f for i, f in zip(node.inputs, found, strict=True) if i not in self.padded or f.mask is not None]
        if any(f.zero is not None or f.closed is not None or f.fixed is not None for f in masks):
            self.masks_trusted.add(node.output)
        return tuple(found)

    def _about(self, wanted: str, operand: int, node: Node) -> Facts | None:
        if not wanted:
            return None
        part = self.fixed(operand)
        if part is None:
            return None
        if wanted == "fixed":
            return Facts(fixed=part)
        if wanted == "closed":
            closed = traits(node.op).closed(node.op, _Known(self, node))
            return None if closed is None else Facts(closed=closed)
        if part.cells.lost.any() and self._signals(node) > 1:
            self.doubts[node.output] = part.cause
        zero = self.zero(operand)
        if zero is None:
            return None
        mask = self.masked(operand)
        padding = operand in self.padded and (mask is None or bool((zero != mask).any()))
        return Facts(zero=zero, value=self.values[operand].data, padding=padding, mask=mask if padding else None)

    def masked(self, value: int) -> Mask:
        """Where the value is zero whatever the input, and would be without padding that takes part in it."""
        if value not in self.padded:
            return self.zero(value)
        if self._masks is None:
            self._masks = FactFinder(self.graph, pads=False)
            self._masks.producers = self.producers
        return self._masks.zero(value)

    def zero(self, value: int) -> Mask:
        """Where the value is zero whatever the input; None where nothing is known to be."""
        part = self.fixed(value)
        if part is None:
            return None
        zero = ~part.cells.free & (part.cells.low == 0)
        return part.where(zero) if zero.any() else None

    def fixed(self, value: int) -> Fixed | None:
        """What is known of the value's elements."""
        if value not in self._fixed:
            if self.depth == DEEPEST:
                raise _TooDeep(value)
            waiting = [value]
            while waiting:
                try:
                    self._work_out(waiting[-1])
                    waiting.pop()
                except _TooDeep as deeper:
                    if self.depth:
                        raise
                    waiting.append(deeper.args[0])
        return self._fixed[value]

    def _work_out(self, value: int) -> None:
        item, node = self.values[value], self.producers.get(value)
        if item.data is not None:
            self._fixed[value] = constant(item.data)
        elif node is None or (not self.pads and value in self.moving and traits(node.op).pads(node.op)):
            self._fixed[value] = None
        else:
            self.depth += 1
            try:
                self._fixed[value] = traits(node.op).fixed(node.op, _Known(self, node))
            finally:
                self.depth -= 1
            about = traits(node.op)
            border = about.pads(node.op) or (self._fixed[value] is not None and about.kernel(node.op))
            if (value in self.moving and border) or self.padded.intersection(node.inputs):
                self.padded.add(value)

    def _signals(self, node: Node) -> int:
        return len({i for i in node.inputs if self.values[i].kind not in ("constant", "parameter")})

    def _settles(self, node: Node) -> bool:
        if traits(node.op).settles(node.op):
            for operand in node.inputs:
                if self.fixed(operand) is not None:
                    return True
        return False

    def _settled(self, node: Node) -> Mask:
        """Where the result is not a number; None where its operands are all numbers too, wherever it is one."""
        part = self.fixed(node.output)
        if part is None:
            return None
        if part.cells.lost.any() and self._signals(node) > 1 and traits(node.op).joins(node.op) != "sum":
            self.doubts[node.output] = part.cause
        numbers = part.where(~part.cells.free)
        if not numbers.any() or numbers.size > LISTED:
            return None
        silent = _Known(self, node).silent([None if p is None else ~p.cells.free for p in map(self.fixed, node.inputs)])
        if silent is not None and not (numbers & ~silent).any():
            return None
        if node.output not in self.padded:
            self.masks_trusted.add(node.output)
        return ~numbers


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

    @property
    def place(self) -> str:
        return self.node.place

    def zero(self, operand: int) -> Mask:
        return self.finder.zero(self.node.inputs[operand])

    def fixed(self, operand: int) -> Fixed | None:
        return self.finder.fixed(self.node.inputs[operand])

    def parts(self) -> list[Fixed | None]:
        return [self.finder.fixed(i) for i in self.node.inputs]

    def value(self, operand: int) -> np.ndarray | None:
        return self.finder.values[self.node.inputs[operand]].data

    def beside(self, operand: int) -> Fixed | None:
        """As ``fixed``; one number that is added to all elements counts too, where others are chosen beside them."""
        part, maker = self.fixed(operand), self.finder.producers.get(self.node.inputs[operand])
        if part is not None or maker is None or getattr(maker.op, "name", "") != "add":
            return part
        numbers = [number for number in getattr(maker.op, "numbers", ()) if isinstance(number, (int, float))]
        if len(maker.inputs) != 1 or len(numbers) != 1:
            return None
        shift = np.array(numbers, dtype=np.float64)
        return made(np.zeros((1,) * len(self.out), dtype=np.uint8), FREE._replace(low=shift, high=shift))

    def own_maximum(self) -> tuple[int, ...]:
        """The axes along which the first operand's own maximum is taken away; () where it is not."""
        value, shape = self.node.inputs[1], self.shapes[0]
        while (maker := self.finder.producers.get(value)) is not None and traits(maker.op).apply is not None:
            value = maker.inputs[0]
        if maker is None or maker.inputs[0] != self.node.inputs[0]:
            return ()
        what, axes = traits(maker.op).whole(maker.op)[0], getattr(maker.op, "axes", ())
        rows = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
        own = (1,) * (len(shape) - len(self.shapes[1])) + self.shapes[1]
        return tuple(axes) if what in LARGEST and own in (rows, shape) else ()

    def trust(self) -> None:
        self.finder.finite[self.node.output] = self.node.scope or "(top)"

    def doubt(self, cause: str) -> None:
        self.finder.doubts[self.node.output] = cause

    def unsaid(self) -> Fixed | None:
        op, known = self.node.op, traits(self.node.op)
        parts = self.parts()
        if known.apply is not None:
            if not any(part is not None for part in parts):
                return None
            apply_to, out = known.apply, self.out
            return moved(lambda codes, nothing: apply_to(op, codes, out), self)
        zero = known.zero(op, self)
        special = [part is not None and (part.cells.special | part.cells.lost).any() for part in parts]
        silent = None
        if any(special):
            silent = self.silent([None if p is None else ~p.cells.free | p.cells.lost for p in parts])
        if zero is None and silent is None:
            return None
        shape = np.broadcast_shapes(*(mask.shape for mask in (zero, silent) if mask is not None))
        code = np.zeros(shape, dtype=np.uint8)
        code = code if silent is None else np.where(silent, 2, code)
        code = code if zero is None else np.where(zero, 1, code)
        cause = next((part.cause for part in parts if part is not None and part.cause), self.place)
        return made(code, rows(FREE, number(0.0), LOST), cause)

    def only_zeros_read(self) -> Mask:
        """The relations themselves say where, with "zero" for "reads nothing"."""
        return self.silent([None if p is None else ~p.cells.free & (p.cells.low == 0) for p in (self.fixed(0),)])

    def silent(self, chosen: list[np.ndarray | None]) -> Mask:
        """Where all that the result reads has one of these codes (per operand), or is nothing; None: nowhere."""
        op, result = self.node.op, None
        for way in reads(op, self.shapes, self.out):
            if way.operand >= len(chosen):
                continue
            shape, table = self.shapes[way.operand], chosen[way.operand]
            pads = traits(op).pads(op) or traits(op).kernel(op)
            part = self.fixed(way.operand)
            if (table is None or part is None) and not pads:
                return None
            mask = np.zeros((1,) * len(shape), dtype=bool)
            if table is not None and part is not None:
                mask = part.where(table).reshape((1,) * (len(shape) - part.code.ndim) + part.code.shape)
            live = np.where(mask, EMPTY, 0)
            lengths = [n if pads else live.shape[axis] for axis, n in enumerate(shape)]
            data = np.broadcast_to(live, (4, *lengths))
            steps = {axis: Progress(1, 0) for axis, n in enumerate(lengths) if n > 1}
            (hull,) = apply(way.relation, (Hull(data, steps, {}),))
            silent = np.asarray(hull.data[0] >= NOTHING)
            result = silent if result is None else result & silent
        return result if result is not None and result.any() else None


LOST = Cells(FREE.low, FREE.high, FREE.free, np.ones(1, dtype=bool))
LARGEST = tuple(f"takes the {name} over" for name in ("max", "amax", "logsumexp"))
