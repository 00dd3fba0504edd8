"""Results kept for the next call with the same arguments, with a limit on the bytes of their arrays together."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")
BYTES = 1 << 24
"""Of the arrays that one function keeps."""
ENTRIES = 4096


class Bounded(Generic[T]):
    """``functools.cache``, but what was used longest ago goes when there are too many results or bytes."""

    def __init__(self, function: Callable[..., T]) -> None:
        self.function = function
        self.kept: dict[Any, tuple[T, int]] = {}
        self.bytes = 0
        self.lock = Lock()

    def __call__(self, *key: Any) -> T:
        """The result for these arguments."""
        with self.lock:
            found = self.kept.pop(key, None)
            if found is not None:
                self.kept[key] = found  # now the last to go
                return found[0]
        result = self.function(*key)
        size = held_bytes((key, result))
        with self.lock:
            self.bytes += size - self.kept.pop(key, (None, 0))[1]
            self.kept[key] = (result, size)
            while self.bytes > BYTES or len(self.kept) > ENTRIES:
                self.bytes -= self.kept.pop(next(iter(self.kept)))[1]
        return result

    def cache_clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.kept.clear()
            self.bytes = 0


def held_bytes(thing: Any) -> int:
    """Bytes of the arrays in a record, or in tuples and lists of such."""
    if hasattr(thing, "nbytes"):
        return int(thing.nbytes)
    if isinstance(thing, (tuple, list)):
        return sum(map(held_bytes, thing))
    return sum(map(held_bytes, vars(thing).values())) if hasattr(thing, "__dict__") else 0
