"""Follows the work that a model gives to threads; dispatch modes belong to one thread.

Within, a ThreadPoolExecutor does its work at once in the thread that gives it; a thread that is started is watched as
well, one operation at a time, and waited for a moment, so that layers come in the order of the program. Threads that
ran before cannot be watched: what they are given counts as memory in foreign hands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any

from foveal.frontends.torch.dispatch.values import NeedsValues

PATIENCE = 1.0
"""Seconds that a started thread is waited for."""
_SERVE = ("concurrent.futures", "multiprocessing", "threading", "queue")


@contextmanager
def followed(watched: Callable[[], AbstractContextManager[Any]], unseen: Callable[[str], None]) -> Iterator[None]:
    """Watch the threads that this one starts; ``watched`` is entered in each, ``unseen`` told where that cannot be."""
    home = threading.get_ident()
    submit, start, running = ThreadPoolExecutor.submit, threading.Thread.start, ThreadPool._check_running  # type: ignore[attr-defined]

    def at_once(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if threading.get_ident() != home:
            return submit(self, function, *args, **kwargs)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def start_watched(self: threading.Thread) -> None:
        target = getattr(self, "_target", None)
        serves = str(getattr(target, "__module__", "")).startswith(_SERVE)
        if threading.get_ident() != home or serves:
            start(self)
            return
        work = self.run

        stopped: list[NeedsValues] = []

        def run() -> None:
            with watched():
                try:
                    work()
                except NeedsValues as need:
                    stopped.append(need)

        self.run = run  # type: ignore[method-assign]
        start(self)
        self.join(PATIENCE)
        if stopped:  # the run begins anew; who waits for what the thread would have made would wait for ever
            raise stopped[0]

    def told(self: Any) -> None:
        running(self)
        if threading.get_ident() == home:
            unseen("work goes to a pool of threads")

    ThreadPoolExecutor.submit = at_once  # type: ignore[method-assign]
    threading.Thread.start = start_watched  # type: ignore[method-assign]
    ThreadPool._check_running = told  # type: ignore[attr-defined]
    try:
        yield
    finally:
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]
        threading.Thread.start = start  # type: ignore[method-assign]
        ThreadPool._check_running = running  # type: ignore[attr-defined]
