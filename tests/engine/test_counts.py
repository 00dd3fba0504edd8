"""Work that must not grow unseen: counted, so that it is the same anywhere. Limits stand a fifth above today's."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import foveal
from foveal.engine.forward.bounds import Bounds
from support.needs import needs


def counted(run: Callable[[], Any]) -> tuple[Any, Counter[str]]:
    """The result, and how often each of foveal's own functions was called for it, by name; "" all together."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").startswith("foveal."):
            calls[""] += 1
            calls[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        result = run()
    finally:
        sys.setprofile(before)
    return result, calls


def test_trace_and_bounds_of_a_resnet_do_the_work_they_did() -> None:
    Bounds(foveal.trace("gallery:resnet50"))  # what is loaded and worked out once, whatever ran before
    graph, traced = counted(lambda: foveal.trace("gallery:resnet50"))
    _, bounded = counted(lambda: Bounds(graph))
    assert len(graph.nodes) == 175
    assert bounded["_run"] == bounded["_read_by"] == len(graph.nodes)  # each operation once
    assert traced[""] < 8_600
    assert bounded["apply"] < 214
    assert bounded[""] < 9_300


def test_the_trace_of_a_model_does_the_work_it_did() -> None:
    model = needs("torchvision").models.resnet18(weights=None).eval()
    foveal.trace(model, (1, 3, 64, 64))
    graph, calls = counted(lambda: foveal.trace(model, (1, 3, 64, 64)))
    assert len(graph.nodes) == 69
    assert calls["_swap"] == calls["_snapshot"] == len(list(model.modules()))  # each module once
    assert calls["__torch_dispatch__"] == calls["node"] / 2 == len(graph.nodes)  # each operation once, in two tables
    assert "settle" not in calls  # nothing leaves a run on meta tensors
    assert calls[""] < 3_260
