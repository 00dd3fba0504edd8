"""Worker processes and the calls that wait for them: bounded in number, time and memory.

A lane is one process. It works on one call at a time, in order; a call that takes too long is stopped together with its
process, and the next call gets a new one. Calls and answers are lines of JSON over pipes: nothing is pickled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import IO, Any

from foveal.core.errors import FovealError

Tick = Callable[[str], None]


class BusyError(FovealError):
    """More calls wait than the lane takes."""


class SupersededError(FovealError):
    """A later call with the same key made this one needless."""


class WorkerError(FovealError):
    """A call that failed by no fault of its caller; the details are on the server's standard error."""


Key = tuple[str, ...]
"""Whose call it is, what it asks, and of what; () for a call that no other makes needless."""
GRACE = 1.0
"""Seconds that a running call which became needless may still take, before its process is stopped."""


@dataclass
class _Call:
    name: str
    args: dict[str, Any]
    key: Key
    tick: Tick
    needless: bool = False
    future: Future[str] = field(default_factory=Future)


class Lane:
    """One worker process for the calls of one sort.

    seconds: longest time for one call; memory: most bytes of data the process may hold (enforced on Linux); waiting:
    most calls that wait.
    """

    def __init__(self, name: str, seconds: float, memory: int, waiting: int = 512) -> None:
        self.name, self.seconds, self.memory, self.waiting = name, seconds, memory, waiting
        self._calls: deque[_Call] = deque()
        self._running: _Call | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._process: subprocess.Popen[str] | None = None
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"lane {name}", daemon=True)
        self._thread.start()

    def submit(self, name: str, args: dict[str, Any], key: Key = (), tick: Tick = lambda _: None) -> Future[str]:
        """The answer to a call of the worker's function ``name``, as JSON text, later.

        key: earlier calls of the same page that ask the same, or ask about something else (another text), are dropped
        with SupersededError, the running one too where it does not end soon. Raises BusyError where too many wait; the
        future raises FovealError with one line for whatever went wrong.
        """
        call = _Call(name, args, key, tick)
        with self._changed:
            if self._closed:
                raise BusyError("the server is closing")
            dropped = [other for other in self._calls if _replaces(key, other.key)]
            if self._running is not None and _replaces(key, self._running.key):
                self._running.needless = True
            for other in dropped:
                self._calls.remove(other)
            if len(self._calls) >= self.waiting:
                raise BusyError(f"{self.waiting} calls are waiting already; try again in a few seconds")
            self._calls.append(call)
            self._changed.notify()
        for other in dropped:
            _settle(other.future, error=SupersededError("a later request took the place of this one"))
        return call.future

    def close(self) -> None:
        """Stop the process; calls that wait get BusyError."""
        with self._changed:
            self._closed = True
            left, self._calls = list(self._calls), deque()
            self._changed.notify()
        for call in left:
            _settle(call.future, error=BusyError("the server is closing"))
        self._stop()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._calls and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                call = self._running = self._calls.popleft()
            if call.future.cancelled():
                continue
            try:
                _settle(call.future, self._answer(call))
            except FovealError as error:
                _settle(call.future, error=error)
            except OSError as error:
                self._stop()
                _settle(call.future, error=WorkerError(f"the worker could not be reached: {error}"))

    def _answer(self, call: _Call) -> str:
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"name": call.name, "args": call.args}) + "\n")
        process.stdin.flush()
        began = time.monotonic()
        while True:
            spent = time.monotonic() - began
            if call.needless and spent > GRACE:
                self._stop()
                raise SupersededError("a later request took the place of this one")
            try:
                line = self._lines.get(timeout=min(0.1, max(0.0, self.seconds - spent)))
            except Empty:
                if time.monotonic() - began < self.seconds:
                    continue
                self._stop()
                raise FovealError(
                    f"this took longer than {self.seconds:g} s and was stopped; ask for a smaller network or input"
                ) from None
            sort, _, text = line.partition(" ")
            if sort == "tick":
                call.tick(json.loads(text))
            elif sort == "done":
                return text.rstrip("\n")
            elif sort == "wrong":
                raise FovealError(json.loads(text))
            elif sort == "fault":
                raise WorkerError(json.loads(text))
            else:
                self._stop()
                raise WorkerError("the worker stopped: too little memory, or a fault of foveal; ask for less")

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._lines = SimpleQueue()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "foveal.app.serve.worker", str(self.memory)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            )  # fmt: skip
            assert self._process.stdout is not None
            threading.Thread(target=_listen, args=(self._process.stdout, self._lines), daemon=True).start()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(OSError):  # what was not read yet goes with the process
                process.stdin.close()


def _replaces(key: Key, other: Key) -> bool:
    """Whether a call makes an earlier one needless: the same page asks the same again, or about something else."""
    return bool(key and other) and key[0] == other[0] and (key[1] == other[1] or key[2:] != other[2:])


def _listen(stream: IO[str], lines: SimpleQueue[str]) -> None:
    """Put every line of a worker into the queue; an empty one where it ends."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def _settle(future: Future[str], value: str = "", error: Exception | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
