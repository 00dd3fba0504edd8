"""The way in: ``trace`` finds the front end of a model or of what a source string names.

A source string is ``gallery:NAME``, ``torchvision:NAME``, ``timm:NAME``, ``keras:NAME``, a library's name behind its
prefix (``hf:vit``, :mod:`foveal.frontends.sources.registry`), ``package.module:factory``, a file (``.onnx``,
``.keras``, ``.pt2``, ``.pt``, ``.tflite``, ``.yaml``) or a text specification (``conv3x64 conv3x64 pool2``). No
framework is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from time import perf_counter
from types import FunctionType
from typing import Any

from foveal.core.errors import FovealError, SourceError, TraceError
from foveal.frontends.backends import JAX, TEXT, TORCH, framework_of
from foveal.frontends.sources import examples
from foveal.frontends.sources.examples import is_file as is_file
from foveal.frontends.sources.registry import build, library_of
from foveal.frontends.sources.tensorflow import to_onnx
from foveal.ir.extension import REGISTRY, load as load_rules
from foveal.ir.graph import Graph, Note
from foveal.ir.layout import all_known, by_name, decide, laid_out
from foveal.ir.shifts import without_shifts


def network(model: Any, inputs: Any = None, axes: Any = None) -> Graph:
    """The graph of whatever stands for a network: a graph, a model, a name or a path. Raises FovealError."""
    if isinstance(model, Graph) and inputs is not None:
        raise FovealError(f"{model.name} is traced already: give the model itself for another input than it has")
    return trace(model, inputs, axes=axes)


def layer_of(model: Any, layer: Any, inputs: Any = None, axes: Any = None) -> tuple[Graph, str]:
    """The graph and the name of one of its layers, which may be given by number or as the model's own module.

    A shape or an array where the layer is expected, and a layer where the inputs are, are exchanged.
    """
    if is_input(layer) and not is_input(inputs):
        layer, inputs = inputs, layer
    graph = network(model, inputs, axes)
    if layer is None:
        raise FovealError(
            f"{graph.name}: name a layer, such as '{graph.layers[-1]}' or -1" if graph.layers else "no layer"
        )
    return graph, graph.name_of(layer)


def is_input(item: Any) -> bool:
    """Whether it can only be a shape, an array or several of them."""
    return isinstance(item, tuple | list | dict) or (hasattr(item, "shape") and hasattr(item, "dtype"))


def _with_batch(graph: Graph, shape: Any, again: Callable[[], Graph]) -> tuple[Graph, Any]:
    """One image as a batch of one where that makes other maps: without a batch an operation (``nn.Upsample``) may take
    channels for the batch, and rows for channels.
    """
    try:
        other = again()
    except FovealError:
        return graph, None
    maps = [one.values[one.layer(name).value].shape for one in (other, graph) for name in one.layers]
    half = len(other.layers)
    return (graph, None) if maps[:half] == [(1, *map_) for map_ in maps[half:]] else (other, shape)


def _refuse_maker(model: Any) -> None:
    """Raises SourceError for a class, or a function that takes nothing: what they make is meant."""
    name = getattr(model, "__name__", "")
    if isinstance(model, type):
        raise SourceError(f"{name} is a class: give an instance of it, such as {name}()")
    if isinstance(model, FunctionType) and not signature(model).parameters:
        raise SourceError(f"{name} is a function without arguments; where it makes the network, give {name}()")


def trace(
    model: Any,
    inputs: Any = None,
    *,
    pretrained: bool = False,
    training: bool = False,
    axes: Any = None,
    weights: str = "generic",
    name: str = "",
    example: Any = None,
) -> Graph:
    """The graph of a model or of what a source string names.

    ``inputs`` is a shape such as (1, 3, 224, 224), several shapes, a dict of them, or example tensors; a source
    string has a default. ``example``: the same, or files (a photo, a sound, a text, arrays), also by name. ``axes``:
    the axes whose positions are counted, as numbers or letters ("NHWC": all but N, B and C), for all inputs, in order
    or by name; none, (), makes an input a constant; by default what the network does with its inputs decides
    (:mod:`foveal.ir.layout`). ``weights``: "generic" (never zero), "values" (as they are), or for a PyTorch
    model a file of weights. See ``trace_module`` for the rest. Raises SourceError, TraceError.
    """
    if isinstance(model, Graph):
        return laid_out(model, axes)
    if not REGISTRY.loaded:
        load_rules()
    began = perf_counter()
    expected = None
    library = library_of(model) if isinstance(model, str) else None
    if library is not None:
        built = build(library, model, pretrained)
        model, name = built.model, name or built.name
        expected = built.inputs
    inputs = example if inputs is None else inputs
    if isinstance(model, (str, Path)) and str(model).strip().lower().endswith(".tflite"):
        path = Path(str(model).strip())
        model, name = to_onnx(path), name or path.stem
    _refuse_maker(model)
    row = framework_of(model) or (JAX if callable(model) else TORCH)
    run = row.load("trace", model).trace
    if inputs is None:
        inputs = expected
    elif row is not TORCH or expected is not None:  # PyTorch's front end asks the model what it expects
        inputs = examples.read(inputs, expected)
    options = {"pretrained": pretrained, "training": training, "axes": axes, "weights": weights, "name": name}
    batched = (1, *inputs) if isinstance(inputs, tuple) and inputs and all(type(n) is int for n in inputs) else None
    graph: Graph
    try:
        graph = run(model, inputs, **options)
        image = batched is not None and axes is None and graph.backend is not None and graph.backend.lacks_batch(inputs)
        graph, batched = _with_batch(graph, batched, lambda: run(model, batched, **options)) if image else (graph, None)
    except (SourceError, TraceError) as error:
        # letters for one axis more say that the batch was left out, unless there is one of 1
        lettered = isinstance(axes, str) and batched is not None and len(axes) == len(batched) and inputs[0] != 1
        fits = axes is None or lettered
        if batched is None or len(batched) > 5 or not fits:
            raise
        try:
            graph = run(model, batched, **options)
        except FovealError:
            raise error from None
    graph = without_shifts(graph)
    if row is TEXT:  # always (N, C, *space)
        graph = laid_out(graph, axes)
    elif axes is None or (isinstance(axes, Mapping) and not any(axes.values())):
        graph = decide(graph)
    if isinstance(axes, Mapping):
        all_known({name: given for name, given in axes.items() if given}, (source.name for source in graph.sources))
        graph.sources = [source for source in graph.sources if by_name(axes, source.name) != ()]
        if not graph.sources:
            raise TraceError("axes: an input must have counted axes")
    graph.seconds = perf_counter() - began
    if batched is not None:
        graph.layout.append(Note("layout", "", f"input {inputs} has no batch and was read as {batched}"))
    return graph
