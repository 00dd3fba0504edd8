"""A model file without the numbers of its large tensors, which stay where they are: the file is looked through by the
lengths of its fields, not read. In the place of its numbers a tensor says that they lie outside the model, as ONNX's
external data does: in this same file, from that byte on.

Field numbers are those of onnx.proto: 7 of a model is the graph, 5 of a graph an initialiser, 9 of a tensor its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import FileIO
from pathlib import Path

LEAST = 1 << 12
"""Bytes of a tensor that are left on disk."""
BLOCK = 1 << 10
"""Bytes that are read at once where single ones are asked for."""
SMALL = 1 << 20
"""Bytes of a file that is read as it is."""
WRITTEN = "foveal.written"
"""The key under which a tensor says when the file was written."""


def without_numbers(path: Path) -> bytes:
    """The model to be parsed. A file that is damaged is given whole: the parser says what is wrong."""
    home, status = path.resolve(), path.stat()
    if status.st_size < SMALL or home.parent != path.parent.resolve():
        return path.read_bytes()
    with path.open("rb", buffering=0) as file:
        try:
            return _model(_Bytes(file, status.st_size), home.name, str(status.st_mtime_ns))
        except (ValueError, IndexError):
            return path.read_bytes()


class _Bytes:
    """The bytes of a file, read block by block where they are asked for one by one."""

    def __init__(self, file: FileIO, size: int) -> None:
        self.file, self.size = file, size
        self.first, self.block = 0, b""

    def __len__(self) -> int:
        return self.size

    def at(self, place: int) -> int:
        """One byte."""
        if not 0 <= place - self.first < len(self.block):
            self.first, self.block = place, self.part(place, place + BLOCK)
        return self.block[place - self.first]

    def part(self, start: int, end: int) -> bytes:
        """The bytes from one place up to another."""
        self.file.seek(start)
        found, wanted = b"", min(end, self.size) - start
        while len(found) < wanted:
            more = self.file.read(wanted - len(found))
            if not more:
                raise ValueError("cut short")
            found += more
        return found


def _model(data: _Bytes, location: str, written: str) -> bytes:
    parts = []
    for number, start, at, after in _fields(data, 0, len(data)):
        parts.append(
            _message(7, _graph(data, at, after, location, written)) if number == 7 else data.part(start, after)
        )
    return b"".join(parts)


def _graph(data: _Bytes, at: int, end: int, location: str, written: str) -> bytes:
    parts, copied = [], at
    for number, start, inner, after in _fields(data, at, end):
        if number == 5 and after - inner >= LEAST:
            tensor = _tensor(data, inner, after, location, written)
            if tensor is not None:
                parts += [data.part(copied, start), _message(5, tensor)]
                copied = after
    return b"".join([*parts, data.part(copied, end)])


def _tensor(data: _Bytes, at: int, end: int, location: str, written: str) -> bytes | None:
    """A tensor whose bytes are named by their place; None for one that has none, few, or some outside already."""
    fields = list(_fields(data, at, end))
    stored = [field for field in fields if field[0] == 9]
    if len(stored) != 1 or any(number in (13, 14) for number, *_ in fields):
        return None
    ((_, start, first, last),) = stored
    if last - first < LEAST:
        return None
    entries = {"location": location, "offset": str(first), "length": str(last - first), WRITTEN: written}
    outside = [_message(13, _message(1, key.encode()) + _message(2, text.encode())) for key, text in entries.items()]
    return b"".join([data.part(at, start), data.part(last, end), *outside, bytes((14 << 3, 1))])


def _fields(data: _Bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, start, start of the content and end of each field. Raises ValueError where they do not fit."""
    while at < end:
        start = at
        tag, at = _varint(data, at)
        wire, after = tag & 7, at
        if wire == 0:
            _, after = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            after = at + length
        elif wire in (1, 5):
            after = at + (8 if wire == 1 else 4)
        if after > end or wire in (3, 4, 6, 7):
            raise ValueError("not a message")
        yield tag >> 3, start, at, after
        at = after


def _varint(data: _Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data.at(at)
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("not a number")


def _message(number: int, content: bytes) -> bytes:
    """A field of that many bytes."""
    head, length = bytearray((number << 3 | 2,)), len(content)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + content
