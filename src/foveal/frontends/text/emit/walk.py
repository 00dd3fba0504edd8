"""Goes through a text specification as its trace does, and writes each group of layers as a block.

The trace comes first: it finds what is wrong, and its layers, in the same order, say each shape. Paddings of the "SAME"
rule and flattened lengths are written as numbers, for the given input.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from foveal.frontends.text.emit.blocks import Block, Make, Part, Shape, classes, fresh, wrapped
from foveal.frontends.text.emit.layers import ACTIVATIONS, HELPERS, WEIGHTED, written
from foveal.frontends.text.model import BranchSpec, Item, LayerSpec, RepeatSpec, ScopeSpec, Specification
from foveal.frontends.text.site import shape_text
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph, Layer

_JOINS = {"add": " + ", "mul": " * "}
_BRACKETS = {"add": ("[", "]"), "cat": ("{", "}"), "mul": ("<", ">")}
_GROUPS = {
    "add": ("Residual", "Paths, added"),
    "cat": ("Parallel", "Paths, side by side"),
    "mul": ("Gated", "Paths, multiplied"),
    "": ("Block", "In a row"),
}
_TAKEN = frozenset(
    re.findall(
        r"\w+",
        "T add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval "
        "extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict "
        "modules mtia named_buffers named_children named_modules named_parameters parameters register_buffer "
        "register_module register_parameter requires_grad_ set_extra_state set_submodule share_memory state_dict to "
        "to_empty train training type xpu zero_grad",
    )
)
"""What ``nn.Module`` calls its own."""
_LOCAL = frozenset(("x", "self", "torch", "nn", "F", "float"))
_LONGEST = 64
"""Of an expression that norms and activations still join."""
_SHOWN = "print(Net().eval()(torch.zeros({shape})).shape)"
_SHOWN_ALL = "for y in Net().eval()(torch.zeros({shape})):\n        print(y.shape)"


def pytorch_code(spec: Specification, lengths: Shape | None = None, about: str = "") -> str:
    """The source of a module with a class ``Net`` for inputs (N, *lengths), if not given those that the text says;
    ``about`` is the module's docstring.

    A value that is saved, never read and left by ``from=`` is an output too: ``Net`` then gives a list. Raises
    SourceError with the place of a layer that does not fit or that PyTorch has no operation for.
    """
    graph = trace_spec(spec, None if lengths is None else (1, *lengths))
    shape = graph.values[graph.sources[0].value].shape
    body = _Body(graph, iter(graph.layer_table.values()), _Names(spec.items).reads)
    net, _ = body.block(spec.items, shape, "Net", _title(spec.name))
    made = "\n\n".join(classes(net, {"Tensor", *HELPERS}))
    made = "\n\n".join([*(text for name, text in HELPERS.items() if f"{name}(" in made), made])
    shown = (_SHOWN_ALL if body.outputs else _SHOWN).format(shape=", ".join(map(str, shape)))
    functional = "import torch.nn.functional as F\n" if "F." in made else ""
    imports = f"import torch\n{functional}from torch import Tensor, nn\n"
    stated = f'"""{about}"""\n\n' if about else ""
    return f'{stated}{imports}\n\n{made}\n\nif __name__ == "__main__":\n    {shown}\n'


def _title(name: str) -> str:
    return (re.sub(r"[^\w .,:()-]", "", name).strip() or "A network") + "."


class _Held(NamedTuple):
    """A value of ``forward``: a variable, or an expression that is not yet on a line."""

    text: str
    shape: Shape


class _Names:
    """What items save, what they read, and what of it they do not save before."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.made: set[str] = set()
        self.free: set[str] = set()
        self.reads: Counter[str] = Counter()
        for spec in _layers(items):
            if spec.kind == "save":
                self.made.add(spec.reference)
            elif spec.reference:
                self.reads[spec.reference] += 1
                self.free |= {spec.reference} - self.made


def _layers(items: tuple[Item, ...]) -> Iterator[LayerSpec]:
    for item in items:
        if isinstance(item, LayerSpec):
            yield item
        elif isinstance(item, BranchSpec):
            for path in item.paths:
                yield from _layers(path)
        else:
            yield from _layers(item.items)


def _branch(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """A branch at the start of items, with the activations after it."""
    count = 1
    while count < len(items) and getattr(items[count], "kind", "") in ACTIVATIONS:
        count += 1
    return items[:count]


def _words(items: tuple[Item, ...]) -> str:
    """What items are made of, without numbers: ``[conv bn relu | id] relu``."""
    made = []
    for item in items:
        if isinstance(item, LayerSpec):
            made.append(item.kind)
        elif isinstance(item, BranchSpec):
            made.append(" | ".join(_words(path) for path in item.paths).join(_BRACKETS[item.join]))
        else:
            made.append(_words(item.items))
    return " ".join(made)


class _Body:
    """One block being written: a line of ``forward`` for each layer with its norm and activation."""

    def __init__(self, graph: Graph, layers: Iterator[Layer], reads: Counter[str], outer: _Body | None = None) -> None:
        self.graph, self.layers, self.reads, self.outer = graph, layers, reads, outer
        self.parts: dict[str, Part] = {}
        self.lines: list[tuple[str, str]] = []
        self.saved: dict[str, _Held] = {}
        self.given: dict[str, str] = {}
        self.counts: Counter[str] | None = None
        self.prefix = ""
        self.locals = set(_LOCAL)
        self.unread: dict[str, str] = {}
        self.outputs: list[str] = []

    def block(self, items: tuple[Item, ...], shape: Shape, title: str, about: str) -> tuple[Block, Shape]:
        """The whole block for a value of this shape, and the shape that it gives."""
        end = self._group(items, _Held("x", shape), "x")
        last = f"return {end.text}"
        if self.outputs:
            last = wrapped("return [", [*self.outputs, self._output(end)], "]")
        shown = "" if self.outputs or end.text.isidentifier() else shape_text(end.shape[1:])
        lines = (*self.lines, (last, shown))
        gives = "list[Tensor]" if self.outputs else "Tensor"
        general = self.counts is not None
        return Block(title, about, tuple(self.parts.items()), ("x", *self.given), lines, gives, general), end.shape

    def _group(self, items: tuple[Item, ...], value: _Held, variable: str) -> _Held:
        """The items of a block, of which a branch is no block of its own where there is nothing else."""
        if items and isinstance(items[0], BranchSpec) and len(_branch(items)) == len(items):
            return self._sequence(items[1:], self._branches(items[0], value, variable), variable)
        return self._sequence(items, value, variable)

    def _sequence(self, items: tuple[Item, ...], value: _Held, variable: str) -> _Held:
        while items:
            item, done = items[0], 1
            if isinstance(item, LayerSpec):
                value = self._layer(item, value, variable)
            elif isinstance(item, BranchSpec):
                done = len(_branch(items))
                value = self._repeated(1, items[:done], value, variable)
            elif isinstance(item, RepeatSpec):
                value = self._repeated(item.times, item.items, value, variable)
            else:
                value = self._scope(item, value, variable)
            items = items[done:]
        return value

    def _layer(self, spec: LayerSpec, value: _Held, variable: str) -> _Held:
        if spec.kind == "id":
            return value
        if spec.kind == "save" and not self.reads[spec.reference]:
            self.unread[value.text] = spec.reference
            return value
        if spec.kind == "save":
            name = self._local(spec.reference)
            self.lines.append((f"{name} = {value.text}", shape_text(value.shape[1:])))
            self.saved[spec.reference] = kept = _Held(name, value.shape)
            return kept
        if spec.kind == "from":
            if self.outer is None and variable == "x" and value.text in self.unread:
                self.outputs.append(self._output(value))
            return self._kept(spec.reference)
        if spec.reference:
            kept = self._cropped(spec, self._kept(spec.reference), value.shape)
            return self._join(spec.kind, [self._line(value, variable), kept])
        layer = next(self.layers)
        shape = self.graph.values[layer.value].shape
        made = written(spec, self.graph.producers()[layer.value].op, value.shape, shape)
        if made.begins or len(value.text) > _LONGEST:
            value = self._line(value, variable)
        name = self._attribute(self._word(spec, layer.name), made.module) if made.module else ""
        return _Held(made.call.format(x=value.text, layer=f"self.{name}"), shape)

    def _word(self, spec: LayerSpec, name: str) -> str:
        """A layer's name: as in the tables of the analysis, but counted anew in a block that may stand twice."""
        if spec.name or self.counts is None:
            return spec.name or f"{self.prefix}{spec.kind}{name[len(name.rstrip('0123456789')) :]}"
        self.counts[spec.kind] += 1
        return f"{spec.kind}{self.counts[spec.kind]}"

    def _repeated(self, times: int, items: tuple[Item, ...], value: _Held, variable: str) -> _Held:
        branches = any(isinstance(item, BranchSpec) for item in items)
        weighted = [spec for spec in _layers(items) if spec.kind in WEIGHTED]
        if self._escapes(items) or not (branches or len(weighted) > 1):
            for _ in range(times):
                value = self._group(items, value, variable)
            return value
        head = items[0]
        alone = isinstance(head, BranchSpec) and len(_branch(items)) == len(items)
        title, about = _GROUPS[head.join if isinstance(head, BranchSpec) and alone else ""]
        words = _words(items)
        about += f": {words}." if len(words) < _LONGEST else "."
        made, shape = [], value.shape
        for _ in range(times):
            part, given, shape = self._part(items, shape, title, about, counted=True)
            if given:
                value = self._called(title.lower() + "1", part, given, value, shape, variable)
            else:
                made.append(part)
        return self._called(title.lower() + "1", _row(made), [], value, shape, variable) if made else value

    def _scope(self, item: ScopeSpec, value: _Held, variable: str) -> _Held:
        items = item.items
        while items and isinstance(items[-1], LayerSpec) and items[-1].kind == "save":
            items = items[:-1]
        if not items or self._escapes(items):
            outer, self.prefix = self.prefix, f"{self.prefix}{item.name}_"
            value = self._sequence(item.items, value, variable)
            next(self.layers)
            self.prefix = outer
            return value
        title = "".join(word.capitalize() for word in re.findall(r"[a-zA-Z][a-zA-Z0-9]*", item.name))
        title = title.rstrip("0123456789") or "Block"
        title = f"{title}Block" if keyword.iskeyword(title) else title
        part, given, shape = self._part(items, value.shape, title, f"The layers of {item.name}.", counted=False)
        next(self.layers)
        value = self._called(self.prefix + item.name, part, given, value, shape, variable)
        return self._sequence(item.items[len(items) :], value, variable)

    def _part(
        self, items: tuple[Item, ...], shape: Shape, title: str, about: str, counted: bool
    ) -> tuple[Part, list[str], Shape]:
        """Items as a part, what else it is called with, and the shape that it gives."""
        body = _Body(self.graph, self.layers, self.reads, self)
        body.counts = Counter() if counted else None
        block, shape = body.block(items, shape, title, about)
        names, lines = list(body.parts), [text for text, _ in block.lines]
        in_a_row = [*(f"x = self.{name}(x)" for name in names[:-1]), *(f"return self.{name}(x)" for name in names[-1:])]
        plain = names and lines == in_a_row and not any(isinstance(part, Make) for part in body.parts.values())
        return _row(list(body.parts.values())) if plain else block, list(body.given.values()), shape

    def _called(self, word: str, part: Part, given: list[str], value: _Held, shape: Shape, variable: str) -> _Held:
        value = self._line(value, variable)
        return _Held(f"self.{self._attribute(word, part)}({', '.join([value.text, *given])})", shape)

    def _escapes(self, items: tuple[Item, ...]) -> bool:
        """Whether something outside reads what these items save."""
        names = _Names(items)
        return any(self.reads[name] > names.reads[name] or name in names.free for name in names.made)

    def _branches(self, item: BranchSpec, value: _Held, variable: str) -> _Held:
        value, ends = self._line(value, variable), []
        for path in item.paths:
            straight = all(isinstance(part, LayerSpec) and part.kind == "id" for part in path)
            own = variable if straight else self._local("y")
            ends.append(self._line(self._sequence(path, value, own), own))
        return self._join(item.join, ends)

    def _join(self, join: str, ends: list[_Held]) -> _Held:
        names = [end.text for end in ends]
        text = f"torch.cat([{', '.join(names)}], 1)" if join == "cat" else _JOINS[join].join(names)
        return _Held(text, self.graph.values[next(self.layers).value].shape)

    def _cropped(self, spec: LayerSpec, kept: _Held, wanted: Shape) -> _Held:
        if "crop" not in spec.flags or kept.shape[2:] == wanted[2:]:
            return kept
        starts = [(n - m) // 2 for n, m in zip(kept.shape[2:], wanted[2:], strict=True)]
        cut = ", ".join(f"{a}:{a + m}" for a, m in zip(starts, wanted[2:], strict=True))
        return _Held(f"{kept.text}[..., {cut}]", wanted)

    def _line(self, value: _Held, variable: str) -> _Held:
        """The value as a variable."""
        if value.text.isidentifier():
            return value
        self.lines.append((f"{variable} = {value.text}", shape_text(value.shape[1:])))
        return _Held(variable, value.shape)

    def _output(self, value: _Held) -> str:
        return self._line(value, self._local(self.unread.get(value.text, "y"))).text

    def _kept(self, reference: str) -> _Held:
        """A saved value; one of the blocks around is handed in."""
        if reference not in self.saved:
            assert self.outer is not None, reference
            found, name = self.outer._kept(reference), self._local("kept")
            self.given[name], self.saved[reference] = found.text, _Held(name, found.shape)
        return self.saved[reference]

    def _local(self, word: str) -> str:
        name = _name(word, self.locals)
        self.locals.add(name)
        return name

    def _attribute(self, word: str, part: Part) -> str:
        name = _name(word, _TAKEN | self.parts.keys())
        self.parts[name] = part
        return name


def _name(word: str, taken: Iterable[str]) -> str:
    """A Python name for a word of the text, which is none of those taken."""
    plain = re.sub(r"\W", "_", word, flags=re.ASCII)
    odd = keyword.iskeyword(plain) or plain.startswith("__") or not plain.isidentifier()
    return fresh(f"of_{plain}" if odd else plain, taken)


def _row(parts: list[Part]) -> Part:
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return flat[0] if len(flat) == 1 else flat
