"""The traced network: values, nodes, layers; a builder, a verifier and a printer.

A value is made once and never changes (an in-place update makes a new value). A node makes one value. Nodes stand in
execution order. A layer gives a value a name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np

from foveal.core import show
from foveal.core.errors import FovealError, InvalidGraphError, UnknownLayerError
from foveal.ir.backend import Backend
from foveal.ir.ops import Lookup, Operation

T = TypeVar("T")
MAIN = ("logits", "last_hidden_state", "sample")
"""Words in the names under which libraries return what a network is for, in order."""
BESIDE = {"past_key_values", "present", "present_key_values", "cache", "cache_params", "hidden_states", "attentions",
          "encoder_hidden_states", "decoder_hidden_states", "cross_attentions", "encoder_attentions",
          "decoder_attentions", "encoder_last_hidden_state", "pooler_output"}  # fmt: skip
"""And what they return beside it."""


class Value(NamedTuple):
    """One array of the network.

    kind: "source" (an input whose positions are counted), "parameter" (weights: generic, never zero), "constant"
    (known by value: ``data``), "computed" (the output of a node).
    """

    id: int
    shape: tuple[int, ...]
    kind: str
    data: np.ndarray | None = None
    name: str = ""


class Node(NamedTuple):
    """One operation: ``inputs`` and ``output`` are value ids; ``scope`` is the path of the module it ran in."""

    op: Operation
    inputs: tuple[int, ...]
    output: int
    scope: str
    origin: str

    @property
    def place(self) -> str:
        """The operation and where it stands, for messages."""
        return f"{self.origin} at {self.scope or '(top)'}"


class Source(NamedTuple):
    """A network input: its name, value id and the axes whose positions are counted."""

    name: str
    value: int
    axes: tuple[int, ...]


class Layer(NamedTuple):
    """A named value. kind: "module" or "operation"; type: class name or operation name; parameters: own element count.

    ``leaf`` is true for a module without children and for an operation.
    """

    name: str
    value: int
    kind: str
    type: str
    parameters: int = 0
    leaf: bool = True


class Note(NamedTuple):
    """Something the reader of a report must know about the trace.

    code: "opaque" (operation without a rule), "data-dependent", "partial" (traced up to here), "real-tensors",
    "foreign-memory" (numbers left the framework), "custom-operation" (of a user's own library), "changed" (what a run
    changed and could not give back); of the automatic check: "contradicted" (the layer and what it makes are withheld),
    "not-checked".
    position: how many nodes had been made when it was noted.
    """

    code: str
    layer: str
    text: str
    position: int = 0


@dataclass(repr=False)
class Graph(show.Shown):
    """A traced network. Build it with :class:`GraphBuilder` or a front end; treat it as read-only."""

    name: str
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    layer_table: dict[str, Layer] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    constants: dict[str, bool] = field(default_factory=dict)
    """Names that a file or module gives to what no source can change -> whether it is an output of the network."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Path of a module that returns several tensors -> the layer that its first one is."""
    layout: list[Note] = field(default_factory=list)
    """Which axes of the sources count, where that is not the plain default, and why."""
    parameters: int = 0
    seconds: float = field(default=0.0, compare=False)
    """How long the trace took."""
    backend: Backend | None = None
    """The real model behind it; set by a front end, None where there is none."""
    again: Callable[[tuple[int, ...]], Graph] | None = field(default=None, compare=False)
    """Traces a network without a model, such as one of text, with another shape of its one source."""
    cache: dict[str, Any] = field(default_factory=dict, repr=False)
    """Results of analyses, by name; never part of equality or output."""

    @property
    def layers(self) -> list[str]:
        """Layer names in execution order."""
        return list(self.layer_table)

    def layer(self, name: str) -> Layer:
        """The layer of that name; raises UnknownLayerError naming the closest three, FovealError for a constant."""
        try:
            return self.layer_table[name if name in self.layer_table else self.aliases.get(name, name)]
        except KeyError:
            if name in self.constants:
                raise FovealError(constant_text(name)) from None
            raise UnknownLayerError(name, self.layer_table) from None

    @property
    def main(self) -> str:
        """The layer that is meant where none is named: what the network returns last, but for caches and lists of all
        hidden states; scores and the last hidden state before all. "" for a network without layers.
        """
        names = [name for name in self.layer_table if name.split(".")[0] == "output"] or self.layers
        for wanted in MAIN:
            for name in names:
                if wanted in name.rpartition(".")[2]:
                    return name
        beside = [name for name in names if not BESIDE & set(name.replace("[", ".").split("."))]
        return (beside or names or [""])[-1]

    def looks_up(self, source: int) -> bool:
        """Whether the elements of this source are indices into a table, as token ids are."""
        ids, count = {source}, prod(self.values[source].shape)
        for node in self.nodes:
            if not ids.isdisjoint(node.inputs):
                if isinstance(node.op, Lookup):
                    return True
                if prod(self.values[node.output].shape) == count:
                    ids.add(node.output)
        return False

    def name_of(self, layer: Any) -> str:
        """The name of a layer given by name, by its place in :attr:`layers` (-1: the last) or as the model's module.

        Raises FovealError where it is none of these.
        """
        if isinstance(layer, str):
            return layer if layer in self.layer_table else self.aliases.get(layer, layer)
        if hasattr(layer, "__index__") and not isinstance(layer, bool):
            names, place = self.layers, int(layer.__index__())
            if not -len(names) <= place < len(names):
                raise FovealError(f"layer {place}: {self.name} has {len(names)} layers, the last is -1")
            return names[place]
        name = None if self.backend is None else self.backend.layer_of(layer)
        if name is None:
            raise FovealError(
                f"layer: a {type(layer).__name__} that is no part of {self.name}; give a layer's name (graph.layers), "
                "a number such as -1, or the model's own module"
            )
        return self.aliases.get(name, name) or self.main

    def once(self, name: str, make: Callable[[Graph], T]) -> T:
        """The result of an analysis by its name: made when it is first asked for, then kept."""
        if name not in self.cache:
            self.cache[name] = make(self)
        result: T = self.cache[name]
        return result

    @property
    def stopped(self) -> str:
        """Where and why the trace ended before the network did, as a sentence; "" for a whole trace."""
        return next(
            (f"the trace stopped at {n.layer or '(top)'}: {n.text}" for n in self.notes if n.code == "partial"), ""
        )

    def producers(self) -> dict[int, Node]:
        """Value id -> the node that made it."""
        return self.once("producers", lambda graph: {node.output: node for node in graph.nodes})

    def behind(self, *values: int, stop: Container[int] = ()) -> Iterator[Node]:
        """The nodes that these values are made by, from the values back; values in ``stop`` are not followed."""
        producers, seen, stack = self.producers(), set(values), list(values)
        while stack:
            node = producers.get(stack.pop())
            if node is not None:
                yield node
                fresh = [i for i in dict.fromkeys(node.inputs) if i not in seen and i not in stop]
                seen.update(fresh)
                stack += fresh

    def values_behind(self, *values: int) -> set[int]:
        """These values and all that they are made from."""
        return {*values, *(i for node in self.behind(*values) for i in node.inputs)}

    def verify(self) -> Graph:
        """Check the graph's own rules; returns the graph, or raises InvalidGraphError with the neighbourhood of the
        fault.
        """
        defined = {value.id for value in self.values if value.kind != "computed"}
        for position, value in enumerate(self.values):
            if value.id != position:
                raise InvalidGraphError(f"{self.name}: value {value.id} stands at position {position}")
            if value.kind == "constant" and value.data is None:
                raise InvalidGraphError(f"{self.name}: constant %{value.id} has no data")
        for index, node in enumerate(self.nodes):
            for used in node.inputs:
                if used not in defined:
                    raise InvalidGraphError(f"{self.name}: %{used} is used before it is made\n{self._around(index)}")
            if node.output in defined:
                raise InvalidGraphError(f"{self.name}: %{node.output} is made twice\n{self._around(index)}")
            defined.add(node.output)
        for layer in self.layer_table.values():
            if layer.value not in defined:
                raise InvalidGraphError(f"{self.name}: layer '{layer.name}' names %{layer.value}, which is never made")
        return self

    def lines(self) -> Iterator[str]:
        """The graph as text, one node a line."""
        for node in self.nodes:
            yield self._line(node)

    def _line(self, node: Node) -> str:
        inputs = ", ".join(f"%{i}{list(self.values[i].shape)}" for i in node.inputs)
        shape = list(self.values[node.output].shape)
        return f"%{node.output}{shape} = {node.op}({inputs})  # {node.scope or '(top)'} {node.origin}"

    def _around(self, index: int) -> str:
        first = max(0, index - 2)
        rows = []
        for offset, node in enumerate(self.nodes[first : index + 3]):
            rows.append(("> " if first + offset == index else "  ") + self._line(node))
        return "\n".join(rows)


CONSTANT = "depends on no source: it is a constant"
"""What is said of a layer that no source can change."""


def constant_text(name: str) -> str:
    """The same as a sentence."""
    return f"layer '{name}' {CONSTANT}"


class GraphBuilder:
    """Makes a graph value by value. Front ends use it; so does anyone who writes a graph by hand."""

    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.scope = ""

    def source(self, shape: Sequence[int], axes: Sequence[int] | None = None, name: str = "input") -> int:
        """Add a network input. ``axes`` are the counted axes; by default all but the first two."""
        value = self._value(shape, "source", name=name)
        counted = tuple(range(2, len(shape))) if axes is None else tuple(axes)
        self.graph.sources.append(Source(name, value, counted))
        return value

    def parameter(self, shape: Sequence[int], name: str = "") -> int:
        """Add weights."""
        return self._value(shape, "parameter", name=name)

    def constant(self, data: np.ndarray, name: str = "") -> int:
        """Add an array known by value."""
        return self._value(data.shape, "constant", data, name)

    def node(self, op: Operation, inputs: Sequence[int], shape: Sequence[int], origin: str = "") -> int:
        """Add an operation; returns the id of its output value."""
        value = self._value(shape, "computed")
        self.graph.nodes.append(Node(op, tuple(inputs), value, self.scope, origin or type(op).__name__))
        return value

    def layer(
        self, name: str, value: int, kind: str = "operation", type: str = "", parameters: int = 0, leaf: bool = True
    ) -> None:
        """Name a value; a name already taken gets a call count (``conv``, ``conv#2``)."""
        unique, count = name, 1
        while unique in self.graph.layer_table:
            count += 1
            unique = f"{name}#{count}"
        self.graph.layer_table[unique] = Layer(unique, value, kind, type, parameters, leaf)

    def note(self, code: str, layer: str, text: str) -> None:
        """Add something the reader of a report must know."""
        self.graph.notes.append(Note(code, layer, text, len(self.graph.nodes)))

    def _value(self, shape: Sequence[int], kind: str, data: np.ndarray | None = None, name: str = "") -> int:
        values = self.graph.values
        values.append(Value(len(values), tuple(shape), kind, data, name))
        return len(values) - 1
