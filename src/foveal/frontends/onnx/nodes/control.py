"""Branches, loops and functions: subgraphs are traced in place where it is known how often they run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto

from foveal.core.errors import TraceError
from foveal.frontends.onnx.lowering.table import Item, Operand, Refused, axis_of
from foveal.frontends.onnx.nodes.call import NodeCall, flat
from foveal.frontends.onnx.nodes.constants import known
from foveal.frontends.onnx.nodes.shapes import Made, Schema, infer, schema_of, type_of
from foveal.ir import ops
from foveal.ir.graph import GraphBuilder

if TYPE_CHECKING:
    from foveal.frontends.onnx.walk import Environment, Tracer

UNROLLED = 64
"""Turns of a loop that are traced one by one; a longer loop is a bound."""


def attribute_graph(node: NodeProto, name: str) -> GraphProto:
    """The subgraph of that name."""
    for attribute in node.attribute:
        if attribute.name == name and attribute.HasField("g"):
            found: GraphProto = attribute.g
            return found
    raise Refused(f"{node.op_type} has no subgraph '{name}'")


def body_outputs(
    tracer: Tracer, graph: GraphProto, bound: Sequence[Item], environment: Environment, prefix: str
) -> list[Item]:
    """Trace a subgraph with its inputs bound; its outputs."""
    if len(bound) != len(graph.input):
        raise Refused(f"a subgraph takes {len(graph.input)} inputs, given {len(bound)}")
    inner: Any = ChainMap({}, environment)
    for item, x in zip(graph.input, bound, strict=True):
        inner[item.name] = x
    tracer.depth += 1
    try:
        tracer.graph(graph, inner, prefix)
    finally:
        tracer.depth -= 1
    found = [inner.get(item.name) for item in graph.output]
    if any(x is None for x in found):
        raise Refused("a subgraph has an output that nothing makes")
    return found


def branch(tracer: Tracer, node: NodeProto, inputs: list[Item], environment: Environment) -> list[Item]:
    """If: the branch of a known condition; else both, joined under the condition."""
    then, other = attribute_graph(node, "then_branch"), attribute_graph(node, "else_branch")
    prefix = tracer.prefix(node)
    condition = inputs[0] if inputs else None
    if not isinstance(condition, Operand):
        raise Refused("If has no condition")
    array = condition.array
    if array is not None:
        chosen = then if bool(np.asarray(array).reshape(-1)[:1].any()) else other
        return body_outputs(tracer, chosen, [], environment, prefix)
    sides = []
    failed: list[str] = []
    for graph, name in ((then, "then/"), (other, "else/")):
        before = dict(tracer.builder.graph.layer_table)
        try:
            sides.append(body_outputs(tracer, graph, [], environment, prefix + name))
        except TraceError as error:  # a branch for other inputs than these
            failed.append(f"the branch '{name[:-1]}' does not take this input: {error}")
            tracer.builder.graph.layer_table = before
    if not sides:
        raise TraceError(failed[0])
    if failed:
        tracer.builder.note("branch", tracer.builder.scope, failed[0])
        return sides[0]
    if condition.depends:
        tracer.builder.note("data-dependent", tracer.builder.scope, "data decides which branch runs")
    return [_joined(tracer, node, condition, a, b) for a, b in zip(*sides, strict=True)]


def _joined(tracer: Tracer, node: NodeProto, condition: Operand, a: Item, b: Item) -> Item:
    if not isinstance(a, Operand) or not isinstance(b, Operand):
        return a
    call = NodeCall(node, None, [condition, a, b], [Made(a.shape, a.dtype)], 0, tracer.materials, None)
    if a.shape != b.shape or condition.shape not in ((), (1,)):
        return call.opaque("branches of different shapes")[0] if a.depends or b.depends else a
    if not (condition.depends or a.depends or b.depends):
        return Operand(a.shape, a.dtype, name=a.name)
    if condition.rank > len(a.shape):
        condition = call.emit(ops.Reshape(), condition, ())
    return call.emit(ops.Select(), (condition, a, b), a.shape)


def loop(tracer: Tracer, node: NodeProto, inputs: list[Item], environment: Environment) -> list[Item]:
    """Loop: turn by turn where the number of turns is known and small, else a bound."""
    body = attribute_graph(node, "body")
    inputs = inputs + [None] * (2 - len(inputs))
    trips, keep, carried = inputs[0], inputs[1], list(inputs[2:])
    limit = None if trips is None else trips.array
    going = True if keep is None else _truth(keep)
    if (trips is not None and limit is None) or going is None:
        return bounded(tracer, node, body, carried, environment, "the number of turns is computed")
    count = UNROLLED + 1 if limit is None else int(np.asarray(limit).reshape(-1)[0])
    scanned: list[list[Item]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    turn, state = 0, carried
    while going and turn < count:
        if turn >= UNROLLED:
            return bounded(tracer, node, body, carried, environment, f"more than {UNROLLED} turns")
        bound = [known(np.asarray(turn, np.int64)), known(np.asarray(True)), *state]
        found = body_outputs(tracer, body, bound, environment, f"{tracer.prefix(node)}{turn}/")
        decided = _truth(found[0])
        if decided is None:
            return bounded(tracer, node, body, carried, environment, "data decides when the loop ends")
        going, state = decided, found[1 : 1 + len(carried)]
        for rows, x in zip(scanned, found[1 + len(carried) :], strict=True):
            rows.append(x)
        turn += 1
    return [*state, *(stacked(tracer, node, rows, 0) for rows in scanned)]


def _truth(x: Item) -> bool | None:
    array = x.array if isinstance(x, Operand) else None
    return None if array is None else bool(np.asarray(array).reshape(-1)[:1].any())


def stacked(tracer: Tracer, node: NodeProto, rows: list[Item], axis: int) -> Item:
    """The rows side by side along a new axis."""
    if not rows:
        raise Refused("a loop without a turn has an output of no length")
    if all(x.known for x in rows):
        return known(np.stack([x.array for x in rows], axis))
    shape = rows[0].shape
    axis = axis_of(axis, len(shape) + 1)
    wide = (*shape[:axis], 1, *shape[axis:])
    call = NodeCall(node, None, rows, [Made(wide, rows[0].dtype)], 0, tracer.materials, None)
    parts = [call.emit(ops.Reshape(), x, wide) for x in rows]
    return call.emit(ops.Concatenate(axis), parts, (*shape[:axis], len(rows), *shape[axis:]))


def scan(tracer: Tracer, node: NodeProto, inputs: list[Item], environment: Environment) -> list[Item]:
    """Scan: turn by turn; the number of turns is the length of the scanned axis."""
    body = attribute_graph(node, "body")
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute if a.name != "body"}
    if tracer.opsets[""] < 9:
        raise Refused("Scan before operator set 9 has a batch axis that is not supported")
    count = int(settings.get("num_scan_inputs", 0))
    if not 0 < count <= len(inputs) or any(not isinstance(x, Operand) for x in inputs):
        raise Refused(f"{count} scanned inputs of {len(inputs)}")
    state, given = list(inputs[:-count]), inputs[-count:]
    axes = [axis_of(int(a), x.rank) for a, x in zip(settings.get("scan_input_axes", [0] * count), given, strict=True)]
    back = list(settings.get("scan_input_directions", [0] * count))
    turns = given[0].shape[axes[0]]
    outs = len(body.output) - len(state)
    out_axes = list(settings.get("scan_output_axes", [0] * outs))
    out_back = list(settings.get("scan_output_directions", [0] * outs))
    rows: list[list[Item]] = [[] for _ in range(outs)]
    if turns > UNROLLED:
        return _long_scan(tracer, node, body, state, list(zip(given, axes, strict=True)), environment, turns, out_axes)
    for turn in range(turns):
        slices = [
            _row(tracer, node, x, a, turns - 1 - turn if b else turn) for x, a, b in zip(given, axes, back, strict=True)
        ]
        found = body_outputs(tracer, body, [*state, *slices], environment, f"{tracer.prefix(node)}{turn}/")
        state = found[: len(state)]
        for kept, x in zip(rows, found[len(state) :], strict=True):
            kept.append(x)
    ordered = [kept[::-1] if b else kept for kept, b in zip(rows, out_back, strict=True)]
    return [*state, *(stacked(tracer, node, kept, a) for kept, a in zip(ordered, out_axes, strict=True))]


def _row(tracer: Tracer, node: NodeProto, x: Operand, axis: int, place: int) -> Operand:
    array = x.array
    if array is not None:
        return known(np.take(array, place, axis))
    one = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    rest = tuple(n for i, n in enumerate(x.shape) if i != axis)
    call = NodeCall(node, None, [x], [Made(rest, x.dtype)], 0, tracer.materials, None)
    return call.emit(ops.Reshape(), call.emit(ops.Slice(axis, place), x, one), rest)


def _long_scan(
    tracer: Tracer,
    node: NodeProto,
    body: GraphProto,
    state: list[Item],
    given: list[tuple[Operand, int]],
    environment: Environment,
    turns: int,
    out_axes: list[int],
) -> list[Item]:
    rows = [Operand(tuple(n for i, n in enumerate(x.shape) if i != a), x.dtype) for x, a in given]
    found = rehearsed(tracer, body, [*state, *rows], environment)
    made = [Made(x.shape, x.dtype) for x in found[: len(state)]]
    for x, axis in zip(found[len(state) :], out_axes, strict=True):
        place = axis_of(axis, x.rank + 1)
        made.append(Made((*x.shape[:place], turns, *x.shape[place:]), x.dtype))
    inputs = [*state, *(x for x, _ in given)]
    return everything(tracer, node, body, inputs, made, environment, f"more than {UNROLLED} turns")


def bounded(
    tracer: Tracer, node: NodeProto, body: GraphProto, carried: list[Item], environment: Environment, why: str
) -> list[Item]:
    """All outputs of a loop read all that it was given; their shapes from one turn, or from a run of the model."""
    call_made = [
        Made(x.shape, x.dtype) if isinstance(x, Operand) else Made(None, np.dtype(np.float32)) for x in carried
    ]
    seen = {} if tracer.depth else tracer.observe()
    for name in node.output[len(carried) :]:
        call_made.append(Made(*seen[name]) if name in seen else Made(None, np.dtype(np.float32)))
    for index, name in enumerate(node.output[: len(carried)]):
        if name in seen:
            call_made[index] = Made(*seen[name])
    return everything(tracer, node, body, carried, call_made, environment, why)


def everything(
    tracer: Tracer,
    node: NodeProto,
    body: GraphProto,
    inputs: list[Item],
    made: list[Made],
    environment: Environment,
    why: str,
) -> list[Item]:
    """A bound over the inputs and whatever the body takes from outside."""
    outside = [environment[name] for name in _captured(body) if name in environment]
    reading = [x for x in flat([*inputs, *outside]) if x.depends] or flat(inputs)
    if not any(x.depends for x in reading) and all(m.shape is not None for m in made):
        return [Operand(m.shape or (), m.dtype) for m in made]
    return NodeCall(node, None, reading, made[: len(node.output)], 0, tracer.materials, None).opaque(why)


def _captured(graph: GraphProto) -> list[str]:
    """Names that a subgraph uses but does not make."""
    made = {item.name for item in graph.input} | {t.name for t in graph.initializer}
    made |= {name for node in graph.node for name in node.output}
    used: list[str] = []
    for node in graph.node:
        used += node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                used += _captured(attribute.g)
    used += [item.name for item in graph.output]
    return [name for name in dict.fromkeys(used) if name and name not in made]


def rehearsed(tracer: Tracer, body: GraphProto, bound: list[Item], environment: Environment) -> list[Item]:
    """What one turn makes, traced into a graph that is thrown away: for its shapes."""
    builder, materials, quiet = tracer.builder, tracer.materials, tracer.quiet
    blank = {name: Operand(x.shape, x.dtype, x.read) for name, x in environment.items() if isinstance(x, Operand)}
    try:
        tracer.builder = GraphBuilder("rehearsal")
        tracer.materials = type(materials)(tracer.builder)
        tracer.quiet += 1
        return body_outputs(tracer, body, [Operand(x.shape, x.dtype, x.read) for x in bound], blank, "")
    finally:
        tracer.builder, tracer.materials, tracer.quiet = builder, materials, quiet


def function_body(tracer: Tracer, node: NodeProto, schema: Schema, inputs: Sequence[Item]) -> list[Item] | None:
    """The outputs of an operator that the specification defines by others; None for one that it does not."""
    function = _function(node, schema, inputs, tracer.opsets)
    if function is None or tracer.depth > 20:
        return None
    inner: Environment = dict(zip(function.input, inputs, strict=False))
    values = {attribute.name: attribute for attribute in node.attribute}
    defaults = {a.name: a for a in function.attribute_proto}
    opsets = {("" if item.domain == "ai.onnx" else item.domain): item.version for item in function.opset_import}
    outer, tracer.opsets = tracer.opsets, {**tracer.opsets, **opsets}
    tracer.quiet += 1
    tracer.depth += 1
    try:
        tracer.nodes([_filled(item, {**defaults, **values}, schema) for item in function.node], inner)
    except TraceError:
        return None
    finally:
        tracer.opsets = outer
        tracer.quiet -= 1
        tracer.depth -= 1
    return [inner.get(name) for name in function.output][: len(node.output)]


def _function(node: NodeProto, schema: Schema, inputs: Sequence[Item], opsets: dict[str, int]) -> Any:
    if schema is None:
        return None
    version = opsets.get("", 1)
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = [type_of(x).SerializeToString() if x is not None else b"" for x in inputs]
    try:
        versions = schema.context_dependent_function_opset_versions
        chosen = max((v for v in versions if v <= version), default=min(versions))
        data = schema.get_context_dependent_function_with_opset_version(chosen, node.SerializeToString(), types)
    except Exception:  # the schema's builder refuses in many ways
        return None
    function = onnx.FunctionProto()
    function.ParseFromString(data)
    return function


def _filled(node: NodeProto, values: dict[str, Any], schema: Schema) -> NodeProto:
    """A node of a function's body with the attributes it refers to."""
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copy.attribute.append(attribute)
            continue
        found = values.get(attribute.ref_attr_name)
        if found is None and attribute.ref_attr_name in schema.attributes:
            found = schema.attributes[attribute.ref_attr_name].default_value
            found = found if found.type else None
        if found is not None:
            named = onnx.AttributeProto()
            named.CopyFrom(found)
            named.name = attribute.name
            copy.attribute.append(named)
    return copy


def sequence_map(tracer: Tracer, node: NodeProto, inputs: list[Item], environment: Environment) -> list[Item]:
    """SequenceMap: the body once per item of the first sequence; other sequences give theirs, tensors go along."""
    if not inputs or not isinstance(inputs[0], list):
        raise Refused("SequenceMap has no sequence")
    body, count = attribute_graph(node, "body"), len(inputs[0])
    if any(isinstance(x, list) and len(x) != count for x in inputs):
        raise Refused("SequenceMap has sequences of different lengths")
    made: list[list[Item]] = [[] for _ in node.output]
    for turn in range(count):
        bound = [x[turn] if isinstance(x, list) else x for x in inputs]
        found = body_outputs(tracer, body, bound, environment, f"{tracer.prefix(node)}{turn}/")
        for items, x in zip(made, found, strict=True):
            items.append(x)
    return list(made)


CONTROL: dict[str, Callable[..., list[Item]]] = {
    "If": branch, "Loop": loop, "Scan": scan, "SequenceMap": sequence_map,
}  # fmt: skip

__all__ = ["CONTROL", "function_body", "infer", "schema_of"]
