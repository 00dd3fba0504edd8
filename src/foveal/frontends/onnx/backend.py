"""All that the rooms above ask of an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from foveal.core.errors import FovealError
from foveal.frontends.gradients import only_plain
from foveal.frontends.onnx import passes
from foveal.frontends.onnx.gradient import Differentiator
from foveal.frontends.onnx.load import OnnxFile, adopt, read_bytes, read_file
from foveal.frontends.onnx.run import OnnxRunner
from foveal.frontends.onnx.walk import walk
from foveal.frontends.sessions import session_forward
from foveal.ir.backend import Backend, Forward, Mean, Part
from foveal.ir.graph import Graph


class OnnxBackend(OnnxRunner, Backend):
    """A model and its inputs, run by onnxruntime in the precision of the file."""

    framework = "ONNX"
    clear = 1e-3  # in single precision
    retraces = True

    def gradient(
        self, source: str, axes: tuple[int, ...], dtype: str | None = None, waists: Any = (), device: str | None = None
    ) -> Differentiator:
        """By finite differences."""
        only_plain(device, dtype)
        return Differentiator(self, source, axes, dtype)

    def retraced(self, source: str, shape: tuple[int, ...]) -> Graph | None:
        """Run once too, as a trace alone does not show that it runs."""
        given: dict[str, Any] = {e.name: e.shape if e.example is None else e.example for e in self.entries}
        counted = {e.name: e.axes for e in self.entries if e.axes is not None}
        try:
            graph, again = walk(self.file, {**given, source: shape}, counted, "generic", self.file.name)
            again.run(again.example(0), [graph.layers[-1]])
        except FovealError:
            return None
        return graph

    def laid_out(self, axes: Mapping[str, tuple[int, ...]]) -> OnnxBackend:
        """Its entries with other axes."""
        entries = tuple(e if e.axes is None else e._replace(axes=axes.get(e.name, e.axes)) for e in self.entries)
        return OnnxBackend(self.file, entries, self.tensors)

    @staticmethod
    def tiled(model: Any, layer: str, output: str | int | None) -> Forward:
        """A model, a file or its bytes, run by onnxruntime."""
        held = model.SerializeToString() if hasattr(model, "SerializeToString") else model
        return session_forward(_session(held if isinstance(held, bytes) else str(held)), layer, output)

    @classmethod
    def cuttable(cls, model: Any) -> Cut:
        """A file or its bytes."""
        return Cut(file_of(model))


class Cut:
    """See :class:`foveal.ir.backend.Cuttable`."""

    def __init__(self, file: OnnxFile) -> None:
        self.file, self.name = file, file.name
        stored = {tensor.name for tensor in file.model.graph.initializer}
        self.inputs = tuple(item.name for item in file.model.graph.input if item.name not in stored)
        self.outputs = tuple(item.name for item in file.model.graph.output)

    def waves(self, output: str, rank: int) -> list[list[Mean]]:
        """Raises SourceError for a model with subgraphs."""
        return passes.waves(self.file, output, rank)

    def part(self, outputs: Sequence[str], means: Sequence[Mean], shapes: dict[str, tuple[int, ...]]) -> Part:
        """Run on the CPU."""
        model = passes.part(self.file, outputs, means, len(shapes[self.inputs[0]]))
        names = tuple(item.name for item in model.graph.input)
        file = adopt(model, None, model.graph.name)
        graph, runner = traced(file, {n: shapes[n] for n in names}, None, "generic", self.name)
        layers = {tensor: layer for layer, tensor in runner.tensors.items()}
        session = _session(model.SerializeToString())
        return Part(graph, layers, names, lambda feeds: session.run(list(outputs), feeds))


def traced(file: OnnxFile, inputs: Any, axes: Any, weights: str, name: str) -> tuple[Graph, OnnxBackend]:
    """The graph of a model and the model behind it."""
    graph, runner = walk(file, inputs, axes, weights, name)
    graph.backend = found = OnnxBackend(runner.file, runner.entries, runner.tensors)
    return graph, found


def file_of(model: str | Path | bytes) -> OnnxFile:
    """A file or its bytes, checked."""
    return read_bytes(model, None, "model") if isinstance(model, bytes) else read_file(model)


def _session(model: str | bytes) -> Any:
    """An onnxruntime session on the CPU."""
    return import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])


BACKEND = OnnxBackend
