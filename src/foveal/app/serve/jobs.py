"""Long work that a page waits for: its state, what it is doing now, and what came of it."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from foveal.app.serve.lanes import Lane
from foveal.app.serve.uploads import RefusedError
from foveal.core.errors import FovealError
from foveal.core.visible import visible

KEPT = 16
"""Jobs that are remembered, with their results, beside those that stay."""


@dataclass
class Job:
    """state: "waiting", "running", "done" or "failed"; doing: the last tick; error: one line where it failed; stays:
    never forgotten.
    """

    id: str
    args: dict[str, Any]
    state: str = "waiting"
    doing: str = ""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    stays: bool = False

    def tell(self) -> dict[str, str]:
        """What a page may know while it waits."""
        return {"id": self.id, "state": self.state, "doing": visible(self.doing), "error": visible(self.error)}


class Jobs:
    """The jobs of a server."""

    def __init__(self, lane: Lane, told: Callable[[str], str] = str) -> None:
        """told: what of an error's text a browser may see."""
        self._lane, self._told = lane, told
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def get(self, number: str) -> Job:
        """The job with that number; raises RefusedError."""
        if number not in self._jobs:
            raise RefusedError("this network is no longer open here; open it again", 404)
        return self._jobs[number]

    def start(self, args: dict[str, Any], stays: bool = False) -> Job:
        """Begin to make the page of a network. Raises BusyError."""
        job = Job(secrets.token_hex(8), args, stays=stays)

        def tick(text: str) -> None:
            job.state, job.doing = "running", text

        future = self._lane.submit("network_page", args, tick=tick)
        self._jobs[job.id] = job
        leaving = [key for key, other in self._jobs.items() if not other.stays]
        for key in leaving[: max(0, len(leaving) - KEPT)]:
            del self._jobs[key]
        future.add_done_callback(lambda done: self._finish(job, done))
        return job

    def _finish(self, job: Job, done: Future[str]) -> None:
        try:
            job.result = json.loads(done.result())
            job.state = "done"
        except FovealError as error:
            job.state, job.error = "failed", self._told(str(error))
