"""The worker process of a lane: reads calls from standard input, writes ticks and answers, one JSON line each."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from foveal.app.serve.networks import check_image, check_text, network_field, network_page
from foveal.app.serve.playground import code, field, growth, summary
from foveal.core.errors import FovealError

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "summary": summary,
    "growth": growth,
    "field": field,
    "code": code,
    "network_page": network_page,
    "network_field": network_field,
    "check_image": check_image,
    "check_text": check_text,
}
TICKING = ("network_page",)


def main() -> None:
    """Answer until standard input ends. Argument: the most bytes of data that this process may hold."""
    _limit_memory(int(sys.argv[1]))
    # What a model prints must not mix with the answers: they keep the real standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        call = json.loads(line)
        sort, value = answer(call["name"], call["args"], answers)
        _say(answers, sort, value)


def answer(name: str, args: dict[str, Any], answers: TextIO) -> tuple[str, Any]:
    """("done", value), ("wrong", one line about the request) or ("fault", one line about foveal)."""
    extra = {"tick": lambda text: _say(answers, "tick", text)} if name in TICKING else {}
    try:
        return "done", FUNCTIONS[name](**args, **extra)
    except FovealError as error:
        return "wrong", " ".join(str(error).split())
    except MemoryError:
        return "wrong", "this needs more memory than the server gives it; ask for a smaller network or input"
    except RecursionError:
        return "wrong", "this is nested too deeply"
    except Exception as error:
        traceback.print_exc()
        return "fault", f"a fault of foveal ({type(error).__name__}); the server's terminal shows the details"


def _say(answers: TextIO, sort: str, value: Any) -> None:
    answers.write(f"{sort} {json.dumps(value, allow_nan=False)}\n")
    answers.flush()


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # no such limit on this system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


if __name__ == "__main__":
    main()
