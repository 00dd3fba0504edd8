"""TensorBoard's event files, scalars only, written without TensorBoard.

A file is a row of records: length, checksum of the length, bytes, checksum of the bytes (TFRecord; CRC-32C, rotated and
shifted). The bytes are an ``Event`` in protocol buffers: field 1 time, 2 step, 3 the version in the first record, 5 the
summary, whose values have field 1 tag and 2 number.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from foveal.core.errors import FovealError


class EventFile:
    """A new event file in ``folder``; raises FovealError where it cannot be written."""

    def __init__(self, folder: str | Path) -> None:
        now = time.time()
        self.path = Path(folder) / f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.foveal"
        self._append(struct.pack("<Bd", 0x09, now) + _bytes(3, b"brain.Event:2"))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """One event with these numbers by tag."""
        values = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + struct.pack("<Bf", 0x15, value)) for tag, value in scalars.items()
        )
        self._append(struct.pack("<Bd", 0x09, time.time()) + b"\x10" + _varint(step) + _bytes(5, values))

    def _append(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(length + _checksum(length) + event + _checksum(event))
        except OSError as error:
            raise FovealError(f"{self.path}: cannot be written: {error.strerror or error}") from None


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _bytes(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _table() -> list[int]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
