"""Emitted PyTorch code at work: built, run for time, exported to ONNX. Needs PyTorch."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from foveal.core.errors import FovealError

RUNS = 7
WARM = 2


def build(source: str) -> torch.nn.Module:
    """The ``Net`` of emitted code. Only for code that foveal wrote itself: it is executed."""
    space: dict[str, Any] = {"__name__": "design"}
    exec(compile(source, "<design>", "exec"), space)
    made: torch.nn.Module = space["Net"]()
    return made


def latency_of(source: str, shape: tuple[int, ...]) -> float:
    """Milliseconds of one inference on this device with batch 1: the median of a few runs after a warm-up."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(source).eval().to(device)
    given = torch.zeros(1, *shape, device=device)
    taken = []
    with torch.no_grad():
        for run in range(WARM + RUNS):
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            model(given)
            if device == "cuda":
                torch.cuda.synchronize()
            if run >= WARM:
                taken.append(time.perf_counter() - start)
    return 1000 * sorted(taken)[RUNS // 2]


def export_onnx(source: str, shape: tuple[int, ...], path: str | Path) -> None:
    """Write the network with random weights as ONNX through torch.onnx; raises FovealError where that fails."""
    model = build(source).eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with TemporaryDirectory(prefix=".", dir=Path(path).parent) as folder:
                whole = Path(folder) / Path(path).name
                torch.onnx.export(model, (torch.zeros(1, *shape),), str(whole), dynamo=True, verbose=False)
                # What holds the weights of a large network comes first, so that no file names one that is not there.
                for made in sorted(Path(folder).iterdir(), key=lambda made: made == whole):
                    os.replace(made, Path(path).with_name(made.name))
    except (OSError, ImportError, torch.onnx.errors.OnnxExporterError) as error:
        raise FovealError(f"{path}: not exported: {' '.join(str(error).split())[:200]}") from None
