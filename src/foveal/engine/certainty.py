"""How sure a layer's numbers are, and because of which operations."""

from __future__ import annotations

from typing import NamedTuple

from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import All
from foveal.ir.rules import traits


class Certainty(NamedTuple):
    """status: "exact", "bound", "data-dependent" or "contradicted"; causes: "operation at layer" texts; masks: whether
    one was trusted.
    """

    status: str
    causes: tuple[str, ...]
    masks: bool


CHECKED = "a run of the model moves more than these numbers allow at"
"""How the cause begins that the automatic check gives."""
EXACT = Certainty("exact", (), False)


def certainty(graph: Graph, value: int) -> Certainty:
    """How sure the numbers of a value are."""
    return graph.once("certainty", _all).get(value, EXACT)


def _all(graph: Graph) -> dict[int, Certainty]:
    """Every value that is not plainly exact; causes travel along the nodes.

    Once the model has read a value that the data sets, all that runs later was traced for the input given.
    """
    found: dict[int, Certainty] = {}
    facts = bounds(graph).facts
    states = bounds(graph).states
    refuted = {graph.layer_table[n.layer].value: n for n in graph.notes if n.code == "contradicted"}
    for value, note in refuted.items():
        found[value] = Certainty("contradicted", (f"{CHECKED} {note.layer}",), False)
    branching = [note for note in graph.notes if note.code in ("data-dependent", "foreign-memory")]
    for position, node in enumerate(graph.nodes):
        if node.output not in states:
            continue
        behind = [found[i] for i in node.inputs if i in found]
        behind += [
            Certainty("data-dependent", (f"data decides at {note.layer or '(top)'}",), False)
            for note in branching
            if position >= note.position
        ]
        if node.output in refuted:
            behind.append(found[node.output])
        own = (
            EXACT
            if _alike(graph, node)
            else _own(node, node.output in facts.masks_trusted, facts.doubts.get(node.output, ""))
        )
        if own is not EXACT:
            behind.append(own)
        if behind:
            found[node.output] = _worst(behind)
    return found


def _alike(graph: Graph, node: Node) -> bool:
    """Whether data chooses only between elements that read the same: features of one position."""
    if traits(node.op).status(node.op) != "data-dependent":
        return False
    found = bounds(graph)
    for way in found.facts.ways(node):
        boxes = [box for state in found.states.get(node.inputs[way.operand], {}).values() for box in state.strict]
        for step in way.relation:
            if not isinstance(step, All) or any(
                hull.varies(axis) for box in boxes for hull in box for axis in step.axes
            ):
                return False
    return True


def _own(node: Node, trusted: bool, doubt: str) -> Certainty:
    status = traits(node.op).status(node.op)
    if status != "exact":
        return Certainty(status, (node.place,), False)
    if doubt:
        return Certainty("bound", (doubt,), trusted)
    return Certainty("exact", (), True) if trusted else EXACT


def _worst(several: list[Certainty]) -> Certainty:
    if len(several) == 1:
        return several[0]
    order = ("contradicted", "bound", "data-dependent", "exact")
    status = min((c.status for c in several), key=order.index)
    causes = tuple(dict.fromkeys(cause for c in several for cause in c.causes))
    return Certainty(status, causes, any(c.masks for c in several))
