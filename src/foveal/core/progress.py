"""A sign of life on standard error for work that takes more than a second, on a terminal only.

A spinner at first; once the work says how much of it is done (:func:`step`), a bar with the time that is left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from foveal.core.visible import visible

DELAY = 1.0
"""Seconds of silence before the sign appears."""
Item = TypeVar("Item")
_SHOWN: list[Progress] = []
"""The signs of the blocks that run, the innermost last."""


class _Plain(TextColumn):
    def render(self, task: Task) -> Text:
        """The words as they are, without markup."""
        return Text(task.description)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a spinner, or a bar, with ``text`` while the block runs; it leaves no trace behind."""
    console = Console(stderr=True)
    if not console.is_terminal or _SHOWN:
        yield
        return
    shown = Progress(SpinnerColumn(), _Plain(""), console=console, transient=True)
    shown.add_task(visible(text), total=None)
    timer = threading.Timer(DELAY, shown.start)
    timer.daemon = True
    timer.start()
    _SHOWN.append(shown)
    try:
        yield
    finally:
        _SHOWN.remove(shown)
        timer.cancel()
        timer.join()
        if shown.live.is_started:
            shown.stop()


def step(done: int, total: int) -> None:
    """Tell the sign of the block that runs how much is done; nothing where there is none."""
    for shown in _SHOWN[-1:]:
        if len(shown.columns) == 2:
            shown.columns += (BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
        shown.update(shown.task_ids[0], completed=done, total=total)


def counted(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, of which there are ``total``; each counts as done once the next is asked for."""
    for done, item in enumerate(items):
        step(done, total)
        yield item
