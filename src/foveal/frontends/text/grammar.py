"""Reads the one-line form of a text specification into its tree.

    conv3x64 conv3x64 pool2 conv3x128,s2,d2 [conv3x128 | id] gap fc1000

A token is ``kind``, a size, ``x`` and the output channels, then options after commas. ``[a | b]`` adds branches,
``{a | b}`` concatenates them along the channels, ``<a | b>`` multiplies them; ``3*( ... )`` repeats; ``name:( ... )``
names. docs/specification.md has the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from foveal.core.errors import SourceError
from foveal.frontends.text.kinds import ACTIVATIONS, FOLLOWED, KINDS, NORMS, NUMBERED, REFERENCES, closest, options_of
from foveal.frontends.text.limits import MAX_AXES, MAX_DEPTH, MAX_NUMBER, MAX_TEXT, MAX_TOKEN, shown
from foveal.frontends.text.model import BranchSpec, Item, LayerSpec, RepeatSpec, ScopeSpec, Spans, Specification

_LEXEME = re.compile(
    r"(?P<repeat>\d+\*)"
    r"|(?P<scope>[A-Za-z_][\w.]*:(?=[A-Za-z_(\[{<]|\d+\*))"
    r"|(?P<mark>[()\[\]{}<>|])"
    r"|(?P<word>(?:[^\s()\[\]{}<>|]|(?<=[^\s\[\]{}<>|])\([^()\s]*\))+)"
)
_CLOSING = {"[": ("]", "add"), "{": ("}", "cat"), "<": (">", "mul")}
_HEAD = re.compile(r"(?P<kind>[a-z]+)(?P<size>[\d:]+|\([\d:,]*\))?(?:x(?P<channels>\d+))?")
_GLUED = re.compile(r"[a-z]+(?:[\d:]+|\([\d:,]*\))?")
_NUMBERS = re.compile(r"\d+(:\d+)?(,\d+(:\d+)?)*")


class Lexeme(NamedTuple):
    """A piece of the text: its sort (repeat, scope, mark, word), itself, and where it stands."""

    sort: str
    text: str
    where: str


def parse_line(text: str, place: str = "specification") -> Specification:
    """The tree of a one-line specification; raises SourceError with the token, its position and what is allowed."""
    if len(text) > MAX_TEXT:
        raise SourceError(f"{place}: longer than {MAX_TEXT} characters; write a smaller one")
    parser = _Parser(_lexemes(text, place), place)
    items = parser.sequence(closing="")
    return Specification(items, parser.input)


def _lexemes(text: str, place: str) -> list[Lexeme]:
    found: list[Lexeme] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return found
        match = _LEXEME.match(text, at)
        if match is None or match.lastgroup is None:
            raise SourceError(f"{place}, character {at + 1}: cannot read {text[at : at + 20]!r}")
        where = f"{place}, token {len(found) + 1} '{shown(match.group())}' at character {at + 1}"
        if len(match.group()) > MAX_TOKEN or not match.group().isprintable():
            raise SourceError(f"{where}: cannot read this token; write layers as in conv3x64,s2 with spaces between")
        found.append(Lexeme(match.lastgroup, match.group(), where))
        at = match.end()


class _Parser:
    """Recursive descent over the lexemes. ``input`` is set by an ``input=`` token."""

    def __init__(self, lexemes: list[Lexeme], place: str) -> None:
        self.lexemes = lexemes
        self.place = place
        self.next = 0
        self.depth = 0
        self.input: tuple[int, ...] | None = None

    def sequence(self, closing: str) -> tuple[Item, ...]:
        """Items up to one of the characters of ``closing`` (not taken), or to the end where it is empty."""
        items: list[Item] = []
        while self.next < len(self.lexemes):
            lexeme = self.lexemes[self.next]
            if lexeme.sort == "mark" and lexeme.text in ")]}>|":
                if lexeme.text in closing:
                    break
                expected = f"expected one of {' '.join(closing)}" if closing else "nothing is open here"
                raise SourceError(f"{lexeme.where}: unexpected '{lexeme.text}'; {expected}")
            items.extend(self.item())
        else:
            if closing:
                raise SourceError(f"{self.place}: ends before '{closing[0]}'; close what was opened")
        return without_bias_before_norm(tuple(items))

    def item(self) -> tuple[Item, ...]:
        """The next item; a layer with a norm or activation as an option gives several."""
        lexeme = self._take("an item")
        if lexeme.sort == "repeat":
            times = bounded(lexeme.text[:-1], lexeme.where)
            if times < 1:
                raise SourceError(f"{lexeme.where}: a repeat needs a count of at least 1")
            return (RepeatSpec(times, self._nested()),)
        if lexeme.sort == "scope":
            return (ScopeSpec(lexeme.text[:-1], self._nested()),)
        if lexeme.sort == "word":
            return self._word(lexeme)
        if lexeme.text == "(":
            return self._group(")")
        if lexeme.text in _CLOSING:
            return (self._branches(lexeme),)
        raise SourceError(f"{lexeme.where}: expected a layer or a group before '{lexeme.text}'")

    def _nested(self) -> tuple[Item, ...]:
        with self._deeper():
            return without_bias_before_norm(self.item())

    def _group(self, closing: str) -> tuple[Item, ...]:
        with self._deeper():
            items = self.sequence(closing)
        self._take(closing)
        return items

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SourceError(f"{self.place}: more than {MAX_DEPTH} groups inside each other")
        yield
        self.depth -= 1

    def _branches(self, opening: Lexeme) -> BranchSpec:
        closing, join = _CLOSING[opening.text]
        paths: list[tuple[Item, ...]] = []
        while True:
            with self._deeper():
                path = self.sequence(closing + "|")
            if not path:
                raise SourceError(f"{self.lexemes[self.next].where}: empty branch; write 'id' for the identity")
            paths.append(path)
            if self._take(closing).text == closing:
                break
        if len(paths) < 2:
            raise SourceError(f"{opening.where}: a single branch; write {opening.text}a | b{closing}, or ( ) to group")
        return BranchSpec(join, tuple(paths), opening.where)

    def _take(self, wanted: str) -> Lexeme:
        if self.next == len(self.lexemes):
            raise SourceError(f"{self.place}: ends where {wanted} is expected")
        self.next += 1
        return self.lexemes[self.next - 1]

    def _word(self, lexeme: Lexeme) -> tuple[Item, ...]:
        if lexeme.text.startswith("input="):
            self.input = input_lengths(lexeme.text[len("input=") :], lexeme.where)
            return ()
        return parse_word(lexeme.text, lexeme.where)


def without_bias_before_norm(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """A convolution directly before ``bn`` has no bias, unless it says ``bias``."""
    result = list(items)
    for index, (item, after) in enumerate(pairwise(items)):
        if not isinstance(item, LayerSpec) or item.kind not in FOLLOWED or item.flags & {"bias", "nobias"}:
            continue
        if isinstance(after, LayerSpec) and after.kind == "bn":
            result[index] = replace(item, flags=item.flags | {"nobias"})
    return tuple(result)


def input_lengths(text: str, where: str) -> tuple[int, ...]:
    """``3x224x224`` -> (3, 224, 224): channels, then space."""
    if not re.fullmatch(rf"\d+(x\d+){{1,{MAX_AXES}}}", text):
        raise SourceError(f"{where}: an input is channels x space, as in input=3x224x224 or input=1x16000")
    lengths = tuple(bounded(part, where) for part in text.split("x"))
    if min(lengths) < 1:
        raise SourceError(f"{where}: lengths must be at least 1")
    return lengths


def bounded(text: str, where: str) -> int:
    """A number of the text; one that cannot be meant is an error before it becomes a shape."""
    if len(text) > 9 or int(text) > MAX_NUMBER:
        raise SourceError(f"{where}: {text[:12]} is larger than {MAX_NUMBER}")
    return int(text)


def parse_word(text: str, where: str) -> tuple[LayerSpec, ...]:
    """One token: a layer, and after it the norm and activations written as its options."""
    head, *options = re.split(r",(?![^(]*\))", text)
    layer = _head(head, where)
    followers: list[LayerSpec] = []
    for option in options:
        follower = _follower(layer.kind, option, where)
        if follower is not None:
            followers.append(follower)
        else:
            layer = _with_option(layer, option, where)
    return layer, *followers


def _head(head: str, where: str) -> LayerSpec:
    kind, equals, reference = head.partition("=")
    if equals:
        if kind not in REFERENCES:
            raise SourceError(f"{where}: '{kind}=' is not known; {closest(kind, [*REFERENCES, 'input'])}")
        if not re.fullmatch(r"[A-Za-z_][\w.]*", reference):
            raise SourceError(f"{where}: '{reference}' is not a name; write {kind}=a")
        return LayerSpec(kind, reference=reference, where=where)
    if head in ACTIVATIONS:
        return LayerSpec(head, where=where)
    match = _HEAD.fullmatch(head)
    if match is None:
        _refuse_what_follows(head, where)
    if match is None or match["kind"] not in KINDS:
        word = re.match(r"[A-Za-z]*", head)
        name = (word.group() if word else "") or head
        allowed = ", ".join(kind for kind in KINDS if kind not in ACTIVATIONS)
        raise SourceError(f"{where}: unknown layer kind '{name}'; {closest(name, KINDS)}; allowed: {allowed}, relu ...")
    kind = match["kind"]
    if kind in REFERENCES:
        raise SourceError(f"{where}: '{kind}' needs a name: {KINDS[kind].example}")
    size = numbers(match["size"], where) if match["size"] else ()
    channels = bounded(match["channels"], where) if match["channels"] else None
    _check_head(kind, size, channels, where)
    return LayerSpec(kind, size, channels, where=where)


def _refuse_what_follows(head: str, where: str) -> None:
    """Raises SourceError for a known layer with more directly behind it, such as options without their comma."""
    match = _HEAD.match(head)
    if match is None or match["kind"] not in KINDS or match["kind"] in REFERENCES:
        return
    start, rest = match.group(), head[match.end() :]
    written = ",".join([start, *_GLUED.findall(rest)])
    try:
        understood = written.replace(",", "") == head.replace(",", "") and bool(parse_word(written, where))
    except SourceError:
        understood = False
    if understood:
        raise SourceError(f"{where}: a comma stands before each option; write {written}")
    example = KINDS[match["kind"]].example
    raise SourceError(
        f"{where}: '{rest}' after '{start}' is not understood; a layer is written as in {example}, options after commas"
    )


def _check_head(kind: str, size: Spans, channels: int | None, where: str) -> None:
    rule = KINDS[kind]
    if rule.size == "needed" and not size:
        raise SourceError(f"{where}: '{kind}' needs a size, as in {rule.example}")
    if rule.size == "none" and size:
        raise SourceError(f"{where}: '{kind}' takes no size; write {rule.example}")
    if rule.channels == "none" and channels is not None:
        raise SourceError(f"{where}: '{kind}' takes no channel count; write {rule.example}")
    if not rule.asymmetric and any(before != after for before, after in size):
        raise SourceError(f"{where}: the size of '{kind}' has one number per axis, as in {rule.example}")
    if channels == 0 or (not rule.asymmetric and any(before < 1 for before, _ in size)):
        raise SourceError(f"{where}: sizes and channel counts must be at least 1")


def numbers(text: str, where: str) -> Spans:
    """``3`` -> ((3, 3),); ``1:2`` -> ((1, 2),); ``(0,1:2)`` -> ((0, 0), (1, 2))."""
    inner = text[1:-1] if text.startswith("(") else text
    if not _NUMBERS.fullmatch(inner):
        raise SourceError(f"{where}: cannot read the numbers '{text}'; write 3, 1:2 or (1,7)")
    spans = []
    for part in inner.split(","):
        before, _, after = part.partition(":")
        spans.append((bounded(before, where), bounded(after or before, where)))
    return tuple(spans)


def _follower(kind: str, option: str, where: str) -> LayerSpec | None:
    follows = option in ACTIVATIONS or re.fullmatch(r"(bn|gn\d+|in|ln)", option)
    return _head(option, where) if kind in FOLLOWED and follows else None


def _with_option(layer: LayerSpec, option: str, where: str) -> LayerSpec:
    if option.startswith("name="):
        name = option[len("name=") :]
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            raise SourceError(f"{where}: '{name}' is not a name; write name=stem")
        return replace(layer, name=name)
    allowed = KINDS[layer.kind].options
    if option in allowed and option not in NUMBERED:
        return replace(layer, flags=layer.flags | {option})
    match = re.fullmatch(r"([a-z]+)([\d:]+|\([\d:,]*\))", option)
    if match is None or match[1] not in allowed or match[1] not in NUMBERED:
        words = [*allowed, "name="] + ([*NORMS, *ACTIVATIONS] if layer.kind in FOLLOWED else [])
        listed = ", ".join(options_of(layer.kind))
        hint = closest(match[1] if match else option, words)
        raise SourceError(f"{where}: '{layer.kind}' has no option '{option}'; {hint}; allowed: {listed}")
    spans = numbers(match[2], where)
    if match[1] != "p" and any(before != after for before, after in spans):
        raise SourceError(f"{where}: only p may differ before and after, not '{option}'")
    if match[1] in ("s", "d", "g") and any(before < 1 for before, _ in spans):
        raise SourceError(f"{where}: '{option}' must be at least 1")
    return replace(layer, numbers=(*layer.numbers, (match[1], spans)))
