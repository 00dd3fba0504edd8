"""Trace an ONNX model: its nodes in order, each lowered by table; nothing is computed from the input.

Every shape is concrete: the caller's where the file leaves a length open, then inferred node by node. What is known by
value (initialisers, constants, shapes and what is computed from them) is evaluated; weights stay where they are. Layers
have the names of the file's nodes; a node without a name is its operator and first output.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto

from foveal.core.errors import FovealError, SourceError, TraceError
from foveal.frontends.onnx import tables as onnx_tables  # noqa: F401  (each registers its lowerings)
from foveal.frontends.onnx.inputs import Entry, read_inputs
from foveal.frontends.onnx.load import LARGEST_TENSOR, LONGEST_AXIS, OnnxFile, first_line, one_line
from foveal.frontends.onnx.lowering.table import LOWERINGS, Item, Operand, Refused
from foveal.frontends.onnx.nodes import control as control
from foveal.frontends.onnx.nodes.call import Materials, NodeCall, flat
from foveal.frontends.onnx.nodes.constants import constant_node, fold, known, may_fold, sparse, stored
from foveal.frontends.onnx.nodes.own import own_lowering
from foveal.frontends.onnx.nodes.shapes import Made, Schema, infer, read_type, schema_of
from foveal.frontends.onnx.nodes.weights import weights_of
from foveal.frontends.onnx.nodes.words import unknown_value
from foveal.frontends.onnx.run import OnnxRunner
from foveal.ir.graph import Graph, GraphBuilder

Environment = dict[str, Item]
DATA_SHAPED = {"NonZero", "Unique", "NonMaxSuppression", "StringSplit", "MelWeightMatrix", "Range"}
"""Operators whose outputs are as long as data says."""
FILLED = {
    "Conv", "ConvInteger", "ConvTranspose", "QLinearConv", "MaxPool", "AveragePool", "LpPool", "MaxUnpool", "Pad",
    "Resize", "Upsample", "CenterCropPad", "Col2Im",
}  # fmt: skip
"""Operators that have at least one output: without any, a file says nonsense."""
BUDGET = 400_000
"""Nodes that are visited at most, each turn of a loop counted."""


_DAMAGE = (
    TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, ZeroDivisionError, RecursionError,
)  # fmt: skip
"""What attributes and inputs that are not what the operator takes lead to."""


class Unfinished(TraceError):
    """An operator whose outputs have no known shape: nothing behind it can be traced, all before it stands."""


def walk(file: OnnxFile, inputs: Any, axes: Any, weights: str, name: str) -> tuple[Graph, OnnxRunner]:
    """The graph of a model, and what runs it under the same names.

    inputs, axes: as :func:`foveal.frontends.onnx.inputs.read_inputs` says. weights: "generic" (never zero) or "values".
    Raises SourceError for a damaged model, TraceError where shapes do not fit, naming the layer.
    """
    if weights not in ("generic", "values"):
        raise TraceError(f"weights must be 'generic' or 'values', not {weights!r}")
    try:
        entries = read_inputs(file.model, inputs, axes)
        tracer = Tracer(file, entries, name or file.name, weights == "values")
        tracer.run()
    except FovealError as error:
        raise type(error)(one_line(f"{name or file.name}: {error}")) from error
    except _DAMAGE as error:
        raise SourceError(f"{name or file.name}: the model is damaged: {first_line(error)}") from error
    return tracer.builder.graph, tracer.runner


class Tracer:
    """One trace: the values by name, and the graph that grows."""

    def __init__(self, file: OnnxFile, entries: Sequence[Entry], name: str, by_value: bool) -> None:
        self.file, self.entries, self.opsets = file, entries, file.opsets
        self.builder = GraphBuilder(name)
        self.materials = Materials(self.builder, by_value)
        self.quiet = 0
        self.depth = 0
        self.place = ""
        self.visited = 0
        self.runner = OnnxRunner(file, tuple(entries))
        self.observed: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] | None = None
        self.counted: set[str] = set()
        self.weights, self.origins = weights_of(file.model.graph, file.folder)
        items = (*file.model.graph.value_info, *file.model.graph.output)
        made = {item.name: read_type(item.type, item.name) for item in items if _static(item.type)}
        self.declared = {name: item for name, item in made.items() if item.shape is not None}

    def run(self) -> None:
        """Trace the whole model."""
        environment: Environment = {}
        for entry in self.entries:
            environment[entry.name] = self._input(entry)
        graph = self.file.model.graph
        try:
            self.graph(graph, environment)
        except Unfinished as error:
            if not self.builder.graph.layer_table:
                raise
            self.builder.note("partial", self.place, f"traced up to here: {first_line(error)}")
        for item in graph.output:
            x = environment.get(item.name)
            if isinstance(x, Operand) and not x.depends:
                self.builder.graph.constants[item.name] = True
            elif isinstance(x, Operand) and x.value is not None and item.name not in self.builder.graph.layer_table:
                self.builder.layer(item.name, x.value, "operation", "output")
                self.runner.tensors[item.name] = item.name
        self.builder.graph.parameters = sum(self.weights.values())

    def _input(self, entry: Entry) -> Operand:
        if entry.axes is None:
            if entry.example is not None:
                return known(entry.example, entry.name)
            return Operand(entry.shape, entry.dtype, name=entry.name)
        value = self.builder.source(entry.shape, entry.axes, entry.name)
        return Operand(entry.shape, entry.dtype, value=value, depends=True, name=entry.name)

    def graph(self, graph: GraphProto, environment: Environment, prefix: str = "") -> None:
        """Trace a graph or subgraph into ``environment``."""
        for tensor in graph.initializer:
            environment[tensor.name] = stored(tensor, self.file.folder)
        for item in graph.sparse_initializer:
            environment[item.values.name] = sparse(item, self.file.folder)
        self.nodes(graph.node, environment, prefix)

    def nodes(self, nodes: Any, environment: Environment, prefix: str = "") -> None:
        """Trace nodes in order."""
        outer = self.builder.scope
        try:
            for node in nodes:
                self.visited += 1
                if self.visited > BUDGET:
                    raise TraceError(f"more than {BUDGET} nodes once loops are unrolled")
                title = prefix + title_of(node)
                self.builder.scope = self.place = outer if self.quiet else title
                try:
                    outputs = self.node(node, environment)
                except Refused as error:
                    raise Unfinished(f"layer '{title}' ({node.op_type}): {error}") from error
                except _DAMAGE as error:
                    raise TraceError(f"layer '{title}' ({node.op_type}) cannot be read: {_why(error)}") from error
                self.bind(node, outputs, environment, title)
        finally:
            self.builder.scope = outer

    def bind(self, node: NodeProto, outputs: Sequence[Item], environment: Environment, title: str) -> None:
        """Let the output names of a node stand for what was made, and name the layers."""
        for index, name in enumerate(node.output):
            x = outputs[index] if index < len(outputs) else None
            if not name or x is None:
                continue
            environment[name] = x
            if isinstance(x, Operand):
                self._check(x, title)
            layer = title if index == 0 else f"{title}.{index}"
            if isinstance(x, Operand) and not x.depends and not self.quiet:
                self.builder.graph.constants.setdefault(layer, False)
            if self.quiet or not isinstance(x, Operand) or x.value is None or not x.depends:
                continue
            kind = "operation" if self.depth else "module"
            self.builder.layer(layer, x.value, kind, node.op_type, self._own(node) if index == 0 else 0)
            if not self.depth:
                self.runner.tensors[next(reversed(self.builder.graph.layer_table))] = name

    def prefix(self, node: NodeProto) -> str:
        """What the layers inside a node's subgraph are called after."""
        return f"{self.builder.scope or title_of(node)}/"

    def _check(self, x: Operand, title: str) -> None:
        if prod(x.shape) > LARGEST_TENSOR or any(n > 16 * LONGEST_AXIS for n in x.shape):
            raise TraceError(f"layer '{title}' has dimensions beyond all measure: {list(x.shape)}")

    def _own(self, node: NodeProto) -> int:
        """Numbers in the weights that a node is the first to use."""
        names = (self.origins.get(name, name) for name in node.input)
        fresh = [name for name in dict.fromkeys(names) if name in self.weights and name not in self.counted]
        self.counted.update(fresh)
        return sum(self.weights[name] for name in fresh)

    def node(self, node: NodeProto, environment: Environment) -> Sequence[Item]:
        """What one node makes: operands, or lists of them for sequences."""
        inputs = [environment.get(name) if name else None for name in node.input]
        while inputs and inputs[-1] is None:
            inputs.pop()
        standard = node.domain in ("", "ai.onnx")
        if standard and node.op_type in control.CONTROL:
            return control.CONTROL[node.op_type](self, node, inputs, environment)
        if standard and node.op_type == "Constant":
            return [constant_node(node, self.file.folder)]
        if standard and node.op_type in ("Shape", "Size") and isinstance(inputs[0], Operand):
            return [_shape(node, inputs[0])]
        if standard and node.op_type == "Identity":
            return inputs
        schema = schema_of(node, self.opsets)
        operands = flat(inputs)
        made = self._made(node, schema, inputs)
        if all(x.known for x in operands) and all(isinstance(x, Operand) or x is None for x in inputs):
            shapes = [item.shape for item in made]
            found = fold(node, inputs, self.opsets) if may_fold(node, inputs, shapes) else None
            if found is not None:
                return [known(array, name) for array, name in zip(found, node.output, strict=False)]
        if not any(x.depends for x in operands) and all(m.shape is not None for m in made):
            return [Operand(m.shape or (), m.dtype, name=n) for m, n in zip(made, node.output, strict=True)]
        empty = next((m.shape for m in made if m.shape is not None and 0 in m.shape), None)
        if standard and node.op_type in FILLED and empty is not None:
            raise ValueError(f"its output of shape {list(empty)} has no elements")
        return self.lower(node, schema, inputs, made, environment)

    def _made(self, node: NodeProto, schema: Schema, inputs: Sequence[Item]) -> list[Made]:
        """Shapes of the outputs: inferred, else as seen in one run of the model."""
        made = infer(node, schema, inputs, self.opsets)
        lacking = [name for name, m in zip(node.output, made, strict=True) if name and m.tensor and m.shape is None]
        if not lacking or self.depth or all(x.known for x in flat(inputs)):
            return made
        if schema is None and all(name in self.declared for name in lacking):
            return [self.declared.get(name, item) for name, item in zip(node.output, made, strict=True)]
        seen = self.observe()
        result = []
        for name, item in zip(node.output, made, strict=True):
            if name in lacking and name in seen:
                item = Made(*seen[name])
                if schema is not None and node.op_type in DATA_SHAPED:
                    self.builder.note("data-dependent", self.builder.scope, f"the shape of '{name}' depends on data")
            result.append(item)
        return result

    def observe(self) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
        """Shapes of all values of the main graph in one real run, where onnxruntime can make one."""
        if self.observed is None:
            try:
                self.observed = self.runner.observe()
            except FovealError:
                self.observed = {}
        return self.observed

    def lower(
        self, node: NodeProto, schema: Schema, inputs: Sequence[Item], made: Sequence[Made], environment: Environment
    ) -> Sequence[Item]:
        """Ask the table; then the operator's own definition by others; then give a bound."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        call = NodeCall(node, schema, inputs, made, self.opsets.get(domain, 1), self.materials, self.file.folder)
        entry = own_lowering(domain, node.op_type) or LOWERINGS.get((domain, node.op_type))
        unknown = unknown_value(call, [attribute.name for attribute in node.attribute])
        reason = unknown or "no rule"
        if unknown is not None:
            pass
        elif entry is not None:
            try:
                outputs = entry(call, *inputs)
                outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
                return [_typed(x, m) for x, m in zip(outputs, made, strict=False)]
            except Refused as error:
                reason = str(error)
        else:
            body = control.function_body(self, node, schema, inputs)
            if body is not None:
                return body
        try:
            outputs = call.opaque(reason)
        except Refused as error:
            raise Refused(f"{reason}; {error}") from error
        return [_typed(x, m) for x, m in zip(outputs, made, strict=True)]


def _why(error: Exception) -> str:
    """What an error says to people who did not write the code that raised it."""
    text = first_line(error)
    return "its numbers do not fit the axes of its input" if text.startswith("zip() argument") else text


def _typed(x: Item, made: Made) -> Item:
    if isinstance(x, Operand) and made.tensor and x.dtype != made.dtype and made.shape is not None:
        x = Operand(x.shape, made.dtype, x.read, x.value, x.depends, x.name)
    return x


def _static(kind: Any) -> bool:
    """Whether a declared type is a tensor whose lengths are all written down."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return False
    return all(d.HasField("dim_value") and d.dim_value > 0 for d in kind.tensor_type.shape.dim)


def title_of(node: NodeProto) -> str:
    """The layer name of a node: its own, else its operator and first output."""
    return node.name or f"{node.op_type}_{next((n for n in node.output if n), '')}"


def _shape(node: NodeProto, x: Operand) -> Operand:
    if node.op_type == "Size":
        return known(np.asarray(prod(x.shape), np.int64))
    limits = {a.name: int(a.i) for a in node.attribute}
    return known(np.asarray(x.shape[limits.get("start", 0) : limits.get("end", x.rank)], np.int64))
