"""``foveal.audit``, and the one list of tasks. A task's module is loaded when the task is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from foveal.core.errors import FovealError
from foveal.ir.graph import CONSTANT, constant_text
from foveal.tasks.task import Task

if TYPE_CHECKING:
    from foveal.ir.graph import Graph
    from foveal.tasks.record import Audit

TASKS: dict[str, str] = {
    "classification": "foveal.tasks.classification.audit",
    "detection": "foveal.tasks.detection.audit",
    "segmentation": "foveal.tasks.segmentation.audit",
    "streaming": "foveal.tasks.streaming.audit",
    "registration": "foveal.tasks.registration.audit",
}
"""Task name -> the module that holds its ``TASK``."""


def audit(graph: Graph, task: str, **options: Any) -> Audit:
    """What the receptive fields of ``graph`` mean for ``task``; the task says which options it takes.

    Raises FovealError for a task or an option that is not there, and where the task cannot be asked of this network.
    """
    found = find_task(task)
    return run(found, graph, found.checked(options))


def run(task: Task, graph: Graph, options: Mapping[str, Any]) -> Audit:
    """The audit, with what else its reader must know of the network's outputs."""
    from foveal.tasks.record import AuditFinding

    fixed = [name for name, is_output in graph.constants.items() if is_output]
    told = tuple(AuditFinding("OUT01", "warning", name, CONSTANT) for name in fixed)
    try:
        made = task.run(graph, **options)
    except FovealError as error:
        if not fixed:
            raise
        raise type(error)(f"{error}; {'; '.join(map(constant_text, fixed))}") from None
    return replace(made, findings=(*made.findings, *told)) if told else made


def find_task(name: str) -> Task:
    """The task of that name; raises FovealError with the names there are."""
    if name not in TASKS:
        raise FovealError(f"unknown task '{name}'; expected one of {', '.join(TASKS)}")
    found: Task = import_module(TASKS[name]).TASK
    return found
