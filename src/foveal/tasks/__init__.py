"""What receptive fields mean for a task: an audit takes a graph and gives tables, findings and pictures.

One module per task; each holds ``TASK``, its :class:`foveal.tasks.task.Task`, and has one entry below. A module is
loaded when its task is first asked for.
"""

from __future__ import annotations

TASKS: dict[str, str] = {
    "classification": "foveal.tasks.classification",
    "detection": "foveal.tasks.detection",
    "segmentation": "foveal.tasks.segmentation",
    "streaming": "foveal.tasks.streaming",
    "registration": "foveal.tasks.registration",
}
"""Task name -> the module that holds its ``TASK``."""
