"""``foveal.audit``, and the one list of tasks. A task's module is loaded when the task is first asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foveal.core.errors import FovealError
from foveal.tasks.task import Task

if TYPE_CHECKING:
    from foveal.tasks.record import Audit

TASKS: dict[str, str] = {
    "classification": "foveal.tasks.classification.audit",
    "detection": "foveal.tasks.detection.audit",
    "segmentation": "foveal.tasks.segmentation.audit",
    "streaming": "foveal.tasks.streaming.audit",
    "registration": "foveal.tasks.registration.audit",
    "tokens": "foveal.tasks.streaming.tokens.audit",
}
"""Task name -> the module that holds its ``TASK``."""


def audit(model: Any, task: str, inputs: Any = None, *, check: bool = True, axes: Any = None, **options: Any) -> Audit:
    """What the receptive fields of a network mean for ``task``; the task says which options it takes.

    model, inputs: as for :func:`foveal.trace`, or a graph.
    check: where the trace rests on more than the algebra, a few runs of the model are held against its numbers.
    Raises FovealError for a task or an option that is not there, and where the task cannot be asked of this network.
    """
    from foveal.frontends.trace import network  # not for the command line's list of tasks

    if isinstance(inputs, str) and not isinstance(task, str):
        task, inputs = inputs, task
    return find_task(task).audit(network(model, inputs, axes), options, check)


def find_task(name: str) -> Task:
    """The task of that name; raises FovealError with the names there are."""
    if name not in TASKS:
        close = difflib.get_close_matches(str(name), TASKS, n=1)
        if not isinstance(name, str):
            hint = "; it comes second: foveal.audit(model, 'classification', shape)"
        else:
            hint = f"; closest: {close[0]}" if close else "; the task comes before the network" if ":" in name else ""
        raise FovealError(f"unknown task '{name}'; expected one of {', '.join(TASKS)}{hint}")
    found: Task = import_module(TASKS[name]).TASK
    return found
