"""Where in a specification an error belongs: from the place that its message names to characters of the text."""

from __future__ import annotations

import re

import yaml

from foveal.frontends.text.yaml import looks_like_yaml

_TOKEN = re.compile(r"token \d+ '(?P<token>.*?)' at character (?P<at>\d+)")
_CHARACTER = re.compile(r"character (?P<at>\d+)")
_LINE = re.compile(r"^specification, line (?P<line>\d+)")
_PATH = re.compile(r"^specification, (?P<path>layers[\w.\[\]]*)")
_STEP = re.compile(r"\[(\d+)\]|(\w+)")

Place = tuple[int, int]
"""First character and the one after the last."""


def place_of(message: str, text: str) -> Place | None:
    """The characters of ``text`` that an error message is about; None where it names no place."""
    if looks_like_yaml(text):
        return _in_yaml(message, text)
    if _TOKEN.search(message) or _CHARACTER.search(message):
        return _within(message, text, 0, len(text))
    end = len(text.rstrip())
    return (max(0, end - 1), end) if message.startswith("specification: ends ") else None


def _within(message: str, text: str, start: int, end: int) -> Place:
    """The token that the message names, counted from ``start``; the whole stretch where it does not stand there."""
    token = _TOKEN.search(message)
    if token is not None:
        first = start + int(token["at"]) - 1
        last = first + len(token["token"])
        return (first, last) if text[first:last] == token["token"] else (start, end)
    character = _CHARACTER.search(message)
    if character is not None:
        first = start + int(character["at"]) - 1
        return (first, min(first + 1, end)) if first < end else (start, end)
    return start, end


def _in_yaml(message: str, text: str) -> Place | None:
    line = _LINE.match(message)
    if line is not None:
        return _line(text, int(line["line"]))
    path = _PATH.match(message)
    node = None if path is None else _node(text, path["path"])
    if node is None:
        return None
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in (None, "'", '"'):
        return _within(message, text, start + (node.style is not None), end)
    return start, len(text[:end].rstrip())


def _line(text: str, number: int) -> Place:
    lines = text.split("\n")
    number = min(number, len(lines))
    start = sum(len(line) + 1 for line in lines[: number - 1])
    return start, start + len(lines[number - 1])


def _node(text: str, path: str) -> yaml.Node | None:
    """The part of a YAML text at a path such as ``layers[2].add[0]``."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    for index, key in _STEP.findall(path):
        if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
        elif key and isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == key), None)
        else:
            return None
    return node
