"""Blocks of a network, and the classes that they become: one for all blocks that differ in numbers only.

Lines are wrapped as ``ruff format`` wraps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

WIDTH = 88
CHANNELS = ("inputs", "outputs", "channels", "hidden")
"""Roles that all count channels, so that one parameter may serve several of them."""
Shape = tuple[int, ...]


class Number(NamedTuple):
    """A number of a constructor; ``default`` is None where it is given by its place."""

    role: str
    value: int | Shape
    default: int | None = None

    def said(self, word: str) -> list[str]:
        """As an argument; nothing where it is the default."""
        return [word] if self.default is None else [f"{self.role}={word}"] if word != str(self.default) else []


class Make(NamedTuple):
    """A constructor and its numbers, such as ``nn.Conv2d(3, 64, 7, stride=2)``."""

    name: str
    numbers: tuple[Number, ...]


class Block(NamedTuple):
    """A module of its own: ``parts`` by attribute, what ``forward`` takes, its lines, each with the shape it gives.

    general: it may stand elsewhere with other widths, so that they are always parameters.
    """

    title: str
    about: str
    parts: tuple[tuple[str, Part], ...]
    takes: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]
    gives: str
    general: bool


Part = Make | Block | list["Part"]
"""A list is a row of parts, an ``nn.Sequential``."""


def inside(part: Part) -> list[Part]:
    """The parts of a part, in order."""
    return part if isinstance(part, list) else [one for _, one in part.parts] if isinstance(part, Block) else []


def numbers(part: Part) -> list[Number]:
    """All numbers of a part, in order."""
    return list(part.numbers) if isinstance(part, Make) else [n for one in inside(part) for n in numbers(one)]


def form(part: Part) -> Hashable:
    """What is equal for two parts that differ in numbers only."""
    if isinstance(part, Make):
        return part.name, tuple((number.role, number.default) for number in part.numbers)
    own = (
        (part.takes, tuple(text for text, _ in part.lines), tuple(n for n, _ in part.parts))
        if isinstance(part, Block)
        else ()
    )
    return own, tuple(form(one) for one in inside(part))


def classes(net: Block, taken: Iterable[str]) -> list[str]:
    """The source of each class, what is used before what uses it; ``net`` is the last."""
    alike: dict[Hashable, list[Block]] = {}
    for block in _blocks(net):
        alike.setdefault(form(block), []).append(block)
    known: dict[Hashable, _Class] = {}
    names = {*taken, net.title}
    for key, blocks in alike.items():
        often = Counter(block.title for block in blocks)
        best = max(blocks, key=lambda block: (block.general, often[block.title]))
        title = net.title if best is net else fresh(best.title, names)
        names.add(title)
        known[key] = _Class(title, best, blocks, known)
    return [one.source() for one in known.values()]


def _blocks(part: Part) -> Iterator[Block]:
    for one in inside(part):
        yield from _blocks(one)
    if isinstance(part, Block):
        yield part


def fresh(name: str, taken: Iterable[str]) -> str:
    """The name, or with the next count the first that is not taken."""
    stem = name.rstrip("0123456789")
    count = int(name[len(stem) :] or 1)
    while name in taken:
        count += 1
        name = f"{stem}{count}"
    return name


class _Class:
    """Blocks that are alike: what is the same in all is written down, what differs is a parameter."""

    def __init__(self, name: str, block: Block, blocks: list[Block], known: dict[Hashable, _Class]) -> None:
        self.name, self.block, self.known = name, block, known
        self.comments = [{shape for _, shape in lines} for lines in zip(*(one.lines for one in blocks))]
        columns = list(zip(*([number.value for number in numbers(one)] for one in blocks)))
        self.words = [str(column[0]) for column in columns]
        self.places: dict[str, int] = {}
        self.parameters: list[Number] = []
        self._share(columns)

    def _share(self, columns: list[tuple[int | Shape, ...]]) -> None:
        """Make parameters of the numbers that differ; those that are always equal share one."""
        groups: dict[tuple[str, tuple[int | Shape, ...]], list[int]] = {}
        own = numbers(self.block)
        for place, (number, column) in enumerate(zip(own, columns)):
            depthwise = number.role == "groups" and set(column) != {1} and ("width", column) in groups
            width = number.role in CHANNELS or depthwise
            if len(set(column)) > 1 or (width and self.block.general):
                groups.setdefault(("width" if width else number.role, column), []).append(place)
        widths = [places for (role, _), places in groups.items() if role == "width"]
        last = max((places[-1] for places in widths), default=0)
        for (role, column), places in groups.items():
            if role == "width":
                ends = places is widths[0], places[-1] == last
                role = {(True, True): "width", (True, False): "inputs", (False, True): "outputs"}.get(ends, "inner")
            name = fresh(role, self.places)
            self.places[name] = places[0]
            self.parameters.append(Number(name, column[0], own[places[0]].default))
            for place in places:
                self.words[place] = name
        self.parameters.sort(key=lambda one: one.default is not None)

    def source(self) -> str:
        """The class as text."""
        made = [f"class {self.name}(nn.Module):", f'    """{self.block.about}"""', ""]
        if self.block.parts:
            stated = [
                f"{p.role}: {_kind(p)}" + ("" if p.default is None else f" = {p.default}") for p in self.parameters
            ]
            made += [wrapped("    def __init__(", ["self", *stated], ") -> None:"), "        super().__init__()"]
            words = iter(self.words)
            for name, part in self.block.parts:
                head, arguments = self._made(part, words)
                made.append(wrapped(f"        self.{name} = {head}(", arguments, ")"))
            made.append("")
        given = [f"{name}: Tensor" for name in self.block.takes]
        made.append(wrapped("    def forward(", ["self", *given], f") -> {self.block.gives}:"))
        for (text, shape), shapes in zip(self.block.lines, self.comments):
            whole = f"        {text}  # {shape}"
            made.append(whole if shape and len(shapes) == 1 and len(whole) <= WIDTH else f"        {text}")
        return "\n".join([*made, ""])

    def _made(self, part: Part, words: Iterator[str]) -> tuple[str, list[str]]:
        """Name and arguments of a constructor; takes the words of its numbers."""
        if isinstance(part, list):
            made = [f"{head}({', '.join(rest)})" for head, rest in (self._made(one, words) for one in part)]
            return "nn.Sequential", [text for one, same in groupby(made) for text in _several(one, len(list(same)))]
        own = [next(words) for _ in numbers(part)]
        if isinstance(part, Make):
            return part.name, [text for number, word in zip(part.numbers, own) for text in number.said(word)]
        kind = self.known[form(part)]
        return kind.name, [text for p in kind.parameters for text in p.said(own[kind.places[p.role]])]


def _kind(parameter: Number) -> str:
    value = parameter.value
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "tuple[int, ...]"


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
