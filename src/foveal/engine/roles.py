"""Which axes of each value count positions ("s"), the batch ("b") or features ("c"): what a unit's index is.

A unit is one position of a layer with all its features, so the unit grid is made of the "s" axes. The roles follow the
relations: axes keep their role; axes merged by a reshape take the role of the outermost one, because
row-major order makes it the slowest (pixel shuffle stays positions).

In the end the fields themselves decide. An axis that the network made (stacked frames, windows, taps) or the batch is
one of positions where fields differ along it; so is an axis of features where no other axis is left along which they
advance, and positions were merged into it (a flattened map) or some see nothing in common (frames side by side).
While roles are followed, "n" is such a new axis, of which nothing is known yet, and "f" one of features with positions.
"""

from __future__ import annotations

from foveal.engine.forward.bounds import Boxes, bounds
from foveal.engine.forward.hull import Hull, compact
from foveal.ir import relation as rel
from foveal.ir.graph import Graph
from foveal.ir.lengths import groups

Roles = tuple[str, ...]


def roles(graph: Graph) -> dict[int, Roles]:
    """Value id -> role of each axis, for every value that depends on a source; computed once."""
    return graph.once("roles", _all_roles)


def grid_axes(graph: Graph, value: int) -> tuple[int, ...]:
    """The axes that index the units of a value."""
    return tuple(axis for axis, role in enumerate(roles(graph).get(value, ())) if role == "s")


def _apart(hull: Hull, axis: int) -> bool:
    """Whether some ranges along an axis have no position in common."""
    return bool((hull.told[2].max(axis=axis) > -hull.told[3].max(axis=axis)).any())


def _all_roles(graph: Graph) -> dict[int, Roles]:
    found: dict[int, Roles] = {}
    facts = bounds(graph).facts
    for source in graph.sources:
        rank = len(graph.values[source.value].shape)
        rest = ["b" if axis == 0 else "c" for axis in range(rank)]
        found[source.value] = tuple("s" if axis in source.axes else rest[axis] for axis in range(rank))
    for node in graph.nodes:
        if not any(i in found for i in node.inputs):
            continue
        out = graph.values[node.output].shape
        candidates = [
            _weaker(way.relation, through(way.relation, found[node.inputs[way.operand]]))
            for way in facts.ways(node)
            if node.inputs[way.operand] in found
        ]
        found[node.output] = _union([c for c in candidates if len(c) == len(out)], len(out))
    states = bounds(graph).states
    return {
        value: _settled(flow, [boxes for state in states.get(value, {}).values() for boxes in dict.fromkeys(state)])
        for value, flow in found.items()
    }


def _settled(flow: Roles, fields: list[Boxes]) -> Roles:
    """The roles, as the fields of the value's elements decide; ``fields``: of each source, strict and local."""
    hulls = [hull for boxes in fields for box in boxes for hull in box]
    dimensions = max((len(box) for boxes in fields for box in boxes), default=0)
    kinds = ["s" if role in "bn" and any(_differ(h, a) for h in hulls) else role for a, role in enumerate(flow)]
    for hull in hulls:
        features = [axis for axis, role in enumerate(kinds) if role in "cf" and _differ(hull, axis)]
        lost = [axis for axis in features if kinds[axis] == "f" or _apart(hull, axis)]
        kept = [axis for axis, role in enumerate(kinds) if role == "s"]
        several = len(kept) >= dimensions and any(hull.lengths[axis] == 1 for axis in kept)
        if lost and not several and not any(hull.varies(axis) for axis in kept):
            kinds = ["s" if axis in lost else role for axis, role in enumerate(kinds)]
    return tuple(
        role if role in "sbc" else "b" if role == "n" and axis == 0 else "c" for axis, role in enumerate(kinds)
    )


def _differ(hull: Hull, axis: int) -> bool:
    return hull.lengths[axis] > 1 and bool(compact(hull.told, axis).shape[axis + 1] > 1)


def _union(candidates: list[Roles], rank: int) -> Roles:
    if not candidates:
        return ("c",) * rank
    merged = []
    for axis in range(rank):
        here = {c[axis] for c in candidates}
        positions = "s" in here or here in ({"w"}, {"w", "n"})
        # frames stacked along axis 0, where the batch was, may stand anywhere later
        here = here if axis == 0 else {"n" if role == "b" else role for role in here}
        merged.append("s" if positions else "b" if "b" in here else _features(here))
    return tuple(merged)


def _weaker(relation: rel.Relation, found: Roles) -> Roles:
    """With "w" for an axis of positions that had shrunk to one (a sum over it) and is now spread out: it is what the
    other operands say it is.
    """
    last = relation[-1] if relation else None
    if not isinstance(last, rel.Expand) or len(found) != len(last.after):
        return found
    lengths = (1,) * (len(last.after) - len(last.before)) + tuple(last.before)
    spread = [a == 1 < b for a, b in zip(lengths, last.after, strict=True)]
    return tuple("w" if role == "s" and wide else role for role, wide in zip(found, spread, strict=True))


def _features(here: set[str]) -> str:
    return "f" if "f" in here else "n" if here == {"n"} else "c"


def through(relation: rel.Relation, current: Roles) -> Roles:
    """The roles of a relation's output axes, from those of the operand."""
    for number, step in enumerate(relation):
        if isinstance(step, rel.Relabel):
            # a new axis of a sum in which a table says who takes part is not one of weights
            new = "n" if isinstance((*relation, None)[number + 1], rel.KeepAll) else "c"
            current = tuple(new if axis is None else current[axis] for axis in step.order)
        elif isinstance(step, rel.Expand):
            current = ("n",) * (len(step.after) - len(step.before)) + current
        elif isinstance(step, rel.Reshape):
            current = _reshaped(step, current)
        elif isinstance(step, rel.Unroll):
            current = (*current, "n")
        elif isinstance(step, rel.Overlap):
            current = current[:-1]
        elif isinstance(step, (rel.All, rel.KeepAll)):
            current = tuple("c" if role in "nf" and axis in step.axes else role for axis, role in enumerate(current))
        elif isinstance(step, rel.Blocks) and current[step.axis] in "nf" and step.groups < step.n_out:
            current = (*current[: step.axis], "c", *current[step.axis + 1 :])
        elif isinstance(step, (rel.Scatter, rel.Everything)) and len(step.before) != len(step.after):
            current = ("f",) * len(step.after)
    return current


def _reshaped(step: rel.Reshape, current: Roles) -> Roles:
    result = ["c"] * len(step.after)
    for ins, outs in groups(step.before, step.after):
        real = [axis for axis in ins if step.before[axis] > 1] or ins
        kinds = [current[axis] for axis in real]
        role = kinds[0] if kinds else "n"
        if role in "bn" and "s" in kinds:
            role = "s"
        if role == "n" and not {"c", "f"}.isdisjoint(kinds):
            role = "f" if "f" in kinds else "c"  # stacked features
        if role == "c" and "s" in kinds:
            role = "f"
        if len(step.after) == 2 and not {"c", "f"}.isdisjoint(kinds) and len(ins) > 1:
            role = "f" if "s" in kinds else "c"
        for axis in outs:
            single = step.after[axis] == 1 and len(outs) > 1
            result[axis] = "n" if single else role
        if len(ins) == len(outs) and all(step.before[i] == step.after[o] for i, o in zip(ins, outs, strict=True)):
            for i, o in zip(ins, outs, strict=True):
                result[o] = current[i]
    return tuple(result)
