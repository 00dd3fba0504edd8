"""Shapes that only a run can tell, seen in a child process with limits: a model that hangs, takes all memory or brings
its runtime down does so there.

The child reads one archive of arrays from standard input (``model``: the file's bytes; ``input:NAME``) and writes JSON:
tensor name -> [shape, element type].
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

SECONDS = 8
MEMORY = 2 << 30

Seen = dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]


def observe(model: bytes, feeds: dict[str, np.ndarray], wanted: Sequence[str]) -> Seen:
    """Shape and element type of the wanted tensors; {} where a run within the limits tells nothing."""
    archive = io.BytesIO()
    arrays = {f"input:{name}": array for name, array in feeds.items()}
    np.savez(archive, model=np.frombuffer(model, np.uint8), wanted=np.asarray(list(wanted)), **arrays)  # type: ignore[arg-type]
    command = [sys.executable, "-m", "foveal.frontends.onnx.observe"]
    try:
        done = subprocess.run(command, input=archive.getvalue(), capture_output=True, timeout=SECONDS, check=False)
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return {}
    return {name: (tuple(shape), np.dtype(kind)) for name, (shape, kind) in found.items()}


def session_of(model: bytes) -> Any:
    """An onnxruntime session on one thread that leaves every node as it is."""
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_here(model: bytes, feeds: dict[str, np.ndarray], wanted: Sequence[str]) -> Seen:
    """As :func:`observe`, in this process and without limits: only for models that are known to be harmless."""
    results = session_of(model).run(list(wanted), feeds)
    pairs = zip(wanted, results, strict=True)
    return {name: (x.shape, x.dtype) for name, x in pairs if isinstance(x, np.ndarray) and x.dtype.kind != "O"}


def main() -> None:
    """The child's side."""
    try:
        resource = import_module("resource")
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # a system without such limits still has the time limit
    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    feeds = {name.removeprefix("input:"): given[name] for name in given.files if name.startswith("input:")}
    wanted = [str(name) for name in given["wanted"]]
    seen = run_here(given["model"].tobytes(), feeds, wanted)
    print(json.dumps({name: [shape, dtype.str] for name, (shape, dtype) in seen.items()}))


if __name__ == "__main__":
    main()
