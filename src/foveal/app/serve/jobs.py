"""Long work that a page waits for: its state, what it is doing now, and what came of it."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from foveal.app.serve.lanes import Lane
from foveal.app.serve.uploads import RefusedError
from foveal.core.errors import FovealError
from foveal.core.visible import visible

KEPT = 16
"""Jobs that are remembered, with their results."""


@dataclass
class Job:
    """state: "waiting", "running", "done" or "failed"; doing: the last tick; error: one line where it failed."""

    id: str
    args: dict[str, Any]
    state: str = "waiting"
    doing: str = ""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    def tell(self) -> dict[str, str]:
        """What a page may know while it waits."""
        return {"id": self.id, "state": self.state, "doing": visible(self.doing), "error": visible(self.error)}


class Jobs:
    """The jobs of a server."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def get(self, number: str) -> Job:
        """The job with that number; raises RefusedError."""
        if number not in self._jobs:
            raise RefusedError("this network is no longer open here; open it again", 404)
        return self._jobs[number]

    def start(self, args: dict[str, Any]) -> Job:
        """Begin to make the page of a network. Raises BusyError."""
        job = Job(secrets.token_hex(8), args)

        def tick(text: str) -> None:
            job.state, job.doing = "running", text

        future = self._lane.submit("network_page", args, tick=tick)
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT:
            self._jobs.popitem(last=False)
        future.add_done_callback(lambda done: _finish(job, done))
        return job


def _finish(job: Job, done: Future[str]) -> None:
    try:
        job.result = json.loads(done.result())
        job.state = "done"
    except FovealError as error:
        job.state, job.error = "failed", str(error)
