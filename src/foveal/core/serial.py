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
from functools import cache, partial
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
    return _reader(kind)(data, place)


Reader = typing.Callable[[Any, str], Any]


@cache
def _reader(kind: Any) -> Reader:
    """What :func:`from_plain` does for one type, looked up once."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        kinds = sorted(typing.get_args(kind), key=lambda kind: kind is not type(None))
        return partial(_union, [_reader(each) for each in kinds], set(kinds) & ({int, str, bool, type(None)} - (
            {int} if float in kinds else set())))  # fmt: skip
    if origin is tuple:
        items = typing.get_args(kind)
        endless = len(items) == 2 and items[1] is Ellipsis
        return partial(_endless, _reader(items[0])) if endless else partial(_tuple, [_reader(item) for item in items])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return partial(_record, kind)
    if kind is Fraction:
        return _fraction
    return partial(_scalar, type(None) if kind is None else kind)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def _scalar(kind: Any, data: Any, place: str) -> Any:
    if kind is float and type(data) is int:
        return float(data)
    if type(data) is not kind:
        raise FormatError(f"{place}: expected {_name(kind)}, got {_short(data)}")
    return data


def _record(kind: Any, data: Any, place: str) -> Any:
    if not isinstance(data, dict):
        raise FormatError(f"{place}: expected an object, got {_short(data)}")
    readers = _fields(kind)
    for name in readers:
        if name not in data:
            raise FormatError(f"{place}: missing field '{name}'")
    for name in data:
        if name not in readers:
            raise FormatError(f"{place}: unknown field '{name}'")
    decoded = {name: read(data[name], f"{place}.{name}") for name, read in readers.items()}
    try:
        return kind(**decoded)
    except ValueError as error:
        raise FormatError(f"{place}: {error}") from None


def _list(data: Any, place: str) -> list[Any]:
    if not isinstance(data, list):
        raise FormatError(f"{place}: expected a list, got {_short(data)}")
    return data


def _endless(read: Reader, data: Any, place: str) -> tuple[Any, ...]:
    return tuple([read(item, f"{place}[{index}]") for index, item in enumerate(_list(data, place))])


def _tuple(readers: list[Reader], data: Any, place: str) -> tuple[Any, ...]:
    if len(readers) != len(_list(data, place)):
        raise FormatError(f"{place}: expected {len(readers)} items, got {len(data)}")
    return tuple([read(item, f"{place}[{i}]") for i, (read, item) in enumerate(zip(readers, data, strict=True))])


def _union(readers: list[Reader], plain: set[Any], data: Any, place: str) -> Any:
    """The first alternative that fits; where none does, the fault of the last one that is not None."""
    if type(data) in plain:
        return data
    fault = FormatError(f"{place}: got {_short(data)}")
    for read in readers:
        try:
            return read(data, place)
        except FormatError as error:
            fault = error
    raise fault


def _fraction(data: Any, place: str) -> Fraction:
    found = _FRACTION.fullmatch(data) if isinstance(data, str) and len(data) < LONGEST else None
    if found is None:
        raise FormatError(f"{place}: expected a fraction such as '3/2', got {_short(data)}")
    return Fraction(int(found[1]), int(found[2]))


@cache
def _fields(kind: Any) -> dict[str, Reader]:
    hints = typing.get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}


def _name(kind: type) -> str:
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", type(None): "null"}
    return words.get(kind, kind.__name__)


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."
