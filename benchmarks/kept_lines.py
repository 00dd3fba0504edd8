"""Records of a long run, one line of JSON each: what has a line is skipped, so that a run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read(path: Path, made: Callable[..., Any] = dict) -> dict[str, Any]:
    """Name -> ``made`` of its line; the last line of a name counts, and one cut short by an interruption or of another
    form is passed over.
    """
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            found[record["name"]] = made(**record)
        except (ValueError, TypeError, KeyError):
            continue
    return found


@contextmanager
def writing(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Within: a function that puts a record behind those of the file, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:

        def write(record: dict[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        yield write
