"""Calls shared out to processes of this machine, by joblib."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from foveal.errors import FovealError


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


def _patiently(function: Callable[..., Any], *args: Any) -> Any:
    """The call, in a worker that does not leave because it grew.

    Networks come and go in a worker. joblib's workers take growth by 300 MB for a leak and leave between two calls,
    which can leave the caller waiting for ever; there is no public switch.
    """
    executor = sys.modules.get("joblib.externals.loky.process_executor")
    if executor is not None and hasattr(executor, "_MAX_MEMORY_LEAK_SIZE"):
        executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # type: ignore[attr-defined]
    return function(*args)
