"""Traces a text specification: one line of words, or the same as YAML. Needs no framework.

    graph = trace_spec("conv3x64 conv3x64 pool2 [conv3x64 | id] gap fc10", (1, 3, 32, 32))

Layers are named by kind and count (``conv1``, ``conv2``, ``pool1``), after their scope (``layer1.conv1``), or by
``name=``. docs/specification.md has the whole notation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from foveal.core.errors import SourceError
from foveal.core.reading import read_text
from foveal.frontends.text import gallery, limits
from foveal.frontends.text.grammar import parse_line
from foveal.frontends.text.layers import BUILDERS
from foveal.frontends.text.limits import shown
from foveal.frontends.text.model import BranchSpec, Item, LayerSpec, ScopeSpec, Specification
from foveal.frontends.text.refuse import refuse
from foveal.frontends.text.site import Site, shape_text
from foveal.frontends.text.yaml import looks_like_yaml, parse_yaml
from foveal.ir.graph import Graph, GraphBuilder
from foveal.ir.ops import Concatenate, Pad, Pointwise

_JOIN_NAMES = {"add": "add", "mul": "multiply"}


def parse_spec(text: str) -> Specification:
    """The tree of a specification, given as one line or as YAML; raises SourceError."""
    text = text.removeprefix("\ufeff")
    return parse_yaml(text) if looks_like_yaml(text) else parse_line(text)


def read_spec(text_or_path: str) -> Specification:
    """As ``parse_spec``; ``gallery:vgg13`` is a network of the gallery, a name ending in .yaml or .yml a file."""
    if text_or_path.startswith("gallery:"):
        return parse_yaml(gallery.text(text_or_path.removeprefix("gallery:")))
    refuse(text_or_path)
    if "\n" in text_or_path or not text_or_path.endswith((".yaml", ".yml")):
        return parse_spec(text_or_path)
    return parse_yaml(_file(text_or_path), default_name=Path(text_or_path).stem)


def _file(name: str) -> str:
    """The text of a file of a sane size; a device or a pipe is not read."""
    try:
        size = Path(name).stat().st_size if Path(name).is_file() else 0
        if size > 4 * limits.MAX_TEXT:
            raise SourceError(
                f"cannot read the specification '{shown(name)}': it has {size} bytes, which is no network"
            )
        if Path(name).exists() and not Path(name).is_file():
            raise SourceError(f"cannot read the specification '{shown(name)}': it is not a file")
        return read_text(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"cannot read the specification '{shown(name)}': {reason}") from None


def trace(source: Any, inputs: Any, **others: Any) -> Graph:
    """The graph of a gallery name, a YAML file or a quoted specification."""
    if isinstance(inputs, dict):
        if len(inputs) != 1:
            raise SourceError("a specification has one input; give one shape")
        inputs = next(iter(inputs.values()))
    return trace_spec(str(source), inputs)


def trace_spec(text_or_path: str | Specification, input_shape: Sequence[int] | None = None) -> Graph:
    """The graph of a specification.

    ``input_shape`` is (N, C, *space); without it the specification's own ``input`` is used, with N = 1. Raises
    SourceError naming the token, its place and the shapes involved.
    """
    spec = text_or_path if isinstance(text_or_path, Specification) else read_spec(text_or_path)
    if not spec.items:
        raise SourceError("the specification has no layers; write for example: conv3x64 pool2 fc10")
    shape = _input_shape(spec, input_shape)
    network = _Network(GraphBuilder(spec.name))
    network.sequence(spec.items, network.builder.source(shape))
    network.builder.graph.again = partial(trace_spec, spec)
    return network.builder.graph.verify()


def _input_shape(spec: Specification, given: Sequence[int] | None) -> tuple[int, ...]:
    """The shape given (or that of an example array), else the specification's own with batch 1."""
    if given is None and spec.input is None:
        raise SourceError("the specification has no input shape; add input=3x224x224 or give one (--input 1,3,224,224)")
    lengths = (1, *(spec.input or ())) if given is None else tuple(getattr(given, "shape", given))
    if (spec.input is not None and len(lengths) == len(spec.input)) or (
        spec.input is None and len(lengths) == 3 and isinstance(lengths[0], int) and lengths[0] > 1
    ):
        raise SourceError(f"the input {shown(lengths)} has no batch: give {shown((1, *lengths))}")
    most = [limits.MAX_NUMBER] * 2 + [limits.MAX_LENGTH] * limits.MAX_AXES
    whole = all(isinstance(n, int) and n > 0 for n in lengths)
    if not whole or not 3 <= len(lengths) <= len(most) or any(n > m for n, m in zip(lengths, most, strict=False)):
        raise SourceError(
            f"the input {shown(lengths)} must be batch, channels and at least one spatial length: (1, 3, 224, 224)"
        )
    if prod(lengths[2:]) > limits.MAX_GRID:
        raise SourceError(f"the input {shown(lengths)} has more than {limits.MAX_GRID} positions; use a smaller one")
    return lengths


class _Network:
    """Walks the tree and adds each item to the graph: layer names, scopes, saved values, joins."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder
        self.saved: dict[str, int] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.scope = ""
        self.steps = self.summed = self.positions = self.area = 0

    def sequence(self, items: tuple[Item, ...], value: int) -> int:
        """Add items in a row to ``value``; returns the last value."""
        for item in items:
            value = self._item(item, value)
        return value

    def _item(self, item: Item, value: int) -> int:
        self._count()
        if isinstance(item, LayerSpec):
            return self._layer(item, value)
        if isinstance(item, BranchSpec):
            return self._join(item.join, [self.sequence(path, value) for path in item.paths], item.where, "")
        if isinstance(item, ScopeSpec):
            return self._scope(item, value)
        for _ in range(item.times):
            self._count()
            value = self.sequence(item.items, value)
        return value

    def _count(self) -> None:
        self.steps += 1
        if self.steps > limits.MAX_STEPS:
            raise SourceError(f"the specification has more than {limits.MAX_STEPS} parts, repeats counted; write fewer")
        values = self.builder.graph.values
        for shape in (value.shape[2:] for value in values[self.summed :] if value.kind != "parameter"):
            if prod(shape) > limits.MAX_GRID:
                continue  # attention: pairs of positions, which are not written out
            self.positions += sum(shape)
            self.area += prod(shape)
        self.summed = len(values)
        if self.positions > limits.MAX_POSITIONS or self.area > limits.MAX_AREA:
            raise SourceError(f"the maps of all layers have {self.area} positions, too many; use a smaller input")

    def _layer(self, spec: LayerSpec, value: int) -> int:
        if spec.kind == "id":
            return value
        if spec.kind == "save":
            self.saved[spec.reference] = value
            return value
        if spec.kind == "from":
            return self._find(spec)
        if spec.reference:
            other = self._find(spec)
            return self._join(spec.kind, [value, self._cropped(spec, other, value)], spec.where, spec.name)
        return self._built(spec, value)

    def _built(self, spec: LayerSpec, value: int) -> int:
        name = self._name(spec.name or spec.kind, counted=not spec.name)
        self.builder.scope = name
        site = Site(self.builder, spec)
        result = BUILDERS[spec.kind](site, value)
        self._named(name, result, spec.kind, site.parameters)
        self.builder.graph.parameters += site.parameters
        return result

    def _scope(self, item: ScopeSpec, value: int) -> int:
        outer, name = self.scope, self._name(item.name, counted=False)
        self.scope = name
        result = self.sequence(item.items, value)
        self.scope = outer
        self._named(name, result, "scope", 0, leaf=False)
        return result

    def _join(self, join: str, values: list[int], where: str, given: str) -> int:
        shapes = [self.builder.graph.values[value].shape for value in values]
        # Channels may differ where they are concatenated; everything else must agree.
        compared = [(s[0], *s[2:]) if join == "cat" else s for s in shapes]
        if len({len(shape) for shape in shapes}) > 1 or len(set(compared)) > 1:
            verb = {"add": "added", "mul": "multiplied", "cat": "concatenated"}[join]
            listed = " and ".join(list(dict.fromkeys(map(shape_text, shapes)))[:4])
            raise SourceError(f"{where}: shapes {listed} cannot be {verb}")
        name = self._name(given or join, counted=not given)
        self.builder.scope = name
        if join == "cat":
            shape = (shapes[0][0], sum(s[1] for s in shapes), *shapes[0][2:])
            result = self.builder.node(Concatenate(1), values, shape, join)
        else:
            result = values[0]
            for value in values[1:]:
                result = self.builder.node(Pointwise(_JOIN_NAMES[join]), [result, value], shapes[0], join)
        self._named(name, result, join, 0)
        return result

    def _cropped(self, spec: LayerSpec, value: int, target: int) -> int:
        """``value``, cut around its middle to the space of ``target`` where the text says ``crop``."""
        given, wanted = (self.builder.graph.values[v].shape for v in (value, target))
        if "crop" not in spec.flags or len(given) != len(wanted):
            return value
        extra = [n - m for n, m in zip(given[2:], wanted[2:], strict=True)]
        if min(extra, default=0) < 0:
            raise SourceError(f"{spec.where}: cannot crop {shape_text(given)} to the larger {shape_text(wanted)}")
        if not any(extra):
            return value
        widths = ((0, 0), (0, 0), *((-(n // 2), -(n - n // 2)) for n in extra))
        return self.builder.node(Pad(widths), [value], (*given[:2], *wanted[2:]), "crop")

    def _find(self, spec: LayerSpec) -> int:
        try:
            return self.saved[spec.reference]
        except KeyError:
            known = ", ".join(list(self.saved)[-8:]) or "none"
            text = f"nothing was saved as '{spec.reference}' before; saved: {known}"
            raise SourceError(f"{spec.where}: {text}") from None

    def _name(self, word: str, counted: bool) -> str:
        """A new layer name in the present scope: ``conv1``, or the given word, with ``#2`` where it is taken."""
        self.counts[self.scope, word] += 1
        count = self.counts[self.scope, word]
        local = f"{word}{count}" if counted else word if count == 1 else f"{word}#{count}"
        return f"{self.scope}.{local}" if self.scope else local

    def _named(self, name: str, value: int, kind: str, parameters: int, leaf: bool = True) -> None:
        self.builder.layer(name, value, "module", kind, parameters, leaf)
