"""Calls shared out to processes of this machine, by joblib, or to a cluster, by Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from foveal.core.errors import FovealError


def in_processes(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], workers: int) -> list[Any]:
    """``function(*call)`` for every call, in their order, in up to ``workers`` processes.

    Raises FovealError where joblib is missing.
    """
    try:
        joblib = import_module("joblib")
    except ModuleNotFoundError:
        raise FovealError("several workers need joblib: pip install joblib") from None
    found: list[Any] = joblib.Parallel(n_jobs=workers)(joblib.delayed(_patiently)(function, *call) for call in calls)
    return found


def on_ray(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], address: str, leave_running: bool = False
) -> list[Any]:
    """The same on the Ray cluster at ``address``; "local" starts one on this machine.

    A cluster that was started here is stopped at the end, unless it is left running for further calls. Raises
    FovealError where Ray is missing.
    """
    try:
        ray: Any = import_module("ray")
    except ModuleNotFoundError:
        raise FovealError("--ray needs Ray: pip install 'foveal[ray]'") from None
    started = not ray.is_initialized()
    if started:
        ray.init(address=None if address == "local" else address, log_to_driver=False)
    try:
        remote = ray.remote(function)
        found: list[Any] = ray.get([remote.remote(*call) for call in calls])
        return found
    finally:
        if started and not leave_running:
            ray.shutdown()


def _patiently(function: Callable[..., Any], *args: Any) -> Any:
    """The call, in a worker that does not leave because it grew.

    Networks come and go in a worker. joblib's workers take growth by 300 MB for a leak and leave between two calls,
    which can leave the caller waiting for ever; there is no public switch.
    """
    executor = sys.modules.get("joblib.externals.loky.process_executor")
    if executor is not None and hasattr(executor, "_MAX_MEMORY_LEAK_SIZE"):
        executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # type: ignore[attr-defined]
    return function(*args)
