"""What a lowering is given: one node of the model with its operands, attributes and helpers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto

from foveal.frontends.onnx.load import numbers
from foveal.frontends.onnx.lowering.table import Item, Operand, Refused, Setting, Shape
from foveal.frontends.onnx.nodes.constants import decides, known
from foveal.frontends.onnx.nodes.fit import check_fit
from foveal.frontends.onnx.nodes.shapes import Made, Schema
from foveal.ir import ops
from foveal.ir.graph import GraphBuilder

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
NUMBERS_COUNT = (ops.Pointwise, ops.Select, ops.Contract, ops.Concatenate, ops.Place)
"""Operations whose rule looks at constants, or that hand them on to one that does. A single number that something is
multiplied by is a fixed factor.
"""


class Materials:
    """Gives operands their values in the graph, as weights or as constants."""

    def __init__(self, builder: GraphBuilder, by_value: bool = False) -> None:
        self.builder = builder
        self.by_value = by_value
        self.weights: dict[int, tuple[Operand, int]] = {}
        self.constants: dict[int, tuple[Operand, int]] = {}
        self.parameters = 0

    def constant(self, x: Operand) -> int:
        """The value of a known operand as numbers."""
        if id(x) not in self.constants:
            array = x.array
            assert array is not None
            self.constants[id(x)] = (x, self.builder.constant(array, x.name))
        return self.constants[id(x)][1]

    def weight(self, x: Operand) -> int:
        """The value of an operand as generic numbers."""
        if id(x) not in self.weights:
            self.weights[id(x)] = (x, self.builder.parameter(x.shape, x.name))
        return self.weights[id(x)][1]

    def value(self, x: Operand, op: ops.Operation) -> int:
        """The value of an operand of ``op``: a constant where the numbers decide what is read."""
        if x.value is not None:
            return x.value
        if not x.known or x.dtype.kind in "OSU":
            return self.weight(x)
        if self.by_value and x.dtype.kind == "f":
            return self.constant(x)
        if id(x) in self.constants:
            return self.constant(x)
        if isinstance(op, NUMBERS_COUNT):
            array = x.array
            assert array is not None
            fixed = array.size == 1 and isinstance(op, ops.Pointwise) and op.name in ("multiply", "divide")
            fixed = fixed or (isinstance(op, ops.Select) and array.dtype.kind == "f" and not array.any())
            if fixed or array.dtype.kind in "biu" or decides(_floats(array)):
                return self.constant(x)
        return self.weight(x)


def _floats(array: np.ndarray) -> np.ndarray:
    """Numbers that NumPy can compare (small floating types are widened)."""
    return array if array.dtype.kind in "fc" else array.astype(np.float32)


class NodeCall:
    """Implements :class:`foveal.frontends.onnx.lowering.table.Call`."""

    def __init__(
        self,
        node: NodeProto,
        schema: Schema,
        inputs: Sequence[Item],
        made: Sequence[Made],
        opset: int,
        materials: Materials,
        folder: Path | None,
    ) -> None:
        self.node, self.schema, self.opset = node, schema, opset
        self.op_type, self.domain = node.op_type, "" if node.domain == "ai.onnx" else node.domain
        self.name = _WORD.sub("_", node.op_type).lower()
        self.inputs = tuple(inputs)
        self.made = made
        self.materials = materials
        self.folder = folder
        self.wanted = max((i + 1 for i, name in enumerate(node.output) if name), default=0)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of each output, () for one not wanted or not a tensor. Raises Refused where data decides one."""
        found: list[Shape] = []
        for name, item in zip(self.node.output, self.made, strict=True):
            if name and item.tensor and item.shape is None:
                raise Refused(f"the shape of output '{name}' is not known")
            found.append(item.shape or ())
        return tuple(found)

    def attribute(self, name: str, default: Setting = None) -> Setting:
        """See :class:`Call`."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                return _plain(attribute, self.folder)
        declared = self.schema.attributes.get(name) if self.schema is not None else None
        if declared is not None and declared.default_value.type != AttributeProto.UNDEFINED:
            return _plain(declared.default_value, self.folder)
        return default

    def word(self, name: str, *known: str) -> str:
        """See :class:`Call`."""
        found = self.attribute(name, known[0])
        if found not in known:
            raise Refused(f"{name} is {found!r}, which is none of {', '.join(known)}")
        return str(found)

    def setting(self, name: str, index: int, default: Setting = None) -> Setting:
        """See :class:`Call`."""
        if any(attribute.name == name for attribute in self.node.attribute):
            return self.attribute(name)
        x = self.inputs[index] if index < len(self.inputs) else None
        if x is None:
            declared = self.attribute(name)
            return default if declared is None else declared
        array = self.array(x, name)
        return array.item() if array.ndim == 0 else tuple(array.reshape(-1).tolist())

    def array(self, operand: Operand | None, what: str) -> np.ndarray:
        """See :class:`Call`."""
        found = None if operand is None else operand.array
        if found is None:
            raise Refused(f"{what} is computed")
        return found

    def emit(
        self, operation: ops.Operation, inputs: Operand | Sequence[Operand], shape: Shape | None = None
    ) -> Operand:
        """See :class:`Call`."""
        operands = [inputs] if isinstance(inputs, Operand) else list(inputs)
        shape = self.shapes[0] if shape is None else tuple(int(n) for n in shape)
        check_fit(operation, [x.shape for x in operands], shape)
        values = [self.materials.value(x, operation) for x in operands]
        value = self.materials.builder.node(operation, values, shape, self.op_type)
        return Operand(shape, self._dtype(operands), value=value, depends=any(x.depends for x in operands))

    def _dtype(self, operands: Sequence[Operand]) -> np.dtype[np.generic]:
        return operands[0].dtype if operands else np.dtype(np.float32)

    def constant(self, array: np.ndarray) -> Operand:
        """See :class:`Call`."""
        made = known(array)
        self.materials.constant(made)
        return made

    def weight(self, operand: Operand) -> Operand:
        """See :class:`Call`."""
        if operand.value is not None or self.materials.by_value:
            return operand
        return Operand(operand.shape, operand.dtype, None, self.materials.weight(operand), False, operand.name)

    def maker(self, operand: Operand) -> tuple[ops.Operation | None, tuple[Shape, ...]]:
        """See :class:`Call`."""
        graph = self.materials.builder.graph
        node = next((node for node in reversed(graph.nodes) if node.output == operand.value), None)
        return (None, ()) if node is None else (node.op, tuple(graph.values[i].shape for i in node.inputs))

    def opaque(self, reason: str) -> list[Operand]:
        """See :class:`Call`."""
        self.materials.builder.note("opaque", self.materials.builder.scope, f"{self.op_type}: {reason}")
        return self._everything(ops.Opaque(self._full_name()), flat(self.inputs))

    def data_dependent(self, inputs: Sequence[Operand] | None = None) -> list[Operand]:
        """See :class:`Call`."""
        return self._everything(ops.Sample(self._full_name()), flat(self.inputs) if inputs is None else list(inputs))

    def _full_name(self) -> str:
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type

    def _everything(self, op: ops.Operation, inputs: Sequence[Operand]) -> list[Operand]:
        reading = [x for x in inputs if x.depends] or list(inputs)
        return [self.emit(op, reading, shape) for shape in self.shapes]


def flat(inputs: Sequence[Item]) -> list[Operand]:
    """The operands among the inputs, those of sequences one by one."""
    found: list[Operand] = []
    for item in inputs:
        found += flat(item) if isinstance(item, (list, tuple)) else [] if item is None else [item]
    return found


def _plain(attribute: AttributeProto, folder: Path | None) -> Setting:
    if attribute.type == AttributeProto.TENSOR:
        return numbers(attribute.t, folder)
    found = onnx.helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if attribute.type == AttributeProto.STRINGS:
        return tuple(item.decode("utf-8", "replace") for item in found)
    return tuple(found) if isinstance(found, (list, tuple)) or attribute.type in _SEVERAL else found


_SEVERAL = (AttributeProto.INTS, AttributeProto.FLOATS)
