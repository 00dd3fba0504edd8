"""A pool of worker processes in which one job's crash, hang or hunger for memory does not stop the others."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

JOBS_PER_WORKER = 40
"""A worker is replaced after that many jobs, so that what libraries keep in memory does not add up."""

Job = Callable[[str], Any]


@dataclass(frozen=True)
class Failed:
    """Why a job gave no result: "timeout after 300 s", "worker died (exit code -9)"."""

    reason: str


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    done: int = 0
    job: str = ""
    deadline: float = 0.0

    def give(self, job: str, timeout: float) -> None:
        self.job, self.deadline = job, time.monotonic() + timeout
        self.pipe.send(job)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(work: Job, jobs: Iterable[str], workers: int, timeout: float, memory: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (job, result or Failed) in the order in which they finish. ``work`` must be importable by the workers.

    ``timeout``: seconds a job may take; ``memory``: bytes a worker may allocate (0: no limit), so that a job that wants
    too much gets a MemoryError of its own before the machine runs short.
    """
    waiting = list(reversed(list(jobs)))
    staff: list[_Worker] = []
    try:
        while waiting or staff:
            while waiting and len(staff) < workers:
                staff.append(_hire(work, memory))
                staff[-1].give(waiting.pop(), timeout)
            for worker in _ready(staff):
                result, alive = _result(worker)
                yield worker.job, result
                worker.done += 1
                if alive and waiting and worker.done < JOBS_PER_WORKER:
                    worker.give(waiting.pop(), timeout)
                else:
                    worker.stop()
                    staff.remove(worker)
    finally:
        for worker in staff:
            worker.stop()


def _hire(work: Job, memory: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs, memory), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(work: Job, pipe: Connection, memory: int = 0) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(job))


def _ready(staff: list[_Worker]) -> list[_Worker]:
    """Workers that answered, died or are over time; waits until there is one."""
    pause = max(0.0, min(worker.deadline for worker in staff) - time.monotonic())
    answered = set(wait([worker.pipe for worker in staff], timeout=pause))
    now = time.monotonic()
    return [worker for worker in staff if worker.pipe in answered or worker.deadline <= now]


def _result(worker: _Worker) -> tuple[Any, bool]:
    if not worker.pipe.poll():
        return Failed("timeout"), False
    try:
        return worker.pipe.recv(), True
    except (EOFError, OSError):
        worker.process.join(5)
        return Failed(f"worker died (exit code {worker.process.exitcode})"), False
