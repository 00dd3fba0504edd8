"""The factor of each way of reading, for counted paths and for expected squared gradients with weights of unit gain."""

from __future__ import annotations

from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import traits

ATTENTION = "attention and computed kernels as fixed uniform weights on the value path"
STATISTICS = "statistics (norms, variances) left out"
PRODUCT = "a product of two signals with the other one taken as uniform weights"
AVERAGES = "gradients that an average made alike, added up before it as if independent"


class Gains:
    """The factor of each way of reading, notes on what was approximated, and where a way was not followed."""

    def __init__(self, graph: Graph, kind: str) -> None:
        self.graph, self.kind = graph, kind
        self.signals = set(bounds(graph).states)
        self.notes: set[str] = set()
        self.dropped: list[str] = []
        self.alike = False

    def __call__(self, node: Node, way: Read) -> float:
        """0 for statistics and for weights that the signal sets: they are not followed."""
        if way.kind != "value":
            self.notes.add(ATTENTION if way.kind == "weights" else STATISTICS)
            self.dropped.append(place(node))
            return 0.0
        if self.kind == "paths":
            return 1.0
        self._watch(node, way)
        return self.own(node, way)

    def own(self, node: Node, way: Read) -> float:
        """The factor of a value read: one over the number of elements combined (weights of unit gain)."""
        if way.fan == 1:
            return 1.0
        if traits(node.op).product(node.op) and self.partners(node, way):
            self.notes.add(PRODUCT)
            return float(1.0 / way.fan**2)
        return float(1.0 / way.fan**2 if way.averaged else 1.0 / way.fan)

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


def place(node: Node) -> str:
    """The operation and where it stands, for messages."""
    return f"{node.origin} at {node.scope or '(top)'}"
