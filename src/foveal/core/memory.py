"""How much memory is free, so that work that would be killed halfway is refused beforehand."""

from __future__ import annotations

import re
from pathlib import Path

_TOLD = Path("/proc/meminfo")


def free() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", _TOLD.read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return None if found is None else int(found[1]) * 1024
