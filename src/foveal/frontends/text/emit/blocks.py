"""Blocks of a network, and the classes that they become: one for all blocks that differ in numbers only.

Lines are wrapped as ``ruff format`` wraps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

WIDTH = 88
WIDTHS = ("inputs", "outputs", "channels", "hidden")
"""Roles that all count channels, so that one parameter may serve several of them."""


Shape = tuple[int, ...]


class Number(NamedTuple):
    """A number of a constructor; ``default`` is None where it is given by its place."""

    role: str
    value: int | Shape
    default: int | None = None


class Make(NamedTuple):
    """A constructor and its numbers, such as ``nn.Conv2d(3, 64, 7, stride=2)``."""

    name: str
    numbers: tuple[Number, ...]

    @property
    def key(self) -> Hashable:
        """What must be equal for two to be written alike."""
        return self.name, tuple((number.role, number.default) for number in self.numbers)


class Chain(NamedTuple):
    """Parts in a row."""

    parts: tuple[Part, ...]

    @property
    def key(self) -> Hashable:
        """As that of ``Make``."""
        return tuple(part.key for part in self.parts)

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Those of the parts, in order."""
        return tuple(number for part in self.parts for number in part.numbers)


class Line(NamedTuple):
    """A line of ``forward``, and the shape that it gives."""

    text: str
    shape: str


@dataclass(frozen=True)
class Block:
    """A module of its own: ``parts`` by attribute, the names of what ``forward`` takes, its lines.

    general: it may stand elsewhere with other widths, so that they are always parameters.
    """

    title: str
    about: str
    parts: tuple[tuple[str, Part], ...]
    takes: tuple[str, ...]
    lines: tuple[Line, ...]
    gives: str = "Tensor"
    general: bool = False

    @cached_property
    def key(self) -> Hashable:
        """As that of ``Make``."""
        return self.takes, tuple(line.text for line in self.lines), tuple((name, part.key) for name, part in self.parts)

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """Those of the parts, in order."""
        return tuple(number for _, part in self.parts for number in part.numbers)


Part = Make | Chain | Block


class Parameter(NamedTuple):
    """Of a class: the place of one of the numbers that it stands for."""

    name: str
    kind: str
    place: int
    default: int | None


def classes(net: Block, taken: Iterable[str]) -> list[str]:
    """The source of each class, what is used before what uses it; ``net`` is the last."""
    alike: dict[Hashable, list[Block]] = {}
    for block in _blocks(net):
        alike.setdefault(block.key, []).append(block)
    known: dict[Hashable, _Class] = {}
    names = set(taken) | {net.title}
    for key, blocks in alike.items():
        often = Counter(block.title for block in blocks)
        blocks.sort(key=lambda block: (block.general, often[block.title]), reverse=True)
        title = net.title if blocks[0] is net else _unused(blocks[0].title, names)
        names.add(title)
        known[key] = _Class(title, blocks, known)
    return [one.source() for one in known.values()]


def _blocks(part: Part) -> Iterator[Block]:
    inside = part.parts if isinstance(part, Chain) else [p for _, p in part.parts] if isinstance(part, Block) else []
    for one in inside:
        yield from _blocks(one)
    if isinstance(part, Block):
        yield part


def _unused(name: str, taken: set[str]) -> str:
    return next(n for n in (name, *(f"{name}{i}" for i in range(2, len(taken) + 3))) if n not in taken)


class _Class:
    """Blocks that are alike: what is the same in all is written down, what differs is a parameter."""

    def __init__(self, name: str, blocks: list[Block], known: dict[Hashable, _Class]) -> None:
        self.name, self.block, self.known = name, blocks[0], known
        self.comments = [{line.shape for line in lines} for lines in zip(*(block.lines for block in blocks))]
        columns = list(zip(*([number.value for number in block.numbers] for block in blocks)))
        self.words = [str(column[0]) for column in columns]
        self.parameters = self._parameters(columns)

    def _parameters(self, columns: list[tuple[int | Shape, ...]]) -> list[Parameter]:
        numbers = self.block.numbers
        groups: dict[tuple[str, tuple[int | Shape, ...]], list[int]] = {}
        for place, (number, column) in enumerate(zip(numbers, columns)):
            depthwise = number.role == "groups" and set(column) != {1} and ("width", column) in groups
            shared = number.role in WIDTHS or depthwise
            if len(set(column)) > 1 or (shared and self.block.general):
                groups.setdefault(("width" if shared else number.role, column), []).append(place)
        widths = [places for (role, _), places in groups.items() if role == "width"]
        last = max((places[-1] for places in widths), default=0)
        made: list[Parameter] = []
        for (role, column), places in groups.items():
            if role == "width":
                ends = places[0] == widths[0][0], places[-1] == last
                role = {(True, True): "width", (True, False): "inputs", (False, True): "outputs"}.get(ends, "inner")
            name = _unused(role, {one.name for one in made})
            kinds = sorted({"tuple[int, ...]" if isinstance(v, tuple) else type(v).__name__ for v in column})
            made.append(Parameter(name, " | ".join(kinds), places[0], numbers[places[0]].default))
            for place in places:
                self.words[place] = name
        return sorted(made, key=lambda one: one.default is not None)

    def source(self) -> str:
        """The class as text."""
        block = self.block
        made = [f"class {self.name}(nn.Module):", f'    """{block.about}"""', ""]
        if block.parts:
            stated = [f"{p.name}: {p.kind}" + ("" if p.default is None else f" = {p.default}") for p in self.parameters]
            made += [wrapped("    def __init__(", ["self", *stated], ") -> None:"), "        super().__init__()"]
            words = iter(self.words)
            made += [self._assigned(name, part, words) for name, part in block.parts] + [""]
        given = [f"{name}: Tensor" for name in block.takes]
        made.append(wrapped("    def forward(", ["self", *given], f") -> {block.gives}:"))
        for line, shapes in zip(block.lines, self.comments):
            text = f"        {line.text}"
            whole = f"{text}  # {line.shape}"
            made.append(whole if line.shape and len(shapes) == 1 and len(whole) <= WIDTH else text)
        return "\n".join([*made, ""])

    def _assigned(self, name: str, part: Part, words: Iterator[str]) -> str:
        head, arguments = self._made(part, words)
        return wrapped(f"        self.{name} = {head}(", arguments, ")")

    def _made(self, part: Part, words: Iterator[str]) -> tuple[str, list[str]]:
        if isinstance(part, Chain):
            made = [f"{head}({', '.join(rest)})" for head, rest in (self._made(one, words) for one in part.parts)]
            return "nn.Sequential", [text for one, same in groupby(made) for text in _several(one, len(list(same)))]
        own = [next(words) for _ in part.numbers]
        if isinstance(part, Make):
            return part.name, [_said(n.role, word, n.default) for n, word in zip(part.numbers, own) if _asked(n, word)]
        kind = self.known[part.key]
        given = [(p, own[p.place]) for p in kind.parameters]
        return kind.name, [_said(p.name, word, p.default) for p, word in given if word != str(p.default)]


def _asked(number: Number, word: str) -> bool:
    return word != str(number.default)


def _said(name: str, word: str, default: int | None) -> str:
    return word if default is None else f"{name}={word}"


def _several(text: str, count: int) -> list[str]:
    return [f"*({text} for _ in range({count}))"] if count > 2 and len(text) < WIDTH // 2 else [text] * count


def wrapped(head: str, arguments: list[str], tail: str) -> str:
    """On one line, or the arguments on a line of their own, or each on its own."""
    indent = " " * (len(head) - len(head.lstrip()))
    whole = ", ".join(arguments)
    if len(head) + len(whole) + len(tail) <= WIDTH:
        return f"{head}{whole}{tail}"
    if len(indent) + 4 + len(whole) <= WIDTH:
        return f"{head}\n{indent}    {whole}\n{indent}{tail}"
    return "\n".join([head, *(f"{indent}    {one}," for one in arguments), f"{indent}{tail}"])
