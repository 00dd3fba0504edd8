"""Trace a PyTorch module by running it once."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from foveal.errors import TraceError
from foveal.frontends.torch_inputs import Inputs, read_inputs
from foveal.frontends.torch_layers import Naming
from foveal.frontends.torch_mode import NeedsValues, Tracer
from foveal.frontends.torch_swap import stand_ins
from foveal.frontends.torch_values import Values
from foveal.graph import Graph, GraphBuilder


def trace_module(
    model: nn.Module, inputs: Any, *, name: str = "", axes: Any = None, training: bool = False, weights: str = "generic"
) -> Graph:
    """Run ``model`` once and return its graph."""
    given = read_inputs(inputs, axes)
    graph = _run(model, given, name or type(model).__name__, training, weights, real=False)
    return graph


def _run(model: nn.Module, given: Inputs, name: str, training: bool, weights: str, real: bool) -> Graph:
    builder = GraphBuilder(name)
    values = Values(builder)
    with torch.inference_mode():
        args, kwargs = given.make(values, real)
        with stand_ins(model, training, weights == "values", keep=real) as swapped:
            for stand_in, original, path in swapped:
                values.parameter(stand_in, path).original = None if original.is_meta else original
            with Naming(model, values) as naming, Tracer(values, naming, real):
                model(*args, **kwargs)
    builder.graph.parameters = sum(p.numel() for p in model.parameters())
    return builder.graph
