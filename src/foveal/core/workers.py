"""Calls shared out to processes of this machine, by joblib, or to a cluster, by Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from foveal.core.errors import FovealError

Calls = Sequence[tuple[Any, ...]]
RETRIES = 3
"""How often a call is made again on another worker of a cluster when its own was lost."""


def in_processes(
    function: Callable[..., Any], calls: Calls, workers: int, done: Callable[[int], None] | None = None
) -> list[Any]:
    """``function(*call)`` for every call, in their order, in up to ``workers`` processes.

    ``done`` hears the number of each call that has ended. Raises FovealError where joblib is missing.
    """
    try:
        joblib = import_module("joblib")
    except ModuleNotFoundError:
        raise FovealError("several workers need joblib: pip install joblib") from None
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator")
    found = []
    for place, result in enumerate(parallel(joblib.delayed(_patiently)(function, *call) for call in calls)):
        found.append(result)
        if done is not None:
            done(place)
    return found


def on_ray(
    function: Callable[..., Any],
    calls: Calls,
    address: str,
    leave_running: bool = False,
    done: Callable[[int], None] | None = None,
    lost: Callable[[tuple[Any, ...], str], Any] | None = None,
) -> list[Any]:
    """The same on the Ray cluster at ``address``; "local" starts one on this machine.

    A call whose worker or node goes away is made again elsewhere, up to three times; then ``lost`` says what stands in
    for its result (by default the whole fails). A cluster that was started here is stopped at the end, unless it is
    left running for further calls. Raises FovealError where Ray is missing.
    """
    try:
        ray: Any = import_module("ray")
    except ModuleNotFoundError:
        raise FovealError("--ray needs Ray: pip install 'foveal[ray]'") from None
    started = not ray.is_initialized()
    if started:
        ray.init(address=None if address == "local" else address, log_to_driver=False)
    try:
        remote = ray.remote(max_retries=RETRIES)(function)
        waiting = {remote.remote(*call): place for place, call in enumerate(calls)}
        found: dict[int, Any] = {}
        while waiting:
            for reference in ray.wait(list(waiting))[0]:
                place = waiting.pop(reference)
                found[place] = _fetched(ray, reference, calls[place], lost)
                if done is not None:
                    done(place)
        return [found[place] for place in range(len(calls))]
    finally:
        if started and not leave_running:
            ray.shutdown()


def _fetched(ray: Any, reference: Any, call: tuple[Any, ...], lost: Callable[..., Any] | None) -> Any:
    gone = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError,
            ray.exceptions.ObjectLostError)  # fmt: skip
    try:
        return ray.get(reference)
    except gone as error:
        reason = f"its worker was lost {RETRIES + 1} times ({type(error).__name__})"
        if lost is None:
            raise FovealError(f"a call on the cluster failed: {reason}") from None
        return lost(call, reason)


def _patiently(function: Callable[..., Any], *args: Any) -> Any:
    """The call, in a worker that does not leave because it grew.

    Networks come and go in a worker. joblib's workers take growth by 300 MB for a leak and leave between two calls,
    which can leave the caller waiting for ever; there is no public switch.
    """
    executor = sys.modules.get("joblib.externals.loky.process_executor")
    if executor is not None and hasattr(executor, "_MAX_MEMORY_LEAK_SIZE"):
        executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # type: ignore[attr-defined]
    return function(*args)
