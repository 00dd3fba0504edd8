"""Global means of an ONNX model as inputs: what is left between them is local, and can be computed in tiles.

A mean is a GlobalAveragePool, or a ReduceMean over all spatial axes that keeps them. Each belongs to a wave: wave 0
reads no other mean, wave n reads means of wave n - 1 and before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from foveal.core.errors import SourceError
from foveal.frontends.onnx.load import OnnxFile, numbers, subgraphs
from foveal.ir.backend import Mean


def waves(file: OnnxFile, output: str, rank: int) -> list[list[Mean]]:
    """The means that ``output`` needs, by wave. rank: of the image. Raises SourceError for a model with subgraphs."""
    nodes = _behind(file.model, [output], frozenset())
    depth: dict[str, int] = {}
    found: list[list[Mean]] = []
    for node in nodes:
        level = max((depth.get(name, 0) for name in node.input), default=0)
        if _is_mean(file, node, rank):
            while len(found) <= level:
                found.append([])
            found[level].append(Mean(node.name or node.output[0], node.input[0], node.output[0]))
            level += 1
        depth.update((name, level) for name in node.output)
    return found


def part(file: OnnxFile, outputs: Sequence[str], means: Sequence[Mean], rank: int) -> ModelProto:
    """The nodes that ``outputs`` need, with ``means`` as further inputs of unknown width."""
    cut = frozenset(mean.makes for mean in means)
    nodes = _behind(file.model, outputs, cut)
    read = {name for node in nodes for name in node.input} | set(outputs)
    model = ModelProto()
    model.ir_version = file.model.ir_version
    model.opset_import.extend(file.model.opset_import)
    graph = model.graph
    graph.name = file.model.graph.name or "part"
    graph.node.extend(nodes)
    for tensor in file.model.graph.initializer:
        if tensor.name in read:
            outside = tensor.data_location == TensorProto.EXTERNAL
            kept = numpy_helper.from_array(numbers(tensor, file.folder), tensor.name) if outside else tensor
            graph.initializer.append(kept)
    stored = {tensor.name for tensor in graph.initializer}
    graph.input.extend(item for item in file.model.graph.input if item.name in read - stored)
    kind = _image(file).type.tensor_type.elem_type
    for mean in means:
        if mean.makes in read:
            shape: list[str | int | None] = [f"{mean.makes}.batch", f"{mean.makes}.width", *(1,) * (rank - 2)]
            graph.input.append(helper.make_tensor_value_info(mean.makes, kind, shape))
    graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    for item in graph.output:
        item.type.tensor_type.elem_type = kind
    return model


def _image(file: OnnxFile) -> ValueInfoProto:
    stored = {tensor.name for tensor in file.model.graph.initializer}
    found: ValueInfoProto = next(item for item in file.model.graph.input if item.name not in stored)
    return found


def _behind(model: ModelProto, outputs: Sequence[str], cut: frozenset[str]) -> list[NodeProto]:
    """The nodes that the outputs need, in order, not going beyond the tensors in ``cut``."""
    needed, found = set(outputs) - cut, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            if any(True for _ in subgraphs(node)):
                raise SourceError(f"{node.op_type} at {node.name}: a model with subgraphs cannot be tiled in passes")
            found.append(node)
            needed |= set(node.input) - cut
    return found[::-1]


def _is_mean(file: OnnxFile, node: NodeProto, rank: int) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type != "ReduceMean":
        return False
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axes = settings.get("axes")
    if axes is None and len(node.input) > 1:
        known = _known(file, node.input[1])
        axes = None if known is None else known.reshape(-1).tolist()
    return bool(settings.get("keepdims", 1)) and axes is not None and {a % rank for a in axes} == set(range(2, rank))


def _known(file: OnnxFile, name: str) -> np.ndarray | None:
    """A stored tensor, or the value of a Constant node."""
    for tensor in file.model.graph.initializer:
        if tensor.name == name:
            return np.asarray(numbers(tensor, file.folder))
    for node in file.model.graph.node:
        if name in node.output and node.op_type == "Constant":
            for a in node.attribute:
                if a.type == AttributeProto.TENSOR:
                    return np.asarray(numbers(a.t, file.folder))
                return np.asarray(helper.get_attribute_value(a))
    return None
