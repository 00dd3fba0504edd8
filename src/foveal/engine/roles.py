"""Which axes of each value count positions ("s"), the batch ("b") or features ("c"): what a unit's index is.

A unit is one position of a layer with all its features, so the unit grid is made of the "s" axes. The roles follow the
relations: axes keep their role; axes merged by a reshape take the role of the outermost one, because
row-major order makes it the slowest (flattened feature maps become features, pixel shuffle stays positions).
"""

from __future__ import annotations

from foveal.ir import relation as rel
from foveal.ir.graph import Graph
from foveal.ir.lengths import groups
from foveal.ir.rules import reads

Roles = tuple[str, ...]


def roles(graph: Graph) -> dict[int, Roles]:
    """Value id -> role of each axis, for every value that depends on a source; computed once."""
    return graph.once("roles", _all_roles)


def grid_axes(graph: Graph, value: int) -> tuple[int, ...]:
    """The axes that index the units of a value."""
    return tuple(axis for axis, role in enumerate(roles(graph).get(value, ())) if role == "s")


def _all_roles(graph: Graph) -> dict[int, Roles]:
    found: dict[int, Roles] = {}
    for source in graph.sources:
        rank = len(graph.values[source.value].shape)
        rest = ["b" if axis == 0 else "c" for axis in range(rank)]
        found[source.value] = tuple("s" if axis in source.axes else rest[axis] for axis in range(rank))
    for node in graph.nodes:
        if not any(i in found for i in node.inputs):
            continue
        shapes = tuple(graph.values[i].shape for i in node.inputs)
        out = graph.values[node.output].shape
        candidates = [
            through(way.relation, found[node.inputs[way.operand]])
            for way in reads(node.op, shapes, out)
            if node.inputs[way.operand] in found
        ]
        found[node.output] = _union([c for c in candidates if len(c) == len(out)], len(out))
    return found


def _union(candidates: list[Roles], rank: int) -> Roles:
    if not candidates:
        return ("c",) * rank
    merged = []
    for axis in range(rank):
        here = {c[axis] for c in candidates}
        merged.append("s" if "s" in here else "b" if "b" in here and axis == 0 else "c")
    return tuple(merged)


def through(relation: rel.Relation, current: Roles) -> Roles:
    """The roles of a relation's output axes, from those of the operand."""
    for step in relation:
        if isinstance(step, rel.Relabel):
            current = tuple("c" if axis is None else current[axis] for axis in step.order)
        elif isinstance(step, rel.Expand):
            current = ("c",) * (len(step.after) - len(step.before)) + current
        elif isinstance(step, rel.Reshape):
            current = _reshaped(step, current)
        elif isinstance(step, rel.Unroll):
            current = (*current, "c")
        elif isinstance(step, rel.Overlap):
            current = current[:-1]
        elif isinstance(step, (rel.Scatter, rel.Everything)) and len(step.before) != len(step.after):
            current = ("c",) * len(step.after)
    return current


def _reshaped(step: rel.Reshape, current: Roles) -> Roles:
    result = ["c"] * len(step.after)
    for ins, outs in groups(step.before, step.after):
        real = [axis for axis in ins if step.before[axis] > 1] or ins
        kinds = [current[axis] for axis in real]
        role = kinds[0] if kinds else "c"
        if role == "b" and "s" in kinds:
            role = "s"
        if len(step.after) == 2 and "c" in kinds and len(ins) > 1:
            role = "c"
        for axis in outs:
            single = step.after[axis] == 1 and len(outs) > 1
            result[axis] = role if not single else "b" if axis == 0 else "c"
        if len(ins) == len(outs) and all(step.before[i] == step.after[o] for i, o in zip(ins, outs, strict=True)):
            for i, o in zip(ins, outs, strict=True):
                result[o] = current[i]
    return tuple(result)
