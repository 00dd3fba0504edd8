"""A sign of life on standard error for work that takes more than a second, on a terminal only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from foveal.core.visible import visible

DELAY = 1.0
"""Seconds of silence before the sign appears."""


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a spinner with ``text`` while the block runs; it leaves no trace behind."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    status = console.status(Text(visible(text)))
    timer = threading.Timer(DELAY, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
