"""The way in: ``trace`` finds the front end of a model or of what a source string names.

A source string is ``gallery:NAME``, ``torchvision:NAME``, ``timm:NAME``, ``keras:NAME``, ``package.module:factory``, a
file (``.onnx``, ``.keras``, ``.pt2``, ``.pt``, ``.yaml``) or a text specification (``conv3x64 conv3x64 pool2``). No
framework is imported before it is needed.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from foveal.frontends.backends import JAX, TORCH, framework_of
from foveal.ir.extension import REGISTRY, load as load_rules
from foveal.ir.graph import Graph


def trace(
    model: Any,
    inputs: Any = None,
    *,
    pretrained: bool = False,
    training: bool = False,
    axes: Any = None,
    weights: str = "generic",
    name: str = "",
) -> Graph:
    """The graph of a model or of what a source string names.

    ``inputs`` is a shape such as (1, 3, 224, 224), several shapes, a dict of them, or example tensors; a source
    string has a default. See ``trace_module`` for the rest. Raises SourceError, TraceError.
    """
    if isinstance(model, Graph):
        return model
    if not REGISTRY.loaded:
        load_rules()
    began = perf_counter()
    row = framework_of(model) or (JAX if callable(model) else TORCH)
    graph: Graph = row.load("trace", model).trace(
        model, inputs, pretrained=pretrained, training=training, axes=axes, weights=weights, name=name
    )
    graph.seconds = perf_counter() - began
    return graph
