"""Run an ONNX model for real with onnxruntime and read its layers, under the names that the trace gave them.

The model runs as a copy in the precision of its file (onnxruntime has no double-precision convolution), on one thread
and without graph optimisations, so that a unit that does not read a position keeps its value to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from foveal.core.errors import SourceError, VerificationError
from foveal.frontends.onnx.inputs import Entry
from foveal.frontends.onnx.load import OnnxFile, first_line, numbers
from foveal.frontends.onnx.observe import observe, session_of

_NAMES = {"epsilon": "eps", "alpha": "negative_slope"}
_PARTS = {"BatchNormalization": ("weight", "bias", "running_mean", "running_var"), "PRelu": ("weight",)}
"""What inputs behind the first are called."""


@dataclass
class OnnxRunner:
    """The model and how it was called. ``tensors``: layer name -> name of the tensor in the file."""

    file: OnnxFile
    entries: tuple[Entry, ...]
    tensors: dict[str, str] = field(default_factory=dict)
    measured_by: str = ""
    """How the last measured field was made, for its method."""
    sessions: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    """The last session, by the tensors and shapes that it was made for."""

    def __post_init__(self) -> None:
        self.model = self.file.model

    def example(self, seed: int) -> dict[str, np.ndarray]:
        """Seeded random inputs by name: normal floats, integers of 0 and 1, or what the caller gave."""
        generator = np.random.default_rng(seed)
        made: dict[str, np.ndarray] = {}
        for entry in self.entries:
            if entry.dtype.kind not in "biuOSU":
                made[entry.name] = generator.standard_normal(entry.shape)
            elif entry.example is not None:
                made[entry.name] = entry.example.copy()
            else:
                made[entry.name] = generator.integers(0, 2, entry.shape)
        return made

    def probe(self, inputs: dict[str, np.ndarray], layers: list[str]) -> dict[str, np.ndarray]:
        """Those that a run can read."""
        known = [name for name in layers if name in self.tensors]
        return dict(self.run(inputs, known))

    def run(self, inputs: dict[str, np.ndarray], layers: list[str], dtype: str = "float64") -> dict[str, np.ndarray]:
        """The values of ``layers`` for ``inputs``, in float64 but computed in the file's own precision.

        Raises VerificationError with onnxruntime's message, or naming the layers that only a subgraph holds.
        """
        missing = sorted(name for name in layers if name not in self.tensors)
        if missing:
            raise VerificationError(f"layers that a run cannot read (inside a subgraph): {', '.join(missing)}")
        wanted = [self.tensors[name] for name in layers]
        found = self.values(inputs, list(dict.fromkeys(wanted)))
        return {name: _wide(found[self.tensors[name]]) for name in layers}

    def values(self, inputs: dict[str, np.ndarray], wanted: Sequence[str]) -> dict[str, Any]:
        """The values of tensors by their names in the file."""
        feeds = self._feeds(inputs)
        session = self._session(tuple(wanted), {name: array.shape for name, array in feeds.items()})
        try:
            results = session.run(list(wanted), feeds)
        except Exception as error:  # onnxruntime raises many types
            raise VerificationError(f"onnxruntime cannot run the model: {first_line(error)}") from error
        return dict(zip(wanted, results, strict=True))

    def observe(self) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
        """Shape and element type of every tensor of the main graph in one run; {} where there is none."""
        names = tuple(dict.fromkeys(name for node in self.file.model.graph.node for name in node.output if name))
        feeds = self._feeds(self.example(0))
        data = self._model(names, {name: array.shape for name, array in feeds.items()}).SerializeToString()
        return observe(data, feeds, names)

    def array(self, name: str) -> np.ndarray | None:
        """The initialiser or constant of that name; None where there is none."""
        for tensor in self.file.model.graph.initializer:
            if tensor.name == name:
                return numbers(tensor, self.file.folder)
        for node in self.file.model.graph.node:
            if node.op_type == "Constant" and name in node.output and node.attribute[0].name == "value":
                return numbers(node.attribute[0].t, self.file.folder)
        return None

    def settings(self, path: str) -> dict[str, Any]:
        """The plain numbers among the attributes of the layer of that name, and its weights where they have the part
        that PyTorch's names say.
        """
        tensor = self.tensors.get(path)
        found: dict[str, Any] = {}
        for node in self.file.model.graph.node:
            if tensor in node.output:
                for attribute in node.attribute:
                    value = helper.get_attribute_value(attribute)
                    if isinstance(value, (int, float)):
                        found[_NAMES.get(attribute.name, attribute.name)] = value
                arrays = {part: self.array(name) for part, name in zip(_PARTS.get(node.op_type, ()), node.input[1:])}
                found |= {part: array for part, array in arrays.items() if array is not None}
                if node.op_type == "LeakyRelu":
                    found.setdefault("negative_slope", 0.01)
        return found

    def _feeds(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        feeds = {}
        for entry in self.entries:
            array = inputs.get(entry.name)
            if array is None:
                raise VerificationError(f"no array for input '{entry.name}'")
            feeds[entry.name] = np.ascontiguousarray(array).astype(entry.dtype)
        return feeds

    def _session(self, wanted: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> Any:
        key = (wanted, tuple(sorted(shapes.items())))
        if key not in self.sessions:
            self.sessions.clear()
            self.sessions[key] = self._session_anew(wanted, shapes)
        return self.sessions[key]

    def _session_anew(self, wanted: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> Any:
        try:
            import_module("onnxruntime")
        except ModuleNotFoundError as error:
            raise VerificationError(
                "running an ONNX model needs onnxruntime, which is not installed: pip install 'foveal[onnx]'"
            ) from error
        try:
            return session_of(self._model(wanted, shapes).SerializeToString())
        except SourceError:
            raise
        except Exception as error:  # onnxruntime raises many types
            raise VerificationError(f"onnxruntime does not take the model: {first_line(error)}") from error

    def _model(self, wanted: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> ModelProto:
        """A copy of the model with these outputs and these lengths of its inputs."""
        model = ModelProto()
        model.CopyFrom(self.file.model)
        graph = model.graph
        del graph.value_info[:]
        for tensor in graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                tensor.CopyFrom(onnx.numpy_helper.from_array(numbers(tensor, self.file.folder), tensor.name))
        for item in graph.input:
            if item.name in shapes:
                number = item.type.tensor_type.elem_type
                item.CopyFrom(helper.make_tensor_value_info(item.name, number, shapes[item.name]))
        known = {item.name: item for item in graph.output}
        kept = [onnx.ValueInfoProto(name=name) if name not in known else _untyped(known[name]) for name in wanted]
        del graph.output[:]
        graph.output.extend(kept)
        return model


def _untyped(item: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The same output without lengths, which other inputs may change."""
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(item)
    if copy.type.HasField("tensor_type"):
        copy.type.tensor_type.ClearField("shape")
    return copy


def _wide(array: Any) -> np.ndarray:
    found = np.asarray(array)
    return found if found.dtype.kind in "OSU" else found.astype(np.float64)
