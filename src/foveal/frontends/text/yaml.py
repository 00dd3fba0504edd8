"""Reads the YAML form of a text specification into the same tree as the one-line form::

name: tiny
input: 3x32x32
layers:
  - conv3x64,bn,relu
  - name: stage1
    repeat: 2
    layers: ["[conv3x64,bn,relu conv3x64,bn | id] relu"]
  - add: [conv3x64, id]
  - gap fc10
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from foveal.core.errors import SourceError
from foveal.frontends.text.grammar import input_lengths, parse_line, without_bias_before_norm
from foveal.frontends.text.kinds import closest
from foveal.frontends.text.limits import MAX_DEPTH, MAX_KEYS, MAX_NUMBER, MAX_PARTS, MAX_TEXT, shown
from foveal.frontends.text.model import BranchSpec, Item, RepeatSpec, ScopeSpec, Specification

_TOP = ("name", "input", "layers", "description")
_JOINS = {"add": "add", "concatenate": "cat", "cat": "cat", "multiply": "mul", "mul": "mul"}
_LAYERS = re.compile(r"^[ \t]*(-[ \t]+)?(\{[ \t]*)?[\"']?layers[\"']?[ \t]*:\s", re.MULTILINE)
_BLOCK = ("layers", "name", "repeat")
_DAMAGE = (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError, OverflowError)
"""What the YAML package raises: its own errors, and whatever its constructors of numbers, words and dates meet."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key written twice, and mappings that merge others without end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.met: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called for each mapping, before its keys are read and again whenever it is merged into another."""
        if id(node) not in self.met:
            self.met.add(id(node))
            self._check_keys(node)
        super().flatten_mapping(node)
        self._check_count(node, len(node.value))

    def _check_keys(self, node: yaml.MappingNode) -> None:
        self._check_count(node, len(node.value))
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and isinstance(value, yaml.SequenceNode):
                self._check_count(node, len(value.value))
        words = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for word in words:
            if words.count(word) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {shown(word)!r} twice", node.start_mark)

    def _check_count(self, node: yaml.MappingNode, count: int) -> None:
        if count > MAX_KEYS:
            raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_KEYS} keys", node.start_mark)


def looks_like_yaml(text: str) -> bool:
    """Whether a text is YAML rather than one line of words: it has a line that starts with ``layers:``."""
    return _LAYERS.search(text) is not None


def parse_yaml(text: str, default_name: str = "specification") -> Specification:
    """The tree of a YAML specification; raises SourceError with the place of the fault."""
    if len(text) > MAX_TEXT:
        raise SourceError(f"specification: longer than {MAX_TEXT} characters; write a smaller one")
    try:
        document = yaml.load(text, _Loader)
    except _DAMAGE as error:
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise SourceError(f"specification{place}: not valid YAML: {_line(problem)}") from None
    if _is_huge(document):
        raise SourceError(f"specification: more than {MAX_PARTS} parts, aliases counted; write a smaller one")
    if not isinstance(document, dict):
        raise SourceError("specification: the YAML form is a mapping with 'layers', and optionally 'name' and 'input'")
    for key in document:
        if key not in _TOP:
            raise SourceError(f"specification: unknown key '{shown(key)}'; {closest(shown(key), _TOP)}")
    if "layers" not in document:
        raise SourceError("specification: 'layers' is missing")
    items = _items(document["layers"], "layers", 0)
    name = document.get("name", default_name)
    if not isinstance(name, str):
        raise SourceError(f"specification: 'name' must be a word, not {shown(name)}")
    return Specification(items, _input(document.get("input")), shown(" ".join(name.split())))


def _line(problem: str) -> str:
    return " ".join(part for part in (shown(word) for word in problem.split()[:40]) if part)


def _is_huge(document: Any) -> bool:
    """Whether a document has too many parts once its aliases are written out (they can nest without end)."""
    waiting, parts, characters = [document], 0, 0
    while waiting and parts <= MAX_PARTS and characters <= MAX_TEXT:
        part = waiting.pop()
        parts += 1
        characters += len(part) if isinstance(part, str) else 0
        waiting.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    return parts > MAX_PARTS or characters > MAX_TEXT


def _input(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if isinstance(given, list) and all(type(n) is int for n in given):
        given = "x".join(map(shown, given))
    return input_lengths(given if isinstance(given, str) else shown(given), "specification, input")


def _items(given: Any, place: str, depth: int) -> tuple[Item, ...]:
    """A string of the one-line form, a mapping, or a list of them."""
    if depth > MAX_DEPTH:
        raise SourceError(f"specification: more than {MAX_DEPTH} groups inside each other")
    if isinstance(given, str):
        parsed = parse_line(given, f"specification, {place}")
        if parsed.input is not None:
            raise SourceError(f"specification, {place}: in YAML the input stands beside 'layers': input: 3x224x224")
        return parsed.items
    if isinstance(given, dict):
        return _mapping(given, place, depth)
    if isinstance(given, list):
        nested = [_items(part, f"{place}[{index}]", depth + 1) for index, part in enumerate(given)]
        return without_bias_before_norm(tuple(item for part in nested for item in part))
    raise SourceError(f"specification, {place}: expected layers as text, a list or a mapping, not {shown(given)}")


def _mapping(given: dict[Any, Any], place: str, depth: int) -> tuple[Item, ...]:
    joins = [key for key in given if key in _JOINS]
    if len(joins) == 1 and len(given) == 1:
        return (_branches(joins[0], given[joins[0]], place, depth),)
    for key in given:
        if key not in _BLOCK:
            raise SourceError(
                f"specification, {place}: unknown key '{shown(key)}'; {closest(shown(key), [*_BLOCK, *_JOINS])}"
            )
    if "layers" not in given:
        raise SourceError(f"specification, {place}: 'layers' is missing")
    items = _items(given["layers"], f"{place}.layers", depth + 1)
    times, name = given.get("repeat", 1), given.get("name")
    if type(times) is not int or not 1 <= times <= MAX_NUMBER:
        raise SourceError(f"specification, {place}: 'repeat' must be a number of at least 1, not {shown(times)}")
    if times > 1:
        items = (RepeatSpec(times, items),)
    if name is None:
        return items
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise SourceError(f"specification, {place}: '{shown(name)}' is not a name")
    return (ScopeSpec(name, items),)


def _branches(key: str, given: Any, place: str, depth: int) -> BranchSpec:
    if not isinstance(given, list) or len(given) < 2:
        raise SourceError(f"specification, {place}: {key!r} needs a list of at least two paths")
    paths = tuple(_items(path, f"{place}.{key}[{index}]", depth + 1) for index, path in enumerate(given))
    if not all(paths):
        raise SourceError(f"specification, {place}: {key!r} has an empty path; write 'id' for the identity")
    return BranchSpec(_JOINS[key], paths, f"specification, {place}.{key}")
