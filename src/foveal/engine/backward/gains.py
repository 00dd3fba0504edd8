"""The factor of each way of reading, for counted paths and for expected squared gradients with weights of unit gain."""

from __future__ import annotations

import numpy as np

from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import traits

ATTENTION = "attention and computed kernels as fixed uniform weights on the value path"
STATISTICS = "statistics (norms, variances) left out"
PRODUCT = "a product of two signals with the other one taken as uniform weights"
SHARED = "ways to one value without weights of their own between, and weights used more than once, as if independent"
CONSTANTS = "constant factors that differ by their mean square, constant matrices and kernels as if of unit gain"
AVERAGES = "gradients that an average made alike, added up before it as if independent"


class Gains:
    """The factor of each way of reading, notes on what was approximated, and where a way was not followed."""

    def __init__(self, graph: Graph, kind: str) -> None:
        self.graph, self.kind = graph, kind
        self.signals = set(bounds(graph).states)
        self.notes: set[str] = set()
        self.dropped: list[str] = []
        self.alike = False
        self.users: dict[int, int] = {}
        self.joined: set[int] = set()

    def __call__(self, node: Node, way: Read) -> float:
        """0 for statistics and for weights that the signal sets: they are not followed."""
        if way.kind != "value":
            self.notes.add(ATTENTION if way.kind == "weights" else STATISTICS)
            self.dropped.append(node.place)
            return 0.0
        if self.kind == "paths":
            return 1.0
        self._watch(node, way)
        self._share(node, way)
        return self.own(node, way) * way.factor**2 * self._constant(node, way)

    def own(self, node: Node, way: Read) -> float:
        """The factor of a value read: one over the number of elements combined (weights of unit gain)."""
        if way.fan == 1:
            return 1.0
        if traits(node.op).product(node.op) and self.partners(node, way):
            self.notes.add(PRODUCT)
            return float(1.0 / way.fan**2)
        return float(1.0 / way.fan**2 if way.averaged else 1.0 / way.fan)

    def _constant(self, node: Node, way: Read) -> float:
        """The square of what else the graph knows by value and multiplies or divides by."""
        known = [self.graph.values[i] for k, i in enumerate(node.inputs) if k != way.operand]
        arrays = [value.data for value in known if value.kind == "constant" and value.data is not None]
        if not arrays:
            return 1.0
        if self._weighs(node):
            self.notes.add(CONSTANTS)
        name = traits(node.op).function(node.op)
        if name not in ("multiply", "divide") or (name == "divide" and way.operand != 0):
            return 1.0
        factor = 1.0
        for array in arrays:
            squares = np.abs(np.asarray(array, dtype=float).reshape(-1)) ** 2
            squares = squares[squares != 0]
            if name == "divide":
                squares = 1 / squares
            if squares.size:
                factor *= float(squares.mean())
                if squares.max() > squares.min() * (1 + 1e-9):
                    self.notes.add(CONSTANTS)
        return factor

    def _weighs(self, node: Node) -> bool:
        """Whether another operand may be weights for one that depends on a source."""
        return traits(node.op).weighs(node.op)

    def _share(self, node: Node, way: Read) -> None:
        """Where a value reaches a sum in two ways without weights between, and where weights are used twice,
        gradients are not independent: noted.
        """
        for k, i in enumerate(node.inputs):
            weights = k != way.operand and self.graph.values[i].kind == "parameter" and self._weighs(node)
            if weights and self.users.setdefault(i, node.output) != node.output:
                self.notes.add(SHARED)
        operands = [i for i in node.inputs if i in self.signals]
        joins = traits(node.op).joins(node.op)
        if len(operands) < 2 or joins not in ("sum", "other") or node.output in self.joined:
            return
        self.joined.add(node.output)
        last = self._fixed(operands[-1], 0)
        if any(last & self._fixed(i, min(last)) for i in operands[:-1]):
            self.notes.add(SHARED)

    def _fixed(self, value: int, least: int) -> set[int]:
        """The value and those that it is made from without weights between; none made before ``least``."""
        found, stack, producers = {value}, [value], self.graph.producers()
        while stack:
            node = producers.get(stack.pop())
            if node is None or self._weighted(node):
                continue
            fresh = {i for i in node.inputs if i in self.signals and i >= least} - found
            found |= fresh
            stack += fresh
        return found

    def _weighted(self, node: Node) -> bool:
        """Whether it multiplies by learnt weights, or by what the signal sets."""
        known = traits(node.op)
        name = known.function(node.op)
        if name in ("batch_norm", "prelu"):
            return True
        others = [self.graph.values[i].kind for i in node.inputs[1:]]
        return (known.weighs(node.op) or name == "multiply") and others != [] and "constant" not in others

    def partners(self, node: Node, way: Read) -> list[int]:
        """The other operands that depend on a source."""
        return [i for k, i in enumerate(node.inputs) if k != way.operand and i in self.signals]

    def _watch(self, node: Node, way: Read) -> None:
        """An average gives all it reads the same gradient; where an operation before it adds such gradients up, their
        sum squared is not the sum of squares: noted.
        """
        alike = traits(node.op).alike(node.op)
        if alike.adds and self.alike:
            self.notes.add(AVERAGES)
        self.alike = self.alike or way.averaged or alike.hands
