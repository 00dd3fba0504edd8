"""Trace a PyTorch module by running it once.

The run is on meta tensors: nothing is computed and the model is left untouched. Where meta is refused (a value is
read, an operation has no meta form) the model is run once more: with made-up numbers from there on where it is large
and only chooses by them, else on real tensors on the CPU. Where that fails too, what came before is kept and a note
says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foveal.core.errors import SourceError, TraceError, first_line
from foveal.frontends.sources import examples
from foveal.frontends.torch.backend import TorchBackend
from foveal.frontends.torch.dispatch.placeholders import large
from foveal.frontends.torch.dispatch.values import NeedsValues
from foveal.frontends.torch.files.defaults import default_inputs, from_first_layer, wanted
from foveal.frontends.torch.files.read import adopt, load
from foveal.frontends.torch.files.weights import SUFFIXES, left_over, load_weights
from foveal.frontends.torch.inputs import Inputs, as_given, readings, wants_ids, wants_tensors, with_ids, with_tensors
from foveal.frontends.torch.run import Attempt, run_once
from foveal.ir.graph import Graph, Note
from foveal.ir.layout import all_known


def trace(model: Any, inputs: Any, *, pretrained: bool, name: str, axes: Any, training: bool, weights: str) -> Graph:
    """The graph of a module, an exported program or what a source string names; see :func:`trace_module`."""
    named = isinstance(model, (str, Path))
    loaded = load(str(model), pretrained=pretrained) if named else adopt(model)
    if isinstance(loaded.model, Graph):
        return loaded.model
    expected = default_inputs(loaded.model) if loaded.inputs is None else loaded.inputs
    chosen = expected if inputs is None else examples.read(inputs, expected)
    if chosen is None:
        example = from_first_layer(loaded.model) or (1, 3, 224, 224)
        raise SourceError(f"no input shape: give one, such as {tuple(getattr(example, 'shape', example))}")
    counted = loaded.axes if axes is None and inputs is None else axes
    title = name or (loaded.name if named else "")
    module, left = loaded.model, []
    if Path(weights).suffix.lower() in SUFFIXES:
        module, file, weights = copy.deepcopy(module), str(weights), "generic"
        left = load_weights(module, file)
    graph = trace_module(module, chosen, name=title, axes=counted, training=training, weights=weights)
    if left:
        graph.notes.append(Note("weights", "", left_over(left, file)))
    return graph


def trace_module(
    model: nn.Module, inputs: Any, *, name: str = "", axes: Any = None, training: bool = False, weights: str = "generic"
) -> Graph:
    """Run ``model`` once and return its graph.

    ``inputs``: a shape, several shapes, a dict name -> shape (keyword arguments where the model knows the names, else
    in order), or example tensors in any nesting. ``axes`` are the counted axes of each input (default: all but the
    first two; axis 1 of two), as numbers or as letters (``"NHWC"``). ``weights``: "generic" (never zero) or "values"
    (as they are). Raises TraceError with the framework's message, the layer where it arose and the shape there.
    """
    if weights not in ("generic", "values"):
        raise TraceError(f"weights must be 'generic' or 'values', not {weights!r}")
    title = name or type(model).__name__
    scripted = isinstance(model, torch.jit.ScriptModule)
    ways = readings(inputs, axes, model)
    names = [*(inputs if isinstance(inputs, Mapping) else ()), *(slot.name for way in ways for slot in way.slots())]
    all_known(axes, dict.fromkeys(names))
    given, first = _first_run(model, ways, title, (training, weights, scripted))
    if isinstance(first.error, NeedsValues) and not scripted:
        given, first = _masks_as_given(model, given, first, axes, (title, training, weights))
    attempt = first
    if first.error is not None and not scripted:
        attempt = _with_numbers(model, given, title, training, weights, first)
    if attempt.error is not None:
        attempt = _partial(model, first, attempt, title, inputs)
    graph = attempt.graph
    graph.parameters = sum(parameter.numel() for parameter in model.parameters())
    graph.backend = TorchBackend(model, given, training)
    return graph


def _first_run(model: nn.Module, ways: list[Inputs], title: str, how: tuple[bool, str, bool]) -> tuple[Inputs, Attempt]:
    """The way to call the model that runs through, or else the one that comes furthest; whole numbers take the place
    of floating ones where the model looks rows up by them, tensors that of plain numbers where it asks for one.
    """
    tried = []
    for way in ways:
        attempt = run_once(model, way, title, *how)
        tried.append((way, attempt))
        if attempt.error is not None and wants_ids(attempt.error):
            way = with_ids(way)
            tried.append((way, run_once(model, way, title, *how)))
        error = tried[-1][1].error
        if error is not None and wants_tensors(error):
            way = with_tensors(way)
            tried.append((way, run_once(model, way, title, *how)))
        if tried[-1][1].error is None:
            return tried[-1]
    return max(tried, key=lambda pair: len(pair[1].graph.layer_table))


def _masks_as_given(
    model: nn.Module, given: Inputs, first: Attempt, axes: Any, how: tuple[str, bool, str]
) -> tuple[Inputs, Attempt]:
    """The call with its masks as constants, where the model chooses by them what it computes and then needs no number
    any more; else the call as it was.
    """
    masked = as_given(given, axes)
    again = None if masked is None else run_once(model, masked, *how, False)
    if masked is None or again is None or again.error is not None:
        return given, first
    for before, now in zip(given.slots(), masked.slots(), strict=True):
        if before.axes != now.axes:
            text = f"input '{now.name}' decides what runs and is taken as it is given; axes= (--axes) makes it a source"
            again.graph.notes.append(Note("layout", "", text))
    return masked, again


def _with_numbers(model: nn.Module, given: Inputs, title: str, training: bool, weights: str, first: Attempt) -> Attempt:
    """The run once more with numbers: made-up ones behind what needs them, where the caller gave none and much is
    computed before; else, and where that fails, all of them.
    """
    assert first.error is not None
    reason = first_line(first.error).split(". ")[0]
    shapes = all(slot.example is None or slot.example.is_meta for slot in given.slots())
    if shapes and isinstance(first.error, (NeedsValues, NotImplementedError)) and large(first.graph):
        attempt = run_once(model, given, title, training, weights, real=False, placeholders=True)
        if attempt.error is None:
            text = f"run on made-up numbers where some are needed: {reason}"
            attempt.graph.notes.insert(0, Note("real-tensors", first.layer, text))
            return attempt
    attempt = run_once(model, given, title, training, weights, real=True)
    attempt.graph.notes.insert(0, Note("real-tensors", first.layer, f"run on real tensors: {reason}"))
    return attempt


def _partial(model: nn.Module, first: Attempt, second: Attempt, name: str, inputs: Any) -> Attempt:
    """What to keep of two failed runs; raises TraceError where the model's normal path fails on this input."""
    assert first.error is not None
    assert second.error is not None
    refused = isinstance(first.error, (NeedsValues, NotImplementedError))
    on_meta = any(item.is_meta for item in (*model.parameters(), *model.buffers()))
    ordinary = isinstance(second.error, (RuntimeError, ValueError, TypeError, IndexError, AssertionError, KeyError))
    missing = isinstance(second.error, NotImplementedError) or "allocate memory" in str(second.error)
    best = max(first, second, key=lambda attempt: len(attempt.graph.layer_table))
    if not best.graph.layer_table or (ordinary and not missing and not (refused and on_meta)):
        hint = wanted(model, inputs, str(second.error))
        raise TraceError(f"{name}: {first_line(second.error)} ({second.place}){hint and '; '}{hint}") from second.error
    best.graph.notes.append(Note("partial", second.layer, f"traced up to here: {first_line(second.error)}"))
    return best
