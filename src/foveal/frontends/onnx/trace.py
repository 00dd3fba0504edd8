"""Trace an ONNX model: a file, its bytes, or a model in memory. Nothing is computed from the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import ModelProto

from foveal.core.errors import SourceError
from foveal.frontends.onnx.backend import file_of, traced
from foveal.frontends.onnx.load import adopt
from foveal.ir.graph import Graph


def trace(model: Any, inputs: Any, *, pretrained: bool, name: str, axes: Any, training: bool, weights: str) -> Graph:
    """The graph of a file or a model; see :func:`trace_model`."""
    if isinstance(model, ModelProto):
        return trace_model(model, inputs, axes=axes, weights=weights, name=name)
    if not isinstance(model, (str, Path, bytes)):
        raise SourceError(f"cannot trace a {type(model).__name__}: give an ONNX file or a ModelProto")
    return traced(file_of(model), inputs, axes, weights, name)[0]


def trace_model(
    model: ModelProto, inputs: Any = None, *, axes: Any = None, weights: str = "generic", name: str = ""
) -> Graph:
    """The graph of an ONNX model in memory; see :func:`foveal.frontends.onnx.walk.walk`."""
    return traced(adopt(model, None, model.graph.name or "model"), inputs, axes, weights, name)[0]
