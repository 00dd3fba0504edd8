"""Frozen dataclasses to plain JSON values and back, driven by ``dataclasses.fields()`` and the type hints alone.

Exact both ways: a fraction travels as the string "3/2", a tuple as a list, everything else as itself. A result type
gains or loses a field in one place, its dataclass.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from fractions import Fraction
from functools import cache
from typing import Any

from foveal.core.errors import FovealError

LONGEST = 4000
"""Characters of a fraction; Python reads no whole number of more than 4300 digits."""
_FRACTION = re.compile(r"(-?[0-9]+)/([0-9]*[1-9][0-9]*)")


class FormatError(FovealError):
    """Data that does not describe the result it should; names the place."""


def to_plain(value: Any) -> Any:
    """A dataclass, tuple, fraction or scalar as values that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    return value


def read_json(text: str, place: str) -> Any:
    """JSON text as plain values; raises FormatError (one line) for anything else, NaN included."""
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{place}: not JSON: {error}") from None


def from_plain(kind: Any, data: Any, place: str = "report") -> Any:
    """The value of type ``kind`` that ``data`` describes; raises FormatError naming the place of a fault."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(kind), data, place)
    if origin is tuple:
        return _tuple(typing.get_args(kind), data, place)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, data, place)
    if kind is Fraction:
        return _fraction(data, place)
    if kind is float and type(data) is int:
        return float(data)
    expected = type(None) if kind is None else kind
    if type(data) is not expected:
        raise FormatError(f"{place}: expected {_name(expected)}, got {_short(data)}")
    return data


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def _record(kind: Any, data: Any, place: str) -> Any:
    if not isinstance(data, dict):
        raise FormatError(f"{place}: expected an object, got {_short(data)}")
    hints = _hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in names:
        if name not in data:
            raise FormatError(f"{place}: missing field '{name}'")
    for name in data:
        if name not in hints:
            raise FormatError(f"{place}: unknown field '{name}'")
    decoded = {name: from_plain(hints[name], data[name], f"{place}.{name}") for name in names}
    try:
        return kind(**decoded)
    except ValueError as error:
        raise FormatError(f"{place}: {error}") from None


def _tuple(items: tuple[Any, ...], data: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise FormatError(f"{place}: expected a list, got {_short(data)}")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(from_plain(items[0], item, f"{place}[{index}]") for index, item in enumerate(data))
    if len(items) != len(data):
        raise FormatError(f"{place}: expected {len(items)} items, got {len(data)}")
    return tuple(from_plain(kind, item, f"{place}[{index}]") for index, (kind, item) in enumerate(zip(items, data)))


def _union(kinds: tuple[Any, ...], data: Any, place: str) -> Any:
    """The first alternative that fits; where none does, the fault of the last one that is not None."""
    fault = FormatError(f"{place}: got {_short(data)}")
    for kind in sorted(kinds, key=lambda kind: kind is not type(None)):
        try:
            return from_plain(kind, data, place)
        except FormatError as error:
            fault = error
    raise fault


def _fraction(data: Any, place: str) -> Fraction:
    found = _FRACTION.fullmatch(data) if isinstance(data, str) and len(data) < LONGEST else None
    if found is None:
        raise FormatError(f"{place}: expected a fraction such as '3/2', got {_short(data)}")
    return Fraction(int(found[1]), int(found[2]))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _name(kind: type) -> str:
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", type(None): "null"}
    return words.get(kind, kind.__name__)


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."
