"""An ONNX Runtime session, or what behaves as one, as a function: nothing but the session is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.ir.backend import Forward


def is_session(model: object) -> bool:
    """Whether a bare model is run as a session is."""
    return hasattr(model, "get_inputs") and hasattr(model, "run")


def session_forward(session: Any, layer: str, output: str | int | None) -> Forward:
    """One output of a session, by default the layer's or the first; raises FovealError for one that it has not."""
    names = [item.name for item in session.get_outputs()]
    wanted = output if output is not None else layer if layer in names else 0
    if isinstance(wanted, int):
        wanted = names[wanted] if -len(names) <= wanted < len(names) else str(wanted)
    if wanted not in names:
        raise FovealError(f"output '{wanted}': the session has {', '.join(names)}")
    feed = session.get_inputs()[0].name

    def forward(part: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run([wanted], {feed: np.ascontiguousarray(part)})[0]
        return found

    return forward
