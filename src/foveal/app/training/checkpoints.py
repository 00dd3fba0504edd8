"""Checkpoints of one training in the order in which they were written, by the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from foveal.core.errors import FovealError


def checkpoints(pattern: str) -> list[str]:
    """The files that a pattern such as ``run/*.pt`` means, epoch 9 before epoch 10; raises FovealError for none."""
    found = sorted((path for path in glob(pattern, recursive=True) if Path(path).is_file()), key=_natural)
    if not found:
        raise FovealError(f"--checkpoints: no file matches '{pattern}'")
    return found


def epochs(paths: Sequence[str]) -> list[int]:
    """The epoch of each by its name: the number behind "epoch", else the last one; where two are alike or one has none,
    1, 2, 3 ...
    """
    found = []
    for path in paths:
        stem = Path(path).stem
        named = re.findall(r"epoch\D?(\d+)", stem) or re.findall(r"\d+", stem)
        found.append(int(named[-1]) if named else -1)
    return found if len({*found, -1}) == len(found) + 1 else list(range(1, len(paths) + 1))


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
